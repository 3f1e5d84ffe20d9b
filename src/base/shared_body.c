#include "base/shared_body.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <msrpd/budget.h>

struct shared_body {
	struct budget *budget;
	size_t refs, len, room;
	uint64_t total;
	int state;
	LIST_HEAD(, shared_reader) readers;
	char bytes[];
};

/* Memory that nothing was written to costs nothing yet: it is charged as it fills. */
static struct shared_body *allocate(struct budget *budget, size_t room)
{
	struct shared_body *body = malloc(sizeof(*body) + room);

	if (!body)
		return NULL;
	*body = (struct shared_body){.budget = budget,
	    .refs = 1,
	    .room = room,
	    .total = UINT64_MAX,
	    .state = -EAGAIN};
	LIST_INIT(&body->readers);
	return body;
}

int shared_body_open(struct shared_body **bodyp, struct budget *budget, uint64_t total, size_t max)
{
	struct shared_body *body;

	if (total != UINT64_MAX && total > max)
		return -EMSGSIZE;
	body = allocate(budget, total == UINT64_MAX ? max : (size_t)total);
	if (!body)
		return -ENOMEM;
	body->total = total;
	*bodyp = body;
	return 0;
}

static void tell_readers(struct shared_body *body)
{
	struct shared_reader *reader, *next;

	for (reader = LIST_FIRST(&body->readers); reader; reader = next) {
		next = LIST_NEXT(reader, entry);
		reader->grown(reader);
	}
}

static void add(struct shared_body *body, struct slice bytes)
{
	if (bytes.len)
		memcpy(body->bytes + body->len, bytes.p, bytes.len);
	body->len += bytes.len;
}

int shared_body_append(struct shared_body *body, struct slice bytes)
{
	if (bytes.len > body->room - body->len)
		return -EMSGSIZE;
	if (budget_take(body->budget, bytes.len) < 0)
		return -ENOBUFS;
	add(body, bytes);
	tell_readers(body);
	return 0;
}

void shared_body_close(struct shared_body *body, int err)
{
	body->state = err;
	if (err == 0)
		body->total = body->len;
	tell_readers(body);
}

int shared_body_new(struct shared_body **bodyp, struct budget *budget, struct slice bytes)
{
	struct shared_body *body;

	if (budget_take(budget, bytes.len) < 0)
		return -ENOBUFS;
	body = allocate(budget, bytes.len);
	if (!body) {
		budget_return(budget, bytes.len);
		return -ENOMEM;
	}
	add(body, bytes);
	shared_body_close(body, 0);
	*bodyp = body;
	return 0;
}

struct shared_body *shared_body_ref(struct shared_body *body)
{
	body->refs++;
	return body;
}

void shared_body_unref(struct shared_body *body)
{
	if (!body || --body->refs > 0)
		return;
	budget_return(body->budget, body->len);
	free(body);
}

struct slice shared_body_bytes(const struct shared_body *body)
{
	return (struct slice){body->bytes, body->len};
}

void shared_body_read(struct shared_body *body, struct shared_reader *reader)
{
	LIST_INSERT_HEAD(&body->readers, reader, entry);
}

void shared_body_leave(struct shared_reader *reader)
{
	if (reader->entry.le_prev)
		LIST_REMOVE(reader, entry);
	reader->entry.le_prev = NULL;
}

int shared_body_state(const struct shared_body *body)
{
	return body->state;
}

uint64_t shared_body_total(const struct shared_body *body)
{
	return body->total;
}
