/* What the files of the relay share, and nobody else. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uthash.h>

#include <msrpd/slice.h>
#include <msrpd/timer.h>

#include "msrp/conn.h"
#include "wire/digest.h"
#include "wire/frame.h"
#include "msrp/listener.h"
#include "msrp/stack.h"
#include "msrp/transaction.h"
#include "wire/uri.h"
#include "relay/relay.h"
#include "route/route.h"

#define OWNER(type, member, p) ((type *)((char *)(p)-offsetof(type, member)))

static const struct slice NOTHING = {NULL, 0};

/* --- users.c: who knows which password --- */

/** What an AUTH is checked against: one of the three, the others absent. */
struct secret {
	struct slice password;
	struct slice ha1; /* MD5, hex */
	struct slice ha1_sha256;
};

struct users;

/** @return 0, -ENOMEM, or -EINVAL and others with why: a htdigest file that cannot be used */
int users_new(struct users **usersp, const struct relay_settings *settings, struct reason *why);
void users_free(struct users *users);

/** The map of the config first, then htdigest; the secret borrows users. @return false: nobody */
bool users_find(const struct users *users, struct slice name, struct slice realm,
    struct secret *secret);

/* --- nonce.c: nonces that prove themselves, and which of their counts were seen --- */

enum { NONCE_LEN = 64 }; /* hex digits */

enum nonce_state { NONCE_FRESH, NONCE_STALE };

struct nonces;

int nonces_new(struct nonces **noncesp, uint64_t expire_ms);
void nonces_free(struct nonces *nonces);
void nonces_set_expire(struct nonces *nonces, uint64_t expire_ms);

/** A new one. */
void nonces_make(struct nonces *nonces, char nonce[NONCE_LEN + 1]);

/** Use a nonce with that count: fresh once. Only for credentials that are right. */
enum nonce_state nonces_use(struct nonces *nonces, struct slice nonce, uint32_t nc);

/* --- peer.c: what the relay knows of a connection --- */

/** Exists from the first frame on that the relay has dealt with. */
struct peer {
	struct msrp_note note;
	struct relay *relay;
	struct peer *next, **prevp; /* all of the relay */
	struct msrp_conn *conn;
	struct msrp_user user; /* attached while there are grants */
	struct grant *grants;
	struct msrp_conn *fed[2]; /* refs: where its bodies went, the latest first */
	char *identity;           /* name that its certificate was last asked for */
	unsigned failures : 16;   /* wrong AUTHs, and refusals before anything was right */
	bool proven : 1;          /* the certificate has that name */
	bool valid : 1;           /* something was right */
	bool stalled : 1;         /* took nothing for shared_stall, and has no room since */
};

/** @return NULL when memory is out */
struct peer *peer_of(struct relay *relay, struct msrp_conn *conn);

/** With all its grants. */
void peer_free(struct peer *peer);

/** Of a connection that has none yet: NULL. */
struct peer *peer_find(const struct msrp_conn *conn);

/** Does its certificate vouch for host? */
bool peer_is(struct peer *peer, struct slice host);

/** Bodies of it go to dest now. */
void peer_feeds(struct peer *peer, struct msrp_conn *dest);

/** Do bodies of it go to more than one connection that is still there? */
bool peer_is_shared(const struct peer *peer);

/** It did something wrong; once too often, and it is closed when that has been answered. */
void peer_failed(struct peer *peer);

/* --- grant.c --- */

/** Messages and bytes of bodies in one direction. */
struct tally {
	uint64_t messages, bytes;
};

/** A URI that a client was given. */
struct grant {
	struct msrp_target target;
	struct relay *relay;
	struct peer *peer;                /* the client's connection; NULL: whoever proves to be
						   the host of the client's URI (RFC 4976 6.3) */
	struct grant *next, **prevp;      /* of peer */
	struct grant *chain;              /* of the same bucket */
	struct way *ways;                 /* to those beyond it */
	struct stream *streams;           /* bodies that pass by it */
	struct msrp_listener *leave_from; /* as routes.msrp_socket has it, once asked */
	char *alias;                      /* another URI that the client writes as; or NULL */
	struct tally out, in;             /* from the client, to it */
	uint64_t expires_ms;
	uint32_t index; /* in the heap */
	uint32_t hash;  /* of owner and from_path */
	uint16_t uri_len, user_len, from_len;
	bool leave_asked;
	char text[]; /* URI, user, From-Path of the AUTH */
};

extern const struct msrp_target_ops grant_ops;

struct grants;

int grants_new(struct grants **grantsp, struct relay *relay, unsigned hash_size);
void grants_free(struct grants *grants); /* ends them all */
size_t grants_count(const struct grants *grants);
struct grant *grants_at(const struct grants *grants, size_t index);

/** Who asks for a grant, and what for. */
struct grant_request {
	struct peer *peer;    /* NULL: by identity */
	struct msrp_uri host; /* scheme, host, port of the URI to be made */
	struct slice user;
	struct slice from_path;
	uint64_t lifetime_ms;
};

int grant_new(struct grant **grantp, struct grants *grants, const struct grant_request *request);

/** End it: frames of it that are under way are broken off. */
void grant_free(struct grant *grant);

void grant_extend(struct grant *grant, uint64_t lifetime_ms);

/** The one that this owner (NULL: by identity) got with that From-Path. */
struct grant *grants_find(const struct grants *grants, const struct peer *peer,
    struct slice from_path);

struct slice grant_uri(const struct grant *grant);
struct slice grant_user(const struct grant *grant);
struct slice grant_from_path(const struct grant *grant);

/** Is this the connection of its client? */
bool grant_is_from_client(struct grant *grant, struct msrp_conn *conn);

/** Is this the URI that its client got it with, or writes as? */
bool grant_is_client(const struct grant *grant, struct slice uri);

/** The same, or another one of the same host and port: RFC 4976's own clients change theirs. */
bool grant_names_client(const struct grant *grant, struct slice uri);

/** The client writes as this URI. */
void grant_learn_client(struct grant *grant, struct slice uri);

/** A URI beyond a grant, and the connection that leads there. */
struct way {
	struct msrp_user user;
	struct grant *grant;
	struct way *next;
	size_t len;
	char uri[];
};

/** NULL: none is known. */
struct msrp_conn *grant_way(struct grant *grant, struct slice uri);

/** From now on frames for uri go to conn. */
void grant_learn_way(struct grant *grant, struct slice uri, struct msrp_conn *conn);

/* --- arrival: one frame, and what rules and relay make of it --- */

enum verdict {
	VERDICT_NONE, /* nothing said so: what a rule that only logs comes to */
	VERDICT_RELAY,
	VERDICT_FORWARD, /* by the paths below, whoever it comes from */
	VERDICT_ANSWERED,
	VERDICT_DROPPED,
};

/** What rules speak about, as action_subject.frame; lives for one call. */
struct arrival {
	struct relay *relay;
	struct msrp_conn *conn;
	const struct msrp_frame *frame;
	struct grant *grant; /* that its first To-Path URI names, or NULL */
	struct slice own;    /* what goes to the head of From-Path; absent:
							   the first To-Path URI */
	bool whole;          /* body, flag and raw are here */
	enum msrp_flag flag;
	struct slice body, raw;

	/* set by actions */
	enum verdict verdict;
	char *texts[4]; /* what actions keep of their arguments */
	struct slice to_path, from_path;
	struct slice dst; /* msrp_set_dst: where to */
	struct msrp_listener *dst_listener;
	bool no_connect, close_sent, close_replied;

	/* routes.msrp_auth */
	struct secret secret;

	/* routes.msrp_socket */
	const struct msrp_uri *next;
	struct msrp_listener *leave_from;
};

/** Answer with a code, counted; headers may be absent. */
void arrival_reply(struct arrival *a, int code, struct slice phrase, struct slice headers);

/** The same where the sender had no business: counts against its connection. */
void arrival_refuse(struct arrival *a, int code, struct slice phrase);

/* --- what the service consists of --- */

extern const struct setting relay_settings_rows[];
extern const struct action relay_actions[];
extern const struct method relay_methods[];
extern const struct route_variable relay_variables[];
extern const struct route_transform relay_transforms[];

/** Minimum, default and maximum of Expires must be in order. */
int relay_settings_check(const void *settings, struct reason *why);

/* --- hop.c: where a frame goes next --- */

struct hop {
	struct msrp_conn *conn; /* borrowed for the turn */
	struct grant *grant;    /* that it passes by last; NULL: msrp_forward */
	bool outgoing;          /* from that grant's client */
	struct slice to_path;   /* what remains of it */
	struct slice own;       /* our URI; absent: msrp_forward */
	struct slice inner;     /* a second one, when a grant of ours came next; or absent */
};

/** Write To-Path and From-Path of a's frame as it goes on. */
void hop_write_paths(struct msrp_writer *w, const struct arrival *a, const struct hop *hop);

/** Bytes that they take at most. */
size_t hop_paths_size(const struct arrival *a, const struct hop *hop);

/** @return 0, or a status with a phrase that the frame is to be refused with */
int hop_find(struct arrival *a, struct hop *hop, const char **phrase);

/* --- leg.c: one SEND of ours --- */

enum { LEG_TEXT_INLINE = 640 };

struct leg {
	struct msrp_transaction t;
	struct relay *relay;
	struct leg *next, **prevp; /* all of the relay */
	struct stream *stream;     /* while it is being written */
	struct msrp_conn *source;  /* ref */
	struct msrp_conn *dest;    /* borrowed as long as t runs */
	uint64_t start, total;     /* of its Byte-Range */
	uint64_t sent;             /* bytes of body */
	enum failure_report failure_report;
	bool has_body, complete;
	uint32_t range_at, range_len; /* value of Byte-Range in text; 0: has none */
	uint32_t headers_at;
	uint32_t own_at, own_len, from_at, from_len, id_at, id_len;
	uint32_t len, cap;
	char *text; /* the head; its transaction id is put in last */
	char inline_text[LEG_TEXT_INLINE];
};

/** The leg by which a's frame goes on. @return NULL: no memory, or none left of max_memory */
struct leg *leg_new(const struct arrival *a, const struct hop *hop);

/** The next one of the same message, from behind what leg has sent. */
struct leg *leg_continue(const struct leg *leg);

/** Give it its transaction id on conn. */
int leg_start(struct leg *leg, struct msrp_conn *conn);

struct slice leg_text(const struct leg *leg);

/** Its end-line is written: wait for the answer, or be done. */
void leg_written(struct leg *leg);

/** Tell the sender that this part has failed, where Failure-Report wants that. */
void leg_report(struct leg *leg, unsigned code, struct slice phrase);

void leg_free(struct leg *leg);

/** Give back the memory that is kept for legs to come. */
void legs_trim(struct relay *relay);

/* --- stream.c: a SEND on its way through --- */

struct stream {
	struct msrp_sink sink;
	struct msrp_flow flow;
	struct timer_entry stall;
	struct relay *relay;
	struct stream *next, **prevp; /* of the grant, or of the relay */
	struct grant *grant;
	struct msrp_conn *source; /* ref */
	struct leg *leg;          /* open, or to be opened; NULL: all is written */
	bool outgoing, close_sent;
	bool paused;   /* the source is not read */
	bool spent;    /* its frame is over; kept for its pause */
	bool answered; /* with 200 at its end */
	uint8_t tail_len;
	char tail[MSRP_END_LINE_MAX]; /* of what was passed on last */
};

/** Pass on a's frame: the rest of it is taken from its connection, or is at hand. */
int stream_pass(struct arrival *a, const struct hop *hop);

/** Break it off, and let the sender know.  What is spent is freed. */
void stream_fail(struct stream *s, unsigned code, struct slice phrase);

/** Expiry of stream.stall; arg is the relay. */
void stream_stalled(struct timer_entry *entry, void *arg);

/** Whatever becomes of its frame. */
void stream_free(struct stream *s);

/** Give back the memory that is kept for streams to come. */
void streams_trim(struct relay *relay);

/** Read no more from source while dest is choked with small frames. @return 0 or -EAGAIN */
int stream_hold_back(struct relay *relay, struct msrp_conn *source, struct msrp_conn *dest);

/* --- errand.c: requests other than SEND --- */

int errand_pass(struct arrival *a, const struct hop *hop);

/** One that is answered from end to end. */
struct errand {
	struct msrp_transaction t;
	struct relay *relay;
	struct errand *next, **prevp;
	struct msrp_conn *source; /* ref */
	struct msrp_conn *dest;   /* borrowed as long as t runs */
	bool credentials;         /* an AUTH with Authorization */
	size_t charged;
	struct slice tid, own, from_path; /* of the request as it came */
	char text[];
};

void errand_free(struct errand *errand);

/* --- held.c: frames that are wanted whole --- */

struct held;

/** Keep the frame until it is whole, and begin again with it. */
int held_take(struct arrival *a);
void held_free(struct held *held);

/* --- auth.c --- */

/** An AUTH for this relay itself. */
void auth_request(struct arrival *a);

/* --- relay.c --- */

enum { CODES_COUNTED = 12 }; /* the last one stands for all others */

struct relay_counters {
	uint64_t *requests[MSRP_OTHER + 1];
	uint64_t *replies[CODES_COUNTED], *responses[CODES_COUNTED];
	uint64_t *sessions, *granted, *refreshed, *expired;
	uint64_t *auth_failures, *foreign, *reports, *messages, *body_bytes, *broken_off, *split;
};

struct relay {
	struct msrp_stack *stack;
	const struct relay_settings *settings;
	const struct routes *routes;
	struct relay_counters count;
	struct users *users;
	struct nonces *nonces;
	struct grants *grants;
	struct msrp_uri *own; /* of settings.my_uri */
	size_t own_count;
	struct timer_queue stalls;
	struct timer cleanup;
	struct peer *peers;
	struct stream *streams, *free_streams;
	struct leg *legs, *free_legs;
	struct errand *errands;
	struct held *held;
	unsigned free_stream_count, free_leg_count;
};

/** A frame for the relay; grant: whose URI comes first in its To-Path, or NULL. */
int relay_request(struct relay *relay, struct msrp_conn *conn, const struct msrp_frame *frame,
    struct grant *grant);

/** A frame that is whole: rules, then what they say. */
int relay_handle(struct arrival *a);

/** What the rules say to a response; false, by drop: it is not to be acted upon. */
bool relay_accepts_response(struct relay *relay, struct msrp_conn *conn,
    const struct msrp_frame *response);

/** Is this URI, session id aside, one of this relay's?  @param hostp  how to name it in grants */
bool relay_owns(const struct relay *relay, const struct msrp_uri *uri, struct msrp_uri *hostp);

/** Count an answer: of ours, or of the next hop. */
void relay_count_reply(struct relay *relay, unsigned code);
void relay_count_response(struct relay *relay, unsigned code);
