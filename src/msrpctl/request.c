#include "msrpctl/request.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "msrpctl/msrpctl.h"
#include "msrpctl/text.h"

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

json_t *string_of(const char *s)
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
json_t *make_params(char **args)
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

json_t *make_request(const char *method, json_t *params)
{
	json_t *request = must(json_object());

	json_object_set_new(request, "jsonrpc", json_string("2.0"));
	json_object_set_new(request, "id", json_integer(1));
	json_object_set_new(request, "method", string_of(method));
	if (params)
		json_object_set_new(request, "params", params);
	return request;
}

char *own_uri(void)
{
	char host[256], *uri;
	const char *user = getenv("USER");

	if (gethostname(host, sizeof(host)) < 0)
		snprintf(host, sizeof(host), "localhost");
	host[sizeof(host) - 1] = '\0';
	if (asprintf(&uri, "sip:%s@%s", user ? user : "msrpctl", host) < 0)
		die("out of memory", NULL);
	return uri;
}
