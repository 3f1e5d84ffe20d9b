/* A file on its way: one connection to msrpd begins it, another brings the events. */
#include "msrpctl/send_file.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "msrpctl/connection.h"
#include "msrpctl/lines.h"
#include "msrpctl/request.h"
#include "msrpctl/table.h"
#include "msrpctl/terminal.h"
#include "msrpctl/text.h"

static const char usage[] = "wants URI|SESSION PATH [from=URI] [mime=TYPE] [name=NAME]";

static struct {
	const char *session;
	double began;
	bool over;
	int status;
} here;

static volatile sig_atomic_t interrupted;

static void on_interrupt(int number)
{
	(void)number;
	interrupted = 1;
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* --- what is shown --- */

static void show_size(char text[16], double bytes)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
	size_t unit = 0;

	for (; bytes >= 1024 && unit < 4; unit++)
		bytes /= 1024;
	snprintf(text, 16, "%.*f %s", unit ? 1 : 0, bytes, units[unit]);
}

static void show_progress(double bytes, double size)
{
	size_t width = terminal_width(), full, i;
	char done[16], speed[16];
	double took = now() - here.began;

	if (!width) {
		printf("%.0f of %.0f bytes\n", bytes, size);
		return;
	}
	show_size(done, bytes);
	show_size(speed, took > 0 ? bytes / took : 0);
	width = width > 50 ? width - 40 : 10;
	full = size > 0 ? (size_t)((double)width * bytes / size) : 0;
	printf("\r\033[K[%s", colour(GREEN));
	for (i = 0; i < width; i++)
		putchar(i < full ? '#' : ' ');
	printf("%s] %3.0f %%  %s  %s/s", colour(PLAIN), size > 0 ? 100 * bytes / size : 0, done,
	    speed);
}

static void clear_line(void)
{
	if (terminal_width())
		printf("\r\033[K");
}

static const char *string(const json_t *object, const char *key)
{
	const char *s = json_string_value(json_object_get(object, key));

	return s ? s : "";
}

/* --- events --- */

static void on_sent(const json_t *params)
{
	struct text line = {0};

	text_adds(&line, "sent ");
	text_add_safe(&line, string(params, "name"));
	text_adds(&line, ", ");
	text_add_value(&line, json_object_get(params, "size"));
	text_adds(&line, " bytes, SHA-256 ");
	text_add_safe(&line, string(params, "sha256"));
	puts(line.p);
	free(line.p);
	here.status = EXIT_RESULT;
}

static void on_failed(const json_t *params)
{
	struct text line = {0};

	text_add_safe(&line, string(params, "reason"));
	fprintf(stderr, "msrpctl: not sent: %s\n", line.p);
	free(line.p);
	here.status = EXIT_ERROR;
}

static void on_event(const char *line)
{
	json_t *event = json_loads(line, 0, NULL);
	const json_t *params = json_object_get(event, "params");
	const char *name = string(event, "method");

	if (strcmp(string(params, "session_id"), here.session) != 0) {
		json_decref(event);
		return;
	}
	if (strcmp(name, "E_MSRP_FILE_PROGRESS") == 0) {
		show_progress((double)json_integer_value(json_object_get(params, "bytes")),
		    (double)json_integer_value(json_object_get(params, "size")));
	} else {
		here.over = true;
		clear_line();
		fflush(stdout);
		if (strcmp(name, "E_MSRP_FILE_SENT") == 0)
			on_sent(params);
		else
			on_failed(params);
	}
	fflush(stdout);
	json_decref(event);
}

/* --- beginning and end --- */

static json_t *make_order(char **args)
{
	json_t *params = must(json_object());
	char *real, *own = NULL;
	bool has_from = false;

	if (!args[0] || !args[1])
		die("send-file", usage);
	/* Where we are is not where msrpd is. */
	real = realpath(args[1], NULL);
	if (!real && args[1][0] != '/')
		die(args[1], strerror(errno));
	json_object_set_new(params, "path", string_of(real ? real : args[1]));
	free(real);
	for (char **arg = args + 2; *arg; arg++) {
		if (strncmp(*arg, "from=", 5) == 0) {
			has_from = true;
			json_object_set_new(params, "from_uri", string_of(*arg + 5));
		} else if (strncmp(*arg, "mime=", 5) == 0) {
			json_object_set_new(params, "mime", string_of(*arg + 5));
		} else if (strncmp(*arg, "name=", 5) == 0) {
			json_object_set_new(params, "name", string_of(*arg + 5));
		} else {
			die(*arg, usage);
		}
	}
	if (!strchr(args[0], ':')) {
		json_object_set_new(params, "session_id", string_of(args[0]));
		return params;
	}
	if (!has_from) {
		own = own_uri();
		json_object_set_new(params, "from_uri", string_of(own));
		free(own);
	}
	json_object_set_new(params, "to_uri", string_of(args[0]));
	json_object_set_new(params, "ruri", string_of(args[0]));
	return params;
}

static json_t *wanted_events(void)
{
	return must(json_pack("{s:[s,s,s]}", "names", "E_MSRP_FILE_PROGRESS", "E_MSRP_FILE_SENT",
	    "E_MSRP_FILE_FAILED"));
}

/* msrpd tells of the end as of any other. */
static void cancel(FILE *calls)
{
	json_t *params = must(json_object());

	interrupted = 0;
	json_object_set_new(params, "session_id", string_of(here.session));
	json_decref(call(calls, "msrp_ua_end_session", params));
}

static void follow(FILE *calls, struct lines *incoming)
{
	struct pollfd fd = {.fd = incoming->fd, .events = POLLIN};
	char *line;

	while (!here.over) {
		if (poll(&fd, 1, -1) > 0)
			lines_read(incoming);
		if (interrupted)
			cancel(calls);
		while (!here.over && (line = lines_next(incoming))) {
			on_event(line);
			free(line);
		}
		if (incoming->over && !here.over)
			die("msrpd", "is gone");
	}
}

int send_file(const struct options *options, char **args)
{
	const struct sigaction action = {.sa_handler = on_interrupt};
	json_t *order = make_order(args), *answer, *error;
	FILE *events = connect_to(options->socket), *calls;
	struct lines incoming = {0};
	int status = ask(events, options, make_request("event_subscribe", wanted_events()), false);

	if (status) {
		json_decref(order);
		fclose(events);
		return status;
	}
	incoming.fd = fileno(events);
	calls = connect_to(options->socket);
	set_time_limit(calls, ANSWER_SECONDS);
	send_request(calls, make_request("msrp_ua_send_file", order));
	answer = read_line(calls);
	error = json_object_get(answer, "error");
	if (error) {
		status = print_error(options, error);
	} else {
		here.session = string(json_object_get(answer, "result"), "session_id");
		here.began = now();
		sigaction(SIGINT, &action, NULL);
		sigaction(SIGTERM, &action, NULL);
		follow(calls, &incoming);
		status = here.status;
	}
	json_decref(answer);
	free(incoming.text.p);
	fclose(calls);
	fclose(events);
	return status;
}
