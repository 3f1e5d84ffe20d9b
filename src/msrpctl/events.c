#include "msrpctl/events.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "msrpctl/connection.h"
#include "msrpctl/request.h"
#include "msrpctl/table.h"
#include "msrpctl/terminal.h"
#include "msrpctl/text.h"

static bool wants_quotes(const char *s)
{
	if (!*s || strcmp(s, "null") == 0)
		return true;
	for (; *s; s++)
		if (*s <= ' ' || *s >= 0x7f || strchr("\"=\\", *s))
			return true;
	return false;
}

static void add_quoted(struct text *text, const char *s)
{
	struct text inner = {0};

	/* Quotes and backslashes first, so that an escape stays one backslash. */
	text_adds(&inner, "");
	for (; *s; s++) {
		if (*s == '"' || *s == '\\')
			text_adds(&inner, "\\");
		text_add(&inner, s, 1);
	}
	text_adds(text, "\"");
	text_add_safe(text, inner.p);
	text_adds(text, "\"");
	free(inner.p);
}

static void add_param(struct text *text, const char *key, const json_t *value)
{
	text_adds(text, " ");
	text_adds(text, colour(DIM));
	text_add_safe(text, key);
	text_adds(text, "=");
	text_adds(text, colour(PLAIN));
	if (json_is_null(value))
		text_adds(text, "null");
	else if (json_is_string(value) && wants_quotes(json_string_value(value)))
		add_quoted(text, json_string_value(value));
	else
		text_add_value(text, value);
}

static enum colour colour_of(const char *name)
{
	static const struct {
		const char *end;
		enum colour colour;
	} ends[] = {{"_FAILED", RED}, {"_END", YELLOW}, {"_LEAVE", YELLOW}, {"_NEW", GREEN},
	    {"_JOIN", GREEN}};
	size_t len = strlen(name);

	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		size_t n = strlen(ends[i].end);

		if (len > n && strcmp(name + len - n, ends[i].end) == 0)
			return ends[i].colour;
	}
	return CYAN;
}

/* People see when it was. */
static void add_time(struct text *text)
{
	time_t now = time(NULL);
	struct tm tm;
	char when[16];

	localtime_r(&now, &tm);
	strftime(when, sizeof(when), "%H:%M:%S ", &tm);
	text_adds(text, colour(DIM));
	text_adds(text, when);
	text_adds(text, colour(PLAIN));
}

/* In the form of the daemon's log; on a terminal with time and colours. */
static void print_event(const struct options *options, json_t *event)
{
	struct text text = {0}, name = {0};
	const char *key;
	json_t *value;

	if (options->json) {
		print_json(event);
		return;
	}
	if (isatty(STDOUT_FILENO))
		add_time(&text);
	text_add_value(&name, json_object_get(event, "method"));
	text_adds(&text, colour(colour_of(name.p)));
	text_adds(&text, name.p);
	text_adds(&text, colour(PLAIN));
	json_object_foreach(json_object_get(event, "params"), key, value)
	    add_param(&text, key, value);
	puts(text.p);
	free(name.p);
	free(text.p);
}

static void on_interrupt(int signal_number)
{
	(void)signal_number;
	_exit(EXIT_RESULT);
}

static json_t *names_param(char **names)
{
	json_t *params, *list;

	if (!*names)
		return NULL;
	params = must(json_object());
	list = must(json_array());
	for (; *names; names++)
		json_array_append_new(list, string_of(*names));
	json_object_set_new(params, "names", list);
	return params;
}

int follow_events(FILE *stream, const struct options *options, char **names)
{
	int status =
	    ask(stream, options, make_request("event_subscribe", names_param(names)), false);

	if (status)
		return status;
	signal(SIGINT, on_interrupt);
	signal(SIGTERM, on_interrupt);
	set_time_limit(stream, 0);
	for (;;) {
		json_t *event = read_line(stream);

		print_event(options, event);
		/* Whoever reads this through a pipe wants it now. */
		if (fflush(stdout) != 0)
			die("standard output", strerror(errno));
		json_decref(event);
	}
}
