/* The actions of the msrp rules: they note what is to be done; relay.c does it. */
#include "relay/tables.h"

#include <errno.h>

#include <msrpd/story.h>

#include "base/nearest.h"
#include "msrp/conn.h"
#include "msrp/listener.h"
#include "relay/arrival.h"
#include "wire/path.h"

/* --- msrp_relay, msrp_reply --- */

static int run_relay(const struct route_subject *subject, const struct arg *args, void *state)
{
	struct arrival *a = subject->frame;

	(void)args;
	(void)state;
	a->verdict = VERDICT_RELAY;
	return 0;
}

/* A response has its paths already, and no body that MIME headers could speak of. */
static const char *const own_headers[] = {"To-Path", "From-Path", "Content-", NULL};

static const struct arg_spec reply_args[] = {
    {.name = "code", .kind = ARG_NUMBER, .required = true},
    {.name = "reason", .kind = ARG_TEXT, .required = true},
    {.name = "headers", .kind = ARG_HEADERS, .choices = own_headers},
    {0},
};

/* RFC 4975 9: a comment is one line of text; what a variable brings may be anything. */
static bool is_one_line(struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.p[i] < ' ' || s.p[i] == 0x7f)
			return false;
	return true;
}

static int check_reply(const struct arg *args, const struct action_place *place, struct reason *why)
{
	(void)place;
	if (!args[0].text.p || (args[0].number >= 200 && args[0].number <= 999))
		return 0;
	return reason_set(why, -EINVAL, "code is a status of MSRP: 200 to 999");
}

static int run_reply(const struct route_subject *subject, const struct arg *args, void *state)
{
	struct arrival *a = subject->frame;
	int64_t code = args[0].number;

	(void)state;
	if (a->verdict == VERDICT_NONE)
		a->verdict = VERDICT_ANSWERED;
	if (code < 200 || code > 999 || !is_one_line(args[1].text)) {
		arrival_reply(a, 400, SLICE("Bad Request"), NOTHING);
		return -EINVAL;
	}
	arrival_reply(a, (int)code, args[1].text, args[2].text);
	if (a->close_replied)
		msrp_conn_close_after_send(a->conn);
	return 0;
}

/* --- msrp_forward, msrp_set_dst --- */

static const struct arg_spec forward_args[] = {
    {.name = "to_path", .kind = ARG_TEXT, .required = true},
    {.name = "from_path", .kind = ARG_TEXT, .required = true},
    {0},
};

/* The answer to a frame whose rule made no sense of it. */
static int fail(struct arrival *a, const char *phrase)
{
	a->verdict = VERDICT_ANSWERED;
	arrival_reply(a, 400, slice_of(phrase), NOTHING);
	return -EINVAL;
}

/* Arguments are borrowed for the call. */
static int keep(struct arrival *a, char **copyp, struct slice from, struct slice *top)
{
	slice_free_secret(*copyp);
	*copyp = slice_dup(from);
	if (!*copyp)
		return fail(a, "Out of memory");
	*top = (struct slice){*copyp, from.len};
	return 0;
}

static int run_forward(const struct route_subject *subject, const struct arg *args, void *state)
{
	struct arrival *a = subject->frame;

	(void)state;
	if (msrp_path_count(args[0].text) < 0 || msrp_path_count(args[1].text) < 0)
		return fail(a, "Path is none");
	if (keep(a, &a->texts[0], args[0].text, &a->to_path) < 0
	    || keep(a, &a->texts[1], args[1].text, &a->from_path) < 0)
		return -ENOMEM;
	a->verdict = VERDICT_FORWARD;
	return 0;
}

/* Whose an address is only the open listeners know: their ports may be any free ones. */
static bool is_socket_address(struct slice s)
{
	return slice_starts_nocase(s, SLICE("tcp:")) || slice_starts_nocase(s, SLICE("tls:"));
}

enum { NAME_SHOWN = 64 }; /* bytes of a name in a message */

static int check_listener(struct slice name, const struct route_env *env, struct reason *why)
{
	const struct msrp_listen_settings *listen = env->msrp->listen.items;
	struct nearest near = {.name = name};
	char hint[NEAREST_HINT_SIZE];

	if (is_socket_address(name))
		return 0;
	for (size_t i = 0; i < env->msrp->listen.count; i++) {
		const char *known = listen[i].name ? listen[i].name : listen[i].uri;

		if (slice_equal(name, slice_of(known)))
			return 0;
		nearest_offer(&near, known);
	}
	return reason_set(why, -EINVAL, "no listener of msrp.listen is named \"%.*s\"%s",
	    SLICE_ARG(slice_head(name, NAME_SHOWN)), nearest_hint(&near, hint));
}

static const struct arg_spec dst_args[] = {
    {.name = "addr", .kind = ARG_TEXT, .required = true},
    {.name = "sock", .kind = ARG_TEXT, .check = check_listener},
    {0},
};

/* Does the listener have that address: "tcp:IP:PORT", "tls:IP:PORT", as of $msrp(srcsock)? */
static bool is_at_socket(const struct msrp_listener *listener, struct slice sock)
{
	const struct msrp_transport *transport = msrp_listener_transport(listener);
	char text[128];
	struct buffer w = BUFFER_ON(text);
	struct msrp_uri uri;
	struct slice name;

	if (!slice_cut(&sock, ':', &name) || !sock.p
	    || !slice_equal_nocase(name, slice_of(transport->net->name)))
		return false;
	buffer_add(&w, transport->secure ? SLICE("msrps://") : SLICE("msrp://"));
	buffer_add(&w, sock);
	buffer_add(&w, SLICE(";"));
	buffer_add(&w, transport->name);
	return !w.err && msrp_uri_parse(&uri, buffer_text(&w)) >= 0
	    && msrp_listener_is(listener, &uri);
}

static struct msrp_listener *listener_at_socket(struct msrp_stack *stack, struct slice sock)
{
	struct msrp_listener *listener;

	for (size_t i = 0; (listener = msrp_listener_at(stack, i)); i++)
		if (is_at_socket(listener, sock))
			return listener;
	return NULL;
}

/* @return NULL: there is none, which is logged */
static struct msrp_listener *find_listener(struct msrp_stack *stack, struct slice name)
{
	struct msrp_listener *listener = msrp_listener_named(stack, name);

	if (!listener)
		listener = listener_at_socket(stack, name);
	if (!listener)
		story_often("relay: a rule names a listener that there is not: \"%.*s\"",
		    SLICE_ARG(name));
	return listener;
}

static int run_set_dst(const struct route_subject *subject, const struct arg *args, void *state)
{
	struct arrival *a = subject->frame;
	struct msrp_stack *stack = a->relay->stack;
	struct msrp_uri uri;

	(void)state;
	if (msrp_uri_parse(&uri, args[0].text) < 0)
		return fail(a, "Destination is no URI");
	if (args[1].present) {
		a->dst_listener = find_listener(stack, args[1].text);
		if (!a->dst_listener)
			return fail(a, "No such listener");
	}
	return keep(a, &a->texts[2], args[0].text, &a->dst);
}

/* --- flags --- */

/* Words, or Kamailio's numbers for them. */
static const char *const flag_words[] = {"no_connect", "close", "1", "2", "3", NULL};

static const struct arg_spec flags_args[] = {
    {.name = "flags", .kind = ARG_TEXTS, .required = true, .choices = flag_words},
    {0},
};

enum { FLAG_NO_CONNECT = 1, FLAG_CLOSE = 2 };

static unsigned flag_bits(const struct arg *arg)
{
	static const unsigned bits[] = {FLAG_NO_CONNECT, FLAG_CLOSE, FLAG_NO_CONNECT, FLAG_CLOSE,
	    FLAG_NO_CONNECT | FLAG_CLOSE};
	unsigned all = 0;

	for (size_t i = 0; i < arg->count; i++)
		for (size_t word = 0; flag_words[word]; word++)
			if (slice_equal(arg->texts[i], slice_of(flag_words[word])))
				all |= bits[word];
	return all;
}

static int run_relay_flags(const struct route_subject *subject, const struct arg *args, void *state)
{
	struct arrival *a = subject->frame;
	unsigned bits = flag_bits(&args[0]);

	(void)state;
	a->no_connect = bits & FLAG_NO_CONNECT;
	a->close_sent = bits & FLAG_CLOSE;
	return 0;
}

/* An answer goes back where its request came from, so it opens no connection anyway. */
static int run_reply_flags(const struct route_subject *subject, const struct arg *args, void *state)
{
	struct arrival *a = subject->frame;

	(void)state;
	a->close_replied = flag_bits(&args[0]) & FLAG_CLOSE;
	return 0;
}

/* --- msrp_credentials --- */

static const struct arg_spec credentials_args[] = {
    {.name = "password", .kind = ARG_TEXT},
    {.name = "ha1", .kind = ARG_TEXT},
    {.name = "ha1_sha256", .kind = ARG_TEXT},
    {0},
};

static int check_credentials(const struct arg *args, const struct action_place *place,
    struct reason *why)
{
	(void)place;
	if (args[0].present + args[1].present + args[2].present == 1)
		return 0;
	return reason_set(why, -EINVAL, "wants one of password, ha1, ha1_sha256");
}

static int run_credentials(const struct route_subject *subject, const struct arg *args, void *state)
{
	struct arrival *a = subject->frame;
	struct slice *const fields[] = {&a->secret.password, &a->secret.ha1, &a->secret.ha1_sha256};

	(void)state;
	a->secret = (struct digest_secret){NOTHING, NOTHING, NOTHING};
	for (size_t i = 0; i < 3; i++)
		if (args[i].present && keep(a, &a->texts[3], args[i].text, fields[i]) < 0)
			return -ENOMEM;
	return 0;
}

/* --- msrp_set_socket --- */

static const struct arg_spec socket_args[] = {
    {.name = "name", .kind = ARG_TEXT, .required = true, .check = check_listener},
    {0},
};

static int run_set_socket(const struct route_subject *subject, const struct arg *args, void *state)
{
	struct arrival *a = subject->frame;

	(void)state;
	a->leave_from = find_listener(a->relay->stack, args[0].text);
	return a->leave_from ? 0 : -ENOENT;
}

const struct action relay_actions[] = {
    {.name = "msrp_relay", .lists = ROUTE_MSRP, .ends_walk = true, .run = run_relay},
    {.name = "msrp_reply",
	.lists = ROUTE_MSRP,
	.args = reply_args,
	.ends_walk = true,
	.answers = true,
	.run = run_reply,
	.check = check_reply},
    {.name = "msrp_forward",
	.lists = ROUTE_MSRP,
	.args = forward_args,
	.ends_walk = true,
	.run = run_forward},
    {.name = "msrp_set_dst", .lists = ROUTE_MSRP, .args = dst_args, .run = run_set_dst},
    {.name = "msrp_relay_flags", .lists = ROUTE_MSRP, .args = flags_args, .run = run_relay_flags},
    {.name = "msrp_reply_flags", .lists = ROUTE_MSRP, .args = flags_args, .run = run_reply_flags},
    {.name = "msrp_credentials",
	.lists = ROUTE_MSRP_AUTH,
	.args = credentials_args,
	.ends_walk = true,
	.run = run_credentials,
	.check = check_credentials},
    {.name = "msrp_set_socket",
	.lists = ROUTE_MSRP_SOCKET,
	.args = socket_args,
	.ends_walk = true,
	.run = run_set_socket},
    {0},
};
