#include "msrpctl/top.h"

#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include <jansson.h>

#include "msrpctl/connection.h"
#include "msrpctl/request.h"
#include "msrpctl/terminal.h"
#include "msrpctl/text.h"

enum { PERIOD_MS = 1000, LISTED_MAX = 10, NAME_COLUMNS = 32 };

static struct termios before;
static volatile sig_atomic_t interrupted;

/* --- the terminal --- */

static void restore(void)
{
	tcsetattr(STDIN_FILENO, TCSANOW, &before);
	fputs("\033[?25h\033[?1049l", stdout);
	fflush(stdout);
}

static void on_signal(int number)
{
	(void)number;
	interrupted = 1;
}

static bool take_terminal(void)
{
	struct termios raw;

	if (!isatty(STDOUT_FILENO) || tcgetattr(STDIN_FILENO, &before) < 0)
		return false;
	raw = before;
	raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	tcsetattr(STDIN_FILENO, TCSANOW, &raw);
	fputs("\033[?1049h\033[?25l", stdout);
	atexit(restore);
	signal(SIGINT, on_signal);
	signal(SIGTERM, on_signal);
	return true;
}

/* @return is it time to end? */
static bool wait_for_key(void)
{
	struct pollfd key = {.fd = STDIN_FILENO, .events = POLLIN};
	char c = 0;

	if (poll(&key, 1, PERIOD_MS) > 0 && read(STDIN_FILENO, &c, 1) <= 0)
		return true;
	return interrupted || c == 'q';
}

/* --- what is shown --- */

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void put_line(const char *text, size_t *left)
{
	size_t width = terminal_width();

	if (*left == 0)
		return;
	fwrite(text, 1, width ? bytes_of_columns(text, width) : strlen(text), stdout);
	puts(terminal_width() ? "\033[K" : "");
	(*left)--;
}

static void put_status(const json_t *status, size_t *left)
{
	struct text text = {0};
	const char *service;
	json_t *count;

	text_adds(&text, "msrpd ");
	text_add_value(&text, json_object_get(status, "version"));
	text_adds(&text, "  up ");
	text_add_value(&text, json_object_get(status, "uptime"));
	text_adds(&text, " s  connections ");
	text_add_value(&text, json_object_get(status, "connections"));
	text_adds(&text, "  sessions:");
	json_object_foreach(json_object_get(status, "sessions"), service, count)
	{
		text_adds(&text, " ");
		text_adds(&text, service);
		text_adds(&text, " ");
		text_add_value(&text, count);
	}
	put_line(text.p, left);
	put_line("", left);
	free(text.p);
}

/* Those that are not 0, with what they have grown by in a second. */
static void put_numbers(const json_t *numbers, const json_t *old, double seconds, size_t *left)
{
	const char *name;
	json_t *value;
	char line[128];

	snprintf(line, sizeof(line), "%-*s %15s %12s", NAME_COLUMNS, "NUMBER", "NOW", "A SECOND");
	fputs(colour(BOLD), stdout);
	put_line(line, left);
	fputs(colour(PLAIN), stdout);
	json_object_foreach((json_t *)(uintptr_t)numbers, name, value)
	{
		json_int_t number = json_integer_value(value);
		double grown = (double)(number - json_integer_value(json_object_get(old, name)));

		if (number == 0)
			continue;
		snprintf(line, sizeof(line), "%-*s %15lld %12.1f", NAME_COLUMNS, name,
		    (long long)number, old && seconds > 0 ? grown / seconds : 0.0);
		put_line(line, left);
	}
	put_line("", left);
}

/* The first of a list, some of their members each. */
static void put_list(const json_t *list, const char *title, const char *const *keys, size_t *left)
{
	json_t *item;
	size_t i;
	char head[64];

	if (json_array_size(list) == 0)
		return;
	snprintf(head, sizeof(head), "%s: %zu", title, json_array_size(list));
	fputs(colour(BOLD), stdout);
	put_line(head, left);
	fputs(colour(PLAIN), stdout);
	json_array_foreach(list, i, item)
	{
		struct text text = {0};

		if (i == LISTED_MAX)
			break;
		for (const char *const *key = keys; *key; key++) {
			const json_t *value = json_object_get(item, *key);

			text_adds(&text, "  ");
			if (strcmp(*key, "participants") == 0) {
				char count[32];

				snprintf(count, sizeof(count), "%zu here", json_array_size(value));
				text_adds(&text, count);
			} else {
				text_add_value(&text, value);
			}
		}
		put_line(text.p, left);
		free(text.p);
	}
	put_line("", left);
}

static const char *const session_keys[] = {"session_id", "state", "from_uri", "to_uri", NULL};
static const char *const gateway_keys[] = {"key", "queued", "msrp_ua_session_id", NULL};
static const char *const room_keys[] = {"room", "participants", "subject", NULL};

/* @return the numbers, for the next time */
static json_t *draw(FILE *stream, json_t *old, double seconds)
{
	json_t *status = call(stream, "status", NULL);
	json_t *numbers = call(stream, "get_statistics", NULL);
	json_t *sessions = call(stream, "msrp_ua_list_sessions", NULL);
	json_t *gateway = call(stream, "msrp_gw_list_sessions", NULL);
	json_t *rooms = call(stream, "msrp_conf_list", NULL);
	size_t height = terminal_height(), left = height ? height - 1 : SIZE_MAX;

	if (height)
		fputs("\033[H", stdout);
	put_status(status, &left);
	put_list(sessions, "SESSIONS", session_keys, &left);
	put_list(gateway, "GATEWAY", gateway_keys, &left);
	put_list(rooms, "ROOMS", room_keys, &left);
	put_numbers(numbers, old, seconds, &left);
	if (height)
		fputs("\033[J", stdout);
	fflush(stdout);
	json_decref(status);
	json_decref(sessions);
	json_decref(gateway);
	json_decref(rooms);
	json_decref(old);
	return numbers;
}

int top(const struct options *options)
{
	FILE *stream = connect_to(options->socket);
	bool live = take_terminal();
	double last = now(), this;
	json_t *numbers = draw(stream, NULL, 0);

	while (live && !wait_for_key()) {
		this = now();
		numbers = draw(stream, numbers, this - last);
		last = this;
	}
	json_decref(numbers);
	fclose(stream);
	return EXIT_RESULT;
}
