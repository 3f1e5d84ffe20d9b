/* Landlock: landlock(7), Documentation/userspace-api/landlock.rst of the kernel. */
#include "sandbox/priv.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <linux/landlock.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"

/* What linux/landlock.h may be too old for, with the version of the kernel's interface. */
#ifndef LANDLOCK_ACCESS_FS_TRUNCATE /* 3 */
#define LANDLOCK_ACCESS_FS_TRUNCATE (1ULL << 14)
#endif
#ifndef LANDLOCK_ACCESS_FS_IOCTL_DEV /* 5 */
#define LANDLOCK_ACCESS_FS_IOCTL_DEV (1ULL << 15)
#endif
#ifndef LANDLOCK_SCOPE_SIGNAL /* 6 */
#define LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET (1ULL << 0)
#define LANDLOCK_SCOPE_SIGNAL               (1ULL << 1)
#endif

/* Of any version; the kernel takes a longer one than its own if the rest is 0. */
struct ruleset {
	uint64_t handled_access_fs, handled_access_net, scoped;
};

static const struct {
	int version;
	uint64_t access;
} accesses[] = {
    {.version = 1, .access = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1}, /* that and all before it */
    {.version = 2, .access = LANDLOCK_ACCESS_FS_REFER},
    {.version = 3, .access = LANDLOCK_ACCESS_FS_TRUNCATE},
    {.version = 5, .access = LANDLOCK_ACCESS_FS_IOCTL_DEV},
};

static const uint64_t reading = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
static const uint64_t writing = LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_TRUNCATE
    | LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK;
/* All that a rule for something that is no directory may have. */
static const uint64_t of_files =
    LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_TRUNCATE;

/* What libraries read behind our back: resolvers, certificates, time zones, modules to load. */
static const char *const system_paths[] = {
    "/etc",
    "/usr",
    "/lib",
    "/lib64",
    "/proc/self",
    "/sys/devices/system/cpu",
    "/dev/null",
    "/dev/random",
    "/dev/urandom",
    "/run/NetworkManager",
    "/run/resolvconf",
    "/run/systemd/resolve",
};

static const char state_directory[] = "/var/lib/msrpd";

static uint64_t accesses_of(int version)
{
	uint64_t handled = 0;

	for (size_t i = 0; i < sizeof(accesses) / sizeof(accesses[0]); i++)
		if (version >= accesses[i].version)
			handled |= accesses[i].access;
	return handled;
}

void sandbox_init(struct sandbox *s)
{
	long version =
	    syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	struct ruleset ruleset = {.handled_access_fs = accesses_of((int)version)};

	*s = (struct sandbox){.ruleset = -1, .handled = ruleset.handled_access_fs};
	if (version < 1)
		return;
	if (version >= 6)
		ruleset.scoped = LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET | LANDLOCK_SCOPE_SIGNAL;
	s->ruleset = (int)syscall(SYS_landlock_create_ruleset, &ruleset, sizeof(ruleset), 0);
}

void sandbox_fini(struct sandbox *s)
{
	if (s->ruleset >= 0)
		close(s->ruleset);
	s->ruleset = -1;
}

static void allow(struct sandbox *s, const char *path, uint64_t access)
{
	struct landlock_path_beneath_attr rule = {.allowed_access = access & s->handled};
	struct stat st;
	int fd = open(path, O_PATH | O_CLOEXEC);

	if (fd < 0)
		return;
	if (fstat(fd, &st) == 0 && !S_ISDIR(st.st_mode))
		rule.allowed_access &= of_files;
	rule.parent_fd = fd;
	if (syscall(SYS_landlock_add_rule, s->ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0)
		log_warn("sandbox: %s: %s", path, strerror(errno));
	close(fd);
}

/* A file in / does not open all that is below /. */
static void allow_around(struct sandbox *s, const char *file, uint64_t access)
{
	char place[PATH_MAX], real[PATH_MAX];

	if (strlen(file) >= sizeof(place))
		return;
	memcpy(place, file, strlen(file) + 1);
	if (realpath(dirname(place), real))
		allow(s, strcmp(real, "/") == 0 ? file : real, access);
}

static void allow_file(struct sandbox *s, const char *file, uint64_t access)
{
	char real[PATH_MAX];

	if (s->ruleset < 0)
		return;
	allow_around(s, file, access);
	if (realpath(file, real))
		allow_around(s, real, access);
}

void sandbox_allow_read(struct sandbox *s, const char *file)
{
	allow_file(s, file, reading);
}

void sandbox_allow_below(struct sandbox *s, const char *directory)
{
	if (s->ruleset >= 0)
		allow(s, directory, reading);
}

void sandbox_allow_write(struct sandbox *s, const char *file)
{
	allow_file(s, file, reading | writing);
}

void sandbox_allow_directory(struct sandbox *s, const char *path)
{
	if (s->ruleset >= 0)
		allow(s, path, reading | writing);
}

int sandbox_restrict_files(struct sandbox *s)
{
	if (s->ruleset < 0)
		return -ENOSYS;
	for (size_t i = 0; i < sizeof(system_paths) / sizeof(system_paths[0]); i++)
		allow(s, system_paths[i], reading);
	allow(s, state_directory, reading | writing);
	return syscall(SYS_landlock_restrict_self, s->ruleset, 0) < 0 ? -errno : 0;
}
