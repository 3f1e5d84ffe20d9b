/* Results for people: tables that fit the terminal, and as they are elsewhere. */
#pragma once

#include <stdbool.h>
#include <stdio.h>

#include <jansson.h>

#include "msrpctl/msrpctl.h"

void print_json(const json_t *value);
void print_result(const struct options *options, json_t *result);
/**
 * Ask one thing; takes request.
 * @param show  print the result; an error is printed anyway
 * @return exit status
 */
int ask(FILE *stream, const struct options *options, json_t *request, bool show);

/** @return EXIT_ERROR */
int print_error(const struct options *options, const json_t *error);
