/*
 * One INVITE dialog (RFC 3261 sections 12 to 15) with SDP as text both ways
 * (offer/answer: RFC 3264, RFC 6337).  Below this line: authentication,
 * redirects (five targets), forks (one kept), session timers, UPDATE,
 * crossing re-INVITEs, retransmissions.
 *
 * No handler is called from inside a function of this header.  A handler may call anything,
 * sip_dialog_free() on its own dialog included.
 */
#pragma once

#include <stdbool.h>

#include <msrpd/request.h>
#include <msrpd/slice.h>

struct sip_dialog;
struct sip_stack;

/** Why something came to nothing; borrowed for the callback. */
struct sip_failure {
	int code; /* SIP status: 408 no answer in time, 503 nobody reached */
	struct slice reason;
	bool from_peer; /* by its answer, or of it; false: we say it for want of one */
	struct slice
	    why; /* value of the Reason header of its BYE or CANCEL (RFC 3326); or absent */
	/** Of an answer: what it says beside its code, as lines for another answer; or absent. */
	struct slice headers;
};

/** Const; its arg is given when the dialog is made. */
struct sip_dialog_handler {
	/**
	 * The peer makes an offer: in a re-INVITE or UPDATE, or in the 2xx to our INVITE without
	 * one.  Absent sdp: a re-INVITE that asks for ours.  Give sip_dialog_answer() or
	 * sip_dialog_refuse(), now or later.  A session refresh of ours may bring one as well,
	 * or an answer(), that nobody asked for: RFC 4028.
	 */
	void (*offer)(struct sip_dialog *d, struct slice sdp, void *arg);

	/**
	 * What offer() told of, in a re-INVITE, the peer has cancelled: nothing is left to be
	 * answered or refused.  NULL: nobody asks.
	 */
	void (*withdrawn)(struct sip_dialog *d, void *arg);

	/**
	 * The answer to our offer: in a 2xx, or in the ACK when our offer was in ours.  Absent
	 * when the peer sent none.  To give up on a bad one free the dialog: what must be
	 * acknowledged is, then a BYE goes out.
	 */
	void (*answer)(struct sip_dialog *d, struct slice sdp, void *arg);

	/** A provisional answer to our first INVITE, 101 to 199.  NULL: nobody asks. */
	void (*progress)(struct sip_dialog *d, int code, struct slice reason, void *arg);

	/** Once: the ACK of the first INVITE was received, or sent.  Comes after answer(). */
	void (*established)(struct sip_dialog *d, void *arg);

	/**
	 * Once, instead of established(): refused, timed out, not reached, or cancelled by the
	 * peer (487).  The dialog is over; it remains to be freed.
	 */
	void (*failed)(struct sip_dialog *d, const struct sip_failure *failure, void *arg);

	/**
	 * Our re-INVITE was refused, or had no offer and got none; the dialog is as it was before
	 * it.  (Where the status ends
	 * a dialog, RFC 5057, or Sofia takes it to, ended() comes instead: 404, 408, 410, 416,
	 * 480 to 485, 500 and the like.)
	 */
	void (*refused)(struct sip_dialog *d, const struct sip_failure *failure, void *arg);

	/**
	 * sip_dialog_reinvite() may be called now, after it said -EBUSY, or after our re-INVITE
	 * crossed with one of the peer's (491) and came to nothing.
	 */
	void (*idle)(struct sip_dialog *d, void *arg);

	/**
	 * A MESSAGE in the dialog.  Answer it by sip_request_reply(), whoever does so later takes a
	 * reference; not with a status that would end the dialog for the peer (RFC 5057).
	 */
	void (*message)(struct sip_dialog *d, struct sip_request *request, void *arg);

	/**
	 * Once, after established(): BYE received (code 200), or the dialog was lost (481, 408: no
	 * ACK, no answer to a refresh).  It remains to be freed.
	 */
	void (*ended)(struct sip_dialog *d, const struct sip_failure *cause, void *arg);
};

/** A new dialog to be made by our INVITE; everything is copied. */
struct sip_invite {
	struct slice from_uri, to_uri, ruri;
	struct slice sdp;      /* our offer; absent: the peer shall make one */
	struct slice headers;  /* further lines, each "Name: value\r\n"; absent for none */
	struct slice contact;  /* see sip_dialog_set_contact(); absent: as usual */
	struct sip_flow *flow; /* that it goes over; NULL: where ruri is */
	struct slice node;     /* URI of a proxy that it goes to, wherever ruri leads; or absent */
	unsigned hops;         /* that it may go, Max-Forwards being one less; 0: the usual 70 */
	bool redirects;        /* 3xx is for the owner, as a failure, and not followed */
};

/**
 * Send an INVITE.
 *
 * @return 0, -EINVAL: a URI that is none, -EDESTADDRREQ: a Request-URI that only a proxy could
 *         route, and we have none, -ENETUNREACH: no listener can reach it, -ENOBUFS: too many
 *         requests wait for that destination, -ENOMEM
 */
int sip_dialog_invite(struct sip_dialog **dp, struct sip_stack *stack,
    const struct sip_invite *invite, const struct sip_dialog_handler *handler, void *arg);

/**
 * Make a dialog of an INVITE that was received.  The request counts as answered from now on;
 * its answer is given by sip_dialog_answer() (our answer, or our offer when it had none)
 * or sip_dialog_refuse().
 *
 * @return 0, -EEXIST: answered already, -EPIPE: cancelled already, or the
 *         connection that it came over has closed, -ENOMEM
 */
int sip_dialog_accept(struct sip_dialog **dp, struct sip_request *invite,
    const struct sip_dialog_handler *handler, void *arg);

/**
 * What our Contact has of its own in this dialog, said before the answer: parameters, ";isfocus",
 * and before them perhaps the user of its URI, "lobby@;isfocus" (RFC 4579 4.2, 5.1).
 *
 * @return 0, -EINVAL: none that a header can hold, -ENOMEM
 */
int sip_dialog_set_contact(struct sip_dialog *d, struct slice own);

/**
 * Further header lines for the 2xx to the INVITE, each "Name: value\r\n"; to be said before it.
 *
 * @return 0, -EINVAL: lines that are none, -ENOMEM
 */
int sip_dialog_set_headers(struct sip_dialog *d, struct slice headers);

/** A provisional answer, 180 to 199, to the INVITE.  @return 0 or -EPROTO: none waits */
int sip_dialog_progress(struct sip_dialog *d, int code, struct slice reason);

/**
 * Give our SDP to whatever waits for it: 200 to an INVITE, re-INVITE or UPDATE, or the ACK.
 *
 * @return 0; -EPROTO: nothing waits (any more); -ENOMEM
 */
int sip_dialog_answer(struct sip_dialog *d, struct slice sdp);

/**
 * Refuse the same, 300 to 699.  Refusing the first INVITE is the end of the dialog, which remains
 * to be freed; an offer that came in a 2xx cannot be refused: free the dialog.
 *
 * @param headers  further header lines, "Name: value\r\n"; absent for none
 * @return 0; -EPROTO: nothing waits (any more)
 */
int sip_dialog_refuse(struct sip_dialog *d, int code, struct slice reason, struct slice headers);

/**
 * What sip_dialog_reinvite() would say: worth asking before an offer is made.
 *
 * @return 0, -EBUSY, -ENOTCONN: as that
 */
int sip_dialog_may_reinvite(struct sip_dialog *d);

/**
 * Send a re-INVITE.  answer() or refused() follows; or idle(), after the time of RFC 3261 14.1,
 * when it crossed with one of the peer's: offer again then, if there is still something to offer.
 *
 * @param sdp  our offer; absent: the peer shall make one
 * @return 0; -EBUSY: another exchange is under way, idle() will follow; -ENOTCONN: not
 *         established, or over; -ENOMEM
 */
int sip_dialog_reinvite(struct sip_dialog *d, struct slice sdp);

/**
 * From inside offer(): has it come in the 2xx to an INVITE of ours, so that it cannot be refused?
 */
bool sip_dialog_owes_ack(const struct sip_dialog *d);

/**
 * What the peer's Contact says of his abilities (RFC 3840), fit for sip_dialog_set_contact():
 * ";isfocus"; absent for nothing.  Valid until his next request or answer.
 */
struct slice sip_dialog_features(const struct sip_dialog *d);

/** For logs: its Call-ID; valid as long as the dialog. */
struct slice sip_dialog_call_id(const struct sip_dialog *d);

/**
 * Be done with it: BYE, CANCEL or 480 as its state demands, carried through behind the scenes.
 * No callback follows.  Accepts NULL.
 *
 * @param reason  value of a Reason header for the BYE or CANCEL (RFC 3326), or absent
 */
void sip_dialog_free(struct sip_dialog *d, struct slice reason);
