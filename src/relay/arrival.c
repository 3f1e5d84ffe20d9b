#include "relay/arrival.h"

#include <inttypes.h>

#include <msrpd/story.h>

#include "base/log.h"
#include "relay/peer.h"

void arrival_fini(struct arrival *a)
{
	for (size_t i = 0; i < sizeof(a->texts) / sizeof(a->texts[0]); i++)
		slice_free_secret(a->texts[i]); /* msrp_credentials' is one */
}

/* --- rules --- */

static void on_chosen(const struct route_subject *subject, const char *rule)
{
	struct arrival *a = subject->frame;

	a->rule = rule;
}

unsigned arrival_run(struct arrival *a, struct route_list *list)
{
	struct route_subject subject = {.frame = a, .chosen = on_chosen};

	return list && !route_list_empty(list) ? route_run(list, &subject) : 0;
}

enum verdict arrival_judge(struct arrival *a)
{
	unsigned outcome = arrival_run(a, a->relay->routes->msrp);

	if (!(outcome & ROUTE_HELD))
		return VERDICT_RELAY;
	if (outcome & ROUTE_DROPPED)
		return VERDICT_DROPPED;
	return outcome & ROUTE_FAILED ? VERDICT_ANSWERED : a->verdict;
}

bool arrival_accepts_response(struct relay *relay, struct msrp_conn *conn,
    const struct msrp_frame *response)
{
	struct arrival a = {.relay = relay, .conn = conn, .frame = response};
	enum verdict verdict = arrival_judge(&a);

	arrival_fini(&a);
	return verdict != VERDICT_DROPPED;
}

bool arrival_needs_whole(struct arrival *a)
{
	const struct route_list *list = a->relay->routes->msrp;
	struct route_subject subject = {.frame = a};

	if (a->frame->method != MSRP_SEND && a->frame->has_body)
		return true;
	return list && route_list_waits(list, &subject);
}

/* --- answers --- */

static void note_refusal(const struct arrival *a, int code, struct slice phrase)
{
	const struct story of = {.session_id = a->frame->to.session_id,
	    .stack = "msrp",
	    .conn = msrp_conn_number(a->conn)};

	story_refuse(&of, code, "relay: conn %" PRIu64 ": %.*s for %.*s refused: %d %.*s, by %s",
	    of.conn, SLICE_ARG(a->frame->method_text), SLICE_ARG(a->frame->to_path), code,
	    SLICE_ARG(phrase), a->rule ? a->rule : "no rule");
}

void arrival_reply(struct arrival *a, int code, struct slice phrase, struct slice headers)
{
	if (!a->frame || a->frame->method != MSRP_REPORT)
		relay_count_reply(a->relay, (unsigned)code);
	if (a->frame && code >= 400 && code != 401)
		note_refusal(a, code, phrase);
	msrp_conn_reply(a->conn, code, phrase, headers);
}

void arrival_refuse(struct arrival *a, int code, struct slice phrase)
{
	arrival_reply(a, code, phrase, NOTHING);
	/* RFC 4976 6.1: several requests in vain, and none that was right */
	if (!peer_has_been_right(a->conn))
		peer_failed(a->relay, a->conn);
}
