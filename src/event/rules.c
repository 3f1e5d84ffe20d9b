#include "event/rules.h"

#include <inttypes.h>
#include <stdio.h>

#include "event/bus.h"

static bool get_name(const struct route_subject *subject, const struct route_variable *variable,
    struct slice argument, char scratch[ROUTE_SCRATCH_SIZE], struct slice *valuep)
{
	const struct event_notice *event = subject->event;

	(void)variable;
	(void)argument;
	(void)scratch;
	*valuep = slice_of(event->type->name);
	return true;
}

static bool get_param(const struct route_subject *subject, const struct route_variable *variable,
    struct slice argument, char scratch[ROUTE_SCRATCH_SIZE], struct slice *valuep)
{
	const struct event_param *param = event_find_param(subject->event, argument);
	int n;

	(void)variable;
	switch (param ? param->kind : EVENT_NULL) {
	case EVENT_TEXT:
	case EVENT_BODY:
		*valuep = param->text;
		return true;
	case EVENT_NUMBER:
		n = snprintf(scratch, ROUTE_SCRATCH_SIZE, "%" PRId64, param->number);
		*valuep = (struct slice){scratch, (size_t)n};
		return true;
	case EVENT_TRUE:
		*valuep = SLICE("true");
		return true;
	default:
		return false;
	}
}

/* Parameters of any event: which one it is only the walk knows. */
static const char *known_param(const struct route_env *env, size_t i)
{
	for (const struct event_type *const *type = env->events; *type; type++)
		for (const char *const *name = (*type)->params; name && *name; name++)
			if (i-- == 0)
				return *name;
	return NULL;
}

const struct route_variable event_variables[] = {
    {.name = "event", .lists = ROUTE_EVENT, .get = get_name},
    {.name = "param",
	.lists = ROUTE_EVENT,
	.get = get_param,
	.argument = "parameter",
	.known = known_param},
    {0},
};
