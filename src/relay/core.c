#include "relay/core.h"

#include <errno.h>
#include <stdlib.h>

#include "base/stats.h"
#include "msrp/listener.h"

/* --- counting --- */

static const unsigned counted_codes[] = {200, 400, 401, 403, 408, 413, 415, 423, 481, 501, 506};

static size_t code_index(unsigned code)
{
	size_t i = 0;

	while (i < CODES_COUNTED - 1 && counted_codes[i] != code)
		i++;
	return i;
}

void relay_count_reply(struct relay *relay, unsigned code)
{
	(*relay->count.replies[code_index(code)])++;
}

void relay_count_response(struct relay *relay, unsigned code)
{
	(*relay->count.responses[code_index(code)])++;
}

#define NUMBER(member) .offset = offsetof(struct relay_counters, member)
#define ROW(field, text)                                      \
	{                                                     \
		.name = #field, .help = (text), NUMBER(field) \
	}
#define REQUESTS(word, method)                                                    \
	{                                                                         \
		.name = "requests_" word, .help = "requests received, by method", \
		NUMBER(requests[method])                                          \
	}
#define CODE(word, index)                                                           \
	{.name = "replies_" word,                                                   \
	    .help = "answers of this relay, by code",                               \
	    NUMBER(replies[index])},                                                \
	{                                                                           \
		.name = "responses_" word, .help = "answers of next hops, by code", \
		NUMBER(responses[index])                                            \
	}

static const struct stats_row rows[] = {
    REQUESTS("send", MSRP_SEND),
    REQUESTS("report", MSRP_REPORT),
    REQUESTS("auth", MSRP_AUTH),
    REQUESTS("nickname", MSRP_NICKNAME),
    REQUESTS("other", MSRP_OTHER),
    CODE("200", 0),
    CODE("400", 1),
    CODE("401", 2),
    CODE("403", 3),
    CODE("408", 4),
    CODE("413", 5),
    CODE("415", 6),
    CODE("423", 7),
    CODE("481", 8),
    CODE("501", 9),
    CODE("506", 10),
    CODE("other", 11),
    ROW(granted, "URIs granted"),
    ROW(refreshed, "grants extended by a further AUTH"),
    ROW(expired, "grants that reached their expiry"),
    ROW(auth_failures, "AUTHs with wrong credentials"),
    ROW(foreign, "frames for other hosts"),
    {.name = "sessions", .help = "granted URIs that are alive", NUMBER(sessions), .gauge = true},
    {0},
};

int relay_counters_init(struct relay *relay, struct stats *stats)
{
	return stats_register(stats, "relay", rows, &relay->count);
}

/* --- its own URIs --- */

int relay_parse_own(struct msrp_uri **ownp, size_t *countp, const struct relay_settings *settings)
{
	char *const *texts = settings->my_uri.items;
	struct msrp_uri *own = calloc(settings->my_uri.count + 1, sizeof(*own));

	if (!own)
		return -ENOMEM;
	for (size_t i = 0; i < settings->my_uri.count; i++) {
		if (msrp_uri_parse(&own[i], slice_of(texts[i])) < 0) {
			free(own);
			return -EINVAL;
		}
		if (!own[i].port)
			own[i].port = MSRP_DEFAULT_PORT;
	}
	*ownp = own;
	*countp = settings->my_uri.count;
	return 0;
}

static bool is_framed(const struct msrp_uri *uri)
{
	const struct msrp_transport *transport = msrp_transport_find(uri->secure, uri->transport);

	return transport && transport->net->framed;
}

static struct msrp_uri listener_name(const struct msrp_listener *listener)
{
	const struct msrp_transport *transport = msrp_listener_transport(listener);

	return (struct msrp_uri){
	    .secure = transport->secure,
	    .host = msrp_listener_host(listener),
	    .port = msrp_listener_port(listener),
	    .transport = transport->name,
	};
}

/* What my_uri calls it by its port; or, at the same address, by another one. */
static const struct msrp_uri *own_name(const struct relay *relay, const struct msrp_uri *host)
{
	const struct msrp_uri *beside = NULL;

	for (size_t i = 0; i < relay->own_count; i++) {
		const struct msrp_uri *own = &relay->own[i];

		if (own->secure != host->secure)
			continue;
		if (own->port == host->port)
			return own;
		if (!beside && is_framed(own) == is_framed(host)
		    && slice_equal_nocase(own->host, host->host))
			beside = own;
	}
	return beside;
}

/* A listener's address is as good a name for an AUTH, but the grant is called by my_uri. */
static bool named_by_listener(const struct relay *relay, const struct msrp_uri *uri,
    struct msrp_uri *hostp)
{
	struct msrp_listener *listener;
	const struct msrp_uri *own;

	for (size_t i = 0; (listener = msrp_listener_at(relay->stack, i)); i++) {
		if (!msrp_listener_is(listener, uri))
			continue;
		*hostp = listener_name(listener);
		own = own_name(relay, hostp);
		if (own)
			*hostp = *own;
		return true;
	}
	return false;
}

/* RFC 7977 8.1: who sends to a client that came by WebSocket comes by TCP, if there is a way. */
static void name_by_tcp(const struct relay *relay, struct msrp_uri *hostp)
{
	struct msrp_listener *listener;

	if (!is_framed(hostp))
		return;
	for (size_t i = 0; i < relay->own_count; i++) {
		if (relay->own[i].secure != hostp->secure || is_framed(&relay->own[i]))
			continue;
		*hostp = relay->own[i];
		return;
	}
	for (size_t i = 0; (listener = msrp_listener_at(relay->stack, i)); i++) {
		const struct msrp_transport *transport = msrp_listener_transport(listener);

		if (transport->secure != hostp->secure || transport->net->framed)
			continue;
		*hostp = listener_name(listener);
		return;
	}
}

static bool finds_name(const struct relay *relay, const struct msrp_uri *uri,
    struct msrp_uri *hostp)
{
	for (size_t i = 0; i < relay->own_count; i++) {
		struct msrp_uri asked = *uri;

		if (!asked.port)
			asked.port = relay->own[i].port;
		if (!msrp_uri_same_server(&asked, &relay->own[i]))
			continue;
		*hostp = relay->own[i];
		return true;
	}
	return named_by_listener(relay, uri, hostp);
}

bool relay_owns(const struct relay *relay, const struct msrp_uri *uri, struct msrp_uri *hostp)
{
	if (!finds_name(relay, uri, hostp))
		return false;
	name_by_tcp(relay, hostp);
	return true;
}
