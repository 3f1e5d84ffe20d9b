/* The files of a directory, and nothing that is not in it. */
#pragma once

#include "web/http.h"

/** The directory.  Zeroed but for fd = -1: none. */
struct web_files {
	int fd;
};

/** @return 0, or what the system says */
int web_files_open(struct web_files *files, const char *root);
void web_files_close(struct web_files *files);

/** Answer a request by the file that its path names; a directory has its index.html. */
void web_files_answer(const struct web_files *files, struct http_conn *conn,
    const struct http_request *request);
