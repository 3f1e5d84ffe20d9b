/* Keys and sessions, deliveries both ways, against a UA and a page that only note. */
#include "gw_fake.h"

static void send_text(struct world *w, struct sip_request *req, int confirm, const char *body)
{
	request_init(req, "MESSAGE", PHONE, CLIENT, "text/plain", body);
	put_message(w, req, confirm);
}

static struct world *started(void **state)
{
	struct world *w = *state;

	assert_int_equal(world_start(w), 0);
	return w;
}

/* A session by INVITE of the client. */
static struct ua_session *session_of(struct world *w)
{
	struct sip_request invite;
	struct ua_session *s;

	request_init(&invite, "INVITE", CLIENT, PHONE, NULL, NULL);
	assert_int_equal(put_invite(w, &invite), 0);
	s = &w->sessions[w->session_count - 1];
	session_up(s);
	return s;
}

/* --- set-up --- */

static void test_queue_and_order(void **state)
{
	struct world *w = started(state);
	struct sip_request req[5];

	for (size_t i = 0; i < 5; i++) {
		char body[] = {(char)('a' + (int)i), '\0'};

		send_text(w, &req[i], GW_ACCEPTED, body);
		assert_int_equal(req[i].code, i < 3 ? 202 : 480);
		/* waiting requests are held by their reference, the one that calls by two */
		assert_int_equal(req[i].refs, i == 0 ? 3 : i < 3 ? 2 : 1);
		req[i].fields[SIP_FIELD_BODY] = SLICE("same");
	}
	assert_int_equal(w->session_count, 1);
	session_up(&w->sessions[0]);
	assert_int_equal(w->sessions[0].sent, 3);
	for (size_t i = 0; i < 5; i++)
		assert_int_equal(req[i].refs, 1);
	assert_string_equal(w->events, "SESSION_NEW ;");
}

static void test_failed_set_up(void **state)
{
	static const struct {
		int code;
		bool from_peer;
		int answer;
		const char *events; /* of the one that had its 202, and of the set-up */
	} cases[] = {
	    {486, true, 486, "MSG_FAILED SIP;cause=486;text=\"No\";SETUP_FAILED No;"},
	    {408, true, 480, "MSG_FAILED SIP;cause=408;text=\"No\";SETUP_FAILED No;"},
	    {401, true, 480, "MSG_FAILED SIP;cause=401;text=\"No\";SETUP_FAILED No;"},
	    {301, true, 480, "MSG_FAILED SIP;cause=301;text=\"No\";SETUP_FAILED No;"},
	    {408, false, 480, "MSG_FAILED ;SETUP_FAILED ;"},
	    {503, false, 480, "MSG_FAILED ;SETUP_FAILED ;"},
	};
	struct world *w = started(state);

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sip_request req[2];

		w->events[0] = '\0';
		send_text(w, &req[0], GW_ACCEPTED, "a");
		send_text(w, &req[1], GW_SENT, "b");
		session_fail(&w->sessions[i], cases[i].code, cases[i].from_peer);
		assert_int_equal(req[0].code, 202);
		assert_int_equal(req[1].code, cases[i].answer);
		assert_int_equal(req[0].refs, 1);
		assert_int_equal(req[1].refs, 1);
		assert_string_equal(w->events, cases[i].events);
		assert_int_equal(gw_service.sessions(w->gw), 0);
	}
}

static void test_start_fails(void **state)
{
	static const struct {
		int err, code;
	} cases[] = {{-EINVAL, 400}, {-ENETUNREACH, 503}, {-ENOBUFS, 503}, {-ENOMEM, 500}};
	struct world *w = started(state);
	static struct sip_request req; /* the last one waits for its session until the end */

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		w->start_result = cases[i].err;
		w->events[0] = '\0';
		send_text(w, &req, GW_ACCEPTED, "a");
		assert_int_equal(req.code, cases[i].code);
		assert_string_equal(w->events, "SETUP_FAILED ;");
		assert_int_equal(gw_service.sessions(w->gw), 0);
	}
	w->start_result = 0;
	send_text(w, &req, GW_ACCEPTED, "a");
	assert_int_equal(req.code, 202);
	assert_int_equal(gw_service.sessions(w->gw), 1);
}

/* --- two INVITEs that meet --- */

static void test_meeting(void **state)
{
	/* whose From sorts first, and what becomes of ours: the session that is left */
	static const struct {
		const char *phone;
		enum { ANSWERED, REFUSED, SILENT } ours;
		int theirs;
	} cases[] = {
	    {"sip:zoe@a", SILENT, 200},
	    {"sip:a@a", ANSWERED, 486},
	    {"sip:a@a", REFUSED, 200},
	    {"sip:a@a", SILENT, 200},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct world *w = started(state);
		struct sip_request message, invite, third;
		struct gw_binding *b;

		request_init(&message, "MESSAGE", cases[i].phone, CLIENT, "text/plain", "x");
		put_message(w, &message, GW_ACCEPTED);
		request_init(&invite, "INVITE", CLIENT, cases[i].phone, NULL, NULL);
		assert_int_equal(put_invite(w, &invite), 0);
		request_init(&third, "INVITE", CLIENT, cases[i].phone, NULL, NULL);
		put_invite(w, &third);
		assert_int_equal(third.code, 486);
		b = gw_binding_find(w->gw, SLICE("key"));
		if (invite.code == 0 && cases[i].ours == ANSWERED) {
			session_up(&w->sessions[0]);
		} else if (invite.code == 0 && cases[i].ours == REFUSED) {
			session_fail(&w->sessions[0], 486, true);
		} else if (invite.code == 0) {
			timer_queue_stop(&w->gw->glare, &b->glare_timer);
			gw_binding_on_glare(&b->glare_timer, w->gw);
		}
		assert_int_equal(invite.code, cases[i].theirs);
		assert_int_equal(invite.refs, 1);
		assert_int_equal(gw_service.sessions(w->gw), 1);
		assert_int_equal(w->sessions[0].gone, cases[i].theirs == 200);
		if (cases[i].theirs == 200)
			session_up(&w->sessions[1]);
		assert_int_equal(w->sessions[w->session_count - 1].sent, 1);
		assert_string_equal(w->events, "SESSION_NEW ;");
		gw_service.stop(w->gw);
		w->gw = NULL;
		w->session_count = 0;
		w->events[0] = '\0';
	}
}

/* Theirs turns out to be of no use: ours goes on. */
static void test_meeting_in_vain(void **state)
{
	struct world *w = started(state);
	struct sip_request message, invite;

	send_text(w, &message, GW_ACCEPTED, "x");
	request_init(&invite, "INVITE", CLIENT, PHONE, NULL, NULL);
	w->answer_result = -EPROTO;
	put_invite(w, &invite);
	assert_int_equal(invite.code, 488);
	assert_false(w->sessions[0].gone);
	session_up(&w->sessions[0]);
	assert_int_equal(w->sessions[0].sent, 1);
}

static void test_answer_fails(void **state)
{
	struct world *w = started(state);
	struct sip_request invite;

	w->answer_result = -EPROTO;
	request_init(&invite, "INVITE", CLIENT, PHONE, NULL, NULL);
	assert_int_equal(put_invite(w, &invite), -EPROTO);
	assert_int_equal(invite.code, 488);
	assert_int_equal(gw_service.sessions(w->gw), 0);
	assert_string_equal(w->events, "");
}

/* --- to MSRP --- */

static void test_confirm(void **state)
{
	static const struct {
		enum gw_confirm confirm;
		unsigned namespace;
		int code;
		struct byte_range range;
		enum report_source source;
		int answer; /* 0: not yet */
	} cases[] = {
	    {GW_SENT, 0, 200, {1, 4, 4}, REPORT_FROM_RESPONSE, 200},
	    {GW_SENT, 0, 200, {1, 3, 4}, REPORT_FROM_RESPONSE, 0},
	    {GW_SENT, 0, 200, {0}, REPORT_FROM_RESPONSE, 200},
	    {GW_SENT, 0, 200, {1, 4, 4}, REPORT_FROM_REPORT, 0},
	    {GW_SENT, 0, 413, {1, 4, 4}, REPORT_FROM_RESPONSE, 413},
	    {GW_SENT, 0, 413, {1, 4, 4}, REPORT_FROM_REPORT, 413},
	    {GW_SENT, 0, 408, {1, 4, 4}, REPORT_FROM_HERE, 504},
	    {GW_SENT, 0, 481, {1, 4, 4}, REPORT_FROM_HERE, 480},
	    {GW_SENT, 1, 481, {1, 4, 4}, REPORT_FROM_REPORT, 0},
	    {GW_DELIVERED, 0, 200, {1, 4, 4}, REPORT_FROM_RESPONSE, 0},
	    {GW_DELIVERED, 0, 200, {1, 4, 4}, REPORT_FROM_REPORT, 200},
	    {GW_DELIVERED, 0, 200, {4, 3, 4}, REPORT_FROM_REPORT, 200},
	    {GW_DELIVERED, 0, 200, {1, 2, 4}, REPORT_FROM_REPORT, 0},
	    {GW_DELIVERED, 0, 501, {1, 4, 4}, REPORT_FROM_RESPONSE, 500},
	};
	struct world *w = started(state);
	struct ua_session *s = session_of(w);

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct message_report report = {
		    .namespace = cases[i].namespace,
		    .code = cases[i].code,
		    .range = cases[i].range,
		    .source = cases[i].source,
		};
		struct sip_request req;

		send_text(w, &req, (int)cases[i].confirm, "text");
		assert_int_equal(req.code, 0);
		assert_int_equal(s->last_success_report, cases[i].confirm == GW_DELIVERED);
		session_report(s, "unknown", 413, REPORT_FROM_REPORT);
		assert_int_equal(req.code, 0);
		report.message_id = slice_of(s->last_id);
		s->handler->report(s, &report, s->arg);
		assert_int_equal(req.code, cases[i].answer);
		if (!cases[i].answer) {
			session_report(s, s->last_id, 400, REPORT_FROM_REPORT);
			assert_int_equal(req.code, 400);
		}
		assert_int_equal(req.refs, 1);
		assert_int_equal(req.answers, 1);
	}
}

static void take_report(struct ua_session *s, enum report_source source, uint64_t start,
    uint64_t end)
{
	struct message_report report = {.message_id = slice_of(s->last_id),
	    .code = 200,
	    .range = {start, end, 4},
	    .source = source};

	s->handler->report(s, &report, s->arg);
}

/* It may be said of the first chunk alone: it is no word about what was not taken yet. */
static void test_report_without_an_end(void **state)
{
	struct world *w = started(state);
	struct ua_session *s = session_of(w);
	struct sip_request req;

	send_text(w, &req, GW_DELIVERED, "text");
	take_report(s, REPORT_FROM_RESPONSE, 1, 2);
	take_report(s, REPORT_FROM_REPORT, 1, BYTE_RANGE_UNKNOWN);
	assert_int_equal(req.code, 0);
	take_report(s, REPORT_FROM_RESPONSE, 3, 4);
	assert_int_equal(req.code, 200);
	send_text(w, &req, GW_DELIVERED, "text");
	take_report(s, REPORT_FROM_RESPONSE, 1, 4);
	assert_int_equal(req.code, 0);
	take_report(s, REPORT_FROM_REPORT, 1, BYTE_RANGE_UNKNOWN);
	assert_int_equal(req.code, 200);
}

static void test_send_fails(void **state)
{
	static const struct {
		int err, code;
	} cases[] = {
	    {-EPROTOTYPE, 415},
	    {-EMSGSIZE, 413},
	    {-ENOBUFS, 480},
	    {-EPERM, 403},
	    {-EPIPE, 480},
	    {-EINVAL, 400},
	    {-ENOMEM, 500},
	};
	struct world *w = started(state);
	struct ua_session *s = session_of(w);

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sip_request req;

		s->send_result = cases[i].err;
		send_text(w, &req, GW_SENT, "x");
		assert_int_equal(req.code, cases[i].code);
		assert_int_equal(req.refs, 1);
	}
	s->send_result = 0;
	assert_int_equal(gw_binding_find(w->gw, SLICE("key"))->waiting_count, 0);
}

static void time_out(struct world *w, struct gw_delivery *d)
{
	assert_true(timer_entry_running(&d->timeout));
	timer_queue_stop(&w->gw->timeout, &d->timeout);
	gw_delivery_on_timeout(&d->timeout, w->gw);
}

/* What waits too long is answered, and not sent any more. */
static void test_timeout(void **state)
{
	struct world *w = started(state);
	struct sip_request req[2];
	struct gw_binding *b;

	send_text(w, &req[0], GW_SENT, "a");
	send_text(w, &req[1], GW_DELIVERED, "b");
	b = gw_binding_find(w->gw, SLICE("key"));
	for (size_t i = 0; i < 2; i++) {
		time_out(w, TAILQ_FIRST(&b->waiting));
		assert_int_equal(req[i].code, 504);
		assert_string_equal(req[i].headers,
		    "Reason: SIP;cause=408;text=\"No session yet\"\r\n");
		assert_int_equal(req[i].refs, i == 0 ? 2 : 1);
	}
	session_up(&w->sessions[0]);
	assert_int_equal(req[0].refs, 1);
	assert_int_equal(w->sessions[0].sent, 0);
	assert_int_equal(b->waiting_count, 0);
	assert_int_equal(b->waiting_bytes, 0);
}

/* The answer tells a peer that is silent from one that never reports success. */
static void test_timeout_with_the_peer(void **state)
{
	static const struct {
		bool responds;
		const char *reason;
	} cases[] = {
	    {false, "Reason: MSRP;cause=408;text=\"No response\"\r\n"},
	    {true, "Reason: MSRP;cause=200;text=\"Accepted, but no success report\"\r\n"},
	};
	struct world *w = started(state);
	struct ua_session *s = session_of(w);
	struct gw_binding *b = gw_binding_find(w->gw, SLICE("key"));

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sip_request req;

		send_text(w, &req, GW_DELIVERED, "text");
		if (cases[i].responds)
			session_report(s, s->last_id, 200, REPORT_FROM_RESPONSE);
		time_out(w, TAILQ_FIRST(&b->unanswered));
		assert_int_equal(req.code, 504);
		assert_string_equal(req.headers, cases[i].reason);
		assert_int_equal(req.refs, 1);
	}
}

static void test_stop(void **state)
{
	struct world *w = started(state);
	struct ua_session *s = session_of(w);
	struct sip_request req;

	assert_int_equal(session_message(s, "1", "text/plain", "x"), UA_REPORT_LATER);
	send_text(w, &req, GW_SENT, "y");
	assert_int_equal(gw_service.sessions(w->gw), 1);
	w->events[0] = '\0';
	session_terminate(s, UA_END_STOPPED);
	assert_int_equal(gw_service.sessions(w->gw), 0);
	assert_int_equal(req.code, 503);
	assert_string_equal(w->events, "");
	page_answer(w, 200);
	assert_int_equal(s->reports, 0);
}

static void test_repetitions(void **state)
{
	struct world *w = started(state);
	struct ua_session *s = session_of(w);
	struct sip_request req;

	for (unsigned i = 0; i < 3; i++) {
		request_init(&req, "MESSAGE", PHONE, CLIENT, "text/plain", "x");
		req.fields[SIP_FIELD_PROTO] = SLICE("udp");
		put_message(w, &req, GW_ACCEPTED);
		assert_int_equal(req.code, 202);
		assert_int_equal(s->sent, 1);
	}
	req.fields[SIP_FIELD_CSEQ] = SLICE("2");
	req.code = 0;
	put_message(w, &req, GW_ACCEPTED);
	assert_int_equal(s->sent, 2);
	/* what was refused may be tried again */
	req.fields[SIP_FIELD_CSEQ] = SLICE("3");
	req.code = 0;
	s->send_result = -ENOBUFS;
	put_message(w, &req, GW_ACCEPTED);
	assert_int_equal(req.code, 480);
	s->send_result = 0;
	req.code = 0;
	put_message(w, &req, GW_ACCEPTED);
	assert_int_equal(req.code, 202);
	assert_int_equal(s->sent, 3);
	/* also when it was refused later */
	session_report(s, s->last_id, 200, REPORT_FROM_RESPONSE);
	req.fields[SIP_FIELD_CSEQ] = SLICE("4");
	for (unsigned i = 0; i < 2; i++) {
		req.code = 0;
		put_message(w, &req, GW_SENT);
		assert_int_equal(s->sent, 4 + i);
		session_report(s, s->last_id, 413, REPORT_FROM_RESPONSE);
		assert_int_equal(req.code, 413);
	}
}

/* Many of them, over two turns of the clock. */
static void test_repetitions_remembered(void **state)
{
	enum { COUNT = 5000 };
	struct world *w = started(state);
	struct sip_request req;
	char cseq[16];

	request_init(&req, "MESSAGE", PHONE, CLIENT, "text/plain", "x");
	req.fields[SIP_FIELD_PROTO] = SLICE("udp");
	for (unsigned turn = 0; turn < 3; turn++) {
		for (unsigned i = 0; i < COUNT; i++) {
			snprintf(cseq, sizeof(cseq), "%u", i);
			req.fields[SIP_FIELD_CSEQ] = slice_of(cseq);
			assert_int_equal(gw_recent_note(w->gw, &req, 0), turn > 0 && i % 3 != 0);
			assert_true(gw_recent_note(w->gw, &req, 0));
			if (i % 3 == 0)
				gw_recent_forget(w->gw, &req, 0);
		}
		if (turn == 0)
			gw_recent_on_turn(w->gw); /* known in the turn that follows, too */
	}
	assert_true(timer_running(&w->gw->recent_turn));
	gw_recent_on_turn(w->gw);
	gw_recent_on_turn(w->gw);
	req.fields[SIP_FIELD_CSEQ] = SLICE("1");
	assert_false(gw_recent_note(w->gw, &req, 0));
	gw_recent_on_turn(w->gw);
	gw_recent_on_turn(w->gw);
	assert_null(w->gw->recent[0].slots);
	assert_null(w->gw->recent[1].slots);
}

/* --- to SIP --- */

static void test_pages(void **state)
{
	static const struct {
		int answer, report;
	} cases[] = {
	    {200, 200},
	    {202, 200},
	    {0, 408},
	    {404, 404},
	    {415, 415},
	    {500, 408},
	    {486, 408},
	};
	struct world *w = started(state);
	struct ua_session *s = session_of(w);

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(session_message(s, "id", "text/plain", "x"), UA_REPORT_LATER);
		assert_int_equal(w->page_count, 1);
		assert_string_equal(w->pages[0].ruri, PHONE);
		page_answer(w, cases[i].answer);
		assert_int_equal(s->report_code, cases[i].report);
		assert_int_equal(s->reports, i + 1);
	}
	assert_string_equal(s->report_phrase, "SIP 486 Phrase");
}

/* A MESSAGE in the session's dialog is answered when its fate is known. */
static void test_pages_in_dialog(void **state)
{
	static const struct {
		int answer, reply;
	} cases[] = {{200, 200}, {202, 200}, {0, 408}, {404, 404}, {603, 403}};
	struct world *w = started(state);
	struct ua_session *s = session_of(w);
	struct sip_request first, second;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		request_init(&first, "MESSAGE", "sip:m@m", "sip:p@p", "text/plain", "x");
		request_init(&second, "MESSAGE", "sip:m@m", "sip:p@p", "text/plain", "y");
		assert_int_equal(session_message_in_dialog(s, &first), UA_REPLY_LATER);
		assert_int_equal(session_message_in_dialog(s, &second), UA_REPLY_LATER);
		assert_int_equal(first.answers + second.answers, 0);
		page_answer(w, cases[i].answer);
		assert_int_equal(first.code, cases[i].reply);
		assert_int_equal(first.refs, 1);
		assert_int_equal(second.answers, 0);
		page_answer(w, 200);
		assert_int_equal(second.code, 200);
		assert_int_equal(second.refs, 1);
	}
	assert_int_equal(s->reports, 0);
	/* what cannot be sent at all is answered at once */
	request_init(&first, "MESSAGE", "sip:m@m", "sip:p@p", "text/plain", "x");
	w->page_result = -EMSGSIZE;
	assert_int_equal(session_message_in_dialog(s, &first), 413);
	assert_int_equal(first.refs, 1);
}

static void test_page_in_dialog_outlives(void **state)
{
	struct world *w = started(state);
	struct ua_session *s = session_of(w);
	struct sip_request late, last;

	request_init(&late, "MESSAGE", "sip:m@m", "sip:p@p", "text/plain", "x");
	request_init(&last, "MESSAGE", "sip:m@m", "sip:p@p", "text/plain", "y");
	assert_int_equal(session_message_in_dialog(s, &late), UA_REPLY_LATER);
	assert_int_equal(session_message_in_dialog(s, &last), UA_REPLY_LATER);
	/* SIP does not wait for ever */
	assert_true(w->gw->in_dialog_timeout.period_ms < 32000);
	gw_page_on_timeout(timer_queue_first(&w->gw->in_dialog_timeout), NULL);
	assert_int_equal(late.code, 202);
	assert_int_equal(late.refs, 1);
	session_terminate(s, UA_END_BYE);
	page_answer(w, 404);
	assert_int_equal(late.answers, 1);
	page_answer(w, 200);
	assert_int_equal(last.code, 200);
	assert_int_equal(last.refs, 1);
	assert_null(timer_queue_first(&w->gw->in_dialog_timeout));
}

static void test_page_refused(void **state)
{
	static const struct {
		int err, status;
	} cases[] = {{-EMSGSIZE, 413}, {-EINVAL, 400}, {-ENETUNREACH, 408}, {-ENOBUFS, 408}};
	struct world *w = started(state);
	struct ua_session *s = session_of(w);

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		w->page_result = 0;
		assert_int_equal(session_message(s, "1", "text/plain", "x"), UA_REPORT_LATER);
		assert_int_equal(session_message(s, "2", "text/plain", "y"), UA_REPORT_LATER);
		w->page_result = cases[i].err;
		page_answer(w, 200); /* the second cannot be sent */
		assert_int_equal(s->report_code, cases[i].status);
		assert_int_equal(session_message(s, "3", "text/plain", "z"), cases[i].status);
		assert_null(w->gw->queues);
	}
}

static void test_page_bounds(void **state)
{
	struct world *w = started(state);
	struct ua_session *s = session_of(w);
	char big[701];

	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	for (unsigned i = 0; i < 4; i++) /* one under way, three wait */
		assert_int_equal(session_message(s, "1", "text/plain", "x"), UA_REPORT_LATER);
	assert_int_equal(session_message(s, "1", "text/plain", "x"), 413);
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(w->page_count, 1);
		page_answer(w, 200);
	}
	assert_int_equal(session_message(s, "1", "text/plain", big), UA_REPORT_LATER);
	assert_int_equal(session_message(s, "2", "text/plain", big), 413);
	assert_int_equal(session_message(s, "2", "text/plain", "x"), UA_REPORT_LATER);
	session_terminate(s, UA_END_BYE);
	page_answer(w, 200);
	page_answer(w, 200);
	assert_int_equal(w->page_count, 0);
	assert_null(w->gw->queues);
	assert_string_equal(w->events, "SESSION_NEW ;SESSION_END bye;");
}

/* --- the budget of all messages --- */

enum { BUDGET = 10000, BODY = 5000 };

static const char *big_body(void)
{
	static char text[BODY + 1];

	memset(text, 'x', BODY);
	return text;
}

static struct world *started_within_budget(void **state)
{
	struct world *w = *state;

	w->budget.max = BUDGET;
	w->settings.max_queued_bytes = 10 * BODY;
	return started(state);
}

/* What waits is charged; the UA charges what it has been given. */
static void test_budget_of_deliveries(void **state)
{
	struct world *w = started_within_budget(state);
	struct sip_request req[3];
	uint64_t taken;

	w->budget.max = BODY;
	send_text(w, &req[0], GW_ACCEPTED, big_body());
	assert_int_equal(req[0].code, 480);
	assert_int_equal(w->session_count, 0); /* nobody is called for it */
	w->budget.max = BUDGET;
	send_text(w, &req[0], GW_ACCEPTED, big_body());
	assert_int_equal(req[0].code, 202);
	taken = w->used;
	assert_true(taken > BODY);
	send_text(w, &req[1], GW_ACCEPTED, big_body());
	assert_int_equal(req[1].code, 480);
	assert_int_equal(w->used, taken);
	session_up(&w->sessions[0]);
	assert_int_equal(w->used, 0);
	send_text(w, &req[2], GW_SENT, big_body());
	assert_int_equal(w->used, taken); /* there is the MESSAGE still, to be answered */
	session_report(&w->sessions[0], w->sessions[0].last_id, 200, REPORT_FROM_RESPONSE);
	assert_int_equal(req[2].code, 200);
	assert_int_equal(w->used, 0);
	w->sessions[0].send_result = -EPIPE;
	send_text(w, &req[2], GW_SENT, big_body());
	assert_int_equal(w->used, 0);
}

static void test_budget_of_pages(void **state)
{
	struct world *w = started_within_budget(state);
	struct ua_session *s = session_of(w);
	uint64_t taken;

	assert_int_equal(session_message(s, "1", "text/plain", big_body()), UA_REPORT_LATER);
	taken = w->used;
	assert_true(taken > BODY);
	assert_int_equal(session_message(s, "2", "text/plain", big_body()), 413);
	assert_int_equal(w->used, taken);
	page_answer(w, 200);
	assert_int_equal(w->used, 0);
	w->budget.max = BODY;
	assert_int_equal(session_message(s, "3", "text/plain", big_body()), 413);
	assert_null(w->gw->queues);
}

/* --- clocks --- */

static void test_clocks(void **state)
{
	static const struct {
		uint64_t session_ms, message_ms, page_age, any_age;
		bool ends;
	} cases[] = {
	    {0, 0, 1000000, 1000000, false},
	    {100, 0, 1000000, 50, false},
	    {100, 0, 0, 100, true},
	    {0, 100, 99, 1000000, false},
	    {0, 100, 100, 0, true},
	    {100, 100, 99, 99, false},
	};
	struct world *w = started(state);

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct ua_session *s = session_of(w);
		struct gw_binding *b = gw_binding_find(w->gw, SLICE("key"));
		uint64_t now = timer_now_ms();

		/* They start with the session, and not with the daemon */
		assert_true(now - b->last_page_ms < 60000 && now - b->last_any_ms < 60000);
		/* a second off the limits is for the clock that goes on */
		w->settings.session_timeout_ms = cases[i].session_ms * 1000;
		w->settings.message_timeout_ms = cases[i].message_ms * 1000;
		b->last_page_ms = now - cases[i].page_age * 1000;
		b->last_any_ms = now - cases[i].any_age * 1000;
		gw_binding_sweep(w->gw);
		assert_int_equal(s->gone, cases[i].ends);
		assert_int_equal(gw_service.sessions(w->gw), cases[i].ends ? 0 : 1);
		if (!cases[i].ends)
			gw_binding_end(b, UA_END_BYE);
	}
}

/* Who moves which clock. */
static void test_what_moves_clocks(void **state)
{
	enum { TEXT = 1, COMPOSING, REFUSED };
	static const struct {
		bool from_page;
		int what;
		bool moves_page, moves_any;
	} cases[] = {
	    {true, TEXT, true, true},
	    {true, COMPOSING, false, false},
	    {true, REFUSED, false, false},
	    {false, TEXT, false, true},
	    {false, COMPOSING, false, false},
	};
	struct world *w = started(state);
	struct ua_session *s = session_of(w);
	struct gw_binding *b = gw_binding_find(w->gw, SLICE("key"));

	w->settings.iscomposing = GW_ISCOMPOSING_FORWARD;
	s->accepts = "text/plain application/im-iscomposing+xml";
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *type = cases[i].what == TEXT ? "text/plain"
		    : cases[i].what == COMPOSING         ? "application/im-iscomposing+xml"
							 : "text/html";
		struct sip_request req;

		b->last_page_ms = b->last_any_ms = 1;
		if (cases[i].from_page) {
			request_init(&req, "MESSAGE", PHONE, CLIENT, type, "x");
			put_message(w, &req, GW_ACCEPTED);
			assert_int_equal(req.code, cases[i].what == REFUSED ? 415 : 202);
		} else {
			assert_int_equal(session_message(s, "1", type, "x"), UA_REPORT_LATER);
			page_answer(w, 200);
		}
		assert_int_equal(b->last_page_ms != 1, cases[i].moves_page);
		assert_int_equal(b->last_any_ms != 1, cases[i].moves_any);
	}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, world_open, world_close)
	const struct CMUnitTest tests[] = {
	    TEST(test_queue_and_order),
	    TEST(test_failed_set_up),
	    TEST(test_start_fails),
	    TEST(test_meeting),
	    TEST(test_meeting_in_vain),
	    TEST(test_answer_fails),
	    TEST(test_confirm),
	    TEST(test_report_without_an_end),
	    TEST(test_send_fails),
	    TEST(test_timeout),
	    TEST(test_timeout_with_the_peer),
	    TEST(test_stop),
	    TEST(test_repetitions),
	    TEST(test_repetitions_remembered),
	    TEST(test_pages),
	    TEST(test_pages_in_dialog),
	    TEST(test_page_in_dialog_outlives),
	    TEST(test_page_refused),
	    TEST(test_page_bounds),
	    TEST(test_budget_of_deliveries),
	    TEST(test_budget_of_pages),
	    TEST(test_clocks),
	    TEST(test_what_moves_clocks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
