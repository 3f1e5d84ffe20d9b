#include "ctl/priv.h"

#include <errno.h>
#include <grp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { LISTEN_BACKLOG = 64 };

static int fail(const char **why, const char *reason, int err)
{
	*why = reason;
	return -err;
}

static int make_address(const char *path, struct sockaddr_un *address, const char **why)
{
	size_t len = strlen(path);

	*address = (struct sockaddr_un){.sun_family = AF_UNIX};
	if (path[0] != '/')
		return fail(why, "the path of the socket is not absolute", EINVAL);
	if (len >= sizeof(address->sun_path))
		return fail(why, "the path of the socket is longer than 107 bytes", ENAMETOOLONG);
	memcpy(address->sun_path, path, len);
	return 0;
}

static int find_group(const char *name, gid_t *gidp, const char **why)
{
	const struct group *group;

	*gidp = (gid_t)-1;
	if (!name)
		return 0;
	group = getgrnam(name);
	if (!group)
		return fail(why, "there is no such group", ENOENT);
	*gidp = group->gr_gid;
	return 0;
}

/* A socket that refuses connections is what a killed daemon has left behind. */
static int clear_path(const struct sockaddr_un *address, const char **why)
{
	struct stat st;
	int fd, err;

	if (lstat(address->sun_path, &st) < 0)
		return errno == ENOENT ? 0 : fail(why, "the socket cannot be reached", errno);
	if (!S_ISSOCK(st.st_mode))
		return fail(why, "there is something else than a socket", EEXIST);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return fail(why, "no socket", errno);
	err = connect(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 ? errno : 0;
	close(fd);
	if (err == ENOENT)
		return 0;
	if (err != ECONNREFUSED)
		return fail(why, "another process listens there", EADDRINUSE);
	return unlink(address->sun_path) < 0 && errno != ENOENT
	    ? fail(why, "the socket of a daemon that is gone cannot be removed", errno)
	    : 0;
}

static int bind_path(int fd, const struct sockaddr_un *address, const char **why)
{
	mode_t mask = umask(0777);
	int err = bind(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 ? errno : 0;

	umask(mask);
	if (err == ENOENT)
		return fail(why, "its directory does not exist", err);
	if (err == EACCES)
		return fail(why, "its directory is not writable", err);
	return err ? fail(why, "the socket cannot be made", err) : 0;
}

/* In this order nobody comes in who may not: nobody can connect before listen(). */
static int open_up(int fd, const char *path, mode_t mode, gid_t gid, const char **why)
{
	if (gid != (gid_t)-1 && lchown(path, (uid_t)-1, gid) < 0)
		return fail(why, "the socket cannot be given to its group", errno);
	if (chmod(path, mode) < 0)
		return fail(why, "the mode of the socket cannot be set", errno);
	if (listen(fd, LISTEN_BACKLOG) < 0)
		return fail(why, "the socket cannot listen", errno);
	return 0;
}

int ctl_socket_open(const struct ctl_settings *settings, int *fdp, const char **why)
{
	struct sockaddr_un address;
	gid_t gid;
	int fd, err;

	err = make_address(settings->socket, &address, why);
	if (!err)
		err = find_group(settings->group, &gid, why);
	if (!err)
		err = clear_path(&address, why);
	if (err)
		return err;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return fail(why, "no socket", errno);
	err = bind_path(fd, &address, why);
	if (err)
		goto close_fd;
	err = open_up(fd, address.sun_path, (mode_t)settings->mode, gid, why);
	if (err)
		goto remove;
	*fdp = fd;
	return 0;
remove:
	unlink(address.sun_path);
close_fd:
	close(fd);
	return err;
}
