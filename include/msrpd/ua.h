/*
 * The User Agent as services use it: MSRP sessions set up by SIP INVITE
 * (RFC 4975 section 8), messages and reports on them.
 *
 * Nothing here calls a handler from inside the call that the service makes.
 * Handlers may call anything, ua_end_session() on the same session included.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <msrpd/message.h>
#include <msrpd/request.h>
#include <msrpd/setting.h>
#include <msrpd/slice.h>

struct route_env;
struct sip_flow;
struct ua;
struct ua_session;

enum ua_end {
	UA_END_BYE,     /* the peer ended it */
	UA_END_EXPIRED, /* max_duration */
	UA_END_ABSENT,  /* the peer was to connect, and nothing has come by MSRP: bind_timeout */
	UA_END_FAILED,  /* its connection or its dialog was lost for good */
	UA_END_STOPPED, /* the daemon stops */
};

/** "bye", "expired", "absent", "failed", "stopped" */
const char *ua_end_name(enum ua_end end);

/** What became of a session. */
struct ua_notice {
	enum {
		UA_ESTABLISHED, /* the ACK was received, or sent */
		UA_FAILED,      /* never established: refused, timed out, not reached */
		UA_TERMINATED,  /* established before */
	} what;
	struct slice accept_types; /* UA_ESTABLISHED: the peer's, separated by spaces */
	struct slice accept_wrapped_types;
	const struct sip_request *invite; /* UA_ESTABLISHED: the peer's, to be read; NULL: ours */
	int code;                         /* UA_FAILED: SIP status, or that of the relay's AUTH */
	struct slice reason;
	bool from_peer;  /* UA_FAILED: the peer said so; else we, unanswered */
	enum ua_end end; /* UA_TERMINATED; UA_FAILED: UA_END_STOPPED when it is the daemon's stop */
};

/** What a handler's message callback returns beside 0. */
enum {
	/** The service has accepted the message and calls ua_send_report() itself, now or later. */
	UA_REPORT_LATER = 1,
	/** It holds a reference to m->request, and will call ua_reply() itself. */
	UA_REPLY_LATER = 2,
};

/**
 * How a service is told; const, one per kind of session.  message, or the three
 * of a stream; if begin is set messages are streamed.
 */
struct ua_handler {
	const char *name; /* "handler" in msrp_ua_list_sessions */

	/**
	 * The session's fate.  After UA_FAILED and UA_TERMINATED the session is gone, and with it
	 * the streams that were open: no end() comes for them.
	 */
	void (*notify)(struct ua_session *s, const struct ua_notice *notice, void *arg);

	/**
	 * One whole message.  Its first bytes were acknowledged already where Failure-Report asks.
	 * One that a SIP MESSAGE brought (m->request) is answered by what this returns, 202 for
	 * UA_REPORT_LATER, and no REPORT can follow; 405 refuses any such.  UA_REPLY_LATER: the
	 * service answers it.
	 *
	 * @return 0: delivered, a success REPORT goes out if asked for; UA_REPORT_LATER; or an MSRP
	 *         status of 400 and more: it goes out as a failure REPORT if asked for
	 */
	int (*message)(struct ua_session *s, const struct message *m, void *arg);

	/** Streams have the bound of whole messages, msrp.max_message_size: beyond it 413. */
	bool bounded;
	/**
	 * A message begins.  @param streamp  whatever the next two shall be given
	 * @return 0 or an MSRP status (413, 415, …) that refuses it
	 */
	int (*begin)(struct ua_session *s, const struct message *m, void **streamp, void *arg);
	/**
	 * Bytes of it, in the order of the message.
	 * @return 0; -EAGAIN: taken, but no more before ua_message_resume(); or an MSRP status that
	 *         refuses it, and end() will come
	 */
	int (*piece)(struct ua_session *s, void *stream, struct slice piece, void *arg);
	/**
	 * The message is whole (err 0), or will never be.  The return value is as message()'s; of one
	 * that piece() has refused it says nothing.
	 */
	int (*end)(struct ua_session *s, void *stream, int err, void *arg);

	/**
	 * A NICKNAME request (RFC 7701 7): the peer asks for this name, or with an empty one to
	 * give its name up.  NULL: such requests are answered 501.
	 *
	 * @param nickname  escapes resolved; absent: Use-Nickname is malformed or not there
	 * @return the status of the response: 200, 403, 424, 425
	 */
	int (*nickname)(struct ua_session *s, struct slice nickname, void *arg);

	/**
	 * An operator has ended the session: it is gone when this is called.  NULL: only its
	 * service ends it.
	 */
	void (*cancelled)(void *arg);

	/** Its sessions may carry others: ua_join(), struct ua_taker. */
	bool carries;

	/**
	 * Where the peer ends the session when all that was queued has been written, UA_TERMINATED
	 * comes when it has closed the connection too, or after two seconds: until then what it had
	 * answered and reported before comes in, and ua_end() may end it.
	 */
	bool hears_out;

	/** After ua_want_room(): there is room again. */
	void (*room)(struct ua_session *s, void *arg);

	/**
	 * A REPORT, a response that is not 200, a time-out.  200 responses too when the message was
	 * sent with UA_SEND_CONFIRM.
	 */
	void (*report)(struct ua_session *s, const struct message_report *r, void *arg);
};

/** How a session is to be; texts are copied. */
struct ua_offer {
	struct slice accept_types;         /* separated by spaces; never empty */
	struct slice accept_wrapped_types; /* absent: "*" if message/cpim is listed */
	struct slice headers; /* lines for our INVITE or 2xx, "Name: value\r\n"; absent for none */
	/** Parameters of our Contact, with its user before them or not: "lobby@;isfocus"; or absent. */
	struct slice contact;
	const struct ua_handler *handler;
	void *arg;
	struct slice
	    attributes; /* further lines of our SDP, "a=chatroom:nickname\r\n"; or absent */
	/** ua_start(): the connection that our INVITE goes over (flow.h); NULL: where ruri is. */
	struct sip_flow *flow;
	unsigned hops; /* ua_start(): that it may go, as of a page_message */
	/** Name of an attribute of the peer's, for ua_peer_attribute(); outlives the session. */
	const char *peer_attribute;
	bool sends_only; /* a=sendonly in our offers */
	/** ua_answer(): the stream for a file (RFC 5547), which otherwise is passed over. */
	bool file;
	/** ua_start(), ua_join(): nothing is offered before ua_release(). */
	bool held;
};

/**
 * Answer an INVITE as a session (init_uas).  Where nothing fits the request is answered 488 here.
 *
 * @param sp   the session, valid until its UA_FAILED or UA_TERMINATED, of which one comes to
 *             every session that ua_end() does not end; NULL when not wanted
 * @return 0, -EPROTO: answered with an error (488, 503 …) and no session made, -ENOMEM
 */
int ua_answer(struct ua *ua, struct sip_request *invite, const struct ua_offer *offer,
    struct ua_session **sp);

/**
 * Start a session by INVITE (init_uac).  From and To are URIs, or name-addrs:
 * "Anna Ray" <sip:anna@example.org>.
 *
 * @return 0, -EINVAL: a URI or type that is none, -EDESTADDRREQ: see page_check(),
 *         -ENETUNREACH: no SIP, or the flow is closed, -ENOBUFS: too many sessions, or requests
 *         that wait, -ENOMEM
 */
int ua_start(struct ua *ua, const struct ua_offer *offer, struct slice from_uri,
    struct slice to_uri, struct slice ruri, struct ua_session **sp);

/**
 * Start a session as another stream of one that is there, by a re-INVITE (RFC 3264 8.1).  It ends
 * with the session that carries it.
 *
 * @return 0; -EINVAL: types that are none; -EPROTO: the service of that session carries none;
 *         -ENOBUFS: it carries too many; -EPIPE: it ends; -ENOMEM
 */
int ua_join(struct ua_session *carrier, const struct ua_offer *offer, struct ua_session **sp);

/**
 * Offer a session that was held.
 *
 * @param attributes  as in ua_offer, in place of those; copied
 * @return as ua_start(); on failure the session remains to be ended
 */
int ua_release(struct ua_session *s, struct slice attributes);

/** What an offer says of a file (RFC 5547 6): attributes as they stand there, absent or not. */
struct ua_file {
	struct slice selector, transfer_id, disposition, range;
	bool sends; /* the peer wants to send it; else to have it */
};

/** The file that an INVITE offers, if any.  @return 0 or -ENOENT; views of invite */
int ua_file_of(struct sip_request *invite, struct ua_file *file);

/** Who takes streams for files that peers add to sessions (ua_handler.carries); const. */
struct ua_taker {
	/** @param offer  to be filled  @return 0, or negative: refused, by port 0 */
	int (*offered)(struct ua_session *carrier, const struct ua_file *file,
	    struct ua_offer *offer, void *arg);
	/** It was made, or (NULL) could not be. */
	void (*made)(struct ua_session *s, const struct ua_offer *offer);
	void *arg;
};

/** taker outlives the UA, or is set to NULL before. */
void ua_set_taker(struct ua *ua, const struct ua_taker *taker);

/** Is the type (perhaps with parameters) in the list, which may have wildcards (RFC 4975 8.6)? */
bool ua_type_in(struct slice list, struct slice type);

/** The check of content_types in a rule: media types with spaces between them. */
int ua_check_types(struct slice types, const struct route_env *env, struct reason *why);

/** NUL-terminated, the session id of our own MSRP URI; valid as long as the session. */
const char *ua_session_id(const struct ua_session *s);

/** @return the session, or NULL */
struct ua_session *ua_find(struct ua *ua, struct slice session_id);

/**
 * End a session by BYE, CANCEL or an error answer.  No notify follows; the session is gone
 * for the caller when this returns.
 */
void ua_end(struct ua_session *s);

/**
 * End a session for an operator.
 *
 * @return 0; -EPERM: its service does not let others end it
 */
int ua_cancel(struct ua_session *s);

enum {
	UA_SEND_CONFIRM = 1, /* report() is called for the 200 response as well */
};

/**
 * Queue a message (RFC 4975 7.1.1); it leaves when the session is established.
 *
 * What the peer does not take is refused here once its SDP is known.  What was queued before that
 * and turns out to be refused is reported 415, 413 or 403, from here.
 *
 * @param message_id  room for UA_MESSAGE_ID_SIZE bytes, NUL included; NULL when not wanted
 * @return 0; -EMSGSIZE: above the peer's max-size; -EPROTOTYPE: a type the peer does not take;
 *         -ENOBUFS: max_queued_bytes reached; -EPERM: the peer is sendonly; -EPIPE: session ends;
 *         -EINVAL: a type that is none; -ENOMEM
 */
int ua_send(struct ua_session *s, const struct message_out *message, unsigned flags,
    char *message_id);

enum { UA_MESSAGE_ID_SIZE = 33 };

/** Bytes of messages that wait to be written to the session's connection; sources do not count. */
uint64_t ua_backlog(const struct ua_session *s);

/** Call handler->room once, when no more than low bytes wait; not from inside this call. */
void ua_want_room(struct ua_session *s, uint64_t low);

/** The source of that message has bytes again after -EAGAIN. */
void ua_message_ready(struct ua_session *s, struct slice message_id);

/** A stream handler that returned -EAGAIN takes pieces again. */
void ua_message_resume(struct ua_session *s, void *stream);

/**
 * The value of ua_offer.peer_attribute in what the peer said last; valid until the handler
 * returns.  Absent: it has not said such a thing, or nothing yet; empty: it has no value.
 */
struct slice ua_peer_attribute(const struct ua_session *s);

/** Messages that are queued or unanswered are reported as 481: at UA_TERMINATED, to be told first. */
void ua_give_up_messages(struct ua_session *s);

/** Would the peer take this type, wrapped or bare?  False before the session is established. */
bool ua_accepts(const struct ua_session *s, struct slice content_type);
bool ua_accepts_wrapped(const struct ua_session *s, struct slice content_type);

/**
 * The REPORT for a message that was answered UA_REPORT_LATER, or whose message() or end() is
 * running (RFC 4975 7.1.2).  Sends nothing where the sender's Success-Report and Failure-Report
 * forbid it.
 *
 * @return 0; -ENOENT: no such message waits on this session; -EMSGSIZE: a body above
 *         REPORT_BODY_MAX; -EINVAL: a body without a type, or with one that is none
 */
int ua_send_report(struct ua_session *s, struct slice message_id, const struct report_out *report);

/** Bounds of the msrp: section, which a reload may change. */
struct ua_limits {
	uint64_t max_message_size, chunk_size, send_queue, shared_stall_ms;
};

struct ua_limits ua_limits(const struct ua *ua);

/** The settings ua.files. */
struct ua_files {
	bool present;
	char *directory;
	uint64_t max_size, max_total;
	uint64_t idle_timeout_ms;
	struct setting_list send_from; /* of char *: directories */
	char *accept_in_session; /* types that are taken from the peers of sessions; NULL: none */
};

/** Valid until the next reload. */
const struct ua_files *ua_files(const struct ua *ua);

/**
 * Answer a MESSAGE that was taken with UA_REPLY_LATER, by what the handler could have returned.
 * The session may be gone by then.
 */
void ua_reply(struct sip_request *message, int result);

/** For lists and logs; slices are valid as long as the session. */
struct ua_session_info {
	struct slice from_uri, to_uri, ruri;
	struct slice peer_path;      /* absent before it is known */
	struct slice call_id;        /* of the call that has its SDP; absent before there is one */
	const char *handler, *state; /* "setup", "established", "ending" */
	bool uac;
	uint64_t lifetime_s; /* until max_duration; UINT64_MAX: no limit */
	size_t queued_bytes;
	uint64_t messages_in, messages_out;
};

void ua_session_info(const struct ua_session *s, struct ua_session_info *info);

/** fn may end the session that it is given, and no other. */
void ua_each(struct ua *ua, void (*fn)(struct ua_session *s, void *arg), void *arg);
