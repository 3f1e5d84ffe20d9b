#include "ctl/server.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "ctl_peer.h"
#include "event/bus.h"

static void test_too_many_clients(void **state)
{
	enum { MAX = 256 };
	struct ctl_fixture *f = *state;
	struct ctl_peer peers[MAX], last;

	for (size_t i = 0; i < MAX; i++)
		peers[i] = ctl_peer_connect(f);
	last = ctl_peer_connect(f);
	ctl_peer_says(&last, CALL("1", "count", "[]"));
	ctl_settle(f);
	assert_int_equal(ctl_peer_receive(&last), 0);
	assert_false(last.eof);
	assert_int_equal(ctl_stat(f, "clients"), MAX);
	ctl_peer_close(&peers[7]);
	assert_line(&last, RESULT("1", "0"));
	assert_int_equal(ctl_stat(f, "clients"), MAX);
	peers[7] = last;
	for (size_t i = 0; i < MAX; i++)
		ctl_peer_close(&peers[i]);
}

static void test_mode(void **state)
{
	static const mode_t modes[] = {0600, 0660, 0666, 0};
	struct ctl_fixture *f = *state;
	struct stat st;
	mode_t mask = umask(0077);

	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		ctl_server_free(f->server);
		assert_int_equal(stat(f->path, &st), -1);
		f->settings.mode = modes[i];
		ctl_start(f);
		assert_int_equal(stat(f->path, &st), 0);
		assert_int_equal(st.st_mode, S_IFSOCK | modes[i]);
	}
	assert_int_equal(umask(mask), 0077);
}

static void test_group(void **state)
{
	struct ctl_fixture *f = *state;
	const struct group *group = getgrgid(getegid());
	struct stat st;

	assert_non_null(group);
	ctl_server_free(f->server);
	f->settings.group = group->gr_name;
	ctl_start(f);
	assert_int_equal(stat(f->path, &st), 0);
	assert_int_equal(st.st_gid, getegid());
	assert_int_equal(st.st_mode, S_IFSOCK | 0600);
}

static void test_socket_left_behind(void **state)
{
	struct ctl_fixture *f = *state;
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct ctl_peer p;
	int fd;

	ctl_server_free(f->server);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	memcpy(address.sun_path, f->path, strlen(f->path));
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	close(fd);
	ctl_start(f);
	p = ctl_peer_connect(f);
	ctl_peer_says(&p, CALL("1", "count", "[]"));
	assert_line(&p, RESULT("1", "0"));
	ctl_peer_close(&p);
}

static void assert_cannot_start(struct ctl_fixture *f, int err, const char *word)
{
	struct ctl_server *server = NULL;
	struct reason why = {""};

	assert_int_equal(ctl_server_new(&server, &f->daemon, &f->settings, &why), err);
	assert_null(server);
	assert_true(why.text[0]);
	if (!strstr(why.text, word))
		fail_msg("%s is not in %s", word, why.text);
}

static void test_living_daemon(void **state)
{
	struct ctl_fixture *f = *state;
	struct ctl_peer p;

	assert_cannot_start(f, -EADDRINUSE, "another process listens there");
	p = ctl_peer_connect(f);
	ctl_peer_says(&p, CALL("1", "count", "[]"));
	assert_line(&p, RESULT("1", "0"));
	ctl_peer_close(&p);
}

static void test_bad_paths(void **state)
{
	struct ctl_fixture *f = *state;
	char path[200], file[100];
	int fd;

	f->settings.socket = path;
	snprintf(path, sizeof(path), "%s/nowhere/ctl", f->dir);
	assert_cannot_start(f, -ENOENT, "directory");
	snprintf(path, sizeof(path), "%s", f->dir);
	assert_cannot_start(f, -EEXIST, "something else");
	snprintf(file, sizeof(file), "%s/file", f->dir);
	fd = open(file, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	close(fd);
	snprintf(path, sizeof(path), "%s", file);
	assert_cannot_start(f, -EEXIST, "something else");
	assert_int_equal(unlink(file), 0);
	snprintf(path, sizeof(path), "relative");
	assert_cannot_start(f, -EINVAL, "absolute");
	snprintf(path, sizeof(path), "/tmp/%0120d", 1);
	assert_cannot_start(f, -ENAMETOOLONG, "longer");
	f->settings.socket = file;
	f->settings.group = (char *)"no such group here";
	assert_cannot_start(f, -ENOENT, "group");
	assert_int_equal(access(file, F_OK), -1);
	f->settings.socket = f->path;
}

/* A daemon that stops late leaves the socket of its successor alone. */
static void test_successors_socket(void **state)
{
	struct ctl_fixture *f = *state;
	struct ctl_server *old = f->server;
	struct ctl_peer p;

	assert_int_equal(unlink(f->path), 0);
	ctl_start(f);
	ctl_server_free(old);
	p = ctl_peer_connect(f);
	ctl_peer_says(&p, CALL("1", "count", "[]"));
	assert_line(&p, RESULT("1", "0"));
	ctl_peer_close(&p);
}

/* Whoever is connected when the daemon stops has got what was emitted before. */
static void test_stop(void **state)
{
	struct ctl_fixture *f = *state;
	struct ctl_peer p = ctl_peer_connect(f);

	ctl_peer_subscribe(&p);
	ctl_emit(f, &ctl_type_a, 1, 'x');
	ctl_server_free(f->server);
	f->server = NULL;
	ctl_server_free(NULL);
	assert_line(&p, EVENT("E_A", "{\"body\":\"x\"}"));
	assert_end(&p);
	assert_int_equal(access(f->path, F_OK), -1);
	event_emit(f->bus, &ctl_type_a, NULL, 0);
	ctl_peer_close(&p);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, ctl_setup, ctl_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    CASE(test_too_many_clients),
	    CASE(test_mode),
	    CASE(test_group),
	    CASE(test_socket_left_behind),
	    CASE(test_living_daemon),
	    CASE(test_bad_paths),
	    CASE(test_successors_socket),
	    CASE(test_stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
