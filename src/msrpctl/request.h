/* The command line as a request of JSON-RPC. */
#pragma once

#include <jansson.h>

json_t *string_of(const char *s);

/** All by name if the first is NAME=VALUE, else all by position; so too behind "--".  NULL: none */
json_t *make_params(char **args);

/** Takes params, which may be NULL. */
json_t *make_request(const char *method, json_t *params);

/** The URI of who types this, as long as nobody says another; to be freed. */
char *own_uri(void);
