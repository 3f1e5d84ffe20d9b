#include "ctl/params.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <msrpd/buffer.h>
#include <openssl/evp.h>

struct slice params_text(const json_t *string)
{
	return (struct slice){json_string_value(string), json_string_length(string)};
}

/* The command line knows texts only, so a number may be one. */
static int read_number(const json_t *value, int64_t *numberp)
{
	struct slice digits = params_text(value);
	bool negative;
	uint64_t n;

	if (json_is_integer(value)) {
		*numberp = json_integer_value(value);
		return 0;
	}
	if (!json_is_string(value))
		return -EPROTO;
	negative = digits.len && digits.p[0] == '-';
	if (slice_to_u64(slice_from(digits, negative), INT64_MAX, &n) < 0)
		return -EPROTO;
	*numberp = negative ? -(int64_t)n : (int64_t)n;
	return 0;
}

static bool is_base64_char(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')
	    || c == '+' || c == '/';
}

/* RFC 4648 section 4, no line breaks, padding required.  @return bytes of '=', or -EINVAL */
static int check_base64(struct slice text)
{
	size_t letters = 0;

	while (letters < text.len && is_base64_char(text.p[letters]))
		letters++;
	if (text.len % 4 != 0 || text.len - letters > 2)
		return -EINVAL;
	for (size_t i = letters; i < text.len; i++)
		if (text.p[i] != '=')
			return -EINVAL;
	return (int)(text.len - letters);
}

static int read_base64(const json_t *value, struct slice *bytesp, void **ownedp)
{
	struct slice text = params_text(value);
	unsigned char *bytes;
	int padding, n;

	if (!json_is_string(value))
		return -EPROTO;
	if (text.len > INT_MAX)
		return -EINVAL;
	padding = check_base64(text);
	if (padding < 0)
		return padding;
	bytes = malloc(text.len / 4 * 3 + 1);
	if (!bytes)
		return -ENOMEM;
	n = EVP_DecodeBlock(bytes, (const unsigned char *)text.p, (int)text.len);
	*ownedp = bytes;
	*bytesp = (struct slice){(char *)bytes, (size_t)(n - padding)};
	return n < padding ? -EINVAL : 0;
}

static int read_text(const json_t *value, struct slice *textp)
{
	*textp = params_text(value);
	if (!json_is_string(value))
		return -EPROTO;
	return memchr(textp->p, '\0', textp->len) ? -EINVAL : 0;
}

static int read_texts(const json_t *list, struct param *param, void **ownedp)
{
	size_t count = json_array_size(list);
	struct slice *texts;
	int err = 0;

	if (!json_is_array(list))
		return -EPROTO;
	texts = calloc(count ? count : 1, sizeof(*texts));
	if (!texts)
		return -ENOMEM;
	*ownedp = texts;
	for (size_t i = 0; !err && i < count; i++)
		err = read_text(json_array_get(list, i), &texts[i]);
	param->texts = texts;
	param->count = count;
	return err;
}

/* What the lines are good for is for the method to judge. */
static int read_headers(const json_t *object, struct slice *linesp, void **ownedp)
{
	struct buffer lines = {.max = BUFFER_UNBOUNDED};
	const char *name;
	json_t *value;
	char *text;
	int err;

	if (!json_is_object(object))
		return -EPROTO;
	json_object_foreach((json_t *)(uintptr_t)object, name, value)
	{
		if (!json_is_string(value))
			lines.err = -EPROTO;
		buffer_add(&lines, slice_of(name));
		buffer_add(&lines, SLICE(": "));
		buffer_add(&lines, params_text(value));
		buffer_add(&lines, SLICE("\r\n"));
	}
	err = buffer_take(&lines, &text, &linesp->len);
	if (err < 0)
		return err;
	*ownedp = text;
	linesp->p = text;
	return 0;
}

static int read_value(enum param_kind kind, const json_t *value, struct param *param, void **ownedp)
{
	switch (kind) {
	case PARAM_WORD:
		if (!json_is_boolean(value))
			return read_text(value, &param->text);
		param->text = json_is_true(value) ? SLICE("true") : SLICE("false");
		return 0;
	case PARAM_TEXT:
		return read_text(value, &param->text);
	case PARAM_BODY:
		param->text = params_text(value);
		return json_is_string(value) ? 0 : -EPROTO;
	case PARAM_NUMBER:
		return read_number(value, &param->number);
	case PARAM_BASE64:
		return read_base64(value, &param->text, ownedp);
	case PARAM_TEXTS:
		return read_texts(value, param, ownedp);
	case PARAM_HEADERS:
		return read_headers(value, &param->text, ownedp);
	}
	return -EPROTO;
}

/*
 * null is as good as absent.
 *
 * @return 0; -EPROTO: the wrong type, -EINVAL: the type is right, the value is not, both with
 *         params->why; -ENOMEM
 */
static int read_param(struct params *params, const struct param_spec *specs, size_t i,
    const json_t *value)
{
	static const struct {
		const char *type, *value; /* what it has to be */
	} kinds[] = {
	    [PARAM_TEXT] = {.type = "a string", .value = "a string without NUL"},
	    [PARAM_WORD] = {.type = "a string or a boolean", .value = "a string without NUL"},
	    [PARAM_BODY] = {.type = "a string"},
	    [PARAM_NUMBER] = {.type = "a whole number"},
	    [PARAM_BASE64] = {.type = "a string in base64", .value = "a string in base64"},
	    [PARAM_TEXTS] = {.type = "a list of strings", .value = "a list without NUL"},
	    [PARAM_HEADERS] = {.type = "an object of strings"},
	};
	int err;

	if (json_is_null(value))
		return 0;
	params->values[i].present = true;
	err = read_value(specs[i].kind, value, &params->values[i], &params->owned[i]);
	if (err == -EPROTO || err == -EINVAL)
		snprintf(params->why, sizeof(params->why), "parameter %s is not %s", specs[i].name,
		    err == -EPROTO ? kinds[specs[i].kind].type : kinds[specs[i].kind].value);
	return err;
}

static size_t count_specs(const struct param_spec *specs)
{
	size_t n = 0;

	while (n < PARAMS_MAX && specs && specs[n].name)
		n++;
	return n;
}

static int read_by_position(struct params *params, const struct param_spec *specs,
    const json_t *list)
{
	size_t count = count_specs(specs);
	int err = 0;

	if (json_array_size(list) > count) {
		snprintf(params->why, sizeof(params->why), "too many parameters, it takes %zu",
		    count);
		return -EPROTO;
	}
	for (size_t i = 0; !err && i < json_array_size(list); i++)
		err = read_param(params, specs, i, json_array_get(list, i));
	return err;
}

static int read_by_name(struct params *params, const struct param_spec *specs, json_t *object)
{
	size_t count = count_specs(specs);
	const char *name;
	json_t *value;
	int err = 0;

	json_object_foreach(object, name, value)
	{
		size_t i = 0;

		while (i < count && strcmp(specs[i].name, name) != 0)
			i++;
		if (i == count) {
			snprintf(params->why, sizeof(params->why), "unknown parameter %s", name);
			return -EPROTO;
		}
		err = read_param(params, specs, i, value);
		if (err)
			break;
	}
	return err;
}

int params_read(struct params *params, const struct param_spec *specs, json_t *given)
{
	size_t count = count_specs(specs);
	int err = 0;

	if (json_is_array(given))
		err = read_by_position(params, specs, given);
	else if (given)
		err = read_by_name(params, specs, given);
	for (size_t i = 0; !err && i < count; i++) {
		if (specs[i].required && !params->values[i].present) {
			snprintf(params->why, sizeof(params->why), "parameter %s is missing",
			    specs[i].name);
			err = -EPROTO;
		}
	}
	return err;
}

void params_fini(struct params *params)
{
	for (size_t i = 0; i < PARAMS_MAX; i++)
		free(params->owned[i]);
}
