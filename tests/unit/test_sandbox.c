/* Children of the test enter the sandbox and try what they may and what they may not. */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "sandbox/sandbox.h"
#include "directory.h"

enum { PATH_SIZE = 256 };

static const struct sandbox_settings all = {.seccomp = true, .landlock = true};

/* Three directories: to read, to write, and one that nobody has spoken of. */
struct place {
	char top[64];
	char readable[PATH_SIZE], writable[PATH_SIZE], other[PATH_SIZE];
	char link[PATH_SIZE]; /* in the one to read, leads to linked/file */
};

static void make_file(const char *path)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fclose(f);
}

static void make_directory(const struct place *p, const char *name, char path[PATH_SIZE])
{
	snprintf(path, PATH_SIZE, "%s/%s", p->top, name);
	assert_int_equal(mkdir(path, 0700), 0);
	snprintf(path, PATH_SIZE, "%s/%s/file", p->top, name);
	make_file(path);
}

static int set_up(void **state)
{
	struct place *p = calloc(1, sizeof(*p));
	char linked[PATH_SIZE];

	assert_non_null(p);
	strcpy(p->top, "/tmp/test_sandbox.XXXXXX");
	assert_non_null(mkdtemp(p->top));
	make_directory(p, "readable", p->readable);
	make_directory(p, "writable", p->writable);
	make_directory(p, "other", p->other);
	make_directory(p, "linked", linked);
	snprintf(p->link, sizeof(p->link), "%s/readable/link", p->top);
	assert_int_equal(symlink(linked, p->link), 0);
	*state = p;
	return 0;
}

static int tear_down(void **state)
{
	struct place *p = *state;

	directory_remove(p->top);
	free(p);
	return 0;
}

struct outcome {
	int status;    /* of wait() */
	char log[512]; /* what the child has written to stderr */
};

/* what: 0 or an errno */
static struct outcome in_sandbox(const struct sandbox_settings *settings, const struct place *p,
    int (*what)(const struct place *))
{
	struct outcome outcome = {0};
	struct sandbox sandbox;
	int fds[2];
	pid_t pid;

	assert_int_equal(pipe(fds), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		dup2(fds[1], STDERR_FILENO);
		sandbox_init(&sandbox);
		sandbox_allow_read(&sandbox, p->readable);
		sandbox_allow_read(&sandbox, p->link);
		sandbox_allow_write(&sandbox, p->writable);
		sandbox_enter(&sandbox, settings);
		_exit(what(p));
	}
	close(fds[1]);
	for (size_t n = 0, got = 1; got > 0; n += got) {
		ssize_t now = read(fds[0], outcome.log + n, sizeof(outcome.log) - 1 - n);

		got = now > 0 ? (size_t)now : 0;
	}
	close(fds[0]);
	assert_int_equal(waitpid(pid, &outcome.status, 0), pid);
	return outcome;
}

static void must_return(int want, const struct sandbox_settings *settings, const struct place *p,
    int (*what)(const struct place *))
{
	struct outcome outcome = in_sandbox(settings, p, what);

	if (!WIFEXITED(outcome.status) || WEXITSTATUS(outcome.status) != want)
		fail_msg("status %#x instead of %d: %s", (unsigned)outcome.status, want,
		    outcome.log);
	assert_string_equal(outcome.log, "");
}

static int try_open(const char *path, int flags)
{
	int fd = open(path, flags, 0600);

	if (fd < 0)
		return errno;
	close(fd);
	return 0;
}

/* --- files --- */

static int open_readable(const struct place *p)
{
	return try_open(p->readable, O_RDONLY);
}

static int open_link(const struct place *p)
{
	return try_open(p->link, O_RDONLY);
}

static int open_other(const struct place *p)
{
	return try_open(p->other, O_RDONLY);
}

static int write_readable(const struct place *p)
{
	return try_open(p->readable, O_WRONLY);
}

static int replace_writable(const struct place *p)
{
	if (unlink(p->writable) < 0)
		return errno;
	return try_open(p->writable, O_WRONLY | O_CREAT | O_EXCL);
}

static int resolve_name(const struct place *p)
{
	struct addrinfo *list = NULL;
	int err = getaddrinfo("localhost", "80", NULL, &list);

	(void)p;
	if (err == 0)
		freeaddrinfo(list);
	return err != 0;
}

static void test_files(void **state)
{
	const struct sandbox_settings off = {.seccomp = true, .landlock = false};
	const struct place *p = *state;

	must_return(0, &all, p, open_readable);
	must_return(0, &all, p, open_link);
	must_return(0, &all, p, replace_writable);
	must_return(0, &all, p, resolve_name);
	must_return(EACCES, &all, p, write_readable);
	must_return(EACCES, &all, p, open_other);
	must_return(0, &off, p, open_other);
}

/* --- system calls --- */

static int execute(const struct place *p)
{
	(void)p;
	execl("/bin/true", "true", (char *)NULL);
	return errno;
}

static int open_packet_socket(const struct place *p)
{
	(void)p;
	return socket(AF_PACKET, SOCK_RAW, 0) < 0 ? errno : 0;
}

static int map_code(const struct place *p)
{
	void *code = mmap(NULL, 4096, PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)p;
	return code == MAP_FAILED ? errno : 0;
}

static int raise_limit(const struct place *p)
{
	const uint64_t limit[2] = {1, 1};

	(void)p;
	return syscall(SYS_prlimit64, 0, 7, limit, NULL) < 0 ? errno : 0;
}

static void must_stop(const struct place *p, int (*what)(const struct place *), const char *name)
{
	struct outcome outcome = in_sandbox(&all, p, what);
	char line[80];

	snprintf(line, sizeof(line), "(%s) is forbidden", name);
	if (!WIFSIGNALED(outcome.status) || WTERMSIG(outcome.status) != SIGSYS)
		fail_msg("%s: status %#x: %s", name, (unsigned)outcome.status, outcome.log);
	assert_non_null(strstr(outcome.log, line));
}

static void test_forbidden_calls(void **state)
{
	must_stop(*state, execute, "execve");
	must_stop(*state, open_packet_socket, "socket");
	must_stop(*state, map_code, "mmap");
	must_stop(*state, raise_limit, "prlimit64");
}

static int call_of_the_future(const struct place *p)
{
	(void)p;
	return syscall(511) < 0 ? errno : 0;
}

static void *do_nothing(void *arg)
{
	return arg;
}

static int start_thread(const struct place *p)
{
	pthread_t thread;
	int err = pthread_create(&thread, NULL, do_nothing, NULL);

	(void)p;
	return err ? err : pthread_join(thread, NULL);
}

static void test_allowed_calls(void **state)
{
	const struct sandbox_settings off = {.seccomp = false, .landlock = true};

	must_return(ENOSYS, &all, *state, call_of_the_future);
	must_return(0, &all, *state, start_thread);
	must_return(EACCES, &off, *state, execute);
	must_return(0, &(struct sandbox_settings){0}, *state, execute);
}

static int dumpable(const struct place *p)
{
	(void)p;
	return prctl(PR_GET_DUMPABLE, 0, 0, 0, 0);
}

static void test_core_dumps(void **state)
{
	must_return(0, &(struct sandbox_settings){0}, *state, dumpable);
	must_return(1, &(struct sandbox_settings){.core_dumps = true}, *state, dumpable);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_files, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_forbidden_calls, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_allowed_calls, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_core_dumps, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
