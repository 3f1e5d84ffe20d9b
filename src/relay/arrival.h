/* A frame that has arrived, and what rules and relay make of it. */
#pragma once

#include "relay/core.h"
#include "base/digest.h"
#include "route/route.h"

struct grant;
struct msrp_conn;
struct msrp_listener;

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
	struct slice own;    /* what goes to the head of From-Path; absent: the first To-Path URI */
	bool whole;          /* body, flag and raw are here */
	enum msrp_flag flag;
	struct slice body, raw;

	const char *rule; /* the last that held; NULL: none */

	/* set by actions */
	enum verdict verdict;
	char *texts[4]; /* what actions keep of their arguments */
	struct slice to_path, from_path;
	struct slice dst; /* msrp_set_dst: where to */
	struct msrp_listener *dst_listener;
	bool no_connect, close_sent, close_replied;

	/* routes.msrp_auth */
	struct digest_secret secret;

	/* routes.msrp_socket */
	const struct msrp_uri *next;
	struct msrp_listener *leave_from;
};

/** Free what actions kept. */
void arrival_fini(struct arrival *a);

/** Walk a list of rules; NULL is an empty one.  @return ROUTE_HELD and the like */
unsigned arrival_run(struct arrival *a, struct route_list *list);

/** What routes.msrp says. */
enum verdict arrival_judge(struct arrival *a);

/** What routes.msrp says to a response; false, by drop: it is not to be acted upon. */
bool arrival_accepts_response(struct relay *relay, struct msrp_conn *conn,
    const struct msrp_frame *response);

/** Does a rule want the body, or has the frame to be sent in one piece? */
bool arrival_needs_whole(struct arrival *a);

/** Answer with a code, counted; headers may be absent. */
void arrival_reply(struct arrival *a, int code, struct slice phrase, struct slice headers);

/** The same where the sender had no business: counts against its connection. */
void arrival_refuse(struct arrival *a, int code, struct slice phrase);
