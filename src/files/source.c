/*
 * The file that an order names: it lies below a directory that files may be sent from, links
 * followed, or is nobody's to send.  What is judged is a name without links, and what is opened is
 * that name and no link: who swaps something in between, gets nothing opened.
 */
#include "files/priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* @return is it?  Then root_len is set. */
static bool is_below(struct source *source, const char *directory)
{
	char root[PATH_MAX];
	size_t len;

	if (!realpath(directory, root))
		return false;
	len = strcmp(root, "/") == 0 ? 0 : strlen(root);
	if (strncmp(source->path, root, len) != 0 || source->path[len] != '/')
		return false;
	source->root_len = len;
	return true;
}

const char *source_find(struct source *source, struct slice path, const struct ua_files *settings)
{
	char text[PATH_MAX];
	bool allowed;

	if (path.len == 0 || path.p[0] != '/')
		return "path does not begin with /";
	if (path.len >= sizeof(text))
		return strerror(ENAMETOOLONG);
	memcpy(text, path.p, path.len);
	text[path.len] = '\0';
	if (!realpath(text, source->path))
		return strerror(errno);
	allowed = is_below(source, settings->directory);
	for (size_t i = 0; !allowed && i < settings->send_from.count; i++)
		allowed = is_below(source, ((char *const *)settings->send_from.items)[i]);
	return allowed ? NULL : "not below ua.files.directory or a directory of ua.files.send_from";
}

/* The next name below a directory, which is closed. */
static int step(int directory, const char *name, bool last)
{
	/* A pipe or a device could make us wait. */
	int flags = last ? O_RDONLY | O_NONBLOCK | O_NOCTTY : O_PATH | O_DIRECTORY;
	int fd = openat(directory, name, flags | O_NOFOLLOW | O_CLOEXEC), err = errno;

	close(directory);
	if (fd < 0)
		return -err;
	return fd;
}

int source_open(const struct source *source)
{
	char path[PATH_MAX], *name = path + source->root_len + 1, *slash;
	int fd;

	memcpy(path, source->path, strlen(source->path) + 1);
	path[source->root_len] = '\0';
	fd = open(source->root_len ? path : "/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	while (fd >= 0 && (slash = strchr(name, '/'))) {
		*slash = '\0';
		fd = step(fd, name, false);
		name = slash + 1;
	}
	return fd < 0 ? fd : step(fd, name, true);
}
