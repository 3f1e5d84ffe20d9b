/* What standard output is: how wide, and with colours or without. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum colour { PLAIN, BOLD, DIM, RED, GREEN, YELLOW, BLUE, CYAN };

/** Columns of the terminal; 0: it is none, and nothing is to be cut. */
size_t terminal_width(void);
size_t terminal_height(void);

/**
 * The sequence that begins a colour, PLAIN ends it: empty where standard output is no terminal, or
 * NO_COLOR says so (no-color.org).
 */
const char *colour(enum colour which);
