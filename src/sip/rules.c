#include "sip/rules.h"

#include <errno.h>
#include <string.h>

#include <msrpd/page.h>
#include <msrpd/request.h>
#include <msrpd/sip_uri.h>
#include <msrpd/story.h>

/* --- variables --- */

static bool get_field(const struct route_subject *subject, const struct route_variable *variable,
    struct slice argument, char scratch[ROUTE_SCRATCH_SIZE], struct slice *valuep)
{
	(void)argument;
	(void)scratch;
	*valuep = sip_request_field(subject->request, (enum sip_field)variable->id);
	return valuep->p != NULL;
}

static bool get_user(const struct route_subject *subject, const struct route_variable *variable,
    struct slice argument, char scratch[ROUTE_SCRATCH_SIZE], struct slice *valuep)
{
	(void)argument;
	(void)scratch;
	*valuep = sip_uri_user(sip_request_field(subject->request, (enum sip_field)variable->id));
	return valuep->p != NULL;
}

static bool get_domain(const struct route_subject *subject, const struct route_variable *variable,
    struct slice argument, char scratch[ROUTE_SCRATCH_SIZE], struct slice *valuep)
{
	(void)argument;
	(void)scratch;
	*valuep = sip_uri_domain(sip_request_field(subject->request, (enum sip_field)variable->id));
	return valuep->p != NULL;
}

static bool get_header(const struct route_subject *subject, const struct route_variable *variable,
    struct slice argument, char scratch[ROUTE_SCRATCH_SIZE], struct slice *valuep)
{
	(void)variable;
	(void)scratch;
	*valuep = sip_request_header(subject->request, argument);
	return valuep->p != NULL;
}

#define ROW(text, getter, field)                                                   \
	{                                                                          \
		.name = (text), .lists = ROUTE_SIP, .get = (getter), .id = (field) \
	}

const struct route_variable sip_variables[] = {
    ROW("rm", get_field, SIP_FIELD_METHOD),
    ROW("ru", get_field, SIP_FIELD_RURI),
    ROW("fu", get_field, SIP_FIELD_FROM_URI),
    ROW("tu", get_field, SIP_FIELD_TO_URI),
    ROW("rU", get_user, SIP_FIELD_RURI),
    ROW("fU", get_user, SIP_FIELD_FROM_URI),
    ROW("tU", get_user, SIP_FIELD_TO_URI),
    ROW("rd", get_domain, SIP_FIELD_RURI),
    ROW("fd", get_domain, SIP_FIELD_FROM_URI),
    ROW("td", get_domain, SIP_FIELD_TO_URI),
    ROW("au", get_field, SIP_FIELD_AUTH_USER),
    ROW("ar", get_field, SIP_FIELD_AUTH_REALM),
    ROW("ci", get_field, SIP_FIELD_CALL_ID),
    ROW("proto", get_field, SIP_FIELD_PROTO),
    ROW("ct", get_field, SIP_FIELD_CONTACT),
    ROW("cT", get_field, SIP_FIELD_CONTENT_TYPE),
    ROW("ua", get_field, SIP_FIELD_USER_AGENT),
    ROW("rb", get_field, SIP_FIELD_BODY),
    ROW("si", get_field, SIP_FIELD_SOURCE_ADDRESS),
    ROW("sp", get_field, SIP_FIELD_SOURCE_PORT),
    {.name = "hdr", .lists = ROUTE_SIP, .get = get_header, .argument = "header"},
    {0},
};

/* --- actions --- */

enum { CODE_MIN = 100, CODE_MAX = 699 };

static const struct arg_spec send_reply_args[] = {
    {.name = "code", .kind = ARG_NUMBER, .required = true},
    {.name = "reason", .kind = ARG_TEXT, .required = true},
    {.name = "headers", .kind = ARG_HEADERS, .choices = sip_own_headers},
    {0},
};

static int send_reply(const struct route_subject *subject, const struct arg *args, void *state)
{
	int64_t code = args[0].number;
	int err;

	(void)state;
	err = code < CODE_MIN || code > CODE_MAX
	    ? -EINVAL
	    : sip_request_reply(subject->request, (int)code, args[1].text,
		args[2].present ? args[2].text : (struct slice){NULL, 0});
	if (err < 0)
		story_often("routes: send_reply %lld: %s", (long long)code,
		    err == -EEXIST ? "answered already" : "not an answer");
	return err;
}

static int check_send_reply(const struct arg *args, const struct action_place *place,
    struct reason *why)
{
	(void)place;
	if (args[0].text.p && (args[0].number < CODE_MIN || args[0].number > CODE_MAX))
		return reason_set(why, -EINVAL, "code is from %d to %d", CODE_MIN, CODE_MAX);
	return 0;
}

static int check_media_type(struct slice text, const struct route_env *env, struct reason *why)
{
	(void)env;
	return slice_is_media_type(text) ? 0 : reason_set(why, -EINVAL, "not a media type");
}

static const struct arg_spec send_message_args[] = {
    {.name = "ruri", .kind = ARG_TEXT, .required = true},
    {.name = "from", .kind = ARG_TEXT, .required = true},
    {.name = "to", .kind = ARG_TEXT, .required = true},
    {.name = "content_type", .kind = ARG_TEXT, .required = true, .check = check_media_type},
    {.name = "body", .kind = ARG_TEXT, .required = true},
    {.name = "headers", .kind = ARG_HEADERS, .choices = sip_own_headers},
    {0},
};

static int send_message(const struct route_subject *subject, const struct arg *args, void *state)
{
	struct page_message message = {
	    .ruri = args[0].text,
	    .from_uri = args[1].text,
	    .to_uri = args[2].text,
	    .content_type = args[3].text,
	    .body = args[4].text,
	    .headers = args[5].present ? args[5].text : (struct slice){NULL, 0},
	};
	const struct slice nothing = {0};
	int err = -EINVAL;

	if (subject->request) {
		message.flow = sip_request_flow_to(subject->request, message.ruri);
		message.hops = sip_request_hops(subject->request);
	}
	if (subject->request && message.hops == 0) {
		sip_request_reply(subject->request, 483, nothing, nothing);
		return -EHOSTUNREACH;
	}
	if (slice_is_media_type(message.content_type))
		err = state ? page_send(state, &message, NULL, NULL) : -ENETUNREACH;
	if (err < 0)
		story_often("routes: send_message to %.*s: %s", SLICE_ARG(message.ruri),
		    strerror(-err));
	if (subject->request && err == -EDESTADDRREQ)
		sip_request_reply(subject->request, 400, SLICE(PAGE_NO_PROXY), nothing);
	else if (subject->request && err == -EINVAL)
		sip_request_reply(subject->request, 400, nothing, nothing);
	else if (subject->request && err == -EMSGSIZE)
		sip_request_reply(subject->request, 513, nothing, nothing);
	return err;
}

static const char *const algorithms[] = {
    [SIP_DIGEST_MD5] = "MD5",
    [SIP_DIGEST_SHA256] = "SHA-256",
    NULL,
};

static const struct arg_spec www_authorize_args[] = {
    {.name = "realm", .kind = ARG_TEXT, .required = true},
    {.name = "algorithm", .kind = ARG_TEXTS, .choices = algorithms},
    {0},
};

/* @return false: there is none, or one twice */
static bool read_algorithms(const struct arg *arg, struct sip_digests *digests)
{
	if (arg->count == 0 || arg->count > SIP_DIGESTS_MAX)
		return false;
	for (size_t i = 0; i < arg->count; i++) {
		enum sip_digest digest = SIP_DIGEST_MD5;

		while (!slice_equal(arg->texts[i], slice_of(algorithms[digest])))
			digest++;
		if (i > 0 && digest == digests->of[0])
			return false;
		digests->of[i] = digest;
	}
	digests->count = arg->count;
	return true;
}

static int check_www_authorize(const struct arg *args, const struct action_place *place,
    struct reason *why)
{
	struct sip_digests digests;

	(void)place;
	if (args[1].present && !read_algorithms(&args[1], &digests))
		return reason_set(why, -EINVAL, "wants each algorithm once");
	return 0;
}

static int www_authorize(const struct route_subject *subject, const struct arg *args, void *state)
{
	struct sip_digests digests;

	(void)state;
	return sip_request_authorize(subject->request, args[0].text,
	    args[1].present && read_algorithms(&args[1], &digests) ? &digests : NULL);
}

const struct action sip_actions[] = {
    {.name = "www_authorize",
	.lists = ROUTE_SIP,
	.args = www_authorize_args,
	.run = www_authorize,
	.check = check_www_authorize},
    {.name = "send_reply",
	.lists = ROUTE_SIP,
	.args = send_reply_args,
	.answers = true,
	.run = send_reply,
	.check = check_send_reply},
    {.name = "send_message",
	.lists = ROUTE_SIP | ROUTE_EVENT,
	.args = send_message_args,
	.run = send_message},
    {0},
};
