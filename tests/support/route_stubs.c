#include "route_stubs.h"

#include <assert.h>

#include "event/rules.h"
#include "relay/relay.h"
#include "sip/rules.h"

enum { ROWS_MAX = 160 };

static struct route_variable rows[ROWS_MAX];
static size_t used;

const struct route_variable *route_stub_variables[4];
const struct route_transform *route_stub_transforms[2];

/* The rows' keys are copied too, behind the table. */
static const struct route_variable *copy(const struct route_variable *table,
    bool (*get)(const struct route_subject *, const struct route_variable *, struct slice, char *,
	struct slice *))
{
	struct route_variable *first = &rows[used];
	size_t count = 0;

	while (table[count].name)
		count++;
	used += count + 1;
	assert(used <= ROWS_MAX);
	for (size_t i = 0; i < count; i++) {
		first[i] = table[i];
		first[i].get = get;
		if (table[i].keys)
			first[i].keys = copy(table[i].keys, get);
	}
	return first;
}

void route_stubs_init(
    bool (*get)(const struct route_subject *subject, const struct route_variable *variable,
	struct slice argument, char scratch[ROUTE_SCRATCH_SIZE], struct slice *valuep))
{
	used = 0;
	route_stub_variables[0] = copy(sip_variables, get);
	route_stub_variables[1] = copy(event_variables, get);
	route_stub_variables[2] = copy(relay_service.variables, get);
	route_stub_transforms[0] = relay_service.transforms;
}
