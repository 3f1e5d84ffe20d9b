#include "msrpctl/table.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "msrpctl/connection.h"
#include "msrpctl/terminal.h"
#include "msrpctl/text.h"

/* The members of an object inside are named parent.child. */
static void flatten(json_t *flat, const char *prefix, json_t *object)
{
	const char *key;
	json_t *value;

	json_object_foreach(object, key, value)
	{
		struct text name = {0};

		if (json_is_object(value) && !*prefix) {
			flatten(flat, key, value);
			continue;
		}
		text_add_safe(&name, prefix);
		text_adds(&name, *prefix ? "." : "");
		text_add_safe(&name, key);
		json_object_set(flat, name.p, value);
		free(name.p);
	}
}

static void put_padded(const char *s, size_t width)
{
	size_t used = columns(s);

	fputs(s, stdout);
	while (used++ < width)
		putchar(' ');
}

/* Key and value a line. */
static void print_object(json_t *object)
{
	json_t *flat = must(json_object()), *value;
	const char *key;
	size_t width = 0;

	flatten(flat, "", object);
	json_object_foreach(flat, key, value) if (columns(key) > width) width = columns(key);
	json_object_foreach(flat, key, value)
	{
		char *s = cell(value);

		fputs(colour(BOLD), stdout);
		put_padded(key, width + 2);
		fputs(colour(PLAIN), stdout);
		puts(s);
		free(s);
	}
	json_decref(flat);
}

/* The keys of all objects of a list, in the order of their first appearance. */
static json_t *collect_keys(const json_t *list)
{
	json_t *keys = must(json_object()), *object, *value;
	const char *key;
	size_t i;

	json_array_foreach(list, i, object)
	    json_object_foreach(object, key, value) if (!json_object_get(keys, key))
		json_object_set_new(keys, key, json_integer((json_int_t)columns(key)));
	return keys;
}

enum {
	COLUMN_GAP = 2,
	COLUMN_MIN = 8, /* narrower none is made */
};

/* Widths of the columns: keys maps each to the widest of its cells. */
static void measure(const json_t *list, json_t *keys)
{
	json_t *object, *width;
	const char *key;
	size_t i;

	json_array_foreach(list, i, object)
	{
		json_object_foreach(keys, key, width)
		{
			char *s = cell(json_object_get(object, key));
			json_int_t used = (json_int_t)columns(s);

			if (used > json_integer_value(width))
				json_integer_set(width, used);
			free(s);
		}
	}
}

/*
 * Make the widest columns narrower, until all fit the terminal or are narrow.
 * @return do they fit?
 */
static bool fit(json_t *keys)
{
	size_t room = terminal_width(), need = 0;
	json_t *width, *widest;
	const char *key;

	json_object_foreach(keys, key, width) need +=
	    (size_t)json_integer_value(width) + COLUMN_GAP;
	while (room && need > room + COLUMN_GAP) {
		widest = NULL;
		json_object_foreach(keys, key, width) if (!widest
		    || json_integer_value(width) > json_integer_value(widest)) widest = width;
		if (json_integer_value(widest) <= COLUMN_MIN)
			return false;
		json_integer_set(widest, json_integer_value(widest) - 1);
		need--;
	}
	return true;
}

/* What does not fit its column ends with an ellipsis. */
static void put_cell(const char *s, size_t width, bool last)
{
	size_t used = columns(s);

	if (used > width && terminal_width()) {
		fwrite(s, 1, bytes_of_columns(s, width - 1), stdout);
		fputs("\u2026", stdout);
		used = width;
	} else {
		fputs(s, stdout);
	}
	while (!last && used++ < width + COLUMN_GAP)
		putchar(' ');
}

/* One line of the table; without an object the headings. */
static void print_row(json_t *keys, const json_t *object)
{
	size_t left = json_object_size(keys);
	const char *key;
	json_t *width;

	fputs(object ? "" : colour(BOLD), stdout);

	json_object_foreach(keys, key, width)
	{
		struct text heading = {0};
		char *s;

		if (!object)
			text_add_safe(&heading, key);
		s = object ? cell(json_object_get(object, key)) : heading.p;
		put_cell(s, (size_t)json_integer_value(width), --left == 0);
		free(s);
	}
	puts(object ? "" : colour(PLAIN));
}

/* Too many columns for the terminal. */
static void print_one_by_one(const json_t *list)
{
	json_t *object;
	size_t i;

	json_array_foreach(list, i, object)
	{
		if (i)
			putchar('\n');
		print_object(object);
	}
}

static void print_table(const json_t *list)
{
	json_t *keys = collect_keys(list), *object;
	size_t i;

	measure(list, keys);
	if (fit(keys)) {
		print_row(keys, NULL);
		json_array_foreach(list, i, object) print_row(keys, object);
	} else {
		print_one_by_one(list);
	}
	json_decref(keys);
}

static void print_line(const json_t *value)
{
	char *s = cell(value);

	puts(s);
	free(s);
}

/* A list of objects. */
static bool is_table(const json_t *value)
{
	bool objects = json_array_size(value) > 0;
	json_t *item;
	size_t i;

	json_array_foreach(value, i, item) objects = objects && json_is_object(item);
	return objects;
}

static void print_list(const json_t *list)
{
	json_t *item;
	size_t i;

	if (is_table(list)) {
		print_table(list);
		return;
	}
	json_array_foreach(list, i, item) print_line(item);
}

/* Tables that are in it come behind the rest, each under its name. */
static void print_with_tables(json_t *object)
{
	json_t *rest = must(json_copy(object)), *value;
	const char *key;

	json_object_foreach(object, key, value) if (is_table(value)) json_object_del(rest, key);
	print_object(rest);
	json_object_foreach(object, key, value)
	{
		struct text heading = {0};

		if (!is_table(value))
			continue;
		text_add_safe(&heading, key);
		printf("\n%s%s%s\n", colour(BOLD), heading.p, colour(PLAIN));
		free(heading.p);
		print_table(value);
	}
	json_decref(rest);
}

void print_json(const json_t *value)
{
	struct text text = {0};

	text_add_json(&text, value);
	puts(text.p);
	free(text.p);
}

void print_result(const struct options *options, json_t *result)
{
	if (options->json)
		print_json(result);
	else if (json_is_object(result))
		print_with_tables(result);
	else if (json_is_array(result))
		print_list(result);
	else
		print_line(result);
}

int print_error(const struct options *options, const json_t *error)
{
	json_int_t code = json_integer_value(json_object_get(error, "code"));
	struct text message = {0};

	if (options->json) {
		print_json(error);
		return EXIT_ERROR;
	}
	text_add_value(&message, json_object_get(error, "message"));
	fprintf(stderr, "msrpctl: error %lld: %s\n", (long long)code, message.p);
	free(message.p);
	return EXIT_ERROR;
}

int ask(FILE *stream, const struct options *options, json_t *request, bool show)
{
	json_t *answer, *error;
	int status = EXIT_RESULT;

	set_time_limit(stream, ANSWER_SECONDS);
	send_request(stream, request);
	answer = read_line(stream);
	error = json_object_get(answer, "error");
	if (error)
		status = print_error(options, error);
	else if (show)
		print_result(options, json_object_get(answer, "result"));
	json_decref(answer);
	return status;
}
