#include <msrpd/message.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <msrpd/budget.h>

struct shared_body {
	struct budget *budget;
	size_t refs, len;
	char bytes[];
};

int shared_body_new(struct shared_body **bodyp, struct budget *budget, struct slice bytes)
{
	struct shared_body *body;

	if (budget_take(budget, bytes.len) < 0)
		return -ENOBUFS;
	body = malloc(sizeof(*body) + bytes.len);
	if (!body) {
		budget_return(budget, bytes.len);
		return -ENOMEM;
	}
	*body = (struct shared_body){.budget = budget, .refs = 1, .len = bytes.len};
	if (bytes.len)
		memcpy(body->bytes, bytes.p, bytes.len);
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
