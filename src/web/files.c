#include "web/files.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <msrpd/buffer.h>

enum {
	NAME_SIZE = 256, /* of one part of a path */
	DEPTH_MAX = 16,  /* of directories in each other */
};

static const struct {
	struct slice suffix;
	const char *type;
} types[] = {
    {{".html", 5}, "text/html; charset=utf-8"},
    {{".css", 4}, "text/css; charset=utf-8"},
    {{".js", 3}, "text/javascript; charset=utf-8"},
    {{".mjs", 4}, "text/javascript; charset=utf-8"},
    {{".json", 5}, "application/json"},
    {{".map", 4}, "application/json"},
    {{".webmanifest", 12}, "application/manifest+json"},
    {{".txt", 4}, "text/plain; charset=utf-8"},
    {{".md", 3}, "text/plain; charset=utf-8"},
    {{".svg", 4}, "image/svg+xml"},
    {{".png", 4}, "image/png"},
    {{".jpg", 4}, "image/jpeg"},
    {{".jpeg", 5}, "image/jpeg"},
    {{".gif", 4}, "image/gif"},
    {{".webp", 5}, "image/webp"},
    {{".ico", 4}, "image/x-icon"},
    {{".woff2", 6}, "font/woff2"},
    {{".wasm", 5}, "application/wasm"},
    {{".mp3", 4}, "audio/mpeg"},
    {{".ogg", 4}, "audio/ogg"},
};

static const char *type_of(struct slice path)
{
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		struct slice suffix = types[i].suffix;

		if (path.len > suffix.len
		    && slice_equal_nocase(slice_from(path, path.len - suffix.len), suffix))
			return types[i].type;
	}
	return "application/octet-stream";
}

int web_files_open(struct web_files *files, const char *root)
{
	files->fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return files->fd < 0 ? -errno : 0;
}

void web_files_close(struct web_files *files)
{
	if (files->fd >= 0)
		close(files->fd);
	files->fd = -1;
}

/* --- from a path to a file --- */

/* Hidden files are none of the page; with them go "." and "..". */
static bool is_name(struct slice part)
{
	return part.len && part.len < NAME_SIZE && part.p[0] != '.';
}

static int open_part(int at, struct slice part, int flags)
{
	char name[NAME_SIZE];

	snprintf(name, sizeof(name), "%.*s", SLICE_ARG(part));
	/* A pipe would have us wait for who writes it, a link could lead anywhere. */
	return openat(at, name, flags | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
}

/*
 * Part by part, so that each is a name in its directory and none a link.
 * @param path  "a/b.html"; "" and "a/" are directories
 * @return a descriptor with its stat, or -1
 */
static int open_path(const struct web_files *files, struct slice path, struct stat *st)
{
	int at = dup(files->fd), fd = -1;
	struct slice part;

	for (unsigned depth = 0; at >= 0 && path.p && depth < DEPTH_MAX; depth++) {
		slice_cut(&path, '/', &part);
		if (!path.p && part.len == 0) {
			fd = open_part(at, SLICE("index.html"), O_RDONLY);
			break;
		}
		if (!is_name(part))
			break;
		fd = open_part(at, part, O_RDONLY);
		if (fd < 0 || !path.p)
			break;
		close(at);
		at = fd; /* where this is no directory nothing is found in it */
		fd = -1;
	}
	if (at >= 0)
		close(at);
	if (fd < 0 || fstat(fd, st) == 0)
		return fd;
	close(fd);
	return -1;
}

/* --- the answer --- */

/* Is a tag among those of If-None-Match (RFC 9110 13.1.2)? */
static bool has_tag(struct slice list, struct slice tag)
{
	struct slice item;

	while (slice_cut(&list, ',', &item)) {
		item = slice_trim(item);
		if (slice_starts_nocase(item, SLICE("W/")))
			item = slice_from(item, 2);
		if (slice_equal(item, tag) || slice_equal(item, SLICE("*")))
			return true;
	}
	return false;
}

static void answer_file(struct http_conn *conn, const struct http_request *request, int fd,
    const struct stat *st)
{
	bool index = request->path.p[request->path.len - 1] == '/';
	char tag[80], headers[160];
	struct http_answer answer = {
	    .type = index ? types[0].type : type_of(request->path),
	    .headers = headers,
	};

	snprintf(tag, sizeof(tag), "\"%" PRIxMAX "-%" PRIxMAX ".%lx\"", (uintmax_t)st->st_size,
	    (uintmax_t)st->st_mtim.tv_sec, (unsigned long)st->st_mtim.tv_nsec);
	/* Always asked for again, for little: a new version is there at once. */
	snprintf(headers, sizeof(headers), "ETag: %s\r\nCache-Control: no-cache\r\n", tag);
	if (has_tag(request->if_none_match, slice_of(tag))) {
		close(fd);
		answer.type = NULL;
		http_answer(conn, 304, &answer);
	} else {
		http_answer_file(conn, fd, (uint64_t)st->st_size, &answer);
	}
}

/* "/a" is a directory, whose page is at "/a/" (its links are relative to that). */
static void redirect(struct http_conn *conn, const struct http_request *request)
{
	char headers[600];
	struct buffer w = BUFFER_ON(headers);

	for (size_t i = 0; i < request->path.len; i++)
		if (request->path.p[i] <= ' ' || request->path.p[i] >= 0x7f
		    || strchr("\\\"<>%?#", request->path.p[i])) {
			http_refuse(conn, 404, NULL);
			return;
		}
	buffer_printf(&w, "Location: %.*s/\r\n", SLICE_ARG(request->path));
	http_refuse(conn, w.err ? 404 : 301, w.err ? NULL : headers);
}

void web_files_answer(const struct web_files *files, struct http_conn *conn,
    const struct http_request *request)
{
	struct stat st = {0};
	int fd;

	if (!request->get) {
		http_refuse(conn, 405, "Allow: GET, HEAD\r\n");
		return;
	}
	fd = open_path(files, slice_from(request->path, 1), &st);
	if (fd >= 0 && S_ISREG(st.st_mode)) {
		answer_file(conn, request, fd, &st);
		return;
	}
	if (fd >= 0)
		close(fd);
	if (fd >= 0 && S_ISDIR(st.st_mode))
		redirect(conn, request);
	else
		http_refuse(conn, 404, NULL);
}
