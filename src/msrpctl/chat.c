/*
 * A conversation in a terminal: with whoever has that URI, in a session that is there, or in a
 * room.  One connection to msrpd brings events, another takes what is typed.
 */
#include "msrpctl/chat.h"

#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <editline/readline.h>

#include "msrpctl/connection.h"
#include "msrpctl/lines.h"
#include "msrpctl/request.h"
#include "msrpctl/table.h"
#include "msrpctl/terminal.h"
#include "msrpctl/text.h"

#define TYPES "text/plain message/cpim application/im-iscomposing+xml"

static struct {
	const struct options *options;
	FILE *calls, *events;
	struct lines incoming, typed;
	char *session, *room; /* one of them */
	bool editing;         /* standard input is a terminal */
	bool open, over;
	int status;
} here;

/* --- what is shown --- */

/* Above the line that is being typed. */
static void show(enum colour which, const char *who, const char *text)
{
	struct text line = {0};

	text_adds(&line, colour(which));
	text_add_safe(&line, who);
	text_adds(&line, colour(PLAIN));
	text_adds(&line, *who ? ": " : "");
	text_add_safe(&line, text);
	printf("%s%s\n", here.editing ? "\r\033[K" : "", line.p);
	fflush(stdout);
	free(line.p);
	if (here.editing && !here.over)
		rl_forced_update_display();
}

static void note(enum colour which, const char *what, const char *detail)
{
	struct text line = {0};

	text_adds(&line, what);
	text_adds(&line, detail && *detail ? ": " : "");
	text_adds(&line, detail ? detail : "");
	show(which, "*", line.p);
	free(line.p);
}

static const char *string(const json_t *object, const char *key)
{
	const char *s = json_string_value(json_object_get(object, key));

	return s ? s : "";
}

/* What is within message/cpim: behind its headers and those of the content. */
static const char *within_cpim(const char *body)
{
	for (int i = 0; i < 2; i++) {
		const char *end = strstr(body, "\r\n\r\n");

		if (!end)
			return body;
		body = end + 4;
	}
	return body;
}

static void show_body(const char *who, const json_t *params)
{
	const char *type = string(params, "content_type"), *body = string(params, "body");

	if (strncmp(type, "application/im-iscomposing", 26) == 0)
		note(DIM, strstr(body, ">active<") ? "typing" : "not typing any more", NULL);
	else if (strncmp(type, "message/cpim", 12) == 0)
		show(CYAN, who, within_cpim(body));
	else if (strncmp(type, "text/", 5) == 0)
		show(CYAN, who, body);
	else
		note(DIM, "a message that is no text", type);
}

/* --- events --- */

static void finish(int status)
{
	here.over = true;
	here.status = status;
}

static void on_report(const json_t *params)
{
	const char *status = string(params, "status");

	if (strncmp(status, "000 200", 7) == 0)
		note(DIM, "delivered", NULL);
	else
		note(RED, "not delivered", status);
}

static void on_session_event(const char *name, const json_t *params)
{
	struct text why = {0};

	if (strcmp(name, "E_MSRP_SESSION_NEW") == 0) {
		here.open = true;
		note(GREEN, "connected", NULL);
	} else if (strcmp(name, "E_MSRP_SESSION_END") == 0) {
		note(YELLOW, "ended", string(params, "reason"));
		finish(EXIT_RESULT);
	} else if (strcmp(name, "E_MSRP_SESSION_FAILED") == 0) {
		text_add_value(&why, json_object_get(params, "code"));
		text_adds(&why, " ");
		text_add_value(&why, json_object_get(params, "reason"));
		note(RED, "failed", why.p);
		free(why.p);
		finish(EXIT_ERROR);
	} else if (strcmp(name, "E_MSRP_MSG_RECEIVED") == 0) {
		show_body("peer", params);
	} else if (strcmp(name, "E_MSRP_REPORT_RECEIVED") == 0) {
		on_report(params);
	}
}

static void on_room_event(const char *name, const json_t *params)
{
	if (strcmp(name, "E_MSRP_CONF_MESSAGE") == 0) {
		if (strcmp(string(params, "from"), here.room) != 0)
			show_body(string(params, "from"), params);
	} else if (strcmp(name, "E_MSRP_CONF_JOIN") == 0) {
		note(GREEN, "joined", string(params, "participant"));
	} else if (strcmp(name, "E_MSRP_CONF_LEAVE") == 0) {
		note(YELLOW, "left", string(params, "participant"));
	} else if (strcmp(name, "E_MSRP_CONF_NICKNAME") == 0) {
		note(DIM, string(params, "participant"), string(params, "nickname"));
	} else if (strcmp(name, "E_MSRP_CONF_END") == 0) {
		note(YELLOW, "the room has ended", NULL);
		finish(EXIT_RESULT);
	}
}

static void on_event(const char *line)
{
	json_t *event = json_loads(line, 0, NULL);
	const json_t *params = json_object_get(event, "params");
	const char *name = string(event, "method");

	if (here.session && strcmp(string(params, "session_id"), here.session) == 0)
		on_session_event(name, params);
	else if (here.room && strcmp(string(params, "room"), here.room) == 0)
		on_room_event(name, params);
	json_decref(event);
}

/* --- what is typed --- */

static void say(const char *line)
{
	const char *method = here.room ? "msrp_conf_send" : "msrp_ua_send_message";
	json_t *params = must(json_object()), *result;

	json_object_set_new(params, here.room ? "room" : "session_id",
	    string_of(here.room ? here.room : here.session));
	json_object_set_new(params, "body", string_of(line));
	json_object_set_new(params, "mime", json_string("text/plain"));
	if (here.session)
		json_object_set_new(params, "success_report", json_string("yes"));
	result = call(here.calls, method, params);
	if (!result)
		note(RED, "msrpd does not send that", NULL);
	json_decref(result);
}

/* NULL: the end of input. */
static void on_line(char *line)
{
	if (!line || strcmp(line, "/quit") == 0) {
		finish(EXIT_RESULT);
	} else if (*line) {
		if (here.editing)
			add_history(line);
		say(line);
	}
	free(line);
}

/* libedit reads by lines again, and waits for one, until the handler is installed anew. */
static void on_typed(char *line)
{
	on_line(line);
	if (!here.over)
		rl_callback_handler_install("> ", on_typed);
}

/* Ctrl-D on an empty line: libedit tells nobody of that by itself. */
static int on_end_key(int count, int key)
{
	(void)count;
	(void)key;
	if (rl_end == 0)
		finish(EXIT_RESULT);
	return 0;
}

static void read_typed(void)
{
	char *line;

	if (here.editing) {
		rl_callback_read_char();
		return;
	}
	lines_read(&here.typed);
	while (!here.over && (line = lines_next(&here.typed)))
		on_line(line);
	if (here.typed.over && !here.over)
		on_line(NULL);
}

/* --- beginning --- */

static json_t *find(const char *method, const char *key, const char *value)
{
	json_t *list = call(here.calls, method, NULL), *item, *found = NULL;
	size_t i;

	json_array_foreach(list, i, item) if (strcmp(string(item, key), value) == 0) found =
	    json_incref(item);
	json_decref(list);
	return found;
}

static int start(const char *uri, const char *from)
{
	json_t *params = must(json_object()), *answer, *error;
	int status = EXIT_RESULT;

	json_object_set_new(params, "content_types", json_string(TYPES));
	json_object_set_new(params, "from_uri", string_of(from));
	json_object_set_new(params, "to_uri", string_of(uri));
	json_object_set_new(params, "ruri", string_of(uri));
	set_time_limit(here.calls, ANSWER_SECONDS);
	send_request(here.calls, make_request("msrp_ua_start_session", params));
	answer = read_line(here.calls);
	error = json_object_get(answer, "error");
	if (error)
		status = print_error(here.options, error);
	else
		here.session =
		    must(strdup(string(json_object_get(answer, "result"), "session_id")));
	json_decref(answer);
	return status;
}

/* Is it a session, a room or somebody to be called? */
static int choose(const char *name, const char *from)
{
	json_t *found = find("msrp_ua_list_sessions", "session_id", name);
	char *own;
	int status;

	if (found) {
		here.session = must(strdup(name));
		here.open = true;
	} else if ((found = find("msrp_conf_list", "room", name))) {
		here.room = must(strdup(name));
		here.open = true;
	}
	json_decref(found);
	if (here.open)
		return EXIT_RESULT;
	if (!strchr(name, ':'))
		die(name, "is no session, no room and no URI");
	own = from ? NULL : own_uri();
	status = start(name, from ? from : own);
	free(own);
	return status;
}

static void talk(void)
{
	struct pollfd fds[] = {{.fd = STDIN_FILENO, .events = POLLIN},
	    {.fd = here.incoming.fd, .events = POLLIN}};
	char *line;

	while (!here.over && poll(fds, 2, -1) >= 0) {
		if (fds[1].revents)
			lines_read(&here.incoming);
		while (!here.over && (line = lines_next(&here.incoming))) {
			on_event(line);
			free(line);
		}
		if (here.incoming.over && !here.over) {
			note(RED, "msrpd is gone", NULL);
			finish(EXIT_TROUBLE);
		}
		if (fds[0].revents && !here.over)
			read_typed();
	}
}

static void leave(void)
{
	/* Who was called from here is not left alone. */
	if (here.session && here.status == EXIT_RESULT && here.open) {
		json_t *params = must(json_object());

		json_object_set_new(params, "session_id", string_of(here.session));
		json_decref(call(here.calls, "msrp_ua_end_session", params));
	}
	free(here.session);
	free(here.room);
	free(here.incoming.text.p);
	free(here.typed.text.p);
	fclose(here.calls);
	fclose(here.events);
}

int chat(const struct options *options, char **args)
{
	const char *from = NULL;
	bool called;
	int status;

	if (!args[0] || (args[1] && strncmp(args[1], "from=", 5) != 0) || (args[1] && args[2]))
		die("chat", "wants a URI, a session or a room, and perhaps from=URI");
	from = args[1] ? args[1] + 5 : NULL;
	here.options = options;
	here.calls = connect_to(options->socket);
	here.events = connect_to(options->socket);
	status = ask(here.events, options, make_request("event_subscribe", NULL), false);
	if (status == EXIT_RESULT)
		status = choose(args[0], from);
	if (status != EXIT_RESULT)
		return status;
	called = !here.open;
	here.incoming.fd = fileno(here.events);
	here.typed.fd = STDIN_FILENO;
	here.editing = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
	if (here.editing) {
		rl_callback_handler_install("> ", on_typed);
		rl_add_defun("end-of-input", on_end_key, 'D' & 0x1f);
	}
	note(DIM,
	    called          ? "calling"
		: here.room ? "in the room"
			    : "in the session",
	    "/quit or Ctrl-D ends it");
	talk();
	if (here.editing)
		rl_callback_handler_remove();
	if (!called)
		here.open = false;
	leave();
	return here.status;
}
