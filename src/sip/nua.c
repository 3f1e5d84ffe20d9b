/* Sofia-SIP's user agent, and its one connection to the edge, which has all other sockets. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>

#include <sofia-sip/msg_addr.h>
#include <sofia-sip/nta_tag.h>
#include <sofia-sip/sip_status.h>
#include <sofia-sip/tport_tag.h>

#include "base/buffer.h"
#include "base/log.h"
#include "sip/request_priv.h"

enum {
	QUEUE_MAX = 1000,    /* Sofia's limit for what waits on a connection */
	LINK_MAX = 16 << 20, /* bytes of a burst on the link, which count as one message */
	LINK_AGAIN_MS = 2000,
	LINK_LOST_MS = 50,
	SESSION_EXPIRES_S = 1800, /* RFC 4028 section 4 */
};

/* --- events --- */

/* Is it a response that the edge has made, since there is nobody at the other end? */
static bool is_edges_own(const sip_t *sip, const struct sip_stack *stack)
{
	const sip_warning_t *w = sip->sip_warning;

	return sip->sip_status && w && w->w_host
	    && edge_is_own_name(stack->edge, slice_of(w->w_host));
}

/*
 * RFC 3261 11.2.  nua would show the Contact of the link, where nobody else can reach us; and where
 * the Request-URI leads only the handler knows.
 */
void sip_options_answer(struct sip_request *req, void *arg)
{
	struct sip_stack *stack = arg;
	char own[SIP_URI_MAX] = "", *contact, *lines;
	size_t n = 0;
	struct sip_request_parts parts;

	sip_request_look(req, &parts);
	if (stack->handler->contact)
		n = stack->handler->contact(req, own, sizeof(own) - 1, stack->arg);
	own[sip_contact_is_free((struct slice){own, n}) ? n : 0] = '\0';
	contact = sip_agent_contact(parts.agent, sip_is_secure(parts.sip), own[0] ? own : NULL);
	if (contact
	    && asprintf(&lines, "Contact: %s\r\nAccept: application/sdp\r\n%s", contact,
		   stack->events ? stack->events : "")
		>= 0) {
		sip_request_reply(req, 200, (struct slice){0}, slice_of(lines));
		free(lines);
	}
	free(contact);
}

/* Within a dialog: what comes without one stands alone. */
static void take_options(struct sip_stack *stack, const struct sip_event *ev)
{
	struct sip_taker taker = {sip_options_answer, stack, nua_handle_magic(ev->nh) != NULL};

	sip_request_arrived(stack, ev, &taker);
}

static void on_nua_event(nua_event_t event, int status, char const *phrase, nua_t *nua,
    nua_magic_t *magic, nua_handle_t *nh, nua_hmagic_t *hmagic, sip_t const *sip, tagi_t tags[])
{
	msg_t *msg = nua_current_request(nua);
	struct sip_event ev = {event, status, phrase ? phrase : "", nh, sip, tags,
	    sip && msg && msg_addr(msg)->su_family != 0 && !is_edges_own(sip, magic)};
	struct sip_owner *owner = hmagic;

	if (event == nua_i_options && status < 200)
		take_options(magic, &ev);
	else if (owner)
		owner->event(owner, &ev);
	else
		sip_stack_event(magic, &ev);
}

void sip_stack_refuse_sharing(const struct sip_stack *stack, nua_handle_t *nh)
{
	nua_respond(nh, 405, "Dialog Sharing Is Not Supported", NUTAG_WITH_THIS(stack->nua),
	    TAG_END());
}

/* --- its settings --- */

static const char own_name[] = "msrpd/" MSRPD_VERSION;

/* The methods that we allow. */
static const char *allowed(const struct sip_stack *stack)
{
	bool subscribes = stack->events;

#define ALWAYS "INVITE, ACK, CANCEL, BYE, OPTIONS, MESSAGE, UPDATE, PRACK, REFER"
	return stack->registers && subscribes ? ALWAYS ", REGISTER, SUBSCRIBE"
	    : stack->registers                ? ALWAYS ", REGISTER"
	    : subscribes                      ? ALWAYS ", SUBSCRIBE"
					      : ALWAYS;
#undef ALWAYS
}

/* What may stand in Require (RFC 3261 8.2.2.3).  @return to be freed, or NULL */
static char *supported(const struct sip_stack *stack)
{
	const struct sip_settings *settings = stack->settings;
	char *const *tags = settings->accept_required.items, *text;
	struct buffer out = {.max = BUFFER_UNBOUNDED};
	size_t len;

	buffer_add(&out, SLICE("timer, 100rel, precondition, norefersub"));
	if (stack->registers)
		buffer_add(&out, SLICE(", path, outbound"));
	for (size_t i = 0; i < settings->accept_required.count; i++)
		buffer_printf(&out, ", %s", tags[i]);
	return buffer_take(&out, &text, &len) == 0 ? text : NULL;
}

/* As nua writes them.  What others have is put in their place.  @return 0 or -ENOMEM */
static int write_own_lines(struct sip_stack *stack, const char *tags)
{
	char *lines;

	if (asprintf(&lines, "User-Agent: %s\r\nAllow: %s\r\nSupported: %s\r\n", own_name,
		allowed(stack), tags)
	    < 0)
		return -ENOMEM;
	free(stack->own_lines);
	stack->own_lines = lines;
	return 0;
}

static int take_tags(struct sip_stack *stack)
{
	char *tags = supported(stack);

	if (!tags || write_own_lines(stack, tags) < 0) {
		free(tags);
		return -ENOMEM;
	}
	free(stack->tags);
	stack->tags = tags;
	return 0;
}

/*
 * Of what is read of a message by mistake only the fields that the edge has looked at are a reason
 * to refuse it on the link, where Sofia would close the connection.
 */
static int open_nua(struct sip_stack *stack)
{
	const struct sip_settings *settings = stack->settings;

	if (take_tags(stack) < 0)
		return -ENOMEM;
	stack->nua = nua_create(sip_loop_root(stack->loop), on_nua_event, stack,
	    NTATAG_MCLASS(stack->parse.mclass), NUTAG_URL("sip:127.0.0.1:*;transport=tcp"),
	    TPTAG_SERVER(0), NTATAG_BAD_REQ_MASK(0), NUTAG_MEDIA_ENABLE(0), NUTAG_AUTOACK(0),
	    NUTAG_AUTOALERT(0), NUTAG_AUTOANSWER(0),
	    NUTAG_APPL_METHOD("MESSAGE, UPDATE, OPTIONS, REFER"), /* beside REGISTER and others */
	    SIPTAG_ALLOW_STR(allowed(stack)), SIPTAG_SUPPORTED_STR(stack->tags),
	    SIPTAG_USER_AGENT_STR(own_name), NUTAG_UPDATE_REFRESH(1),
	    NUTAG_SESSION_TIMER(SESSION_EXPIRES_S),
	    NUTAG_RETRY_COUNT(0), /* we repeat requests ourselves: call.c, auth.c */
	    NUTAG_OUTBOUND("no-options-keepalive no-outbound no-validate no-natify"),
	    NTATAG_USE_NAPTR(0), NTATAG_USE_SRV(0), NTATAG_MAXSIZE(LINK_MAX),
	    TPTAG_QUEUESIZE(QUEUE_MAX), TPTAG_STUN_SERVER(0), TPTAG_IDLE(UINT_MAX),
	    TPTAG_TIMEOUT(UINT_MAX), NTATAG_SIP_T1X64((unsigned)settings->transaction_timeout),
	    NTATAG_SIP_T4((unsigned)settings->transaction_timeout * 5 / 32), TAG_END());
	return stack->nua ? 0 : -EADDRINUSE;
}

/* --- its connection to the edge --- */

static void close_link(struct sip_stack *stack)
{
	if (stack->link_nh)
		nua_handle_destroy(stack->link_nh);
	stack->link_nh = NULL;
}

static void open_link(void *arg)
{
	struct sip_stack *stack = arg;
	char route[EDGE_ROUTE_SIZE];

	close_link(stack);
	if (edge_link_is_open(stack->edge) || stack->stage >= SIP_SHUTTING_DOWN)
		return;
	timer_start(&stack->link_timer, LINK_AGAIN_MS);
	edge_link_route(stack->edge, route);
	stack->link_nh =
	    nua_handle(stack->nua, (nua_hmagic_t *)&stack->link, NUTAG_URL("sip:edge@127.0.0.1"),
		SIPTAG_TO_STR("<sip:edge@127.0.0.1>"), NUTAG_INITIAL_ROUTE_STR(route), TAG_END());
	if (stack->link_nh)
		nua_options(stack->link_nh, TAG_END());
	sip_stack_kick(stack);
}

static void on_link_event(struct sip_owner *owner, const struct sip_event *ev)
{
	struct sip_stack *stack =
	    (struct sip_stack *)((char *)owner - offsetof(struct sip_stack, link));

	if (ev->event == nua_r_options && ev->status >= 200)
		close_link(stack);
}

/* Sofia has to see first that it is closed. */
static void on_link_lost(void *arg)
{
	struct sip_stack *stack = arg;

	if (stack->stage < SIP_SHUTTING_DOWN)
		log_warn("sip: the link to Sofia-SIP is closed, and opened again");
	timer_start(&stack->link_timer, LINK_LOST_MS);
}

static bool on_step(void *arg, unsigned doublings)
{
	return edge_link_step(arg, doublings);
}

int sip_nua_open(struct sip_stack *stack, const struct sip_stack_options *options,
    struct reason *why)
{
	const struct edge_options edge = {.net = options->net,
	    .stats = options->stats,
	    .settings = &options->settings->edge,
	    .transaction_timeout_ms = options->settings->transaction_timeout,
	    .link_lost = on_link_lost,
	    .standalone = sip_request_alone,
	    .arg = stack};
	int err = timer_init(&stack->link_timer, stack->base, open_link, stack);

	if (!err)
		err = edge_new(&stack->edge, &edge, why);
	if (err)
		return err;
	edge_advertise(stack->edge, slice_of(stack->contact));
	stack->link.event = on_link_event;
	err = open_nua(stack);
	if (err)
		return reason_set(why, err, "Sofia-SIP cannot be joined to the edge");
	sip_loop_on_step(stack->loop, on_step, stack->edge);
	timer_start(&stack->link_timer, 0);
	return 0;
}

/* --- later --- */

int sip_nua_take_settings(struct sip_stack *stack)
{
	if (take_tags(stack) < 0)
		return -ENOMEM;
	nua_set_params(stack->nua, SIPTAG_SUPPORTED_STR(stack->tags), TAG_END());
	sip_stack_kick(stack);
	return 0;
}

/*
 * NUTAG_APPL_EVENT, of refreshes that are ours to answer, adds to what was told before; one name at
 * a time, as Sofia reads past the end of a list that she knows a part of.
 */
void sip_nua_allow_events(struct sip_stack *stack, const char *events, const char *added)
{
	char *line = NULL;

	if (events && asprintf(&line, "Allow-Events: %s\r\n", events) < 0)
		line = stack->events; /* of less than there is */
	if (line != stack->events)
		free(stack->events);
	stack->events = line;
	write_own_lines(stack, stack->tags);
	nua_set_params(stack->nua, SIPTAG_ALLOW_STR(allowed(stack)),
	    TAG_IF(events, SIPTAG_ALLOW_EVENTS_STR(events)),
	    TAG_IF(!events, SIPTAG_ALLOW_EVENTS(SIP_NONE)), TAG_IF(added, NUTAG_APPL_EVENT(added)),
	    TAG_END());
	sip_stack_kick(stack);
}

void sip_nua_close(struct sip_stack *stack)
{
	timer_fini(&stack->link_timer);
	close_link(stack);
	free(stack->tags);
	free(stack->own_lines);
	free(stack->events);
	if (!stack->nua)
		return;
	if (!stack->nua_down) {
		nua_shutdown(stack->nua);
		sip_loop_finish(stack->loop, &stack->nua_down);
	}
	nua_destroy(stack->nua);
}
