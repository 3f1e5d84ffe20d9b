/* The life of a room while the n-th allocation fails, for each n. */
#include "conf_fake.h"
#include "memory.h"

static void call_carol(struct world *w)
{
	struct sip_request request;

	request_init(&request, "REFER", ALICE, NULL);
	request.refer_to = SLICE("<sip:carol@im.example.org>");
	run_action(w, "msrp_conf_refer", &request);
	assert_true(request.answers <= 1);
}

/* Whatever of it comes about; sessions that are gone say no more. */
static void live(struct world *w)
{
	struct ua_session *alice, *bob;
	void *stream = NULL;
	char *text;
	int code;

	alice = invite(w, ALICE, NULL, &code);
	assert_true(alice ? code == 200 : code == 500);
	bob = invite(w, BOB, "id", &code);
	assert_true(bob ? code == 200 : code == 500);
	if (alice)
		session_up(alice);
	if (bob)
		session_up(bob);
	if (watch(w) == 0)
		free(document(w, true));
	write_page(w, PHONE, "/nick Fon", NULL);
	write_page(w, PHONE, "hello", NULL);
	if (alice) {
		ask_nickname(alice, "Ally");
		say(alice, ALICE, LOBBY, "words");
		say(alice, ALICE, PHONE, "psst");
		if (bob)
			say(alice, ALICE,
			    bob->arg ? ((const struct conf_participant *)bob->arg)->user->uri : BOB,
			    "psst");
	}
	if (bob)
		say(bob, BOB, LOBBY, "under another name");
	while (w->page_count)
		page_answer(w, 200);
	if (alice && begin_text(alice, "From: <" ALICE ">\r\nTo:", 5000, &stream) == 0)
		alice->handler->end(alice, stream, -ETIMEDOUT, alice->arg);
	if (alice)
		call_carol(w);
	if (alice)
		leave(alice);
	if (w->subscription.watcher) {
		text = document(w, false);
		free(text);
		unwatch(w);
	}
	if (bob) /* at the end of the daemon */
		bob->handler->notify(bob,
		    &(struct ua_notice){.what = UA_TERMINATED, .end = UA_END_STOPPED}, bob->arg);
}

static void test_each_allocation(void **state)
{
	struct world *w = *state;
	unsigned n = 0;

	do {
		w->subscription.watcher = NULL;
		memory_fail_at(++n);
		if (world_start(w) == 0)
			live(w);
		world_stop(w);
		assert_int_equal(w->used, 0);
		assert_true(n < 1000);
	} while (memory_has_failed());
	memory_fail_at(0);
	assert_true(n > 50);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_each_allocation, world_open, world_close),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
