/* REFER to a room: what becomes of who is called, and who is told. */
#include "conf_fake.h"

#define CAROL "sip:carol@im.example.org"

/* From the rule of those who may not send others out. @return what it was answered */
static int refer(struct world *w, const char *from, const char *to)
{
	struct sip_request request;

	request_init(&request, "REFER", from, NULL);
	request.refer_to = slice_of(to);
	run_action(w, "msrp_conf_refer", &request);
	assert_true(request.answers <= 1);
	return request.code;
}

static int refer_start(void **state)
{
	struct world *w;
	int code;

	world_open(state);
	w = *state;
	assert_int_equal(world_start(w), 0);
	session_up(invite(w, ALICE, NULL, &code));
	return 0;
}

static int refer_stop(void **state)
{
	world_stop(*state);
	return world_close(state);
}

static void test_called(void **state)
{
	struct world *w = *state;
	char *body = NULL;
	size_t len;

	assert_int_equal(refer(w, ALICE, "<" CAROL ";x=y;METHOD=INVITE>"), 202);
	assert_int_equal(w->session_count, 2);
	w->refer_package->body(&w->referral, true, &body, &len, w->referral.watcher);
	assert_memory_equal(body, "SIP/2.0 100 Trying\r\n", len);
	free(body);
	session_up(&w->sessions[1]);
	assert_true(w->referral.ended);
	assert_string_equal(w->referral.last, "SIP/2.0 200 OK\r\n");
}

static void test_not_called(void **state)
{
	struct world *w = *state;
	struct ua_session *s;

	assert_int_equal(refer(w, ALICE, CAROL), 202);
	s = &w->sessions[1];
	s->handler->notify(s,
	    &(struct ua_notice){.what = UA_FAILED, .code = 603, .reason = SLICE("No")}, s->arg);
	assert_string_equal(w->referral.last, "SIP/2.0 603 No\r\n");
	w->start_result = -ENETUNREACH;
	assert_int_equal(refer(w, ALICE, CAROL), 480);
}

/* He does not want to know any more, and she comes in, or does not. */
static void test_not_told(void **state)
{
	struct world *w = *state;

	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(refer(w, ALICE, CAROL), 202);
		w->refer_package->ended(&w->referral, w->referral.watcher);
		if (i == 0)
			session_up(&w->sessions[1]);
	}
	assert_false(w->referral.ended);
}

/* No room for what he is told, or no memory: nobody is called. */
static void test_too_many(void **state)
{
	struct world *w = *state;

	w->refer_result = -ENOBUFS;
	assert_int_equal(refer(w, ALICE, CAROL), 503);
	assert_true(w->sessions[1].gone);
	w->refer_result = -ENOMEM;
	assert_int_equal(refer(w, ALICE, CAROL), 500);
	assert_true(w->sessions[2].gone);
}

/* Whom the room is for, who is sent out, and a request that has gone far enough. */
static void test_limits(void **state)
{
	static char *users[] = {"alice"};
	struct world *w = *state;
	struct sip_request request;

	w->room.users = (struct setting_list){users, 1};
	assert_int_equal(refer(w, ALICE, CAROL), 403);
	w->room.users.count = 0;
	request_init(&request, "REFER", ALICE, NULL);
	request.refer_to = SLICE(CAROL);
	request.no_hops = true;
	run_action(w, "msrp_conf_refer", &request);
	assert_int_equal(request.code, 483);
	request_init(&request, "REFER", ALICE, NULL);
	request.refer_to = SLICE(CAROL);
	request.referred_by = SLICE("<" ALICE ">");
	run_action(w, "msrp_conf_refer", &request);
	assert_int_equal(request.code, 202);
	assert_string_equal(w->offered, "Referred-By: <" ALICE ">\r\n");
}

static int kick(struct world *w, const char *whom)
{
	struct sip_request request;
	char to[128];

	snprintf(to, sizeof(to), "<%s;method=BYE>", whom);
	request_init(&request, "REFER", ALICE, NULL);
	request.refer_to = slice_of(to);
	run_action_with(w, "msrp_conf_refer", &request, 1);
	return request.code;
}

static void test_sent_out(void **state)
{
	struct world *w = *state;

	assert_int_equal(kick(w, CAROL), 480);
	join(w, CAROL);
	w->refer_result = -ENOMEM; /* who asks could not be told of it */
	assert_int_equal(kick(w, CAROL), 500);
	assert_int_equal(lobby(w)->count, 2);
	w->refer_result = 0;
	assert_int_equal(kick(w, CAROL), 202);
	assert_int_equal(lobby(w)->count, 1);
	assert_string_equal(w->referral.last, "SIP/2.0 200 OK\r\n");
}

static void test_refused(void **state)
{
	static const struct {
		const char *from, *to;
		int code;
	} cases[] = {
	    {BOB, CAROL, 403},
	    {"nobody", CAROL, 403},
	    {ALICE, NULL, 400},
	    {ALICE, "<carol>", 400},
	    {ALICE, "<" CAROL ";method=BYE>", 403},
	    {ALICE, "<" CAROL ";method>", 501},
	    {ALICE, "<sip:a?b;method=BYE@h;method=X>", 501},
	    {ALICE, "<" CAROL ";method=SUBSCRIBE>", 501},
	    {ALICE, "<" CAROL "?Replaces=x>", 501},
	    {ALICE, "<" CAROL "?Replaces=a@b>", 501},
	};
	struct world *w = *state;
	char uri[CONF_URI_MAX + 64];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(refer(w, cases[i].from, cases[i].to), cases[i].code);
	snprintf(uri, sizeof(uri), "<sip:%0*d@h>", CONF_URI_MAX, 0);
	assert_int_equal(refer(w, ALICE, uri), 400);
	w->settings.max_participants = 1;
	assert_int_equal(refer(w, ALICE, CAROL), 486);
	assert_int_equal(w->refer_package->subscribe(NULL, NULL, NULL, NULL), 403);
	assert_int_equal(w->session_count, 1);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, refer_start, refer_stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_called),
	    TEST(test_not_called),
	    TEST(test_not_told),
	    TEST(test_too_many),
	    TEST(test_limits),
	    TEST(test_sent_out),
	    TEST(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
