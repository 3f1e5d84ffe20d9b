/* The connection to msrpd: a line a value. */
#pragma once

#include <stdio.h>
#include <time.h>

#include <jansson.h>

enum { ANSWER_SECONDS = 30 };

/** Fatal, with what can be done about it, where nobody answers. */
FILE *connect_to(const char *path);

/** The same, and NULL with a sentence to be freed. */
FILE *try_to_connect(const char *path, char **whyp);

/** For read_line(); 0: for ever. */
void set_time_limit(FILE *stream, time_t seconds);

/** Takes request. */
void send_request(FILE *stream, json_t *request);

/** The next object; fatal when there is none. */
json_t *read_line(FILE *stream);

/** What a method answers, for a caller of ours.  @return the result, or NULL: an error */
json_t *call(FILE *stream, const char *method, json_t *params);
