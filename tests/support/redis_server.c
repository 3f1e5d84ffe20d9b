#include "redis_server.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "loop.h"

static void run(const struct redis_server *server)
{
	char path[100];

	snprintf(path, sizeof(path), "%s/redis.sock", server->directory);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (!freopen("/dev/null", "w", stdout))
		_exit(1);
	execlp("redis-server", "redis-server", "--port", "0", "--unixsocket", path, "--save", "",
	    "--appendonly", "no", "--dir", server->directory, (char *)NULL);
	_exit(127);
}

/* @return a connection, or -1 */
static int dial(const struct redis_server *server)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(at.sun_path, sizeof(at.sun_path), "%s/redis.sock", server->directory);
	if (connect(fd, (struct sockaddr *)&at, sizeof(at)) == 0)
		return fd;
	close(fd);
	return -1;
}

static bool answers(const struct redis_server *server)
{
	int fd = dial(server);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

void redis_server_start(struct redis_server *server)
{
	if (!server->directory[0]) {
		strcpy(server->directory, "/tmp/msrpd-redis-XXXXXX");
		assert_non_null(mkdtemp(server->directory));
		snprintf(server->url, sizeof(server->url), "unix://%s/redis.sock",
		    server->directory);
	}
	server->pid = fork();
	assert_true(server->pid >= 0);
	if (server->pid == 0)
		run(server);
	for (int ms = 0; ms < LOOP_DEADLINE_MS && !answers(server); ms += 5) {
		assert_int_equal(waitpid(server->pid, NULL, WNOHANG), 0);
		usleep(5000);
	}
	assert_true(answers(server));
}

void redis_server_pause(const struct redis_server *server, bool pause)
{
	kill(server->pid, pause ? SIGSTOP : SIGCONT);
}

void redis_server_call(const struct redis_server *server, const char *command)
{
	int fd = dial(server);
	char line[256];

	assert_true(fd >= 0);
	snprintf(line, sizeof(line), "%s\r\n", command);
	assert_int_equal(send(fd, line, strlen(line), 0), strlen(line));
	assert_true(recv(fd, line, sizeof(line), 0) > 0);
	assert_int_equal(line[0], '+');
	close(fd);
}

void redis_server_stop(struct redis_server *server)
{
	if (server->pid <= 0)
		return;
	kill(server->pid, SIGKILL);
	waitpid(server->pid, NULL, 0);
	server->pid = 0;
}

void redis_server_fini(struct redis_server *server)
{
	char path[100];

	redis_server_stop(server);
	snprintf(path, sizeof(path), "%s/redis.sock", server->directory);
	unlink(path);
	rmdir(server->directory);
}
