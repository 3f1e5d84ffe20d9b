#include <errno.h>
#include <stdlib.h>

#include <msrpd/rand.h>
#include <msrpd/stats.h>

#include "msrp/priv.h"

enum {
	SLOT_CHARS = 5,
	SLOT_BITS = 5,
	SLOTS_MAX = 1 << (SLOT_CHARS * SLOT_BITS),
	RANDOM_CHARS = MSRP_TID_LEN - SLOT_CHARS, /* 64 bits, as RFC 4975 7.1 asks for */
	NO_SLOT = UINT32_MAX,
};

static const char slot_digits[] = "0123456789abcdefghijklmnopqrstuv";

/* --- the table: a slot's number stands at the end of the transaction id --- */

static int grow_slots(struct transactions *all)
{
	uint32_t cap = all->slot_cap ? all->slot_cap * 2 : 64;
	struct msrp_transaction **slots;
	uint32_t *links;

	if (cap > SLOTS_MAX)
		return -ENOBUFS;
	slots = realloc(all->slots, cap * sizeof(struct msrp_transaction *));
	if (!slots)
		return -ENOMEM;
	all->slots = slots;
	links = realloc(all->free_slots, cap * sizeof(*links));
	if (!links)
		return -ENOMEM;
	all->free_slots = links;
	for (uint32_t i = all->slot_cap; i < cap; i++) {
		slots[i] = NULL;
		links[i] = i + 1 < cap ? i + 1 : NO_SLOT;
	}
	all->free_slot = all->slot_cap;
	all->slot_cap = cap;
	return 0;
}

static int take_slot(struct transactions *all, struct msrp_transaction *t)
{
	int err;

	if (all->free_slot == NO_SLOT && (err = grow_slots(all)) < 0)
		return err;
	t->slot = all->free_slot;
	all->free_slot = all->free_slots[t->slot];
	all->slots[t->slot] = t;
	return 0;
}

static void leave_slot(struct transactions *all, struct msrp_transaction *t)
{
	all->slots[t->slot] = NULL;
	all->free_slots[t->slot] = all->free_slot;
	all->free_slot = t->slot;
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

static struct msrp_transaction *find(const struct transactions *all, struct slice tid)
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
	t = slot < all->slot_cap ? all->slots[slot] : NULL;
	return t && memcmp(t->tid, tid.p, MSRP_TID_LEN) == 0 ? t : NULL;
}

/* --- transactions --- */

/* How long its response took, if the request had left. */
static void count_time(const struct msrp_stack *stack, const struct msrp_transaction *t)
{
	if (timer_entry_running(&t->timer))
		stats_took(stack->count.transaction,
		    timer_queue_age(&stack->transactions.answering, &t->timer));
}

#define OF_TIMER(entry) \
	((struct msrp_transaction *)((char *)(entry)-offsetof(struct msrp_transaction, timer)))
#define OF_MARK(m) \
	((struct msrp_transaction *)((char *)(m)-offsetof(struct msrp_transaction, mark)))

static void on_sent(struct net_mark *mark)
{
	struct msrp_transaction *t = OF_MARK(mark);

	t->left = true;
	timer_queue_start(&stack_of(t->conn)->transactions.answering, &t->timer);
}

int msrp_transaction_start(struct msrp_transaction *t, struct msrp_conn *conn)
{
	int err;

	if (msrp_conn_closed(conn))
		return -ENOTCONN;
	err = take_slot(&stack_of(conn)->transactions, t);
	if (err < 0)
		return err;
	write_tid(t);
	t->conn = conn;
	t->timer = (struct timer_entry){0};
	t->mark = (struct net_mark){.sent = on_sent};
	t->left = false;
	LIST_INSERT_HEAD(&conn->transactions, t, entry);
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
	timer_queue_stop(&stack_of(conn)->transactions.answering, &t->timer);
	msrp_conn_unmark(conn, &t->mark);
	leave_slot(&stack_of(conn)->transactions, t);
	LIST_REMOVE(t, entry);
	t->conn = NULL;
}

static int take_response(struct msrp_conn *conn, struct slice tid, const struct msrp_frame *frame)
{
	struct msrp_transaction *t = find(&stack_of(conn)->transactions, tid);

	/* RFC 4975 7.2: a response comes on the connection of its request. */
	if (!t || t->conn != conn) {
		(*stack_of(conn)->count.stray_responses)++;
		return 0;
	}
	count_time(stack_of(conn), t);
	msrp_transaction_stop(t);
	return t->ops->response(t, frame);
}

int transactions_response(struct msrp_conn *conn, const struct msrp_frame *frame)
{
	struct slice also = answers_also(frame), tid;
	int result = take_response(conn, frame->tid, frame), err;

	while ((result == 0 || result == -EAGAIN) && slice_cut(&also, ' ', &tid)) {
		err = tid.len ? take_response(conn, tid, frame) : 0;
		result = err ? err : result;
	}
	return result;
}

void transactions_lost(struct msrp_conn *conn, int err)
{
	struct msrp_transaction *t;

	while ((t = LIST_FIRST(&conn->transactions))) {
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
	struct transactions *all = &stack->transactions;

	all->free_slot = NO_SLOT;
	return timer_queue_init(&all->answering, msrp_stack_base(stack),
	    stack->settings->transaction_timeout_ms, on_timeout, stack);
}

void transactions_fini(struct msrp_stack *stack)
{
	struct transactions *all = &stack->transactions;

	timer_queue_fini(&all->answering);
	free(all->slots);
	free(all->free_slots);
}
