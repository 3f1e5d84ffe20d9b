#include "ua/ua.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>

#include "msrp/stack.h"
#include "ua/types.h"

enum { CHUNK_MIN = 2048, CHUNK_MAX = 1 << 24 };

/* --- files --- */

static int check_directory(const void *value, struct reason *why)
{
	const char *path = *(char *const *)value;
	struct stat st;

	if (path[0] != '/')
		return reason_set(why, -EINVAL, "%.128s does not begin with /", path);
	if (stat(path, &st) < 0)
		return reason_set(why, -EINVAL, "%.128s: %s", path, strerror(errno));
	if (!S_ISDIR(st.st_mode))
		return reason_set(why, -EINVAL, "%.128s is no directory", path);
	return 0;
}

static int check_types(const void *value, struct reason *why)
{
	struct slice types = slice_of(*(char *const *)value);
	char text[UA_TYPES_MAX];

	return ua_types_clean(text, types) < 0
	    ? reason_set(why, -EINVAL, "is not a list of media types with spaces between them")
	    : 0;
}

static int check_files(const void *value, struct reason *why)
{
	const struct ua_files *files = value;

	if (files->present && !files->directory)
		return reason_set(why, -EINVAL, "wants a directory");
	return files->max_size > files->max_total
	    ? reason_set(why, -EINVAL, "has a max_size above max_total")
	    : 0;
}

#define OF(member) offsetof(struct ua_files, member)

static const struct setting file_rows[] = {
    {.name = "directory",
	.type = SETTING_TEXT,
	.offset = OF(directory),
	.flags = SETTING_FIXED,
	.check = check_directory,
	.help = "Where files are received; it exists, and nobody else may write there."},
    {.name = "max_size",
	.type = SETTING_SIZE,
	.offset = OF(max_size),
	.preset = "100MiB",
	.min = 1,
	.help = "Bytes of one file that is received."},
    {.name = "max_total",
	.type = SETTING_SIZE,
	.offset = OF(max_total),
	.preset = "10GiB",
	.min = 1,
	.help = "Bytes of all files in the directory, those that are under way included."},
    {.name = "idle_timeout",
	.type = SETTING_DURATION,
	.offset = OF(idle_timeout_ms),
	.preset = "1m",
	.min = 100,
	.flags = SETTING_FIXED,
	.help = "A transfer of which no byte has come or gone for this long is given up."},
    {.name = "send_from",
	.type = SETTING_TEXTS,
	.offset = OF(send_from),
	.flags = SETTING_FIXED,
	.check = check_directory,
	.help = "Directories below which files may be sent from, beside the directory itself."},
    {.name = "accept_in_session",
	.type = SETTING_TEXT,
	.offset = OF(accept_in_session),
	.check = check_types,
	.help = "Types of files that are taken from the peers of UA sessions when they add them "
		"there. Default: none."},
    {0},
};

#undef OF
#define OF(member) offsetof(struct ua_settings, member)

const struct setting ua_settings_rows[] = {
    {.name = "my_uri",
	.type = SETTING_TEXTS,
	.offset = OF(my_uri),
	.check = msrp_check_my_uri,
	.help =
	    "The URI that peers reach the UA by, or several: the offer's TCP/MSRP or TCP/TLS/MSRP "
	    "picks. Default: the first listener of each scheme and transport."},
    {.name = "relay_uri",
	.type = SETTING_TEXT,
	.offset = OF(relay_uri),
	.check = msrp_check_my_uri,
	.help = "A relay (RFC 4976) that each session goes through."},
    {.name = "relay_chunk_size",
	.type = SETTING_SIZE,
	.offset = OF(relay_chunk_size),
	.preset = "8KiB",
	.min = CHUNK_MIN,
	.max = CHUNK_MAX,
	.help = "Bytes of body in a SEND through relay_uri."},
    {.name = "relay_idle_timeout",
	.type = SETTING_DURATION,
	.offset = OF(relay_idle_timeout_ms),
	.preset = "1h",
	.help = "How long the connection to the relay is kept after its last session."},
    {.name = "max_queued_bytes",
	.type = SETTING_SIZE,
	.offset = OF(max_queued_bytes),
	.preset = "8MiB",
	.help = "Bytes of messages that may wait on one session."},
    {.name = "max_sessions",
	.type = SETTING_NUMBER,
	.offset = OF(max_sessions),
	.preset = "100000",
	.max = UINT32_MAX,
	.help = "Sessions at a time; an INVITE beyond is answered 503, and none is begun; 0: no "
		"limit."},
    {.name = "max_duration",
	.type = SETTING_DURATION,
	.offset = OF(max_duration_ms),
	.preset = "12h",
	.help = "A session that lasts longer is ended; 0: no limit."},
    {.name = "bind_timeout",
	.type = SETTING_DURATION,
	.offset = OF(bind_timeout_ms),
	.preset = "30s",
	.help = "A session whose peer is to connect, and of which nothing has come by MSRP for "
		"this long, is ended; 0: no limit."},
    {.name = "reconnect_grace",
	.type = SETTING_DURATION,
	.offset = OF(reconnect_grace_ms),
	.preset = "5s",
	.help =
	    "A session that lost its connection ends after this long unless a re-INVITE has made "
	    "it anew; 0: at once."},
    {.name = "files",
	.type = SETTING_GROUP,
	.offset = OF(files),
	.group = file_rows,
	.flags = SETTING_OPTIONAL,
	.check = check_files,
	.help = "Files that are sent and received (RFC 5547): docs/files.md."},
    SETTING_CLEANUP_INTERVAL(OF(cleanup_interval_ms)),
    SETTING_HASH_SIZE(OF(hash_size)),
    {0},
};
