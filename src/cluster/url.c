#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cluster/priv.h"

enum { REDIS_PORT = 6379, DATABASES = 65536 };

static int take(char *text, size_t size, struct slice s, const char *what, struct reason *why)
{
	if (s.len >= size || (s.p && (memchr(s.p, '%', s.len) || memchr(s.p, '\0', s.len))))
		return reason_set(why, -EINVAL, "has a %s that is too long, or with a %%", what);
	snprintf(text, size, "%.*s", SLICE_ARG(s));
	return 0;
}

/* USER:PASSWORD@, either of which may be missing. */
static int take_login(struct redis_place *place, struct slice *rest, struct reason *why)
{
	struct slice login, user;
	const char *at = memrchr(rest->p, '@', rest->len);
	int err;

	if (!at)
		return 0;
	login = slice_head(*rest, (size_t)(at - rest->p));
	*rest = slice_from(*rest, (size_t)(at + 1 - rest->p));
	slice_cut(&login, ':', &user);
	err = take(place->user, sizeof(place->user), user, "user", why);
	return err ? err : take(place->password, sizeof(place->password), login, "password", why);
}

static int take_database(struct redis_place *place, struct slice text, struct reason *why)
{
	uint64_t number = 0;

	if (text.len && slice_to_u64(text, DATABASES, &number) < 0)
		return reason_set(why, -EINVAL, "has a database that is no number");
	place->database = (unsigned)number;
	return 0;
}

static int take_host(struct redis_place *place, struct slice *rest, struct reason *why)
{
	struct slice host, port;
	uint64_t number = REDIS_PORT;
	struct slice authority = {NULL, 0};

	slice_cut(rest, '/', &authority);
	if (authority.len && authority.p[0] == '[') {
		authority = slice_from(authority, 1);
		slice_cut(&authority, ']', &host);
		port = authority.len && authority.p[0] == ':' ? slice_from(authority, 1)
							      : (struct slice){NULL, 0};
	} else {
		slice_cut(&authority, ':', &host);
		port = authority;
	}
	if (!host.len || (port.p && slice_to_u64(port, 65535, &number) < 0) || number == 0)
		return reason_set(why, -EINVAL, "is not redis://HOST[:PORT][/DATABASE]");
	place->port = (uint16_t)number;
	return take(place->host, sizeof(place->host), host, "host", why);
}

int redis_place_parse(struct redis_place *place, struct slice url, struct reason *why)
{
	struct slice rest = url;
	int err;

	*place = (struct redis_place){.port = 0};
	if (slice_starts_nocase(url, SLICE("rediss:")))
		return reason_set(why, -EINVAL,
		    "wants TLS, which hiredis %d.%d does not have: a TLS proxy on this machine, as "
		    "stunnel or HAProxy, can speak it instead",
		    HIREDIS_MAJOR, HIREDIS_MINOR);
	if (slice_starts_nocase(url, SLICE("unix:///"))) {
		rest = slice_from(rest, 7);
		err = take_login(place, &rest, why);
		return err ? err : take(place->host, sizeof(place->host), rest, "path", why);
	}
	if (!slice_starts_nocase(url, SLICE("redis://")))
		return reason_set(why, -EINVAL, "is neither redis://HOST[:PORT] nor unix:///PATH");
	rest = slice_from(rest, 8);
	err = take_login(place, &rest, why);
	if (!err)
		err = take_host(place, &rest, why);
	return err ? err : take_database(place, rest, why);
}
