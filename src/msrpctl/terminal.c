#include "msrpctl/terminal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static struct winsize size_of_terminal(void)
{
	struct winsize size = {0};

	if (isatty(STDOUT_FILENO) && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0)
		size = (struct winsize){0};
	return size;
}

size_t terminal_width(void)
{
	return size_of_terminal().ws_col;
}

size_t terminal_height(void)
{
	return size_of_terminal().ws_row;
}

static bool has_colours(void)
{
	static int known = -1;
	const char *off = getenv("NO_COLOR"), *term = getenv("TERM");

	if (known < 0)
		known =
		    isatty(STDOUT_FILENO) && !(off && *off) && term && strcmp(term, "dumb") != 0;
	return known;
}

const char *colour(enum colour which)
{
	static const char *const sequences[] = {[PLAIN] = "\033[0m",
	    [BOLD] = "\033[1m",
	    [DIM] = "\033[2m",
	    [RED] = "\033[31m",
	    [GREEN] = "\033[32m",
	    [YELLOW] = "\033[33m",
	    [BLUE] = "\033[34m",
	    [CYAN] = "\033[36m"};

	return has_colours() ? sequences[which] : "";
}
