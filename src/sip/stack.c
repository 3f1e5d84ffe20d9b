#include "sip/stack.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <netinet/in.h>

#include <sofia-sip/nta_tag.h>
#include <sofia-sip/sip_status.h>
#include <sofia-sip/su_tag.h>

#include "auth/users.h"
#include "base/log.h"
#include "base/stats.h"
#include "net/net.h"
#include "net/upgrade.h"
#include "sip/dialog_priv.h"
#include "sip/notifier.h"
#include "sip/priv.h"
#include "sip/request_priv.h"

enum { QUIET_MS = 2 }; /* between two looks whether the last words have left */

static int check_uri(const void *value, struct reason *why)
{
	char *const *text = value;
	char *clean = *text ? sip_uri_clean(slice_of(*text)) : NULL;
	struct sip_hop hop;
	int err = *text && (!clean || sip_uri_hop(clean, &hop) < 0) ? -EINVAL : 0;

	free(clean);
	return err < 0 ? reason_set(why, err, "is not a SIP URI") : 0;
}

static int check_listener(const void *value, struct reason *why)
{
	char *const *text = value;
	struct sip_hop hop;

	if (sip_listener_parse(*text, &hop) == 0)
		return 0;
	return reason_set(why, -EINVAL,
	    "is not a listener: sip:ADDRESS:PORT with a transport of udp, tcp, tls, ws or wss");
}

int sip_settings_check(const void *value, struct reason *why)
{
	const struct sip_settings *settings = value;
	struct sip_hop hop;

	for (size_t i = 0; i < settings->listen.count; i++) {
		/* Each has been checked: it is memory that is out. */
		if (sip_listener_parse(((char *const *)settings->listen.items)[i], &hop) < 0)
			return reason_set(why, -ENOMEM, "out of memory");
		if (hop.transports & (SIP_TLS | SIP_WSS) && !settings->edge.tls.certificate)
			return reason_set(why, -EINVAL,
			    "has a listener of TLS, but no tls.certificate");
	}
	return 0;
}

size_t sip_settings_count_udp(const struct sip_settings *settings)
{
	struct sip_hop hop;
	size_t count = 0;

	for (size_t i = 0; i < settings->listen.count; i++)
		count += sip_listener_parse(((char *const *)settings->listen.items)[i], &hop) == 0
		    && hop.transports & SIP_UDP;
	return count;
}

static int check_header(const void *value, struct reason *why)
{
	char *const *text = value;
	char line[128];
	int n = snprintf(line, sizeof(line), "%s: \r\n", *text);

	return n < (int)sizeof(line) && sip_headers_are_free((struct slice){line, (size_t)n})
	    ? 0
	    : reason_set(why, -EINVAL, "is not the name of a header that may be passed on");
}

static int check_token(const void *value, struct reason *why)
{
	const char *p = *(char *const *)value;
	bool any = *p;

	while (isalnum((unsigned char)*p) || (*p && strchr("-.!%*_+`'~", *p)))
		p++;
	return any && !*p ? 0 : reason_set(why, -EINVAL, "is not an option tag");
}

const struct setting sip_settings_rows[] = {
    {.name = "listen",
	.type = SETTING_TEXTS,
	.offset = offsetof(struct sip_settings, listen),
	.flags = SETTING_FIXED,
	.check = check_listener,
	.help = "Where SIP is received: sip:ADDRESS:PORT;transport=udp, tcp, ws or wss, "
		"sips:ADDRESS:PORT; without a transport UDP and TCP, port 0 is any free one. "
		"Nothing: no SIP."},
    {.name = "origins",
	.type = SETTING_TEXTS,
	.offset = offsetof(struct sip_settings, edge.origins),
	.check = upgrade_check_origin,
	.help = "Of ws and wss: origins (`https://chat.example.org`) whose pages may connect, `*` "
		"for any; programs that send none always may."},
    {.name = "advertised_contact",
	.type = SETTING_TEXT,
	.offset = offsetof(struct sip_settings, advertised_contact),
	.check = check_uri,
	.help =
	    "URI of our Contact header; default: the socket that the request came in on. In a "
	    "dialog by sips it has that scheme, with the listener's port where it names one, and "
	    "in others sip."},
    {.name = "outbound_proxy",
	.type = SETTING_TEXT,
	.offset = offsetof(struct sip_settings, outbound_proxy),
	.check = check_uri,
	.help = "URI of the proxy that every new request goes through."},
    {.name = "pass_headers",
	.type = SETTING_TEXTS,
	.offset = offsetof(struct sip_settings, pass_headers),
	.check = check_header,
	.help = "Names of headers that go through the gateway and into events."},
    {.name = "accept_required",
	.type = SETTING_TEXTS,
	.offset = offsetof(struct sip_settings, accept_required),
	.preset = "resource-priority geolocation",
	.check = check_token,
	.help = "Option tags in Require that are taken, since whoever reads events does what they "
		"mean; besides timer, 100rel, precondition and norefersub."},
    /* 32 s are 64 times T1 of RFC 3261: a slow proxy may take that long to answer. */
    {.name = "transaction_timeout",
	.type = SETTING_DURATION,
	.offset = offsetof(struct sip_settings, transaction_timeout),
	.preset = "32s",
	.min = 1000,
	.max = 180000,
	.flags = SETTING_FIXED,
	.help = "How long a request waits for its answer, and how long one received over UDP is "
		"remembered against retransmissions (64 times T1, timers B, F, H and J)."},
    /* A MESSAGE received takes some 1 KiB for 32 s: 2,000 a second are 64 MiB. */
    {.name = "transaction_memory",
	.type = SETTING_SIZE,
	.offset = offsetof(struct sip_settings, edge.transaction_memory),
	.preset = "256MiB",
	.min = 1 << 20,
	.help =
	    "Memory for what has to be known of requests over UDP, and between nodes, until "
	    "nothing of them can come again, and for INVITEs that are unanswered or were refused, "
	    "which Sofia-SIP keeps as long, 20 KiB each; when it is used up a new one, or a new "
	    "INVITE, is answered 503. Once half of it is, one address, but for those in "
	    "limits.exempt, has an eighth; and requests by UDP leave a quarter to those over "
	    "streams."},
    {.name = "max_subscriptions",
	.type = SETTING_NUMBER,
	.offset = offsetof(struct sip_settings, max_subscriptions),
	.preset = "10000",
	.max = 1000000,
	.help = "Subscriptions (SUBSCRIBE) at a time; one more is answered 503."},
    {.name = "max_message_size",
	.type = SETTING_SIZE,
	.offset = offsetof(struct sip_settings, edge.max_message_size),
	.preset = "64KiB",
	.min = 4096,
	.max = SIP_MESSAGE_MAX,
	.help = "Bytes of a message; one more is answered 513, and the connection closed."},
    {.name = "max_headers",
	.type = SETTING_NUMBER,
	.offset = offsetof(struct sip_settings, edge.max_headers),
	.preset = "128",
	.min = 16,
	.max = 1024,
	.help = "Header lines of one message; one more is answered 400, and the connection "
		"closed."},
    {.name = "max_header_size",
	.type = SETTING_SIZE,
	.offset = offsetof(struct sip_settings, edge.max_header_size),
	.preset = "8KiB",
	.min = 256,
	.max = 65536,
	.help = "Bytes of one header with its folded lines; one more is answered 400, and the "
		"connection closed."},
    {.name = "message_timeout",
	.type = SETTING_DURATION,
	.offset = offsetof(struct sip_settings, edge.message_timeout_ms),
	.preset = "10s",
	.min = 100,
	.max = 600000,
	.help = "Time from the first byte of a message to its last, and for a handshake."},
    {.name = "idle_timeout",
	.type = SETTING_DURATION,
	.offset = offsetof(struct sip_settings, edge.idle_timeout_ms),
	.preset = "10m",
	.help =
	    "A connection without a message or CRLF for this long is closed, unless somebody is "
	    "registered on it, or a dialog has no other way; 0 is never."},
    {.name = "ping_interval",
	.type = SETTING_DURATION,
	.offset = offsetof(struct sip_settings, edge.ping_interval_ms),
	.preset = "30s",
	.help = "A WebSocket that is silent for this long is asked whether its client is there, "
		"and closed if no answer comes in the same time; a connection that somebody is "
		"registered on, or a dialog goes over alone, gets an empty line. 0 is never, and "
		"of those that nobody is registered on idle_timeout holds."},
    {.name = "max_connections",
	.type = SETTING_NUMBER,
	.offset = offsetof(struct sip_settings, edge.max_connections),
	.preset = "65536",
	.min = 1,
	.max = 10000000,
	.help = "Connections at once; one more is accepted and closed."},
    {.name = "tls",
	.type = SETTING_GROUP,
	.offset = offsetof(struct sip_settings, edge.tls),
	.group = net_tls_settings_rows,
	.check = net_tls_settings_check,
	.help = "TLS of the listeners and of outgoing connections."},
    {.name = NULL},
};

const struct setting sip_credential_rows[] = {
    {.name = "realm",
	.type = SETTING_TEXT,
	.offset = offsetof(struct sip_credential, realm),
	.help = "Realm of the challenge."},
    {.name = "username",
	.type = SETTING_TEXT,
	.offset = offsetof(struct sip_credential, username),
	.help = "Who we are there."},
    {.name = "password",
	.type = SETTING_SECRET,
	.offset = offsetof(struct sip_credential, password),
	.help = "The password, or {file: PATH}."},
    {.name = "ha1",
	.type = SETTING_SECRET,
	.offset = offsetof(struct sip_credential, ha1),
	.check = auth_ha1_check,
	.help = "MD5 of username:realm:password in hexadecimal, instead of the password."},
    {.name = NULL},
};

/* --- statistics --- */

#define NUMBER(field) .name = #field, .offset = offsetof(struct sip_stats, field)
#define REPLIES(way, class, text)                              \
	.name = "replies_" #way "_" #class "xx", .help = text, \
	.offset = offsetof(struct sip_stats, replies_##way[class])

static const char received[] = "responses received";
static const char sent[] = "responses sent to requests outside dialogs";

static const struct stats_row numbers[] = {
    {NUMBER(invites_in), .help = "INVITEs received outside dialogs"},
    {NUMBER(messages_in), .help = "MESSAGEs received"},
    {NUMBER(registers_in), .help = "REGISTERs received"},
    {NUMBER(invites_out), .help = "INVITEs sent, re-INVITEs too"},
    {NUMBER(messages_out), .help = "MESSAGEs sent"},
    {NUMBER(auth_failures), .help = "requests with wrong credentials"},
    {NUMBER(options_in), .help = "OPTIONS received"},
    {NUMBER(subscribes_in), .help = "SUBSCRIBEs received"},
    {NUMBER(refers_in), .help = "REFERs received"},
    {NUMBER(notifies_out), .help = "NOTIFYs sent"},
    {NUMBER(subscriptions), .help = "subscriptions that exist", .gauge = true},
    {NUMBER(timeouts), .help = "requests that nobody answered"},
    {NUMBER(dialogs), .help = "dialogs that exist", .gauge = true},
    {NUMBER(setup), .help = "from the INVITE, sent or received, to its ACK", .times = true},
    {NUMBER(requests_waiting), .help = "requests that wait for their destination", .gauge = true},
    {REPLIES(in, 1, received)},
    {REPLIES(in, 2, received)},
    {REPLIES(in, 3, received)},
    {REPLIES(in, 4, received)},
    {REPLIES(in, 5, received)},
    {REPLIES(in, 6, received)},
    {REPLIES(out, 1, sent)},
    {REPLIES(out, 2, sent)},
    {REPLIES(out, 3, sent)},
    {REPLIES(out, 4, sent)},
    {REPLIES(out, 5, sent)},
    {REPLIES(out, 6, sent)},
    {0},
};

static int class_of(int status)
{
	/* What is no class at all counts as an error. */
	return status >= 100 && status < 700 ? status / 100 : 6;
}

void sip_stack_count_reply(struct sip_stack *stack, const struct sip_event *ev)
{
	if (ev->from_peer)
		++*stack->stats.replies_in[class_of(ev->sip->sip_status->st_status)];
	else if (ev->status == 408)
		++*stack->stats.timeouts;
}

void sip_stack_count_answer(struct sip_stack *stack, int status)
{
	++*stack->stats.replies_out[class_of(status)];
}

/* --- what comes without an owner --- */

static void check_stopped(struct sip_stack *stack)
{
	/* The one who stopped us may free us: not from inside Sofia. */
	if (stack->nua_down && stack->stage == SIP_SHUTTING_DOWN)
		timer_start(&stack->done_timer, 0);
}

static void take_request(struct sip_stack *stack, const struct sip_event *ev,
    const struct sip_taker *taker)
{
	if (ev->status >= 200)
		nua_handle_destroy(ev->nh); /* nua has refused it already */
	else
		sip_request_arrived(stack, ev, taker);
}

void sip_stack_event(struct sip_stack *stack, const struct sip_event *ev)
{
	switch (ev->event) {
	case nua_i_invite:
	case nua_i_message:
	case nua_i_method: /* REFER: no other is among the methods that we allow */
		take_request(stack, ev,
		    &(struct sip_taker){stack->handler->request, stack->arg, false});
		break;
	case nua_i_subscribe:
		take_request(stack, ev,
		    &(struct sip_taker){notifier_request, stack->notifier, false});
		break;
	case nua_r_shutdown:
		if (ev->status >= 200) {
			stack->nua_down = true;
			check_stopped(stack);
		}
		break;
	case nua_i_state:
	case nua_i_active:
	case nua_i_terminated:
	case nua_i_error:
		/* of handles that we have let go */
		break;
	default:
		/* What we do not do: nua has answered, the handle is ours to clear away. */
		if (ev->nh)
			nua_handle_destroy(ev->nh);
		break;
	}
}

/* --- life --- */

/* "<URI>", and with a parameter that it has to have; NULL for no URI at all. */
static int header_uri(char **out, const char *uri, const char *param)
{
	char *clean = uri ? sip_uri_clean(slice_of(uri)) : NULL;
	int n;

	*out = NULL;
	if (!uri)
		return 0;
	if (!clean)
		return -EINVAL;
	n = asprintf(out, "<%s%s>", clean, strstr(clean, param) ? "" : param);
	free(clean);
	return n < 0 ? -ENOMEM : 0;
}

static int take_settings(struct sip_stack *stack, const struct sip_settings *settings,
    const struct sip_credential *credentials, size_t count)
{
	const char *advertised = settings->advertised_contact;
	char *contact = advertised ? sip_uri_clean(slice_of(advertised)) : NULL, *route = NULL;
	int err = advertised && !contact ? -EINVAL : 0;

	/* Loose routing: there are no other proxies any more. */
	if (!err)
		err = header_uri(&route, settings->outbound_proxy, ";lr");
	if (err) {
		free(contact);
		return err;
	}
	free(stack->contact);
	free(stack->route);
	stack->contact = contact;
	stack->route = route;
	stack->settings = settings;
	stack->credentials = credentials;
	stack->credential_count = count;
	if (stack->edge)
		edge_advertise(stack->edge, slice_of(contact));
	return 0;
}

static void on_done(void *arg)
{
	struct sip_stack *stack = arg;

	if (!edge_is_quiet(stack->edge)) {
		timer_start(&stack->done_timer, QUIET_MS);
		return;
	}
	stack->done(stack->done_arg);
}

static int open_stack(struct sip_stack *stack, const struct sip_stack_options *options,
    struct reason *why)
{
	int err;

	reason_set(why, -ENOMEM, "out of memory");
	err = stats_register(options->stats, "sip", numbers, &stack->stats);
	if (err)
		return err;
	err = take_settings(stack, options->settings, options->credentials,
	    options->credential_count);
	if (err)
		return reason_set(why, err,
		    "advertised_contact or outbound_proxy is not a SIP URI");
	err = timer_init(&stack->done_timer, stack->base, on_done, stack);
	if (!err)
		err = sip_dialogs_init(stack);
	if (!err)
		err = sip_requests_init(stack);
	if (err)
		return err;
	err = sip_loop_new(&stack->loop, options->net, why);
	if (err)
		return err;
	reason_set(why, -EINVAL, "Sofia-SIP's parser cannot be joined to ours");
	err = sip_parse_init(stack);
	if (!err)
		err = sip_nua_open(stack, options, why);
	if (!err)
		err = sip_listeners_open(stack, why);
	if (!err)
		sip_stack_kick(stack);
	return err;
}

int sip_stack_new(struct sip_stack **stackp, const struct sip_stack_options *options,
    struct reason *why)
{
	struct sip_stack *stack = calloc(1, sizeof(*stack));
	int err;

	reason_set(why, -ENOMEM, "out of memory");
	if (!stack)
		return -ENOMEM;
	stack->base = net_base(options->net);
	stack->handler = options->handler;
	stack->arg = options->arg;
	stack->auth = options->auth;
	stack->guard = options->guard;
	stack->registers = options->registers;
	STAILQ_INIT(&stack->agents);
	err = open_stack(stack, options, why);
	if (err) {
		sip_stack_free(stack);
		return err;
	}
	*stackp = stack;
	return 0;
}

int sip_stack_reload(struct sip_stack *stack, const struct sip_settings *settings,
    const struct sip_credential *credentials, size_t credential_count, struct reason *why)
{
	struct reason text;
	int err = edge_reload(stack->edge, &settings->edge, &text);

	if (err < 0)
		return reason_set(why, err, "sip.tls: %s", text.text);
	err = take_settings(stack, settings, credentials, credential_count);
	if (!err)
		err = sip_nua_take_settings(stack);
	return err < 0 ? reason_set(why, err, "out of memory") : 0;
}

static void shut_down(struct sip_stack *stack)
{
	stack->stage = SIP_SHUTTING_DOWN;
	sip_requests_forget(stack);
	nua_shutdown(stack->nua);
	sip_stack_kick(stack);
	check_stopped(stack);
}

void sip_stack_begin(struct sip_stack *stack)
{
	stack->under_way++;
}

void sip_stack_end(struct sip_stack *stack)
{
	stack->under_way--;
	if (stack->stage == SIP_STOPPING && stack->under_way == 0)
		shut_down(stack);
}

void sip_stack_stop(struct sip_stack *stack, void (*done)(void *arg), void *arg)
{
	stack->stage = SIP_STOPPING;
	stack->done = done;
	stack->done_arg = arg;
	if (stack->notifier)
		notifier_stop(stack->notifier);
	if (stack->stage == SIP_STOPPING && stack->under_way == 0)
		shut_down(stack);
}

void sip_stack_free(struct sip_stack *stack)
{
	if (!stack)
		return;
	stack->stage = SIP_FREEING; /* nothing waits for anything now */
	timer_fini(&stack->done_timer);
	sip_dialogs_fini(stack);
	sip_requests_fini(stack);
	sip_nua_close(stack);
	edge_free(stack->edge);
	sip_listeners_close(stack);
	sip_loop_free(stack->loop);
	sip_parse_fini(stack);
	free(stack->contact);
	free(stack->route);
	free(stack);
}
