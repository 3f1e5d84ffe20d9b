/*
 * Which messages a trace is about: the first line is a name of a session ('s') or a user ('u'), the
 * rest a message.  One that is taken has that name in it; a trace of everything takes each.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "trace/priv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
	if (!ok)
		abort();
}

static struct trace_filter *filter(const struct trace_filter_options *options)
{
	struct trace_filter *f;
	struct reason why;

	must(trace_filter_new(&f, options, &why) == 0);
	return f;
}

static bool takes_sip(struct trace_filter *f, struct slice text)
{
	const char *end = text.len ? memmem(text.p, text.len, "\r\n\r\n", 4) : NULL;
	size_t head = end ? (size_t)(end - text.p) + 4 : text.len;
	struct slice call_id;
	bool takes =
	    trace_filter_takes_sip(f, slice_head(text, head), slice_from(text, head), &call_id);

	must(!call_id.p || (call_id.p >= text.p && call_id.p + call_id.len <= text.p + text.len));
	return takes;
}

static bool takes_msrp(struct trace_filter *f, struct slice text)
{
	struct trace_mark mark = {.all = false};
	struct slice call_id;

	return trace_filter_takes_msrp(f, text, &mark, &call_id);
}

static void check_wanted(const struct trace_filter_options *options, struct slice name,
    struct slice text)
{
	struct trace_filter *f = filter(options);

	if (takes_msrp(f, text) || takes_sip(f, text))
		must(name.len == 0 || (text.len && memmem(text.p, text.len, name.p, name.len)));
	trace_filter_free(f);
}

/* What it has learned of the first it knows of the second. */
static void check_any(struct slice text)
{
	struct trace_filter *f = filter(&(struct trace_filter_options){.user = {NULL, 0}});

	must(takes_sip(f, text) && takes_msrp(f, text) && takes_sip(f, text));
	trace_filter_free(f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice text = {(const char *)data + 1, size - 1}, name;

	if (size < 2 || !slice_cut(&text, '\n', &name) || !text.p || memchr(name.p, '\0', name.len))
		return 0;
	if (data[0] == 's')
		check_wanted(&(struct trace_filter_options){.session_id = name}, name, text);
	else
		check_wanted(&(struct trace_filter_options){.user = name}, name, text);
	check_any(text);
	return 0;
}
