/* POST /api, POST /api/token, and who may have a WebSocket at /api. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <jansson.h>

#include <msrpd/buffer.h>
#include <msrpd/control.h>
#include <msrpd/story.h>

#include "auth/auth.h"
#include "ctl/rpc.h"
#include "net/guard.h"
#include "net/net.h"
#include "web/priv.h"

enum {
	HEADERS_SIZE = 640,
	ORIGIN_MAX = 256,
};

static const char media_type[] = "application/json";

/* Headers beside those of every answer; the page of another origin is to read it (Fetch 3.2). */
static void write_headers(struct buffer *w, const struct http_request *request, const char *more)
{
	buffer_add(w, SLICE("Cache-Control: no-store\r\n"));
	if (request->origin.p && request->origin.len < ORIGIN_MAX)
		buffer_printf(w, "Access-Control-Allow-Origin: %.*s\r\nVary: Origin\r\n",
		    SLICE_ARG(request->origin));
	buffer_printf(w, "%s%c", more, '\0');
}

static void refuse(struct http_conn *conn, const struct http_request *request, unsigned status,
    const char *more)
{
	char headers[HEADERS_SIZE];
	struct buffer w = BUFFER_ON(headers);

	write_headers(&w, request, more);
	http_refuse(conn, status, w.err ? NULL : headers);
}

static void answer_json(struct http_conn *conn, const struct http_request *request, unsigned status,
    struct slice json)
{
	char headers[HEADERS_SIZE];
	struct buffer w = BUFFER_ON(headers);
	struct http_answer answer = {.type = json.len ? media_type : NULL, .body = json};

	write_headers(&w, request, "");
	answer.headers = w.err ? NULL : headers;
	http_answer(conn, status, &answer);
}

/* What both have in common. @return true: go on, else it is answered */
static bool is_open(struct web *web, struct http_conn *conn, const struct http_request *request)
{
	if (!web->settings->api_token_secret) {
		http_refuse(conn, 404, NULL);
		return false;
	}
	if (!web_origin_is_welcome(web, request)) {
		http_refuse(conn, 403, NULL);
		return false;
	}
	if (slice_equal(request->method, SLICE("OPTIONS"))) {
		char headers[HEADERS_SIZE];
		struct buffer w = BUFFER_ON(headers);
		struct http_answer answer = {.headers = headers};

		write_headers(&w, request,
		    "Access-Control-Allow-Methods: POST\r\n"
		    "Access-Control-Allow-Headers: Authorization, Content-Type\r\n"
		    "Access-Control-Max-Age: 600\r\nAllow: GET, POST, OPTIONS\r\n");
		if (w.err)
			answer.headers = NULL;
		http_answer(conn, 204, &answer);
		return false;
	}
	return true;
}

/* --- who --- */

/* RFC 6750 2.1 */
static struct slice bearer(const struct http_request *request)
{
	struct slice value = request->authorization, scheme;

	if (!slice_cut(&value, ' ', &scheme) || !slice_equal_nocase(scheme, SLICE("Bearer")))
		return (struct slice){NULL, 0};
	return slice_trim(value);
}

static bool check_token(const struct web *web, struct slice token, struct web_identity *identity)
{
	return token.p
	    && token_check(token, slice_of(web->settings->api_token_secret), (uint64_t)time(NULL),
		identity->name, &identity->expiry);
}

/* A WebSocket of a browser has no other place for it. */
static bool check_query(const struct web *web, struct slice query, struct web_identity *identity)
{
	char *text = slice_dup(query);
	struct evkeyvalq values = {0};
	bool right = false;

	if (text && evhttp_parse_query_str(text, &values) == 0)
		right = check_token(web, slice_of(evhttp_find_header(&values, "token")), identity);
	evhttp_clear_headers(&values);
	slice_free_secret(text);
	return right;
}

static bool knows(const struct web *web, const struct http_request *request,
    struct web_identity *identity)
{
	return request->authorization.p
	    ? check_token(web, bearer(request), identity)
	    : request->query.p && check_query(web, request->query, identity);
}

static bool identify(struct web *web, const struct http_request *request,
    struct web_identity *identity)
{
	bool right = knows(web, request, identity);

	if (!right)
		++*web->count.bad_tokens;
	return right;
}

bool web_api_takes_body(const struct web *web, const struct http_request *request)
{
	struct web_identity identity = {0};

	return slice_equal(request->method, SLICE("POST")) && web->settings->api_token_secret
	    && web_origin_is_welcome(web, request) && knows(web, request, &identity);
}

/* --- POST /api --- */

/* Whose request it is. */
struct asking {
	const struct web *web;
	const struct web_identity *identity;
};

static bool owns(struct slice address, void *arg)
{
	const struct asking *asking = arg;
	struct slice user = asking->web->env.user_of(address, asking->web->env.arg);

	return user.p && slice_equal(user, slice_of(asking->identity->name));
}

static void run(struct web *web, struct http_conn *conn, const struct http_request *request,
    const struct web_identity *identity)
{
	struct asking asking = {web, identity};
	const struct rpc_caller caller = {.owns = owns, .arg = &asking};
	struct buffer answer = {.max = BUFFER_UNBOUNDED};

	++*web->count.posts;
	rpc_handle(web->rpc, &caller, request->body, &answer, (size_t)web->settings->max_backlog);
	if (answer.err)
		refuse(conn, request, 503, "");
	else
		answer_json(conn, request, answer.len ? 200 : 204, buffer_text(&answer));
	buffer_fini(&answer);
}

void web_api(struct web *web, struct http_conn *conn, const struct http_request *request)
{
	struct web_identity identity = {0};
	bool post = slice_equal(request->method, SLICE("POST"));
	union addr client;

	if (!is_open(web, conn, request))
		return;
	web_client(web, conn, request, &client);
	if (!post && !request->websocket)
		refuse(conn, request, 405, "Allow: POST, OPTIONS\r\n");
	else if (!identify(web, request, &identity))
		refuse(conn, request, 401, "WWW-Authenticate: Bearer\r\n");
	else if (request->too_long)
		refuse(conn, request, 413, "");
	else if (post)
		run(web, conn, request, &identity);
	else
		web_sockets_take(&web->sockets, conn, &identity, &client);
}

/* --- tokens --- */

/* @return 0 or -ENOMEM */
static int write_token(const struct web *web, char token[TOKEN_SIZE], struct slice user,
    uint64_t seconds, uint64_t *expiryp)
{
	*expiryp = (uint64_t)time(NULL) + seconds;
	return token_make(token, slice_of(web->settings->api_token_secret), user, *expiryp);
}

static void give_token(struct web *web, struct http_conn *conn, const struct http_request *request,
    struct slice user)
{
	char token[TOKEN_SIZE], text[TOKEN_SIZE + 64];
	struct buffer w = BUFFER_ON(text);
	uint64_t expiry;

	if (write_token(web, token, user, web->settings->api_token_lifetime_ms / 1000, &expiry)
	    < 0) {
		refuse(conn, request, 503, "");
		return;
	}
	++*web->count.tokens;
	buffer_printf(&w, "{\"token\":\"%s\",\"expires\":%" PRIu64 "}\n", token, expiry);
	answer_json(conn, request, 200, buffer_text(&w));
}

static struct slice text_of(const json_t *value)
{
	return (struct slice){json_string_value(value), json_string_length(value)};
}

static void log_in(struct web *web, struct http_conn *conn, const struct http_request *request,
    const json_t *login)
{
	struct slice user = text_of(json_object_get(login, "username"));
	struct slice password = text_of(json_object_get(login, "password"));
	struct net_guard *guard = net_guard_of(web->env.net);
	union addr client;

	web_client(web, conn, request, &client);
	if (!user.p || !password.p) {
		refuse(conn, request, 400, "");
	} else if (net_guard_bars(guard, &client)) {
		refuse(conn, request, 429, "Retry-After: 60\r\n");
	} else if (auth_login(web->env.auth, user, password, web->env.realms(web->env.arg))
	    && token_is_user(user)) {
		give_token(web, conn, request, user);
	} else {
		++*web->count.bad_passwords;
		net_guard_note_failure(guard, &client, true);
		story_often("web: wrong credentials for %.*s", SLICE_ARG(slice_head(user, 64)));
		refuse(conn, request, 401, "WWW-Authenticate: Bearer\r\n");
	}
}

void web_api_token(struct web *web, struct http_conn *conn, const struct http_request *request)
{
	json_error_t error;
	json_t *login;

	if (!is_open(web, conn, request))
		return;
	if (!slice_equal(request->method, SLICE("POST"))) {
		refuse(conn, request, 405, "Allow: POST, OPTIONS\r\n");
		return;
	}
	if (request->too_long) {
		refuse(conn, request, 413, "");
		return;
	}
	login = json_loadb(request->body.p ? request->body.p : "", request->body.len,
	    JSON_REJECT_DUPLICATES, &error);
	if (json_is_object(login))
		log_in(web, conn, request, login);
	else
		refuse(conn, request, 400, "");
	json_decref(login);
}

/* --- the command --- */

#define SECONDS_MAX (INT64_C(100) * 366 * 86400)

static const struct param_spec token_params[] = {
    {.name = "user", .kind = PARAM_TEXT, .required = true},
    {.name = "seconds", .kind = PARAM_NUMBER},
    {0},
};

static void call_token(const struct param *params, struct reply *reply, void *state)
{
	const struct web *web = state;
	int64_t seconds = params[1].present
	    ? params[1].number
	    : (int64_t)(web->settings->api_token_lifetime_ms / 1000);
	char token[TOKEN_SIZE];
	uint64_t expiry;

	if (!web->settings->api_token_secret) {
		reply_error(reply, 400, "there is no web.api_token_secret");
	} else if (!token_is_user(params[0].text)) {
		reply_error(reply, 400, "not a user's name");
	} else if (seconds < 1 || seconds > SECONDS_MAX) {
		reply_error(reply, 400, "seconds is not from 1 to those of a hundred years");
	} else if (write_token(web, token, params[0].text, (uint64_t)seconds, &expiry) < 0) {
		reply_error(reply, 500, "failed");
	} else {
		reply_open_object(reply, NULL);
		reply_text(reply, "token", slice_of(token));
		reply_number(reply, "expires", (int64_t)expiry);
		reply_close(reply);
	}
}

const struct method web_methods[] = {
    {.name = "token",
	.params = token_params,
	.call = call_token,
	.help = "make a token with which a program speaks for a user at the API"},
    {0},
};
