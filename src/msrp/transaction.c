#include "msrp/priv.h"

#include <errno.h>
#include <stdlib.h>

#include "base/rand.h"

enum {
	SLOT_CHARS = 5,
	SLOT_BITS = 5,
	SLOTS_MAX = 1 << (SLOT_CHARS * SLOT_BITS),
	RANDOM_CHARS = MSRP_TID_LEN - SLOT_CHARS, /* 65 bits (RFC 4975 7.1 asks for 64) */
	NO_SLOT = UINT32_MAX,
};

static const char slot_digits[] = "0123456789abcdefghijklmnopqrstuv";

/* --- the table: a slot's number stands at the end of the transaction id --- */

static int grow_slots(struct msrp_stack *stack)
{
	uint32_t cap = stack->slot_cap ? stack->slot_cap * 2 : 64;
	struct msrp_transaction **slots;
	uint32_t *links;

	if (cap > SLOTS_MAX)
		return -ENOBUFS;
	slots = realloc(stack->slots, cap * sizeof(struct msrp_transaction *));
	if (!slots)
		return -ENOMEM;
	stack->slots = slots;
	links = realloc(stack->free_slots, cap * sizeof(*links));
	if (!links)
		return -ENOMEM;
	stack->free_slots = links;
	for (uint32_t i = stack->slot_cap; i < cap; i++) {
		slots[i] = NULL;
		links[i] = i + 1 < cap ? i + 1 : NO_SLOT;
	}
	stack->free_slot = stack->slot_cap;
	stack->slot_cap = cap;
	return 0;
}

static int take_slot(struct msrp_stack *stack, struct msrp_transaction *t)
{
	int err;

	if (stack->free_slot == NO_SLOT && (err = grow_slots(stack)) < 0)
		return err;
	t->slot = stack->free_slot;
	stack->free_slot = stack->free_slots[t->slot];
	stack->slots[t->slot] = t;
	return 0;
}

static void leave_slot(struct msrp_stack *stack, struct msrp_transaction *t)
{
	stack->slots[t->slot] = NULL;
	stack->free_slots[t->slot] = stack->free_slot;
	stack->free_slot = t->slot;
}

static void write_tid(struct msrp_transaction *t)
{
	uint32_t slot = t->slot;

	rand_token(t->tid, RANDOM_CHARS);
	for (size_t i = RANDOM_CHARS; i < MSRP_TID_LEN; i++) {
		t->tid[i] = slot_digits[slot % 32];
		slot /= 32;
	}
	t->tid[MSRP_TID_LEN] = '\0';
}

static int slot_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'v' ? c - 'a' + 10 : -1;
}

static struct msrp_transaction *find(struct msrp_stack *stack, struct slice tid)
{
	struct msrp_transaction *t;
	uint32_t slot = 0;

	if (tid.len != MSRP_TID_LEN)
		return NULL;
	for (size_t i = MSRP_TID_LEN; i-- > RANDOM_CHARS;) {
		int digit = slot_digit(tid.p[i]);

		if (digit < 0)
			return NULL;
		slot = slot * 32 + (uint32_t)digit;
	}
	t = slot < stack->slot_cap ? stack->slots[slot] : NULL;
	return t && memcmp(t->tid, tid.p, MSRP_TID_LEN) == 0 ? t : NULL;
}

/* --- transactions --- */

#define OF_TIMER(entry) \
	((struct msrp_transaction *)((char *)(entry)-offsetof(struct msrp_transaction, timer)))
#define OF_MARK(m) \
	((struct msrp_transaction *)((char *)(m)-offsetof(struct msrp_transaction, mark)))

static void on_sent(struct msrp_mark *mark)
{
	struct msrp_transaction *t = OF_MARK(mark);

	t->left = true;
	timer_queue_start(&t->conn->stack->answering, &t->timer);
}

int msrp_transaction_start(struct msrp_transaction *t, struct msrp_conn *conn)
{
	struct msrp_stack *stack = conn->stack;
	int err;

	if (conn->state == CONN_CLOSED)
		return -ENOTCONN;
	err = take_slot(stack, t);
	if (err < 0)
		return err;
	write_tid(t);
	t->conn = conn;
	t->timer = (struct timer_entry){0};
	t->mark = (struct msrp_mark){.sent = on_sent};
	t->left = false;
	t->next = conn->transactions;
	t->prevp = &conn->transactions;
	if (t->next)
		t->next->prevp = &t->next;
	conn->transactions = t;
	return 0;
}

void msrp_transaction_sent(struct msrp_transaction *t)
{
	if (t->conn)
		msrp_conn_mark(t->conn, &t->mark);
}

void msrp_transaction_stop(struct msrp_transaction *t)
{
	struct msrp_conn *conn = t->conn;

	if (!conn)
		return;
	timer_queue_stop(&conn->stack->answering, &t->timer);
	msrp_conn_unmark(conn, &t->mark);
	leave_slot(conn->stack, t);
	*t->prevp = t->next;
	if (t->next)
		t->next->prevp = t->prevp;
	t->conn = NULL;
}

int transactions_response(struct msrp_conn *conn, const struct msrp_frame *frame)
{
	struct msrp_transaction *t = find(conn->stack, frame->tid);

	/* RFC 4975 7.2: a response comes on the connection of its request. */
	if (!t || t->conn != conn) {
		(*conn->stack->count.stray_responses)++;
		return 0;
	}
	msrp_transaction_stop(t);
	return t->ops->response(t, frame);
}

void transactions_lost(struct msrp_conn *conn, int err)
{
	struct msrp_transaction *t;

	while ((t = conn->transactions)) {
		msrp_transaction_stop(t);
		t->ops->lost(t, err);
	}
}

static void on_timeout(struct timer_entry *entry, void *arg)
{
	struct msrp_transaction *t = OF_TIMER(entry);
	struct msrp_stack *stack = arg;

	(*stack->count.timeouts)++;
	msrp_transaction_stop(t);
	t->ops->timeout(t);
}

int transactions_init(struct msrp_stack *stack)
{
	stack->free_slot = NO_SLOT;
	return timer_queue_init(&stack->answering, stack->base,
	    stack->settings->transaction_timeout_ms, on_timeout, stack);
}

void transactions_fini(struct msrp_stack *stack)
{
	timer_queue_fini(&stack->answering);
	free(stack->slots);
	free(stack->free_slots);
}
