#include "notify.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <msrpd/slice.h>

#include "base/log.h"

enum { TEXT_SIZE = 512 };

/* It never blocks: the manager would rather miss a line than have the daemon wait for it. */
static void say(const struct notify *n, const char *text)
{
	if (n->fd >= 0 && send(n->fd, text, strlen(text), MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		log_debug("notify: %s", strerror(errno));
}

static void on_watchdog(void *arg)
{
	struct notify *n = arg;

	say(n, "WATCHDOG=1");
	timer_start(&n->watchdog, n->watchdog_ms);
}

static int make_address(const char *path, struct sockaddr_un *address, socklen_t *lenp)
{
	size_t len = strlen(path);

	*address = (struct sockaddr_un){.sun_family = AF_UNIX};
	if ((path[0] != '/' && path[0] != '@') || len < 2 || len >= sizeof(address->sun_path))
		return -EINVAL;
	memcpy(address->sun_path, path, len);
	/* '@' stands for the NUL of an abstract address, whose length counts. */
	if (path[0] == '@')
		address->sun_path[0] = '\0';
	*lenp = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + (path[0] == '/'));
	return 0;
}

static int open_socket(const char *path, int *fdp)
{
	struct sockaddr_un address;
	socklen_t len;
	int fd, err = make_address(path, &address, &len);

	if (err)
		return err;
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&address, len) < 0) {
		err = -errno;
		close(fd);
		return err;
	}
	*fdp = fd;
	return 0;
}

static bool read_number(const char *name, uint64_t *valuep)
{
	const char *text = getenv(name);

	return text && slice_to_u64(slice_of(text), UINT64_MAX, valuep) == 0;
}

/* Half of what the manager waits for, as sd_watchdog_enabled(3) has it; 0: it does not wait. */
static uint64_t watchdog_period_ms(void)
{
	uint64_t usec, pid;

	if (!read_number("WATCHDOG_USEC", &usec))
		return 0;
	if (getenv("WATCHDOG_PID")
	    && (!read_number("WATCHDOG_PID", &pid) || pid != (uint64_t)getpid()))
		return 0;
	return usec / 2000 ? usec / 2000 : usec > 0;
}

int notify_init(struct notify *n, struct event_base *base)
{
	const char *path = getenv("NOTIFY_SOCKET");
	int err;

	*n = (struct notify){.fd = -1};
	if (!path)
		return 0;
	err = open_socket(path, &n->fd);
	if (err)
		return err;
	n->watchdog_ms = watchdog_period_ms();
	if (!n->watchdog_ms)
		return 0;
	err = timer_init(&n->watchdog, base, on_watchdog, n);
	if (err) {
		notify_fini(n);
		return err;
	}
	on_watchdog(n);
	return 0;
}

void notify_fini(struct notify *n)
{
	timer_fini(&n->watchdog);
	if (n->fd >= 0)
		close(n->fd);
	*n = (struct notify){.fd = -1};
}

void notify_ready(const struct notify *n)
{
	say(n, "READY=1");
}

void notify_reloading(const struct notify *n)
{
	struct timespec now;
	char text[TEXT_SIZE];

	clock_gettime(CLOCK_MONOTONIC, &now);
	snprintf(text, sizeof(text), "RELOADING=1\nMONOTONIC_USEC=%" PRIu64,
	    (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000);
	say(n, text);
}

void notify_stopping(const struct notify *n)
{
	say(n, "STOPPING=1");
}

void notify_status(const struct notify *n, const char *format, ...)
{
	char text[TEXT_SIZE] = "STATUS=";
	const size_t head = strlen(text);
	va_list ap;

	va_start(ap, format);
	vsnprintf(text + head, sizeof(text) - head, format, ap);
	va_end(ap);
	/* A newline would begin another assignment. */
	for (char *p = text; *p; p++)
		if (*p == '\n')
			*p = ' ';
	say(n, text);
}
