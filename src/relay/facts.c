/* The variables of the msrp rules: what a frame and its connection say (docs/relay.md). */
#include "relay/tables.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/digest.h"
#include "msrp/conn.h"
#include "relay/arrival.h"
#include "wire/path.h"

enum fact {
	FACT_METHOD,
	FACT_CODE,
	FACT_REASON,
	FACT_TRANSID,
	FACT_MSGID,
	FACT_SESSID,
	FACT_CRTHOP,
	FACT_NEXTHOP,
	FACT_PREVHOP,
	FACT_FIRSTHOP,
	FACT_LASTHOP,
	FACT_NEXTHOPS,
	FACT_PREVHOPS,
	FACT_HDRS,
	FACT_BODY,
	FACT_BODYLEN,
	FACT_BUF,
	FACT_BUFLEN,
	FACT_CONID,
	FACT_SRCADDR,
	FACT_SRCSOCK,
	FACT_IS_REQUEST,
	FACT_SOURCE_ADDRESS,
	FACT_SOURCE_PORT,
	FACT_HEADER,
	FACT_AUTH_USER,
	FACT_AUTH_REALM,
	FACT_DST_SCHEME,
	FACT_DST_HOST,
};

/* Of an MSRP URI. */
enum part {
	PART_USER,
	PART_USERINFO,
	PART_HOST,
	PART_PORT,
	PART_SESSION,
	PART_PROTO,
	PART_SCHEME,
	PART_PARAMS, /* without the leading ; */
};

/* --- texts made in scratch --- */

static bool number(uint64_t value, char scratch[ROUTE_SCRATCH_SIZE], struct slice *valuep)
{
	int n = snprintf(scratch, ROUTE_SCRATCH_SIZE, "%" PRIu64, value);

	*valuep = (struct slice){scratch, (size_t)n};
	return true;
}

static bool text(struct slice s, struct slice *valuep)
{
	*valuep = s;
	return s.p != NULL;
}

/* "IP:PORT" of the peer, as the connection writes it. */
static struct slice peer_text(const struct arrival *a, char *buf, size_t size)
{
	msrp_conn_peer_text(a->conn, buf, size);
	return slice_of(buf);
}

static bool source(const struct arrival *a, bool port, char scratch[ROUTE_SCRATCH_SIZE],
    struct slice *valuep)
{
	struct slice all = peer_text(a, scratch, ROUTE_SCRATCH_SIZE);
	const char *colon = memrchr(all.p, ':', all.len);

	if (!colon)
		return false;
	if (port) {
		*valuep = slice_from(all, (size_t)(colon - all.p) + 1);
		return true;
	}
	*valuep = slice_head(all, (size_t)(colon - all.p));
	if (valuep->len > 2 && valuep->p[0] == '[')
		*valuep = (struct slice){valuep->p + 1, valuep->len - 2};
	return true;
}

static bool source_uri(const struct arrival *a, char scratch[ROUTE_SCRATCH_SIZE],
    struct slice *valuep)
{
	char peer[128];
	int n = snprintf(scratch, ROUTE_SCRATCH_SIZE, "%s://%.*s",
	    msrp_conn_transport(a->conn)->secure ? "msrps" : "msrp",
	    SLICE_ARG(peer_text(a, peer, sizeof(peer))));

	*valuep = (struct slice){scratch, (size_t)n};
	return true;
}

/* "tcp:IP:PORT" of the relay's end. */
static bool own_socket(const struct arrival *a, char scratch[ROUTE_SCRATCH_SIZE],
    struct slice *valuep)
{
	char local[128];
	int n;

	msrp_conn_local_text(a->conn, local, sizeof(local));
	n = snprintf(scratch, ROUTE_SCRATCH_SIZE, "%s:%s", msrp_conn_transport(a->conn)->net->name,
	    local);
	*valuep = (struct slice){scratch, (size_t)n};
	return true;
}

/* --- parts of the frame --- */

/* All header lines, the paths included. */
static struct slice headers(const struct msrp_frame *f)
{
	const char *eol = memchr(f->head.p, '\n', f->head.len);

	return eol ? slice_from(f->head, (size_t)(eol - f->head.p) + 1) : NOTHING;
}

static bool header(const struct arrival *a, struct slice name, struct slice *valuep)
{
	struct slice rest = headers(a->frame), line;

	while (slice_cut(&rest, '\n', &line)) {
		if (line.len <= name.len || line.p[name.len] != ':'
		    || !slice_equal_nocase(slice_head(line, name.len), name))
			continue;
		line = slice_from(line, name.len + 1);
		if (line.len && line.p[line.len - 1] == '\r')
			line.len--;
		*valuep = slice_trim(line);
		return true;
	}
	return false;
}

static struct slice nth_uri(struct slice path, int n)
{
	for (; path.p && n; n--)
		path = msrp_path_rest(path);
	return path.p ? msrp_path_first(path) : NOTHING;
}

static bool count(struct slice path, uint64_t less, char scratch[ROUTE_SCRATCH_SIZE],
    struct slice *valuep)
{
	ssize_t n = msrp_path_count(path);

	return n > 0 && number((uint64_t)n - less, scratch, valuep);
}

static bool credentials(const struct arrival *a, bool realm, char scratch[ROUTE_SCRATCH_SIZE],
    struct slice *valuep)
{
	struct digest digest;
	struct slice value;

	if (!a->frame->authorization.p
	    || digest_parse_credentials(&digest, a->frame->authorization) < 0)
		return false;
	value = realm ? digest.realm : digest.username;
	if (value.len > ROUTE_SCRATCH_SIZE)
		return false;
	memcpy(scratch, value.p, value.len);
	*valuep = (struct slice){scratch, value.len};
	return true;
}

static bool whole(const struct arrival *a, struct slice s, struct slice *valuep)
{
	return a->whole && text(s, valuep);
}

static bool whole_length(const struct arrival *a, struct slice s, char scratch[ROUTE_SCRATCH_SIZE],
    struct slice *valuep)
{
	return a->whole && number(s.len, scratch, valuep);
}

/* --- the variables --- */

static bool frame_value(const struct arrival *a, enum fact id, char scratch[ROUTE_SCRATCH_SIZE],
    struct slice *valuep)
{
	const struct msrp_frame *f = a->frame;
	bool request = msrp_frame_is_request(f);

	switch (id) {
	case FACT_METHOD:
		return text(f->method_text, valuep);
	case FACT_CODE:
		return !request && number(f->code, scratch, valuep);
	case FACT_REASON:
		return text(f->phrase, valuep);
	case FACT_TRANSID:
		return text(f->tid, valuep);
	case FACT_MSGID:
		return text(f->message_id, valuep);
	case FACT_SESSID:
		return text(f->to.session_id, valuep);
	case FACT_CRTHOP:
		return text(nth_uri(f->to_path, 0), valuep);
	case FACT_NEXTHOP:
		return text(nth_uri(f->to_path, 1), valuep);
	case FACT_PREVHOP:
		return text(nth_uri(f->from_path, 0), valuep);
	case FACT_FIRSTHOP:
		return text(msrp_path_last(f->from_path), valuep);
	case FACT_LASTHOP:
		return text(msrp_path_last(f->to_path), valuep);
	case FACT_NEXTHOPS:
		return count(f->to_path, 1, scratch, valuep);
	case FACT_PREVHOPS:
		return count(f->from_path, 0, scratch, valuep);
	case FACT_HDRS:
		return text(headers(f), valuep);
	case FACT_BODY:
		return whole(a, a->body, valuep);
	case FACT_BODYLEN:
		return whole_length(a, a->body, scratch, valuep);
	case FACT_BUF:
		return whole(a, a->raw, valuep);
	case FACT_BUFLEN:
		return whole_length(a, a->raw, scratch, valuep);
	case FACT_IS_REQUEST:
		return text(request ? SLICE("true") : SLICE("false"), valuep);
	default:
		return false;
	}
}

/* As it stands in the URI, so that another one can be made of it: IPv6 has its brackets. */
static struct slice host_of(const struct msrp_uri *uri)
{
	bool ipv6 = memchr(uri->host.p, ':', uri->host.len);

	return ipv6 ? (struct slice){uri->host.p - 1, uri->host.len + 2} : uri->host;
}

static bool get_fact(const struct route_subject *subject, const struct route_variable *variable,
    struct slice argument, char scratch[ROUTE_SCRATCH_SIZE], struct slice *valuep)
{
	const struct arrival *a = subject->frame;

	switch ((enum fact)variable->id) {
	case FACT_SOURCE_ADDRESS:
		return source(a, false, scratch, valuep);
	case FACT_SOURCE_PORT:
		return source(a, true, scratch, valuep);
	case FACT_HEADER:
		return header(a, argument, valuep);
	case FACT_CONID:
		return number(msrp_conn_number(a->conn), scratch, valuep);
	case FACT_SRCADDR:
		return source_uri(a, scratch, valuep);
	case FACT_SRCSOCK:
		return own_socket(a, scratch, valuep);
	case FACT_AUTH_USER:
		return credentials(a, false, scratch, valuep);
	case FACT_AUTH_REALM:
		return credentials(a, true, scratch, valuep);
	case FACT_DST_SCHEME:
		return a->next && text(a->next->secure ? SLICE("msrps") : SLICE("msrp"), valuep);
	case FACT_DST_HOST:
		return a->next && text(host_of(a->next), valuep);
	default:
		return frame_value(a, (enum fact)variable->id, scratch, valuep);
	}
}

/* The user of "user:password" or "user;parameters". */
static struct slice user_of(struct slice userinfo)
{
	size_t n = 0;

	while (n < userinfo.len && userinfo.p[n] != ':' && userinfo.p[n] != ';')
		n++;
	return slice_head(userinfo, n);
}

static bool apply_part(const struct route_transform *transform, struct slice all,
    char scratch[ROUTE_SCRATCH_SIZE], struct slice *valuep)
{
	struct msrp_uri uri;

	if (msrp_uri_parse(&uri, all) < 0)
		return false;
	switch ((enum part)transform->id) {
	case PART_USER:
		return text(uri.userinfo.p ? user_of(uri.userinfo) : NOTHING, valuep);
	case PART_USERINFO:
		return text(uri.userinfo, valuep);
	case PART_HOST:
		return text(host_of(&uri), valuep);
	case PART_PORT:
		return uri.port && number(uri.port, scratch, valuep);
	case PART_SESSION:
		return text(uri.session_id, valuep);
	case PART_PROTO:
		return text(uri.transport, valuep);
	case PART_SCHEME:
		return text(uri.secure ? SLICE("msrps") : SLICE("msrp"), valuep);
	case PART_PARAMS:
		return text(uri.params, valuep);
	}
	return false;
}

/* --- the tables --- */

enum { ALL = ROUTE_MSRP | ROUTE_MSRP_AUTH | ROUTE_MSRP_SOCKET };

#define KEY(text, fact)                                                     \
	{                                                                   \
		.name = (text), .lists = ALL, .get = get_fact, .id = (fact) \
	}
#define LATE(text, fact)                                                                  \
	{                                                                                 \
		.name = (text), .lists = ALL, .get = get_fact, .id = (fact), .late = true \
	}

/* $msrp(KEY) */
static const struct route_variable keys[] = {
    KEY("method", FACT_METHOD),
    KEY("code", FACT_CODE),
    KEY("reason", FACT_REASON),
    KEY("transid", FACT_TRANSID),
    KEY("msgid", FACT_MSGID),
    KEY("sessid", FACT_SESSID),
    KEY("crthop", FACT_CRTHOP),
    KEY("nexthop", FACT_NEXTHOP),
    KEY("prevhop", FACT_PREVHOP),
    KEY("firsthop", FACT_FIRSTHOP),
    KEY("lasthop", FACT_LASTHOP),
    KEY("nexthops", FACT_NEXTHOPS),
    KEY("prevhops", FACT_PREVHOPS),
    KEY("hdrs", FACT_HDRS),
    LATE("body", FACT_BODY),
    LATE("bodylen", FACT_BODYLEN),
    LATE("buf", FACT_BUF),
    LATE("buflen", FACT_BUFLEN),
    KEY("conid", FACT_CONID),
    KEY("srcaddr", FACT_SRCADDR),
    KEY("srcsock", FACT_SRCSOCK),
    {0},
};

const struct route_variable relay_variables[] = {
    {.name = "msrp", .lists = ALL, .argument = "key", .keys = keys},
    {.name = "hdr", .lists = ALL, .get = get_fact, .id = FACT_HEADER, .argument = "header"},
    KEY("si", FACT_SOURCE_ADDRESS),
    KEY("sp", FACT_SOURCE_PORT),
    KEY("au", FACT_AUTH_USER),
    KEY("ar", FACT_AUTH_REALM),
    {.name = "is_request", .lists = ALL, .get = get_fact, .id = FACT_IS_REQUEST, .flag = true},
    {.name = "dst_scheme", .lists = ROUTE_MSRP_SOCKET, .get = get_fact, .id = FACT_DST_SCHEME},
    {.name = "dst_host", .lists = ROUTE_MSRP_SOCKET, .get = get_fact, .id = FACT_DST_HOST},
    {0},
};

#define PART(text, part)                                                                 \
	{                                                                                \
		.name = "msrpuri." text, .lists = ALL, .apply = apply_part, .id = (part) \
	}

const struct route_transform relay_transforms[] = {
    PART("user", PART_USER),
    PART("userinfo", PART_USERINFO),
    PART("host", PART_HOST),
    PART("port", PART_PORT),
    PART("session", PART_SESSION),
    PART("proto", PART_PROTO),
    PART("scheme", PART_SCHEME),
    PART("params", PART_PARAMS),
    {0},
};
