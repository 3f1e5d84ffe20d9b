#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sip/sdp.h"

#define HEAD                                                                        \
	"v=0\r\no=alice 2890844526 2890844527 IN IP4 alice.example.com\r\ns= -\r\n" \
	"c=IN IP4 alice.example.com\r\nt=0 0\r\n"
#define PATH   "a=path:msrp://alice.example.com:7394/2s93i93idj;tcp\r\n"
#define TYPES  "a=accept-types:message/cpim text/plain text/html\r\n"
#define STREAM "m=message 7394 TCP/MSRP *\r\n" TYPES PATH

/* A copy that ends where the text ends, so that a sanitizer sees what is read behind it. */
static int parse_exact(struct sdp_session *sdp, const char *text, size_t len, char **copyp)
{
	*copyp = malloc(len ? len : 1);
	assert_non_null(*copyp);
	memcpy(*copyp, text, len);
	return sdp_parse(sdp, (struct slice){*copyp, len});
}

static void assert_slice(struct slice s, const char *expected)
{
	if (!expected) {
		assert_null(s.p);
		return;
	}
	assert_int_equal(s.len, strlen(expected));
	assert_memory_equal(s.p, expected, s.len);
}

static const struct sdp_wanted any = {
    .transports = SDP_PLAIN | SDP_TLS,
    .accept_types = SLICE("*"),
};

static const struct sdp_wanted plain = {.transports = SDP_PLAIN, .accept_types = SLICE("*")};

/* RFC 4975 8.2's example, with what RFC 6135 and 8122 add */
static void test_parse(void **state)
{
	static const char text[] =
	    HEAD "a=setup:actpass\r\n"
		 "m=audio 49170 RTP/AVP 0 8\r\na=rtpmap:0 PCMU/8000\r\n"
		 "m=message 7394 TCP/TLS/MSRP *\r\nc=IN IP6 2001:db8::1\r\n" TYPES
		 "a=accept-wrapped-types:*\r\n" PATH "a=path:msrp://second.example.com:1/x;tcp\r\n"
		 "a=max-size:10480000\r\na=setup:passive\r\na=connection:new\r\na=sendonly\r\n"
		 "a=fingerprint:SHA-1 4A:AD:B9\r\na=fingerprint:sha-256 "
		 "00:11\r\na=file-selector:name:\"a b\"\r\n";
	struct sdp_wanted of_file = {.transports = SDP_PLAIN | SDP_TLS,
	    .accept_types = SLICE("*"),
	    .file = true};
	struct sdp_session sdp;
	const struct sdp_media *m;
	char *copy;

	(void)state;
	assert_int_equal(parse_exact(&sdp, text, sizeof(text) - 1, &copy), 0);
	assert_slice(sdp.origin, "alice 2890844526 2890844527 IN IP4 alice.example.com");
	assert_int_equal(sdp.media_count, 2);
	m = &sdp.media[0];
	assert_slice(m->type, "audio");
	assert_slice(m->formats, "0 8");
	assert_slice(m->address, "alice.example.com");
	assert_int_equal(m->setup, SDP_SETUP_ACTPASS);
	assert_int_equal(m->direction, SDP_SENDRECV);
	assert_slice(m->path, NULL);
	m = &sdp.media[1];
	assert_int_equal(m->port, 7394);
	assert_slice(m->proto, "TCP/TLS/MSRP");
	assert_slice(m->address, "2001:db8::1");
	assert_slice(m->path, "msrp://alice.example.com:7394/2s93i93idj;tcp");
	assert_slice(m->accept_types, "message/cpim text/plain text/html");
	assert_slice(m->accept_wrapped_types, "*");
	assert_int_equal(m->max_size, 10480000);
	assert_int_equal(m->setup, SDP_SETUP_PASSIVE);
	assert_int_equal(m->direction, SDP_SENDONLY);
	assert_int_equal(m->fingerprint_count, 2);
	assert_slice(m->fingerprints[1].hash, "sha-256");
	assert_slice(m->fingerprints[1].value, "00:11");
	assert_ptr_equal(sdp_choose(&sdp, &of_file), m);
	assert_null(sdp_choose(&sdp, &any));
	of_file.transports = SDP_PLAIN;
	assert_null(sdp_choose(&sdp, &of_file));
	/* and every beginning of it is parsed or refused without reading on */
	for (size_t len = 0; len < sizeof(text); len++) {
		free(copy);
		parse_exact(&sdp, text, len, &copy);
	}
	free(copy);
}

static void test_attribute(void **state)
{
	struct sdp_session sdp;
	struct slice value;

	(void)state;
	assert_int_equal(sdp_parse(&sdp,
			     SLICE("v=0\r\na=chatroom:session\r\n"
				   "m=message 1 TCP/MSRP *\r\na=x\r\na=ChatRoom:nickname y\r\n"
				   "a=chatroom:second\r\n"
				   "m=message 2 TCP/MSRP *\na=chatroom\n"
				   "m=message 3 TCP/MSRP *")),
	    0);
	value = sdp_media_attribute(&sdp.media[0], SLICE("chatroom"));
	assert_true(slice_equal(value, SLICE("nickname y")));
	value = sdp_media_attribute(&sdp.media[1], SLICE("chatroom"));
	assert_non_null(value.p);
	assert_int_equal(value.len, 0);
	assert_null(sdp_media_attribute(&sdp.media[1], SLICE("x")).p);
	assert_null(sdp_media_attribute(&sdp.media[2], SLICE("chatroom")).p);
}

static void test_parse_refuses(void **state)
{
	static const struct {
		const char *text;
		int err;
	} cases[] = {
	    {HEAD STREAM, 0},
	    {"v=0\nm=message 1 TCP/MSRP *\n", 0},
	    {"v=0\r\n\r\n\r\n", 0},
	    {"v=0\r\nx=unknown\r\nm=message 9 TCP/MSRP *", 0},
	    {"", -EBADMSG},
	    {"v=1\r\n", -EBADMSG},
	    {"o=- 1 1 IN IP4 h\r\nv=0\r\n", -EBADMSG},
	    {HEAD "m\r\nt=0 0\r\n", -EBADMSG},
	    {HEAD "m=", -EBADMSG},
	    {HEAD "nonsense\r\n", -EBADMSG},
	    {HEAD "m=\r\n", -EBADMSG},
	    {HEAD "m=message\r\n", -EBADMSG},
	    {HEAD "m=message 1\r\n", -EBADMSG},
	    {HEAD "m=message x TCP/MSRP *\r\n", -EBADMSG},
	    {HEAD "m=message 65536 TCP/MSRP *\r\n", -EBADMSG},
	    {HEAD "m=message -1 TCP/MSRP *\r\n", -EBADMSG},
	    {HEAD "m=\"audio\" 1 RTP/AVP 3\r\n", -EBADMSG},
	    {HEAD "m=audio 1 RTP/AVP\xc3\x84 3\r\n", -EBADMSG},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sdp_session sdp;
		char *copy;

		if (parse_exact(&sdp, cases[i].text, strlen(cases[i].text), &copy) != cases[i].err)
			fail_msg("case %zu: %s", i, cases[i].text);
		free(copy);
	}
}

static void test_parse_bounds(void **state)
{
	struct sdp_session sdp;
	char *text = malloc(SDP_SIZE_MAX + 1), *p = text;

	(void)state;
	assert_non_null(text);
	memset(text, '\n', SDP_SIZE_MAX + 1);
	memcpy(text, "v=0\n", 4);
	assert_int_equal(sdp_parse(&sdp, (struct slice){text, SDP_SIZE_MAX}), 0);
	assert_int_equal(sdp_parse(&sdp, (struct slice){text, SDP_SIZE_MAX + 1}), -EMSGSIZE);
	text[100] = '\0';
	assert_int_equal(sdp_parse(&sdp, (struct slice){text, 200}), -EBADMSG);
	p += 4;
	for (int i = 0; i < SDP_MEDIA_MAX; i++)
		p += sprintf(p, "m=audio 1 RTP/AVP 0\n");
	assert_int_equal(sdp_parse(&sdp, (struct slice){text, (size_t)(p - text)}), 0);
	assert_int_equal(sdp.media_count, SDP_MEDIA_MAX);
	p += sprintf(p, "m=audio 1 RTP/AVP 0\n");
	assert_int_equal(sdp_parse(&sdp, (struct slice){text, (size_t)(p - text)}), -EMSGSIZE);
	free(text);
}

static void test_choose(void **state)
{
	static const struct {
		const char *media;
		int chosen; /* -1: none */
	} cases[] = {
	    {STREAM, 0},
	    {"m=MESSAGE 7394 tcp/msrp *\r\n" TYPES PATH, 0},
	    {"m=audio 1 RTP/AVP 0\r\n" STREAM, 1},
	    {"m=message 0 TCP/MSRP *\r\n" TYPES PATH STREAM, 1},
	    {"m=message 7394 TCP/MSRP *\r\n" TYPES, -1},
	    {"m=message 7394 TCP/MSRP *\r\n" PATH, -1},
	    {"m=message 7394 TCP/MSRP *\r\na=accept-types:\r\n" PATH, -1},
	    {"m=message 7394 TCP/MSRP *\r\na=accept-types\r\n" PATH, -1},
	    {"m=message 7394 TCP/MSRP 99\r\n" TYPES PATH, -1},
	    {"m=message 7394 TCP/MSRP * 0\r\n" TYPES PATH, -1},
	    {"m=message 7394 TCP/MSRP\r\n" TYPES PATH, 0},
	    {"m=message 7394 RTP/AVP *\r\n" TYPES PATH, -1},
	    {"m=message 7394 TCP/MSRP *\r\n" TYPES "a=path:msrp://alice.example.com/x;tcp\r\n", -1},
	    {"m=message 7394 TCP/MSRP *\r\n" TYPES "a=path:msrp://[2001:db8::1]/x;tcp\r\n", -1},
	    {"m=message 7394 TCP/MSRP *\r\n" TYPES "a=path:msrp://[2001:db8::1]:2855/x;tcp\r\n", 0},
	    {"m=message 7394 TCP/MSRP *\r\n" TYPES "a=path:msrp://h:0/x;tcp\r\n", -1},
	    {"m=message 7394 TCP/MSRP *\r\n" TYPES "a=path:msrp://h:99999/x;tcp\r\n", -1},
	    {"m=message 7394 TCP/MSRP *\r\n" TYPES "a=path:msrp://r:1/a;tcp msrp://h/x;tcp\r\n",
		-1},
	    {"m=message 7394 TCP/MSRP *\r\n" TYPES
	     "a=path:msrps://r:1/a;tcp msrp://u@h:2/x/+=;tcp\r\n",
		0},
	    {"m=message 7394 TCP/MSRP *\r\n" TYPES "a=path:nonsense\r\n", -1},
	    {"m=message 7394 TCP/MSRP *\r\n" TYPES "a=path:\r\n", -1},
	    {"m=message 7394 TCP/TLS/MSRP *\r\n" TYPES PATH STREAM, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sdp_session sdp;
		const struct sdp_media *m;
		char text[1024];

		snprintf(text, sizeof(text), HEAD "%s", cases[i].media);
		assert_int_equal(sdp_parse(&sdp, slice_of(text)), 0);
		m = sdp_choose(&sdp, &any);
		if ((m ? (int)(m - sdp.media) : -1) != cases[i].chosen)
			fail_msg("case %zu: %s", i, cases[i].media);
	}
}

static const struct sdp_local local = {
    .host = {"192.0.2.1", 9},
    .port = 2855,
    .path = {"msrp://192.0.2.1:2855/abc;tcp", 29},
    .accept_types = {"text/plain message/cpim", 23},
    .accept_wrapped_types = {"*", 1},
    .max_size = 8388608,
    .setup = SDP_SETUP_ACTPASS,
    .at = SDP_NOWHERE,
};

static void test_offer(void **state)
{
	struct sdp_own own;
	struct sdp_local l = local;
	struct slice text;
	char expected[512], first[512];

	(void)state;
	sdp_own_init(&own);
	assert_int_equal(sdp_own_offer(&own, &l, 1, &text), 0);
	snprintf(expected, sizeof(expected),
	    "v=0\r\no=- %llu 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n"
	    "m=message 2855 TCP/MSRP *\r\na=accept-types:text/plain message/cpim\r\n"
	    "a=accept-wrapped-types:*\r\na=path:msrp://192.0.2.1:2855/abc;tcp\r\n"
	    "a=max-size:8388608\r\na=setup:actpass\r\n",
	    (unsigned long long)own.id);
	assert_slice(text, expected);
	snprintf(first, sizeof(first), "%.*s", SLICE_ARG(text));
	assert_int_equal(sdp_own_offer(&own, &l, 1, &text), 0);
	assert_slice(text, first);
	/* what changes raises the version, once */
	l.path = SLICE("msrps://r:1/x;tcp msrp://192.0.2.1:2855/abc;tcp");
	l.tls = true;
	l.host = SLICE("2001:db8::1");
	l.direction = SDP_SENDONLY;
	l.fingerprint = (struct sdp_fingerprint){SLICE("SHA-256"), SLICE("AB:CD")};
	assert_int_equal(sdp_own_offer(&own, &l, 1, &text), 0);
	assert_int_equal(own.version, 2);
	assert_non_null(strstr(own.text, " 2 IN IP6 2001:db8::1\r\n"));
	assert_non_null(strstr(own.text, "m=message 2855 TCP/TLS/MSRP *\r\n"));
	assert_non_null(strstr(own.text, "a=sendonly\r\na=fingerprint:SHA-256 AB:CD\r\n"));
	assert_int_equal(sdp_own_offer(&own, &l, 1, &text), 0);
	assert_int_equal(own.version, 2);
	sdp_own_fini(&own);
}

/* RFC 3264 6: the answer has the offer's m= lines, in order, all but one refused. */
static void test_answer(void **state)
{
	static const char offer_text[] =
	    HEAD "m=audio 49170/2 RTP/AVP 0 8\r\n" STREAM "m=message 7394 TCP/MSRP *\r\n" TYPES PATH
		 "m=video 0 RTP/AVP 31\r\n";
	struct sdp_session offer, said;
	struct sdp_local l = local;
	struct sdp_own own;
	struct slice text;

	(void)state;
	sdp_own_init(&own);
	assert_int_equal(sdp_parse(&offer, slice_of(offer_text)), 0);
	l.setup = sdp_answer_setup(&offer.media[1]);
	l.at = (size_t)(sdp_choose(&offer, &plain) - offer.media);
	assert_int_equal(sdp_own_answer(&own, &l, 1, &offer, &text), 0);
	assert_int_equal(sdp_parse(&said, text), 0);
	assert_int_equal(said.media_count, 4);
	assert_slice(said.media[0].line, "audio 0 RTP/AVP 0 8");
	assert_slice(said.media[1].line, "message 2855 TCP/MSRP *");
	assert_int_equal(said.media[1].setup, SDP_SETUP_PASSIVE);
	assert_slice(said.media[2].line, "message 0 TCP/MSRP *");
	assert_slice(said.media[3].line, "video 0 RTP/AVP 31");
	/* our own offer after that keeps them all: RFC 3264 8 */
	l.path = SLICE("msrp://192.0.2.1:2855/new;tcp");
	assert_int_equal(sdp_own_offer(&own, &l, 1, &text), 0);
	assert_int_equal(own.version, 2);
	assert_int_equal(sdp_parse(&said, text), 0);
	assert_int_equal(said.media_count, 4);
	assert_slice(said.media[1].path, "msrp://192.0.2.1:2855/new;tcp");
	assert_int_equal(said.media[2].port, 0);
	sdp_own_fini(&own);
}

/* RFC 3264 8.1, 8.2: streams come, are refused and go, and their lines serve others. */
static void test_streams(void **state)
{
	struct sdp_local l[2] = {local, local};
	struct sdp_session said;
	struct sdp_own own;
	struct slice text;
	char answer_text[1024];

	(void)state;
	sdp_own_init(&own);
	l[1].path = SLICE("msrp://192.0.2.1:2855/file;tcp");
	l[1].host = SLICE("192.0.2.9");
	l[1].attributes = SLICE("a=file-selector:size:3\r\n");
	assert_int_equal(sdp_own_offer(&own, l, 2, &text), 0);
	assert_int_equal(l[0].at, 0);
	assert_int_equal(l[1].at, 1);
	assert_int_equal(sdp_parse(&said, text), 0);
	assert_false(sdp_media_is_file(&said.media[0]));
	assert_true(sdp_media_is_file(&said.media[1]));
	assert_slice(said.media[0].address, "192.0.2.1");
	assert_slice(said.media[1].address, "192.0.2.9");
	assert_ptr_equal(sdp_choose(&said, &plain), &said.media[0]);
	/* refused by the answer: free at once */
	snprintf(answer_text, sizeof(answer_text), HEAD "%s", STREAM "m=message 0 TCP/MSRP *\r\n");
	assert_int_equal(sdp_parse(&said, slice_of(answer_text)), 0);
	assert_non_null(sdp_own_chosen(&own, 0, &said));
	assert_null(sdp_own_chosen(&own, 1, &said));
	l[1].at = SDP_NOWHERE;
	assert_int_equal(sdp_own_offer(&own, l, 2, &text), 0);
	assert_int_equal(l[1].at, 1);
	/* refused as a whole: as before */
	sdp_own_refused(&own);
	/* gone, and then another one */
	assert_int_equal(sdp_own_offer(&own, l, 1, &text), 0);
	assert_int_equal(sdp_parse(&said, text), 0);
	assert_int_equal(said.media_count, 2);
	assert_true(sdp_is_dropped(&said, 1));
	l[1].at = SDP_NOWHERE;
	assert_int_equal(sdp_own_offer(&own, l, 2, &text), 0);
	assert_int_equal(l[1].at, 1);
	/* answers: two of the peer's streams */
	assert_int_equal(sdp_own_answer(&own, l, 2, &said, &text), 0);
	sdp_own_fini(&own);
}

static void test_chosen_by_answer(void **state)
{
	static const struct {
		const char *answer;
		bool usable;
	} cases[] = {
	    {STREAM, true},
	    {STREAM "m=audio 1 RTP/AVP 0\r\n", true},
	    {"m=message 0 TCP/MSRP *\r\n" TYPES PATH, false},
	    {"m=audio 1 RTP/AVP 0\r\n" STREAM, false},
	    {"m=message 7394 TCP/TLS/MSRP *\r\n" TYPES PATH, false},
	    {"m=message 7394 TCP/MSRP *\r\n" TYPES, false},
	    {"", false},
	};
	struct sdp_local l = local;
	struct sdp_own own;
	struct slice text;

	(void)state;
	sdp_own_init(&own);
	assert_int_equal(sdp_own_offer(&own, &l, 1, &text), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sdp_session answer;
		char answer_text[1024];

		snprintf(answer_text, sizeof(answer_text), HEAD "%s", cases[i].answer);
		assert_int_equal(sdp_parse(&answer, slice_of(answer_text)), 0);
		if ((sdp_own_chosen(&own, l.at, &answer) != NULL) != cases[i].usable)
			fail_msg("case %zu", i);
	}
	sdp_own_fini(&own);
}

/* RFC 6135 4.2, RFC 4975 8.5 */
static void test_setup(void **state)
{
	static const struct {
		const char *offer; /* NULL: no a=setup */
		enum sdp_setup answer;
		bool answerer_connects;
	} answers[] = {
	    {"actpass", SDP_SETUP_PASSIVE, false},
	    {"active", SDP_SETUP_PASSIVE, false},
	    {"passive", SDP_SETUP_ACTIVE, true},
	    {NULL, SDP_SETUP_PASSIVE, false},
	    {"holdconn", SDP_SETUP_PASSIVE, false},
	    {"nonsense", SDP_SETUP_PASSIVE, false},
	    {"PASSIVE", SDP_SETUP_ACTIVE, true},
	};
	static const struct {
		enum sdp_setup answer;
		bool offerer_connects;
	} offers[] = {
	    {SDP_SETUP_ACTIVE, false},
	    {SDP_SETUP_PASSIVE, true},
	    {SDP_SETUP_NONE, true},
	    {SDP_SETUP_ACTPASS, true},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		struct sdp_session sdp;
		char text[512];
		enum sdp_setup ours;

		snprintf(text, sizeof(text), HEAD STREAM "%s%s%s",
		    answers[i].offer ? "a=setup:" : "", answers[i].offer ? answers[i].offer : "",
		    answers[i].offer ? "\r\n" : "");
		assert_int_equal(sdp_parse(&sdp, slice_of(text)), 0);
		ours = sdp_answer_setup(&sdp.media[0]);
		assert_int_equal(ours, answers[i].answer);
		assert_int_equal(sdp_we_connect(false, ours, sdp.media[0].setup),
		    answers[i].answerer_connects);
	}
	for (size_t i = 0; i < sizeof(offers) / sizeof(offers[0]); i++)
		assert_int_equal(sdp_we_connect(true, SDP_SETUP_ACTPASS, offers[i].answer),
		    offers[i].offerer_connects);
}

/* RFC 4975 8.6 */
static void test_types(void **state)
{
	static const struct {
		const char *list, *type;
		bool have;
	} have[] = {
	    {"text/plain", "text/plain", true},
	    {"text/plain", "TEXT/Plain", true},
	    {"text/plain", "text/plain;charset=utf-8", true},
	    {"text/plain;charset=utf-8", "text/plain", true},
	    {"text/plain ; x=y", "text/plain", true},
	    {"text/html  text/plain", "text/plain", true},
	    {" text/plain ", "text/plain", true},
	    {"*", "image/png", true},
	    {"image/*", "image/png", true},
	    {"image/*", "text/png", false},
	    {"image/*", "image/", false},
	    {"text/plain", "text/html", false},
	    {"text/plain", "text/plainer", false},
	    {"text/plai", "text/plain", false},
	    {"text/plain;a=\"x image/png\"", "image/png", false},
	    {"text/plain;a=\"\\\" image/png\"", "image/png", false},
	    {"", "text/plain", false},
	    {NULL, "text/plain", false},
	    {"*", "", false},
	    {"*", NULL, false},
	    {"*", "plain", false},
	    {"*", "/plain", false},
	};
	static const struct {
		const char *a, *b;
		bool common;
	} common[] = {
	    {"text/plain message/cpim", "message/cpim", true},
	    {"text/plain", "image/png", false},
	    {"text/plain", "*", true},
	    {"text/*", "TEXT/html", true},
	    {"text/*", "image/*", false},
	    {"text/*", "text/*", true},
	    {"*", "*", true},
	    {"text/plain  image/png", "a/b  image/png;x=1", true},
	    {"", "*", false},
	    {"text/plain", NULL, false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(have) / sizeof(have[0]); i++)
		if (sdp_types_have(slice_of(have[i].list), slice_of(have[i].type)) != have[i].have)
			fail_msg("%s has %s", have[i].list, have[i].type);
	for (size_t i = 0; i < sizeof(common) / sizeof(common[0]); i++)
		if (sdp_types_common(slice_of(common[i].a), slice_of(common[i].b))
			!= common[i].common
		    || sdp_types_common(slice_of(common[i].b), slice_of(common[i].a))
			!= common[i].common)
			fail_msg("%s and %s", common[i].a, common[i].b);
}

static void test_wrapped_types(void **state)
{
	(void)state;
	assert_true(sdp_types_have_container(SLICE("text/plain message/CPIM")));
	assert_true(sdp_types_have_container(SLICE("multipart/mixed")));
	assert_true(sdp_types_have_container(SLICE("*")));
	assert_false(sdp_types_have_container(SLICE("text/plain message/foo")));
	/* 8.6: wrapped types only inside a container; accept-types are good inside as well */
	assert_true(sdp_types_have_wrapped(SLICE("message/cpim"), SLICE("text/plain"),
	    SLICE("text/plain")));
	assert_true(sdp_types_have_wrapped(SLICE("message/cpim text/html"), (struct slice){0},
	    SLICE("text/html")));
	assert_true(
	    sdp_types_have_wrapped(SLICE("message/cpim"), (struct slice){0}, SLICE("image/png")));
	assert_false(sdp_types_have_wrapped(SLICE("message/cpim text/html"), (struct slice){0},
	    SLICE("image/png")));
	assert_false(sdp_types_have_wrapped(SLICE("text/plain"), SLICE("*"), SLICE("text/html")));
	assert_false(
	    sdp_types_have_wrapped(SLICE("message/cpim"), SLICE("text/plain"), SLICE("image/png")));
	/* and never bare */
	assert_false(sdp_types_have(SLICE("message/cpim"), SLICE("text/plain")));
}

static void test_direction(void **state)
{
	(void)state;
	assert_true(sdp_peer_receives(SDP_RECVONLY) && sdp_peer_receives(SDP_SENDRECV));
	assert_false(sdp_peer_receives(SDP_SENDONLY) || sdp_peer_receives(SDP_INACTIVE));
	assert_true(sdp_peer_sends(SDP_SENDONLY) && sdp_peer_sends(SDP_SENDRECV));
	assert_false(sdp_peer_sends(SDP_RECVONLY) || sdp_peer_sends(SDP_INACTIVE));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_parse),
	    cmocka_unit_test(test_attribute),
	    cmocka_unit_test(test_parse_refuses),
	    cmocka_unit_test(test_parse_bounds),
	    cmocka_unit_test(test_choose),
	    cmocka_unit_test(test_offer),
	    cmocka_unit_test(test_answer),
	    cmocka_unit_test(test_streams),
	    cmocka_unit_test(test_chosen_by_answer),
	    cmocka_unit_test(test_setup),
	    cmocka_unit_test(test_types),
	    cmocka_unit_test(test_wrapped_types),
	    cmocka_unit_test(test_direction),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
