#include "msrpctl/connection.h"

#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "msrpctl/msrpctl.h"
#include "msrpctl/request.h"
#include "msrpctl/text.h"

/* What somebody can do who may not connect. */
static void hint_permission(struct text *why, const char *path)
{
	struct group memory, *group = NULL;
	char names[4096];
	struct stat st;

	if (stat(path, &st) < 0
	    || getgrgid_r(st.st_gid, &memory, names, sizeof(names), &group) != 0)
		return;
	if (group && st.st_mode & S_IWGRP && geteuid() != st.st_uid) {
		text_adds(why, "; it is for group ");
		text_adds(why, group->gr_name);
		text_adds(why, ": run as a member of it, or by sudo");
	} else {
		text_adds(why, "; run by sudo");
	}
}

static void hint(struct text *why, const char *path, int err)
{
	if (err == ENOENT)
		text_adds(why,
		    "; is msrpd running, and is that its control.socket? "
		    "(systemctl status msrpd, msrpctl -s SOCKET)");
	else if (err == ECONNREFUSED)
		text_adds(why,
		    "; msrpd has ended without removing it (systemctl status msrpd, "
		    "journalctl -u msrpd)");
	else if (err == EACCES)
		hint_permission(why, path);
}

FILE *try_to_connect(const char *path, char **whyp)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), err = 0;
	struct text why = {0};

	if (fd < 0)
		die("socket", strerror(errno));
	if (strlen(path) >= sizeof(address.sun_path))
		die(path, "too long for the path of a socket");
	memcpy(address.sun_path, path, strlen(path));
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
		return must(fdopen(fd, "r"));
	err = errno;
	close(fd);
	text_adds(&why, strerror(err));
	hint(&why, path, err);
	*whyp = why.p;
	return NULL;
}

FILE *connect_to(const char *path)
{
	char *why;
	FILE *stream = try_to_connect(path, &why);

	if (!stream)
		die(path, why);
	return stream;
}

void set_time_limit(FILE *stream, time_t seconds)
{
	struct timeval limit = {.tv_sec = seconds};

	setsockopt(fileno(stream), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
}

void send_request(FILE *stream, json_t *request)
{
	char *line = must(json_dumps(request, JSON_COMPACT));
	size_t len = strlen(line), sent = 0;

	line[len++] = '\n'; /* in place of the NUL */
	while (sent < len) {
		ssize_t n = send(fileno(stream), line + sent, len - sent, MSG_NOSIGNAL);

		if (n < 0 && errno != EINTR)
			die("msrpd", strerror(errno));
		sent += n > 0 ? (size_t)n : 0;
	}
	free(line);
	json_decref(request);
}

json_t *read_line(FILE *stream)
{
	static char *line;
	static size_t size;
	json_t *value;
	ssize_t n;

	errno = 0;
	n = getline(&line, &size, stream);
	if (n <= 0)
		die("msrpd",
		    errno == EAGAIN ? "no answer"
			: errno     ? strerror(errno)
				    : "closed the connection");
	value = json_loadb(line, (size_t)n, 0, NULL);
	if (!json_is_object(value))
		die("msrpd", "answers with something else than JSON-RPC");
	return value;
}

json_t *call(FILE *stream, const char *method, json_t *params)
{
	json_t *answer, *result;

	set_time_limit(stream, ANSWER_SECONDS);
	send_request(stream, make_request(method, params));
	/* Events that the connection has subscribed to are not it. */
	while (!json_object_get(answer = read_line(stream), "id"))
		json_decref(answer);
	result = json_incref(json_object_get(answer, "result"));
	json_decref(answer);
	return result;
}
