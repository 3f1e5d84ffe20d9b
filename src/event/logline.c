#include "event/logline.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <msrpd/table.h>
#include <msrpd/timer.h>

#include "base/log.h"
#include "base/story.h"

enum {
	LOGLINE_MAX = 4096, /* what the log takes of a line */
	PATH_MAX_LEN = 128, /* of a field */
};

/* Text that is being built; what does not fit is left out, the log would cut it anyway. */
struct text {
	char bytes[LOGLINE_MAX];
	size_t len;
};

static void add(struct text *text, struct slice s)
{
	size_t room = sizeof(text->bytes) - text->len;

	s = slice_head(s, room);
	if (s.len)
		memcpy(text->bytes + text->len, s.p, s.len);
	text->len += s.len;
}

static bool wants_quotes(struct slice value)
{
	if (value.len == 0 || slice_equal(value, SLICE("null")))
		return true;
	for (size_t i = 0; i < value.len; i++)
		if (value.p[i] <= ' ' || value.p[i] >= 0x7f || strchr("\"=\\", value.p[i]))
			return true;
	return false;
}

static void add_quoted(struct text *text, struct slice value)
{
	add(text, SLICE("\""));
	while (value.len && text->len < sizeof(text->bytes)) {
		size_t n = 0;

		while (n < value.len && value.p[n] != '"' && value.p[n] != '\\')
			n++;
		add(text, slice_head(value, n));
		value = slice_from(value, n);
		if (value.len) {
			add(text, SLICE("\\"));
			add(text, slice_head(value, 1));
			value = slice_from(value, 1);
		}
	}
	add(text, SLICE("\""));
}

static void add_value(struct text *text, struct slice value)
{
	if (wants_quotes(value))
		add_quoted(text, value);
	else
		add(text, value);
}

/* As many bytes of body as are logged, without half a character at the end. */
static struct slice cut_body(struct slice body)
{
	struct slice head = slice_head(body, EVENT_LOGLINE_BODY_MAX);

	if (head.len == body.len || slice_is_utf8(head))
		return head;
	for (size_t n = head.len; n > head.len - 4; n--)
		if (slice_is_utf8(slice_head(head, n)))
			return slice_head(head, n);
	return head;
}

static void add_value_of(struct text *text, const struct event_param *param)
{
	char digits[24];
	int n;

	switch (param->kind) {
	case EVENT_TEXT:
		add_value(text, param->text);
		break;
	case EVENT_BODY:
		add_value(text, cut_body(param->text));
		break;
	case EVENT_NUMBER:
		n = snprintf(digits, sizeof(digits), "%" PRId64, param->number);
		add(text, (struct slice){digits, (size_t)n});
		break;
	case EVENT_TRUE:
		add(text, SLICE("true"));
		break;
	default:
		add(text, SLICE("null"));
	}
}

/* What has items is a field for each: "headers.Geolocation=…", in a list "parts.content_type=…". */
static void add_param(struct text *text, struct slice path, const struct event_param *param,
    bool body)
{
	char name[PATH_MAX_LEN];
	int n = snprintf(name, sizeof(name), "%.*s%s%s", SLICE_ARG(path),
	    path.len && param->name ? "." : "", param->name ? param->name : "");

	path = (struct slice){name, n < (int)sizeof(name) ? (size_t)n : sizeof(name) - 1};
	if (param->kind == EVENT_BODY && !body)
		return;
	if (param->kind == EVENT_OBJECT || param->kind == EVENT_LIST) {
		for (size_t i = 0; i < param->count; i++)
			add_param(text, path, &param->items[i], body);
		return;
	}
	add(text, SLICE(" "));
	add(text, path);
	add(text, SLICE("="));
	add_value_of(text, param);
}

static struct slice text_param(const struct event_notice *event, const char *name)
{
	const struct event_param *param = event_find_param(event, slice_of(name));

	return param && param->kind == EVENT_TEXT ? param->text : (struct slice){NULL, 0};
}

static struct slice session_of(const struct event_notice *event)
{
	struct slice id = text_param(event, "session_id");

	return id.p ? id : text_param(event, "msrp_ua_session_id");
}

static void say_silent(struct event_logline *logline)
{
	if (logline->silent)
		log_info("events: %" PRIu64 " more", logline->silent);
	logline->silent = 0;
}

/* May one more line of that session be logged in this second? */
static bool may_log(struct event_logline *logline, const struct event_notice *event)
{
	struct slice id = session_of(event);
	uint32_t second = (uint32_t)(timer_now_ms() / 1000), *lines;
	size_t slot;

	if (!id.p)
		id = text_param(event, "room");
	if (!id.p)
		id = text_param(event, "key");
	slot = table_hash(id.p, id.len) % EVENT_LOGLINE_SLOTS;
	lines = &logline->sessions[slot].lines;
	if (logline->sessions[slot].second != second)
		*lines = 0;
	logline->sessions[slot].second = second;
	if (logline->silent && logline->silent_from != second)
		say_silent(logline);
	if (*lines < EVENT_LOGLINE_A_SECOND) {
		++*lines;
		return true;
	}
	if (!logline->silent++)
		logline->silent_from = second;
	return false;
}

/* To the log, and to the story of the session that it is about. */
static void tell(const struct event_notice *event, struct slice line)
{
	struct story of = {.session_id = session_of(event), .key = text_param(event, "key")};

	if (event->type->often)
		log_text(LOG_LEVEL_INFO, line);
	else
		story_text(LOG_LEVEL_INFO, &of, line);
}

static void on_event(const struct event_notice *event, void *arg)
{
	struct event_logline *logline = arg;
	struct text text;

	if (event->type->often && (log_threshold < LOG_LEVEL_INFO || !may_log(logline, event)))
		return;
	text.len = 0;
	add(&text, slice_of(event->type->name));
	for (size_t i = 0; i < event->count; i++)
		add_param(&text, (struct slice){NULL, 0}, &event->params[i], logline->body);
	tell(event, (struct slice){text.bytes, text.len});
}

static bool on_wanted(void *arg)
{
	(void)arg;
	return log_threshold >= LOG_LEVEL_INFO || story_is_on();
}

void event_logline_start(struct event_logline *logline, struct event_bus *bus, bool body)
{
	*logline = (struct event_logline){
	    .subscriber = {.mask = EVENT_ALL, .fn = on_event, .wanted = on_wanted, .arg = logline},
	    .body = body,
	};
	event_bus_subscribe(bus, &logline->subscriber);
}

void event_logline_stop(struct event_logline *logline)
{
	event_bus_unsubscribe(&logline->subscriber);
	say_silent(logline);
}
