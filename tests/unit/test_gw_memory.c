/* A life of the gateway while the n-th allocation fails, for each n. */
#include "gw_fake.h"
#include "memory.h"

static const char envelope[] =
    "From: <sip:client@b>\r\nTo: <sip:phone@a>\r\nNS: imdn <urn:ietf:params:imdn>\r\n"
    "imdn.Message-ID: 1\r\nimdn.Disposition-Notification: positive-delivery\r\n"
    "DateTime: 2026-11-21T12:00:00Z\r\nSubject: s\r\n\r\nContent-Type: text/plain\r\n\r\nhi";

/* Everything that takes memory once; what fails is answered or refused, never forgotten. */
static void live(struct world *w)
{
	struct sip_request message[3], invite;
	struct ua_session *s;

	for (size_t i = 0; i < 3; i++) {
		request_init(&message[i], "MESSAGE", PHONE, CLIENT, "text/plain", "x");
		message[i].fields[SIP_FIELD_PROTO] = SLICE("udp");
		message[i].fields[SIP_FIELD_CSEQ] =
		    slice_of((const char *const[]){"1", "2", "3"}[i]);
		put_message(w, &message[i], (int)i);
		assert_true(i > 0 || message[i].code != 0);
	}
	request_init(&invite, "INVITE", CLIENT, PHONE, NULL, NULL);
	put_invite(w, &invite);
	s = w->session_count ? &w->sessions[w->session_count - 1] : NULL;
	if (s && !s->gone) {
		s->accepts = "message/cpim";
		s->wrapped = true;
		session_up(s);
		session_message(s, "1", "message/cpim", envelope);
		session_message(s, "2", "text/plain", "y");
		while (w->page_count)
			page_answer(w, 200);
		session_report(s, "m0", 200, REPORT_FROM_RESPONSE);
		session_terminate(s, UA_END_BYE);
	}
	gw_service.stop(w->gw);
	w->gw = NULL;
	assert_int_equal(w->used, 0);
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(message[i].answers, 1);
		assert_int_equal(message[i].refs, 1);
	}
	assert_int_equal(invite.answers, 1);
	assert_int_equal(invite.refs, 1);
}

static void test_each_allocation(void **state)
{
	struct world *w = *state;
	unsigned n = 0;

	do {
		w->session_count = 0;
		memory_fail_at(++n);
		if (world_start(w) == 0)
			live(w);
		assert_true(n < 1000);
	} while (memory_has_failed());
	memory_fail_at(0);
	assert_true(n > 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_each_allocation, world_open, world_close),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
