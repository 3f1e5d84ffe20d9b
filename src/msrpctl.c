/*
 * msrpctl: commands for msrpd from a shell.  It knows no command itself: what
 * the command line says becomes a JSON-RPC request, what comes back a table.
 */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <jansson.h>

#define DEFAULT_SOCKET "/run/msrpd/msrpd.sock"

enum {
	EXIT_RESULT = 0,
	EXIT_ERROR = 1,   /* msrpd answered with an error object */
	EXIT_TROUBLE = 2, /* wrong usage, or nobody answers */
	ANSWER_SECONDS = 30,
	COLUMN_GAP = 2,
};

struct options {
	const char *socket;
	bool json;
};

static void die(const char *what, const char *why)
{
	fprintf(stderr, "msrpctl: %s%s%s\n", what, why ? ": " : "", why ? why : "");
	exit(EXIT_TROUBLE);
}

static void *must(void *p)
{
	if (!p)
		die("out of memory", NULL);
	return p;
}

/* --- text for a terminal --- */

/* A string that is being built; fatal when memory is out. */
struct text {
	char *p;
	size_t len, size;
};

static void text_add(struct text *text, const char *p, size_t len)
{
	if (len >= text->size - text->len) {
		text->size = (text->len + len + 1) * 2;
		text->p = must(realloc(text->p, text->size));
	}
	memcpy(text->p + text->len, p, len);
	text->len += len;
	text->p[text->len] = '\0';
}

static void text_adds(struct text *text, const char *s)
{
	text_add(text, s, strlen(s));
}

/*
 * What a peer sent may hold control characters, and a terminal obeys them: they are written as
 * \n or \xNN.  The bytes are UTF-8, jansson has seen to that.
 */
static void text_add_safe(struct text *text, const char *s)
{
	for (const unsigned char *p = (const unsigned char *)s; *p; p++) {
		bool c1 = p[0] == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0;
		char escaped[8];

		if (*p >= 0x20 && *p != 0x7f && !c1) {
			text_add(text, (const char *)p, 1);
			continue;
		}
		p += c1;
		if (*p == '\n')
			snprintf(escaped, sizeof(escaped), "\\n");
		else
			snprintf(escaped, sizeof(escaped), "\\x%02x", *p);
		text_adds(text, escaped);
	}
}

/* JSON in ASCII alone: the characters that a terminal obeys are not all below U+0020. */
static void text_add_json(struct text *text, const json_t *value)
{
	char *json = must(json_dumps(value, JSON_ENCODE_ANY | JSON_ENSURE_ASCII));

	for (const char *p = json; *p; p++)
		text_add(text, *p == 0x7f ? "\\u007f" : p, *p == 0x7f ? 6 : 1);
	free(json);
}

static void text_add_value(struct text *text, const json_t *value);

static void text_add_list(struct text *text, const json_t *list)
{
	size_t i;
	json_t *item;

	json_array_foreach(list, i, item)
	{
		if (i)
			text_adds(text, ", ");
		text_add_value(text, item);
	}
}

/* A value in one cell. */
static void text_add_value(struct text *text, const json_t *value)
{
	if (json_is_string(value))
		text_add_safe(text, json_string_value(value));
	else if (json_is_array(value))
		text_add_list(text, value);
	else if (json_is_null(value))
		text_adds(text, "-");
	else
		text_add_json(text, value);
}

/* Columns that a string takes on a terminal, wide characters aside. */
static size_t columns(const char *s)
{
	size_t n = 0;

	for (; *s; s++)
		n += ((unsigned char)*s & 0xc0) != 0x80;
	return n;
}

static void put_padded(const char *s, size_t width)
{
	size_t used = columns(s);

	fputs(s, stdout);
	while (used++ < width)
		putchar(' ');
}

static char *cell(const json_t *value)
{
	struct text text = {0};

	text_adds(&text, "");
	if (value)
		text_add_value(&text, value);
	return text.p;
}

/* --- tables --- */

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

		put_padded(key, width + COLUMN_GAP);
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

/* One line of the table; without an object the headings. */
static void print_row(json_t *keys, const json_t *object)
{
	size_t left = json_object_size(keys);
	const char *key;
	json_t *width;

	json_object_foreach(keys, key, width)
	{
		struct text heading = {0};
		char *s;

		if (!object)
			text_add_safe(&heading, key);
		s = object ? cell(json_object_get(object, key)) : heading.p;
		put_padded(s, --left ? (size_t)json_integer_value(width) + COLUMN_GAP : 0);
		free(s);
	}
	putchar('\n');
}

static void print_table(const json_t *list)
{
	json_t *keys = collect_keys(list), *object;
	size_t i;

	measure(list, keys);
	print_row(keys, NULL);
	json_array_foreach(list, i, object) print_row(keys, object);
	json_decref(keys);
}

static void print_line(const json_t *value)
{
	char *s = cell(value);

	puts(s);
	free(s);
}

static void print_list(const json_t *list)
{
	bool objects = json_array_size(list) > 0;
	json_t *item;
	size_t i;

	json_array_foreach(list, i, item) objects = objects && json_is_object(item);
	if (objects) {
		print_table(list);
		return;
	}
	json_array_foreach(list, i, item) print_line(item);
}

static void print_json(const json_t *value)
{
	struct text text = {0};

	text_add_json(&text, value);
	puts(text.p);
	free(text.p);
}

static void print_result(const struct options *options, json_t *result)
{
	if (options->json)
		print_json(result);
	else if (json_is_object(result))
		print_object(result);
	else if (json_is_array(result))
		print_list(result);
	else
		print_line(result);
}

static int print_error(const struct options *options, const json_t *error)
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

/* --- the request --- */

/* The whole of a file, "-" for standard input. */
static struct text read_file(const char *path)
{
	FILE *f = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
	struct text text = {0};
	char buffer[65536];
	size_t n;

	if (!f)
		die(path, strerror(errno));
	text_adds(&text, "");
	while ((n = fread(buffer, 1, sizeof(buffer), f)) > 0)
		text_add(&text, buffer, n);
	if (ferror(f))
		die(path, strerror(errno));
	if (f != stdin)
		fclose(f);
	return text;
}

/* RFC 4648 section 4 */
static struct text base64(const struct text *bytes)
{
	static const char alphabet[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	struct text text = {0};

	text_adds(&text, "");
	for (size_t i = 0; i < bytes->len; i += 3) {
		const unsigned char *p = (const unsigned char *)bytes->p + i;
		size_t n = bytes->len - i < 3 ? bytes->len - i : 3;
		uint32_t bits =
		    (uint32_t)p[0] << 16 | (uint32_t)(n > 1 ? p[1] : 0) << 8 | (n > 2 ? p[2] : 0);
		char quad[4] = {alphabet[bits >> 18], alphabet[bits >> 12 & 63],
		    n > 1 ? alphabet[bits >> 6 & 63] : '=', n > 2 ? alphabet[bits & 63] : '='};

		text_add(&text, quad, sizeof(quad));
	}
	return text;
}

/* body=@FILE and body=-: text where it is text, else body_base64. */
static void add_body_file(json_t *params, const char *path)
{
	struct text bytes = read_file(path), encoded;
	json_t *value = memchr(bytes.p, '\0', bytes.len) ? NULL : json_stringn(bytes.p, bytes.len);

	if (value) {
		json_object_set_new(params, "body", value);
	} else {
		encoded = base64(&bytes);
		json_object_set_new(params, "body_base64",
		    must(json_stringn(encoded.p, encoded.len)));
		free(encoded.p);
	}
	free(bytes.p);
}

static json_t *string_of(const char *s)
{
	json_t *string = json_string(s);

	if (!string)
		die(s, "not UTF-8");
	return string;
}

/* Bytes of the name in NAME=VALUE, 0 if arg is no such thing. */
static size_t name_length(const char *arg)
{
	size_t n = strspn(arg, "abcdefghijklmnopqrstuvwxyz0123456789_");

	return arg[n] == '=' ? n : 0;
}

static void add_named(json_t *params, const char *arg)
{
	size_t n = name_length(arg);
	const char *value = arg + n + 1;
	char name[64];

	if (n == 0 || n >= sizeof(name))
		die(arg, "is not NAME=VALUE, as the first argument is");
	memcpy(name, arg, n);
	name[n] = '\0';
	if (strcmp(name, "body") == 0 && value[0] == '@')
		add_body_file(params, value + 1);
	else if (strcmp(name, "body") == 0 && strcmp(value, "-") == 0)
		add_body_file(params, value);
	else
		json_object_set_new(params, name, string_of(value));
}

/* All by name if the first is NAME=VALUE, else all by position; so too behind "--". */
static json_t *make_params(char **args)
{
	bool literal = args[0] && strcmp(args[0], "--") == 0;
	json_t *params;

	if (literal)
		args++;
	if (!args[0])
		return NULL;
	if (literal || !name_length(args[0])) {
		params = must(json_array());
		for (; *args; args++)
			json_array_append_new(params, string_of(*args));
	} else {
		params = must(json_object());
		for (; *args; args++)
			add_named(params, *args);
	}
	return params;
}

static json_t *make_request(const char *method, json_t *params)
{
	json_t *request = must(json_object());

	json_object_set_new(request, "jsonrpc", json_string("2.0"));
	json_object_set_new(request, "id", json_integer(1));
	json_object_set_new(request, "method", string_of(method));
	if (params)
		json_object_set_new(request, "params", params);
	return request;
}

/* --- the connection --- */

static FILE *connect_to(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		die("socket", strerror(errno));
	if (strlen(path) >= sizeof(address.sun_path))
		die(path, "too long for the path of a socket");
	memcpy(address.sun_path, path, strlen(path));
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		die(path, strerror(errno));
	return must(fdopen(fd, "r"));
}

static void set_time_limit(FILE *stream, time_t seconds)
{
	struct timeval limit = {.tv_sec = seconds};

	setsockopt(fileno(stream), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
}

static void send_request(FILE *stream, json_t *request)
{
	char *line = must(json_dumps(request, JSON_COMPACT));
	size_t len = strlen(line), sent = 0;

	line[len++] = '\n'; /* in place of the NUL */
	while (sent < len) {
		ssize_t n = send(fileno(stream), line + sent, len - sent, MSG_NOSIGNAL);

		if (n < 0 && errno != EINTR)
			die("msrpd", strerror(errno));
		sent += n > 0 ? (size_t)n : 0;
	}
	free(line);
	json_decref(request);
}

static json_t *read_line(FILE *stream)
{
	static char *line;
	static size_t size;
	json_t *value;
	ssize_t n;

	errno = 0;
	n = getline(&line, &size, stream);
	if (n <= 0)
		die("msrpd",
		    errno == EAGAIN ? "no answer"
			: errno     ? strerror(errno)
				    : "closed the connection");
	value = json_loadb(line, (size_t)n, 0, NULL);
	if (!json_is_object(value))
		die("msrpd", "answers with something else than JSON-RPC");
	return value;
}

/* Ask one thing.  @return exit status; the result, or error, is printed if show is set */
static int ask(FILE *stream, const struct options *options, json_t *request, bool show)
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

/* --- events --- */

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

/* In the form of the daemon's log. */
static void print_event(const struct options *options, json_t *event)
{
	struct text text = {0};
	const char *key;
	json_t *value;

	if (options->json) {
		print_json(event);
		return;
	}
	text_add_value(&text, json_object_get(event, "method"));
	json_object_foreach(json_object_get(event, "params"), key, value)
	{
		text_adds(&text, " ");
		text_add_safe(&text, key);
		text_adds(&text, "=");
		if (json_is_null(value))
			text_adds(&text, "null");
		else if (json_is_string(value) && wants_quotes(json_string_value(value)))
			add_quoted(&text, json_string_value(value));
		else
			text_add_value(&text, value);
	}
	puts(text.p);
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

/* Until interrupted, or msrpd is gone. */
static int follow_events(FILE *stream, const struct options *options, char **names)
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

/* --- the command line --- */

static void usage(FILE *to)
{
	fprintf(to,
	    "usage: msrpctl [-s SOCKET] [-j] COMMAND [ARG...]\n"
	    "       msrpctl [-s SOCKET] [-j] events [NAME...]\n"
	    "  -s SOCKET  control socket of msrpd (" DEFAULT_SOCKET ")\n"
	    "  -j         print the result as JSON\n"
	    "  -V         print the version\n"
	    "ARG is a value by position, or NAME=VALUE; body=@FILE and body=- read it from a file.\n"
	    "`msrpctl which` lists the commands, `msrpctl help` explains them.\n");
}

static struct options read_options(int argc, char **argv)
{
	struct options options = {.socket = DEFAULT_SOCKET};
	int c;

	while ((c = getopt(argc, argv, "+s:jhV")) != -1) {
		switch (c) {
		case 's':
			options.socket = optarg;
			break;
		case 'j':
			options.json = true;
			break;
		case 'h':
			usage(stdout);
			exit(EXIT_RESULT);
		case 'V':
			puts("msrpctl " MSRPD_VERSION);
			exit(EXIT_RESULT);
		default:
			usage(stderr);
			exit(EXIT_TROUBLE);
		}
	}
	return options;
}

int main(int argc, char **argv)
{
	struct options options = read_options(argc, argv);
	char **command = argv + optind;
	json_t *request;
	FILE *stream;
	int status;

	if (!*command) {
		usage(stderr);
		return EXIT_TROUBLE;
	}
	if (strcmp(*command, "events") == 0) {
		stream = connect_to(options.socket);
		status = follow_events(stream, &options, command + 1);
	} else {
		request = make_request(*command, make_params(command + 1));
		stream = connect_to(options.socket);
		status = ask(stream, &options, request, true);
	}
	fclose(stream);
	return fflush(stdout) == 0 ? status : EXIT_TROUBLE;
}
