/*
 * Paths: the value of To-Path, From-Path and Use-Path, and of SDP's a=path.
 * RFC 4975 section 9: URIs with one space between them.  Nothing else is taken: not
 * two spaces, not tabs, not a space at either end (header values come trimmed).
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include <msrpd/slice.h>

#include "wire/uri.h"

struct buffer;

enum { MSRP_PATH_MAX = 4096 }; /* bytes of one that we write */

/**
 * Parse the next URI of a path and move behind it.
 *
 * @param rest  starts as the whole path; absent when the last URI has been taken
 * @param uri   filled with a view of the path
 * @return 1 with a URI, 0 at the end, -EBADMSG
 */
int msrp_path_next(struct slice *rest, struct msrp_uri *uri);

/** @return how many URIs path has, at least 1, or -EBADMSG if it is not a path */
ssize_t msrp_path_count(struct slice path);

/** Is it a path that we can write, and does what stands last name a session (RFC 4975 8.2)? */
bool msrp_path_names_session(struct slice path);

/* The rest is for paths that msrp_path_count() or msrp_frame_check() has found good. */

/** The text of the first URI. */
struct slice msrp_path_first(struct slice path);

/** The text of the last URI. */
struct slice msrp_path_last(struct slice path);

/** All but the first URI; absent if there was only one. */
struct slice msrp_path_rest(struct slice path);

/** Write the URIs in reverse order, verbatim: a Use-Path becomes an a=path (RFC 4976 5.1). */
void msrp_path_write_reversed(struct buffer *w, struct slice path);

/** Write a, a space, and b; an absent or empty one is left out together with the space. */
void msrp_path_write_joined(struct buffer *w, struct slice a, struct slice b);
