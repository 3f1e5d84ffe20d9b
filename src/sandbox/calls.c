/* seccomp: seccomp(2), libseccomp's seccomp_rule_add(3). */
#include "sandbox/priv.h"

#include <errno.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"

enum {
	CALLS_FIRST_NEW = 449, /* futex_waitv, Linux 5.16; all architectures number alike by now */
	CALLS_END = 512,
	SOCKET_IOCTLS = 0x8900, /* SIOCGIFCONF and its like, ioctl_list(2) */
};

/* Calls with any arguments. */
static const int always[] = {
    /* files: what they are and hold is Landlock's business */
    SCMP_SYS(access),
    SCMP_SYS(close),
    SCMP_SYS(dup),
    SCMP_SYS(faccessat),
    SCMP_SYS(faccessat2),
    SCMP_SYS(fadvise64),
    SCMP_SYS(fallocate),
    SCMP_SYS(fchmod),
    SCMP_SYS(fcntl),
    SCMP_SYS(fdatasync),
    SCMP_SYS(fstat),
    SCMP_SYS(fsync),
    SCMP_SYS(ftruncate),
    SCMP_SYS(getcwd),
    SCMP_SYS(getdents64),
    SCMP_SYS(lseek),
    SCMP_SYS(lstat),
    SCMP_SYS(newfstatat),
    SCMP_SYS(open),
    SCMP_SYS(openat),
    SCMP_SYS(pread64),
    SCMP_SYS(pwrite64),
    SCMP_SYS(read),
    SCMP_SYS(readlink),
    SCMP_SYS(readlinkat),
    SCMP_SYS(readv),
    SCMP_SYS(renameat),
    SCMP_SYS(renameat2),
    SCMP_SYS(stat),
    SCMP_SYS(statx),
    SCMP_SYS(unlink),
    SCMP_SYS(unlinkat),
    SCMP_SYS(write),
    SCMP_SYS(writev),
    /* sockets */
    SCMP_SYS(accept),
    SCMP_SYS(accept4),
    SCMP_SYS(bind),
    SCMP_SYS(connect),
    SCMP_SYS(getpeername),
    SCMP_SYS(getsockname),
    SCMP_SYS(getsockopt),
    SCMP_SYS(listen),
    SCMP_SYS(recvfrom),
    SCMP_SYS(recvmmsg),
    SCMP_SYS(recvmsg),
    SCMP_SYS(sendmmsg),
    SCMP_SYS(sendmsg),
    SCMP_SYS(sendto),
    SCMP_SYS(setsockopt),
    SCMP_SYS(shutdown),
    SCMP_SYS(socketpair),
    /* waiting */
    SCMP_SYS(clock_nanosleep),
    SCMP_SYS(epoll_create),
    SCMP_SYS(epoll_create1),
    SCMP_SYS(epoll_ctl),
    SCMP_SYS(epoll_pwait),
    SCMP_SYS(epoll_pwait2),
    SCMP_SYS(epoll_wait),
    SCMP_SYS(pipe),
    SCMP_SYS(pipe2),
    SCMP_SYS(poll),
    SCMP_SYS(ppoll),
    /* memory and threads */
    SCMP_SYS(brk),
    SCMP_SYS(futex),
    SCMP_SYS(get_robust_list),
    SCMP_SYS(madvise),
    SCMP_SYS(membarrier),
    SCMP_SYS(mremap),
    SCMP_SYS(munmap),
    SCMP_SYS(rseq),
    SCMP_SYS(sched_getaffinity),
    SCMP_SYS(sched_yield),
    SCMP_SYS(set_robust_list),
    SCMP_SYS(set_tid_address),
    /* signals */
    SCMP_SYS(restart_syscall),
    SCMP_SYS(rt_sigaction),
    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigreturn),
    SCMP_SYS(sigaltstack),
    /* the time, chance, and who and where we are */
    SCMP_SYS(clock_getres),
    SCMP_SYS(clock_gettime),
    SCMP_SYS(exit),
    SCMP_SYS(exit_group),
    SCMP_SYS(getcpu),
    SCMP_SYS(getegid),
    SCMP_SYS(geteuid),
    SCMP_SYS(getgid),
    SCMP_SYS(getpid),
    SCMP_SYS(getppid),
    SCMP_SYS(getrandom),
    SCMP_SYS(getrusage),
    SCMP_SYS(gettid),
    SCMP_SYS(gettimeofday),
    SCMP_SYS(getuid),
    SCMP_SYS(sysinfo),
    SCMP_SYS(time),
    SCMP_SYS(uname),
#if defined(__SANITIZE_ADDRESS__)
    /* LeakSanitizer looks at the process from another one that shares its memory. */
    SCMP_SYS(clone),
    SCMP_SYS(getdents),
    SCMP_SYS(prctl),
    SCMP_SYS(ptrace),
    SCMP_SYS(wait4),
#endif
};

/* Calls where one argument, as far as mask goes, has one value; several rows: one of them. */
static const struct {
	int call;
	unsigned argument;
	uint64_t mask, value;
} sometimes[] = {
    /* Connections, the log and the control socket, interfaces for getaddrinfo(). */
    {.call = SCMP_SYS(socket), .argument = 0, .mask = UINT32_MAX, .value = AF_UNIX},
    {.call = SCMP_SYS(socket), .argument = 0, .mask = UINT32_MAX, .value = AF_INET},
    {.call = SCMP_SYS(socket), .argument = 0, .mask = UINT32_MAX, .value = AF_INET6},
    {.call = SCMP_SYS(socket), .argument = 0, .mask = UINT32_MAX, .value = AF_NETLINK},
    /* No memory is written and then executed; name services are modules that are loaded late. */
    {.call = SCMP_SYS(mmap), .argument = 2, .mask = PROT_WRITE | PROT_EXEC, .value = 0},
    {.call = SCMP_SYS(mmap), .argument = 2, .mask = PROT_WRITE | PROT_EXEC, .value = PROT_WRITE},
    {.call = SCMP_SYS(mmap), .argument = 2, .mask = PROT_WRITE | PROT_EXEC, .value = PROT_EXEC},
    {.call = SCMP_SYS(mprotect), .argument = 2, .mask = PROT_EXEC, .value = 0},
    {.call = SCMP_SYS(ioctl), .argument = 1, .mask = UINT32_MAX, .value = FIONBIO},
    {.call = SCMP_SYS(ioctl), .argument = 1, .mask = UINT32_MAX, .value = FIONREAD},
    {.call = SCMP_SYS(ioctl), .argument = 1, .mask = UINT32_MAX, .value = TIOCOUTQ},
    {.call = SCMP_SYS(ioctl), .argument = 1, .mask = UINT32_MAX, .value = TCGETS},
    {.call = SCMP_SYS(ioctl), .argument = 1, .mask = 0xffffff00, .value = SOCKET_IOCTLS},
    /* Limits may be read. */
    {.call = SCMP_SYS(prlimit64), .argument = 2, .mask = UINT64_MAX, .value = 0},
#if !defined(__SANITIZE_ADDRESS__)
    /* Threads, but no processes; their names. */
    {.call = SCMP_SYS(clone), .argument = 0, .mask = CLONE_THREAD, .value = CLONE_THREAD},
    {.call = SCMP_SYS(prctl), .argument = 0, .mask = UINT32_MAX, .value = PR_SET_NAME},
#endif
};

/* What calls are called, for the handler, which has no argument and may not take memory. */
static char *names[CALLS_END];

static void on_forbidden(int signal_number, siginfo_t *info, void *context)
{
	const int call = info->si_syscall;
	const char *name = call >= 0 && call < CALLS_END ? names[call] : NULL;

	(void)context;
	/* It comes from within the call, so never from within what the log line needs. */
	log_error("sandbox: system call %d (%s) is forbidden: stopped", call, name ? name : "?");
	raise(signal_number); /* the default action this time */
}

/* An error instead would leave both an attacker and our own mistake to go on unseen. */
static int catch_forbidden(void)
{
	struct sigaction action = {
	    .sa_sigaction = on_forbidden,
	    .sa_flags = SA_SIGINFO | SA_NODEFER | (int)SA_RESETHAND,
	};

	for (int call = 0; call < CALLS_END; call++) {
		free(names[call]);
		names[call] = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, call);
	}
	return sigaction(SIGSYS, &action, NULL) < 0 ? -errno : 0;
}

static int allow_calls(scmp_filter_ctx filter)
{
	/* raise() and abort() */
	const struct scmp_arg_cmp self = {
	    .arg = 0,
	    .op = SCMP_CMP_EQ,
	    .datum_a = (scmp_datum_t)getpid(),
	};
	int err = 0;

	for (size_t i = 0; err == 0 && i < sizeof(always) / sizeof(always[0]); i++)
		err = seccomp_rule_add(filter, SCMP_ACT_ALLOW, always[i], 0);
	for (size_t i = 0; err == 0 && i < sizeof(sometimes) / sizeof(sometimes[0]); i++)
		err = seccomp_rule_add(filter, SCMP_ACT_ALLOW, sometimes[i].call, 1,
		    SCMP_CMP(sometimes[i].argument, SCMP_CMP_MASKED_EQ, sometimes[i].mask,
			sometimes[i].value));
	return err < 0 ? err : seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1, self);
}

/* A C library that is newer than this table finds an older kernel, and does as it did there. */
static int deny_new_calls(scmp_filter_ctx filter)
{
	/* Its flags are in memory, where no filter sees them. */
	int err = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);

	for (int call = CALLS_FIRST_NEW; err == 0 && call < CALLS_END; call++)
		err = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), call, 0);
	return err;
}

int sandbox_restrict_calls(void)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_TRAP);
	int err = filter ? catch_forbidden() : -ENOMEM;

	if (err == 0)
		err = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
	if (err == 0)
		err = seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	if (err == 0)
		err = allow_calls(filter);
	if (err == 0)
		err = deny_new_calls(filter);
	if (err == 0)
		err = seccomp_load(filter);
	seccomp_release(filter);
	return err;
}
