#include "base/log.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/story.h"

enum {
	LINE_MAX_BYTES = 4096, /* PIPE_BUF: a pipe takes such a line whole or not at all */
	IDENT_MAX = 32,        /* RFC 3164 4.1.3 */
	RECONNECT_SECONDS = 1,
};

enum log_level log_threshold = LOG_LEVEL_INFO;

static const char *const level_names[] = {"error", "warn", "info", "debug", NULL};
static const char *const target_names[] = {"syslog", "stderr", NULL};

/* RFC 3164 table 1; 12 to 15 have no name that everybody shares. */
static const struct {
	const char *name;
	unsigned code;
} facilities[] = {
    {"kern", 0},
    {"user", 1},
    {"mail", 2},
    {"daemon", 3},
    {"auth", 4},
    {"syslog", 5},
    {"lpr", 6},
    {"news", 7},
    {"uucp", 8},
    {"cron", 9},
    {"authpriv", 10},
    {"ftp", 11},
    {"local0", 16},
    {"local1", 17},
    {"local2", 18},
    {"local3", 19},
    {"local4", 20},
    {"local5", 21},
    {"local6", 22},
    {"local7", 23},
};

/* RFC 3164 table 2 */
static const unsigned severities[] = {
    [LOG_LEVEL_ERROR] = 3,
    [LOG_LEVEL_WARN] = 4,
    [LOG_LEVEL_INFO] = 6,
    [LOG_LEVEL_DEBUG] = 7,
};

struct line {
	char bytes[LINE_MAX_BYTES];
	size_t len;
};

/* A log that had to be handed to every function would be handed to every function. */
static struct {
	enum log_target target;
	unsigned facility;
	char ident[IDENT_MAX + 1];
	struct sockaddr_un address;
	int fd;          /* of syslog, -1: not connected */
	time_t retry_at; /* no connect before this second */
	uint64_t lost, reported;
	time_t stamp_second; /* what stamp spells */
	char stamp[32];
} the_log = {.target = LOG_TO_STDERR, .ident = "msrpd", .fd = -1};

static int find_facility(const char *name)
{
	for (size_t i = 0; i < sizeof(facilities) / sizeof(facilities[0]); i++)
		if (strcmp(facilities[i].name, name) == 0)
			return (int)facilities[i].code;
	return -EINVAL;
}

static int check_facility(const void *value, struct reason *why)
{
	char *const *name = value;

	if (find_facility(*name) >= 0)
		return 0;
	return reason_set(why, -EINVAL,
	    "not a syslog facility (daemon, user, local0 to local7, …)");
}

const struct setting log_settings_rows[] = {
    {.name = "target",
	.type = SETTING_CHOICE,
	.offset = offsetof(struct log_settings, target),
	.preset = "syslog",
	.choices = target_names,
	.help = "Where log lines go; they are written without blocking, lost ones are counted."},
    {.name = "facility",
	.type = SETTING_TEXT,
	.offset = offsetof(struct log_settings, facility),
	.preset = "daemon",
	.check = check_facility,
	.help = "Facility of syslog lines."},
    {.name = "ident",
	.type = SETTING_TEXT,
	.offset = offsetof(struct log_settings, ident),
	.preset = "msrpd",
	.help = "Name of the program in syslog lines, at most 32 characters."},
    {.name = "level",
	.type = SETTING_CHOICE,
	.offset = offsetof(struct log_settings, level),
	.preset = "info",
	.choices = level_names,
	.help = "The least severe lines that are logged."},
    {.name = "event_body",
	.type = SETTING_BOOL,
	.offset = offsetof(struct log_settings, event_body),
	.preset = "false",
	.help = "Message bodies in event lines, cut at 256 bytes."},
    {.name = "memory",
	.type = SETTING_SIZE,
	.offset = offsetof(struct log_settings, memory),
	.preset = "1MiB",
	.max = 1 << 30,
	.help = "Memory of the last lines about sessions, for the command `why`; 0 is none."},
    {0},
};

static void disconnect(void)
{
	if (the_log.fd >= 0)
		close(the_log.fd);
	the_log.fd = -1;
}

static bool connect_syslog(time_t now)
{
	if (the_log.fd >= 0)
		return true;
	if (now < the_log.retry_at)
		return false;
	the_log.retry_at = now + RECONNECT_SECONDS;
	the_log.fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (the_log.fd < 0)
		return false;
	if (connect(the_log.fd, (struct sockaddr *)&the_log.address, sizeof(the_log.address)) == 0)
		return true;
	disconnect();
	return false;
}

static void line_add(struct line *line, const char *p, size_t len)
{
	memcpy(line->bytes + line->len, p, len);
	line->len += len;
}

/* How the byte c reads in a log line. */
static size_t escape(unsigned char c, char out[5])
{
	static const char hex[] = "0123456789abcdef";

	out[0] = '\\';
	if (c == '\n' || c == '\r' || c == '\t') {
		out[1] = c == '\n' ? 'n' : c == '\r' ? 'r' : 't';
		return 2;
	}
	out[1] = 'x';
	out[2] = hex[c >> 4];
	out[3] = hex[c & 15];
	return 4;
}

/* Bytes at the front of text that may stand in a line as they are; 0: the next one is escaped. */
static size_t plain(struct slice text)
{
	size_t n = 0;

	while (n < text.len && text.p[n] >= 0x20 && text.p[n] < 0x7f)
		n++;
	if (n)
		return n;
	n = slice_utf8_char(text);
	/* U+0080 to U+009F are control characters that terminals obey. */
	if (n == 1
	    || (n == 2 && (unsigned char)text.p[0] == 0xc2 && (unsigned char)text.p[1] < 0xa0))
		return 0;
	return n;
}

/* Append text, escaped; room is kept for "..." and the newline. */
static void line_add_text(struct line *line, struct slice text, bool cut)
{
	static const char dots[] = "...";
	const size_t room = sizeof(line->bytes) - sizeof(dots);

	while (text.len) {
		char escaped[5];
		size_t n = plain(slice_head(text, room - line->len)), taken = n ? n : 1;
		const char *p = text.p;

		if (n == 0) {
			n = escape((unsigned char)text.p[0], escaped);
			p = escaped;
		}
		if (n > room - line->len) {
			cut = true;
			break;
		}
		line_add(line, p, n);
		text = slice_from(text, taken);
	}
	if (cut)
		line_add(line, dots, sizeof(dots) - 1);
}

/* Text of the second now, "Jan  2 03:04:05": made once a second, local time is not cheap. */
static const char *stamp(time_t now)
{
	struct tm tm;

	if (now != the_log.stamp_second && localtime_r(&now, &tm)) {
		/* RFC 3164 4.1.2 wants English names; the daemon sets no locale. */
		strftime(the_log.stamp, sizeof(the_log.stamp), "%b %e %H:%M:%S", &tm);
		the_log.stamp_second = now;
	}
	return the_log.stamp;
}

static void line_begin(struct line *line, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void line_begin(struct line *line, const char *format, ...)
{
	va_list ap;
	int n;

	va_start(ap, format);
	n = vsnprintf(line->bytes, sizeof(line->bytes), format, ap);
	va_end(ap);
	line->len = n > 0 ? (size_t)n : 0;
}

static bool to_syslog(enum log_level level, time_t now, struct slice text, bool cut)
{
	struct line line;

	line_begin(&line, "<%u>%s %s[%d]: ", the_log.facility << 3 | severities[level], stamp(now),
	    the_log.ident, (int)getpid());
	line_add_text(&line, text, cut);
	for (int tries = 0; tries < 2 && connect_syslog(now); tries++) {
		if (send(the_log.fd, line.bytes, line.len, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
			return true;
		if (errno == EAGAIN || errno == ENOBUFS)
			return false;
		/* syslogd was restarted: its new socket is another one */
		disconnect();
		the_log.retry_at = 0;
	}
	return false;
}

/*
 * The descriptor may be shared with other programs, so it is not made non-blocking: a socket
 * has a flag for that, a pipe that polls writable has room for one line.
 */
static bool write_stderr(const struct line *line)
{
	struct pollfd pollfd = {.fd = STDERR_FILENO, .events = POLLOUT};

	if (send(STDERR_FILENO, line->bytes, line->len, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
		return true;
	if (errno != ENOTSOCK)
		return false;
	if (poll(&pollfd, 1, 0) != 1 || !(pollfd.revents & POLLOUT))
		return false;
	return write(STDERR_FILENO, line->bytes, line->len) >= 0;
}

static bool to_stderr(enum log_level level, time_t now, struct slice text, bool cut)
{
	struct line line;

	line_begin(&line, "%s %s[%d] %s: ", stamp(now), the_log.ident, (int)getpid(),
	    level_names[level]);
	line_add_text(&line, text, cut);
	line_add(&line, "\n", 1);
	return write_stderr(&line);
}

static bool put(enum log_level level, struct slice text, bool cut)
{
	time_t now = time(NULL);

	if (the_log.target == LOG_TO_SYSLOG && connect_syslog(now))
		return to_syslog(level, now, text, cut);
	return to_stderr(level, now, text, cut);
}

static void report_lost(void)
{
	char text[64];
	int n = snprintf(text, sizeof(text), "log: %llu lines were lost",
	    (unsigned long long)(the_log.lost - the_log.reported));

	if (put(LOG_LEVEL_WARN, (struct slice){text, (size_t)n}, false))
		the_log.reported = the_log.lost;
}

static void write_line(enum log_level level, struct slice text, bool cut)
{
	int error = errno;

	if (the_log.lost != the_log.reported)
		report_lost();
	if (!put(level, text, cut))
		the_log.lost++;
	errno = error;
}

void log_line(enum log_level level, const char *format, ...)
{
	char text[LINE_MAX_BYTES];
	va_list ap;
	size_t len;
	int n;

	va_start(ap, format);
	n = vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	len = n > 0 ? (size_t)n : 0;
	write_line(level, slice_head((struct slice){text, sizeof(text) - 1}, len),
	    len >= sizeof(text));
}

void log_text(enum log_level level, struct slice text)
{
	write_line(level, text, false);
}

int log_open(const struct log_settings *settings)
{
	const char *ident = settings->ident ? settings->ident : "msrpd";
	const char *path = settings->syslog_path ? settings->syslog_path : "/dev/log";
	int facility = find_facility(settings->facility ? settings->facility : "daemon");

	if (facility < 0 || strlen(path) >= sizeof(the_log.address.sun_path))
		return -EINVAL;
	disconnect();
	the_log.target = settings->target;
	the_log.facility = (unsigned)facility;
	snprintf(the_log.ident, sizeof(the_log.ident), "%.*s", IDENT_MAX, ident);
	the_log.address.sun_family = AF_UNIX;
	memset(the_log.address.sun_path, 0, sizeof(the_log.address.sun_path));
	memcpy(the_log.address.sun_path, path, strlen(path));
	the_log.retry_at = 0;
	log_set_level(settings->level);
	if (story_open(settings->memory) < 0)
		log_warn("log: no memory for log.memory");
	return 0;
}

void log_close(void)
{
	disconnect();
	the_log.target = LOG_TO_STDERR;
	story_close();
}

void log_set_level(enum log_level level)
{
	log_threshold = level;
}

const char *log_level_name(enum log_level level)
{
	return level_names[level];
}

int log_level_parse(struct slice name, enum log_level *levelp)
{
	for (unsigned i = 0; level_names[i]; i++) {
		if (slice_equal(name, slice_of(level_names[i]))) {
			*levelp = (enum log_level)i;
			return 0;
		}
	}
	return -EINVAL;
}

uint64_t log_lost(void)
{
	return the_log.lost;
}
