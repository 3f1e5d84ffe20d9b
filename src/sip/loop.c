#include "sip/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <event2/event.h>
#include <sofia-sip/su_log.h>
#include <sofia-sip/su_wait.h>

#include "base/line.h"
#include "base/log.h"
#include "net/net.h"
#include "sip/priv.h"

enum {
	STEPS_PER_TURN = 16, /* then the daemon's other sockets get their turn */
	DOUBLINGS_MOST = 5,
};

struct sip_loop {
	su_root_t *root;
	struct line *line;
	struct line_entry turn;
	struct event *readable; /* Sofia's epoll descriptor */
	struct event *due;      /* its next timer */
	bool stepping;
	bool (*stepped)(void *arg, unsigned doublings);
	void *arg;
};

static void run_turn(struct line_entry *entry)
{
	struct sip_loop *loop =
	    (struct sip_loop *)(void *)((char *)entry - offsetof(struct sip_loop, turn));
	su_duration_t wait_ms = 0;
	struct timeval wait;

	loop->stepping = true;
	for (int i = 0; i < STEPS_PER_TURN && wait_ms == 0; i++)
		wait_ms = su_root_step(loop->root, 0);
	loop->stepping = false;
	if (loop->stepped && loop->stepped(loop->arg, entry->share))
		line_join(loop->line, entry);
	if (wait_ms < 0) {
		evtimer_del(loop->due);
		return;
	}
	/*
	 * Sofia rounds down, one more millisecond spares a turn that comes too early.  At the limit
	 * of steps it keeps us from spinning; what is left unread stays readable meanwhile.  And a
	 * little patience lets timers that are due at about the same time share a turn.
	 */
	wait_ms += 1 + wait_ms / 32;
	wait = (struct timeval){wait_ms / 1000, wait_ms % 1000 * 1000};
	evtimer_add(loop->due, &wait);
}

/* Readable it stays until its turn has come. */
static void on_work(evutil_socket_t fd, short what, void *arg)
{
	struct sip_loop *loop = arg;

	(void)fd;
	(void)what;
	line_ready(loop->line, &loop->turn);
}

static void on_sofia_log(void *stream, const char *format, va_list args)
{
	char text[512];

	(void)stream;
	if (log_threshold < LOG_LEVEL_DEBUG)
		return;
	vsnprintf(text, sizeof(text), format, args);
	text[strcspn(text, "\r\n")] = '\0';
	log_debug("sip: sofia: %s", text);
}

static void redirect_logs(void)
{
	extern su_log_t nua_log[], nta_log[], tport_log[], nea_log[];
	su_log_t *const logs[] = {su_log_default, nua_log, nta_log, tport_log, nea_log};

	for (size_t i = 0; i < sizeof(logs) / sizeof(logs[0]); i++) {
		su_log_redirect(logs[i], on_sofia_log, NULL);
		if (!getenv("TPORT_LOG"))
			su_log_soft_set_level(logs[i], 1);
	}
}

static bool is_epoll(int fd)
{
	struct epoll_event none = {0};
	int pipes[2], err;

	if (pipe2(pipes, O_CLOEXEC) < 0)
		return false;
	err = epoll_ctl(fd, EPOLL_CTL_MOD, pipes[0], &none) < 0 ? errno : 0;
	close(pipes[0]);
	close(pipes[1]);
	return err == ENOENT; /* "not registered": said by an epoll descriptor alone */
}

/* Sofia does not tell its descriptor: it is the first that su_root_create() opens, so the lowest
 * free one. */
static su_root_t *create_root(int *fdp)
{
	su_root_t *root;
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return NULL;
	close(fd);
	root = su_root_create(NULL);
	if (root && !is_epoll(fd)) {
		su_root_destroy(root);
		return NULL;
	}
	if (root) {
		fcntl(fd, F_SETFD, FD_CLOEXEC);
		su_root_threading(root, 0);
	}
	*fdp = fd;
	return root;
}

int sip_loop_new(struct sip_loop **loopp, struct net *net, struct reason *why)
{
	struct sip_loop *loop = calloc(1, sizeof(*loop));
	struct event_base *base = net_base(net);
	int fd = -1;

	reason_set(why, -ENOMEM, "out of memory");
	if (!loop)
		return -ENOMEM;
	loop->line = net_line(net);
	loop->turn = (struct line_entry){.run = run_turn, .most = DOUBLINGS_MOST};
	su_init();
	redirect_logs();
	loop->root = create_root(&fd);
	if (!loop->root) {
		sip_loop_free(loop);
		return reason_set(why, -ENOTSUP, "Sofia-SIP's event loop cannot be joined to ours");
	}
	loop->due = event_new(base, -1, 0, on_work, loop);
	loop->readable = event_new(base, fd, EV_READ | EV_PERSIST, on_work, loop);
	if (!loop->due || !loop->readable || event_add(loop->readable, NULL) < 0) {
		sip_loop_free(loop);
		return -ENOMEM;
	}
	*loopp = loop;
	return 0;
}

void sip_loop_free(struct sip_loop *loop)
{
	if (!loop)
		return;
	line_leave(loop->line, &loop->turn);
	if (loop->readable)
		event_free(loop->readable);
	if (loop->due)
		event_free(loop->due);
	if (loop->root)
		su_root_destroy(loop->root);
	su_deinit();
	free(loop);
}

/* What is called from inside a step the next one sees. */
void sip_loop_kick(struct sip_loop *loop)
{
	if (!loop->stepping)
		line_join(loop->line, &loop->turn);
}

su_root_t *sip_loop_root(struct sip_loop *loop)
{
	return loop->root;
}

void sip_loop_finish(struct sip_loop *loop, const bool *done)
{
	enum { STEPS_MAX = 1000 };

	for (int i = 0; i < STEPS_MAX && !*done; i++)
		su_root_step(loop->root, 1);
}

void sip_loop_on_step(struct sip_loop *loop, bool (*fn)(void *arg, unsigned doublings), void *arg)
{
	loop->stepped = fn;
	loop->arg = arg;
}
