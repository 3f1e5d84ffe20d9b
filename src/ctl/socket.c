#include "ctl/priv.h"

#include <errno.h>
#include <grp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { LISTEN_BACKLOG = 64 };

static int make_address(const char *path, struct sockaddr_un *address, struct reason *why)
{
	size_t len = strlen(path);

	*address = (struct sockaddr_un){.sun_family = AF_UNIX};
	if (path[0] != '/')
		return reason_set(why, -EINVAL, "is not an absolute path");
	if (len >= sizeof(address->sun_path))
		return reason_set(why, -ENAMETOOLONG, "is longer than 107 bytes");
	memcpy(address->sun_path, path, len);
	return 0;
}

static int find_group(const char *name, gid_t *gidp, struct reason *why)
{
	const struct group *group;

	*gidp = (gid_t)-1;
	if (!name)
		return 0;
	group = getgrnam(name);
	if (!group)
		return reason_set(why, -ENOENT, "there is no such group");
	*gidp = group->gr_gid;
	return 0;
}

int ctl_socket_check_path(const void *value, struct reason *why)
{
	struct sockaddr_un address;

	return make_address(*(char *const *)value, &address, why);
}

/* A socket that refuses connections is what a killed daemon has left behind. */
static int clear_path(const struct sockaddr_un *address, struct reason *why)
{
	struct stat st;
	int fd, err;

	if (lstat(address->sun_path, &st) < 0)
		return errno == ENOENT ? 0
				       : reason_set(why, -errno, "the socket cannot be reached");
	if (!S_ISSOCK(st.st_mode))
		return reason_set(why, -EEXIST, "there is something else than a socket");
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return reason_set(why, -errno, "no socket");
	err = connect(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 ? errno : 0;
	close(fd);
	if (err == ENOENT)
		return 0;
	if (err != ECONNREFUSED)
		return reason_set(why, -EADDRINUSE, "another process listens there");
	return unlink(address->sun_path) < 0 && errno != ENOENT
	    ? reason_set(why, -errno, "the socket of a daemon that is gone cannot be removed")
	    : 0;
}

static int bind_path(int fd, const struct sockaddr_un *address, struct reason *why)
{
	mode_t mask = umask(0777);
	int err = bind(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 ? errno : 0;

	umask(mask);
	if (err == ENOENT)
		return reason_set(why, -err, "its directory does not exist");
	if (err == EACCES)
		return reason_set(why, -err, "its directory is not writable");
	return err ? reason_set(why, -err, "the socket cannot be made") : 0;
}

/* In this order nobody comes in who may not: nobody can connect before listen(). */
static int open_up(int fd, const char *path, mode_t mode, gid_t gid, struct reason *why)
{
	if (gid != (gid_t)-1 && lchown(path, (uid_t)-1, gid) < 0)
		return reason_set(why, -errno, "the socket cannot be given to its group");
	if (chmod(path, mode) < 0)
		return reason_set(why, -errno, "the mode of the socket cannot be set");
	if (listen(fd, LISTEN_BACKLOG) < 0)
		return reason_set(why, -errno, "the socket cannot listen");
	return 0;
}

int ctl_socket_open(const struct ctl_settings *settings, int *fdp, struct reason *why)
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
		return reason_set(why, -errno, "no socket");
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
