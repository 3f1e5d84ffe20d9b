/*
 * The torture messages of RFC 4475, rebuilt: what the framer makes of each on a stream.  What it
 * lets pass, Sofia-SIP reads as the edge does.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "cut.h"
#include "edge/framer.h"
#include "sofia_view.h"

static const struct edge_bounds usual = {.max_message_size = 65536,
    .max_header_size = 8192,
    .max_headers = 128};

/* Lines end with LF here, and "@" in a length stands for that of the body. */
struct torture {
	const char *section, *name;
	unsigned status; /* 0: it passes */
	const char *head, *body;
};

#define VIA        "Via: SIP/2.0/TCP phone.example.net;branch=z9hG4bKtorture\n"
#define ENDS       "From: <sip:ann@example.net>;tag=77\nTo: <sip:bea@example.com>\n"
#define SDP        "v=0\r\no=- 1 1 IN IP4 192.0.2.7\r\ns=-\r\nt=0 0\r\nm=message 9 TCP/MSRP *\r\n"
#define LONG(text) text text text text text text text text text text text text text text text

/* Valid ones: 3.1.1. */
static const struct torture valid[] = {
    {"3.1.1.1", "wsinv", 0,
	"INVITE sip:bea@host.example.com;strange SIP/2.0\n"
	"TO :\n sip:bea@host.example.com ;   tag    = 1918n\n"
	"from   : \"A Nn \\\\\\\"\"       <sip:ann@example.net>\n  ;\n  tag = 98a\n"
	"MaX-fOrWaRdS: 0070\n"
	"Call-ID: ws.ndak@192.0.2.7\n"
	"Content-Length   : @\n"
	"cseq: 0009\n  INVITE\n"
	"Via  : SIP  /   2.0\n /UDP\n    192.0.2.2;branch=390s\n"
	"s :\n"
	"NewThing:   new value\n goes on\n"
	"StrangeThing: ;;,,;;,;\n"
	"Content-Type: application/sdp\n"
	"Route:\n <sip:services.example.com;lr;other=value;none>\n"
	"v:  SIP  / 2.0  / TCP     spin.example.com   ;\n  branch  =   z9hG4bK9i  ,\n"
	" SIP  /    2.0   / UDP  192.168.1.1   ; branch=\n z9hG4bK30\n"
	"m:\"Quoted \\\"\\\"\" <sip:ann@example.net> ; new =\n      value ;\n  two ; q = 0.33\n",
	SDP},
    {"3.1.1.3", "esc01", 0,
	"INVITE sip:sips%3Abea%40example.com@example.net SIP/2.0\n"
	"To: sip:%62e%61@example.com\nFrom: <sip:with%20spaces@example.net>;tag=9\n"
	"i: esc.2394\nCSeq: 23 INVITE\n" VIA "C: application/sdp\n"
	"Contact:\n  <sip:%61nn@host.example.net;%6C%72;n%61me=v%61lue%25%34%31>\n"
	"Content-Length: @\n",
	SDP},
    {"3.1.1.4", "escnull", 0,
	"REGISTER sip:example.com SIP/2.0\nTo: sip:nul-%00-nul@example.com\n"
	"From: sip:nul-%00-nul@example.com;tag=8\nCall-ID: nul.39\nCSeq: 14 REGISTER\n" VIA
	"Contact: <sip:%00@host.example.com>\nContact: <sip:%00%00@host.example.com>\nL:0\n",
	""},
    {"3.1.1.5", "esc02", 0,
	"RE%47IST%45R sip:registrar.example.com SIP/2.0\nTo: \"%Z%45\" <sip:bea@example.com>\n"
	"From: \"%Z%45\" <sip:bea@example.com>;tag=f2\nCall-ID: esc02.as\n"
	"Via: SIP/2.0/TCP host.example.com;branch=z9hG4bK20%fz\nCSeq: 29 RE%47IST%45R\n"
	"Contact: <sip:one@host.example.com>\nC%6Fntact: <sip:two@host.example.com>\nl: 0\n",
	""},
    {"3.1.1.6", "lwsdisp", 0,
	"OPTIONS sip:bea@example.com SIP/2.0\nTo: sip:bea@example.com\n"
	"From: ann<sip:ann@example.com>;tag=3\nCall-ID: lws.12\nCSeq: 60 OPTIONS\n" VIA "l: 0\n",
	""},
    /* clang-format off */
    {"3.1.1.7", "longreq", 0,
	"INVITE sip:bea@example.com SIP/2.0\n"
	"To: \"" LONG("extreme ") "\" <sip:bea@example.com:60;p=" LONG("long") ";" LONG("name") ">\n"
	"F: sip:" LONG("amazing") "@example.net;tag=" LONG("982")
	";" LONG("param") "=" LONG("value") "\n"
	"Call-ID: " LONG("really") "\nCSeq: 38 INVITE\n"
	"Unknown-" LONG("Long") "-Name: " LONG("long ") "\n"
	"Via: SIP/2.0/TCP s9.example.com\nv: SIP/2.0/TCP s8.example.com\n"
	"V :  SIP/2.0/TCP s7.example.com\nvIA  : SIP/2.0/TCP s6.example.com\n"
	"Via: SIP/2.0/TCP host.example.com;received=192.0.2.5;branch=" LONG("very") "\nl: @\n",
	SDP},
    /* clang-format on */
    {"3.1.1.9", "semiuri", 0,
	"OPTIONS sip:bea;par=u%40example.net@example.com SIP/2.0\n" ENDS "Call-ID: semi.0h\n"
	"CSeq: 8 OPTIONS\nAccept: application/sdp,\n        message/sip\n" VIA "l: 0\n",
	""},
    {"3.1.1.10", "transports", 0,
	"OPTIONS sip:bea@example.com SIP/2.0\n" ENDS "Call-ID:  tr.kijh\nCSeq: 60 OPTIONS\n"
	"Via: SIP/2.0/UDP t1.example.com;branch=z9hG4bKa\n"
	"Via: SIP/2.0/SCTP t2.example.com;branch=z9hG4bKb\n"
	"Via: SIP/2.0/TLS t3.example.com;branch=z9hG4bKc\n"
	"Via: SIP/2.0/UNKNOWN t4.example.com;branch=z9hG4bKd\n"
	"Via: SIP/2.0/TCP t5.example.com;branch=z9hG4bKe\nl: 0\n",
	""},
    {"3.1.1.11", "mpart01", 0,
	"MESSAGE sip:bea@example.com SIP/2.0\n" VIA "Route: <sip:127.0.0.1:5080>\n" ENDS
	"Call-ID: 3d.Z@x..\nCSeq: 1 MESSAGE\nContent-Type: multipart/mixed;boundary=7a\n"
	"Content-Length: @\n",
	"--7a\r\nContent-Type: application/octet-stream\r\n\r\n\x30\x82\x01\xff\r\n\r\n--7a--\r\n"},
    {"3.1.1.12", "unreason", 0,
	"SIP/2.0 200 = 2**3 * 5**2 \xd0\xbd\xd0\xbe\n" VIA ENDS "Call-ID: un.12\nCSeq: 35 INVITE\n"
	"Content-Length: @\nContact: <sip:bea@host.example.com>\n",
	SDP},
    {"3.1.1.13", "noreason", 0,
	"SIP/2.0 100 \n" VIA ENDS "Call-ID: no.as\nCSeq: 35 INVITE\nContent-Length: 0\n", ""},
};

/* Sofia-SIP's texts end at a NUL, and it knows no method with "+" or "`". */
static const char intmeth[] =
    "!interesting-Method0123456789_*+`.%indeed'~ sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,"
    "/;;*:&it+has=1,weird!*pas$wo~d_too.(doesn't-it)@example.com SIP/2.0\r\n"
    "Via: SIP/2.0/TCP host1.example.com;branch=z9hG4bK-.!%66*_+`'~\r\n"
    "To: \"BEL:\\\x07 NUL:\\\0 DEL:\\\x7f\" <sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*"
    "@example.com>\r\n";

static const struct torture method = {"3.1.1.2", "intmeth, without its NUL", 501,
    "!interesting-Method0123456789_*+`.%indeed'~ sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,"
    "/;;*:&it+has=1,weird!*pas$wo~d_too.(doesn't-it)@example.com SIP/2.0\n"
    "Via: SIP/2.0/TCP host1.example.com;branch=z9hG4bK-.!%66*_+`'~\n"
    "To: \"BEL:\\\x07 DEL:\\\x7f\" <sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*"
    "@example.com>\n"
    "From: one~` two'+_ three*%!.- <sip:ann@example.com>;par''~+*_!.-%=\"\xd1\x80\""
    ";tag=_t~1'+`*%!-.\n"
    "Call-ID: word%ZK-!.*_+'@word`~)(><:\\/\"][?}{\n"
    "CSeq: 139122385 !interesting-Method0123456789_*+`.%indeed'~\n"
    "extensionHeader-!.%*+_`'~: \xef\xbb\xbf\nContent-Length: 0\n",
    ""};

/* Invalid ones: 3.1.2. */
static const struct torture invalid[] = {
    {"3.1.2.1", "badinv01", 400,
	"INVITE sip:bea@example.com SIP/2.0\n" ENDS "Call-ID: b.0h\nCSeq: 8 INVITE\n"
	"Via: SIP/2.0/UDP 192.0.2.15;;,;,,\nContact: \"Joe\" <sip:joe@example.org>;;;;\nl: 0\n",
	""},
    {"3.1.2.3", "ncl", 400,
	"INVITE sip:bea@example.com SIP/2.0\n" VIA ENDS "Call-ID: ncl.0h\nCSeq: 0 INVITE\n"
	"Content-Length: -999\n",
	SDP},
    {"3.1.2.3", "five", 400,
	"INVITE sip:bea@example.com SIP/2.0\n" VIA ENDS "Call-ID: ncl.0h\nCSeq: 0 INVITE\n"
	"Content-Length: five\n",
	SDP},
    {"3.1.2.4", "scalar02", 400,
	"REGISTER sip:example.com SIP/2.0\n" VIA ENDS "Call-ID: sc.23\n"
	"CSeq: 36893488147419103232 REGISTER\nMax-Forwards: 300\nExpires: 1000000000000000\n"
	"l: 0\n",
	""},
    {"3.1.2.5", "scalarlg", 400,
	"SIP/2.0 503 Service Unavailable\n" VIA ENDS "CSeq: 9292394834772304023312 OPTIONS\n"
	"Call-ID: sc.no\nRetry-After: 949302838503028349304023988\nl: 0\n",
	""},
    {"3.1.2.6", "quotbal", 400,
	"INVITE sip:bea@example.com SIP/2.0\nTo: \"Ms. B <sip:bea@example.com>\n"
	"From: sip:ann@example.net;tag=9\nCall-ID: q.ak\nCSeq: 8 INVITE\n" VIA "l: 0\n",
	""},
    {"3.1.2.7", "ltgtruri", 400,
	"INVITE <sip:bea@example.com> SIP/2.0\n" VIA ENDS "i: lt.1\nCSeq: 1 INVITE\nl: 0\n", ""},
    {"3.1.2.8", "lwsruri", 400,
	"INVITE sip:bea@example.com; lr SIP/2.0\n" VIA ENDS "i: lw.1\nCSeq: 1 INVITE\nl: 0\n", ""},
    {"3.1.2.9", "lwsstart", 400,
	"INVITE  sip:bea@example.com  SIP/2.0\n" VIA ENDS "i: lw.2\nCSeq: 1 INVITE\nl: 0\n", ""},
    {"3.1.2.10", "trws", 400,
	"OPTIONS sip:bea@example.com SIP/2.0  \n" VIA ENDS "i: tr.1\nCSeq: 1 OPTIONS\nl: 0\n", ""},
    {"3.1.2.11", "escruri", 400,
	"INVITE sip:bea@example.com?Route=%3Csip:example.com%3E SIP/2.0\n" VIA ENDS
	"i: er.1\nCSeq: 1 INVITE\nl: 0\n",
	""},
    /* Nothing of the edge's concern. */
    {"3.1.2.12", "baddate", 0,
	"INVITE sip:bea@example.com SIP/2.0\n" VIA ENDS "i: bd.1\nCSeq: 1 INVITE\n"
	"Date: Fri, 01 Jan 2010 16:00:00 EST\nl: 0\n",
	""},
    {"3.1.2.13", "regbadct", 0,
	"REGISTER sip:example.com SIP/2.0\n" VIA ENDS "i: rb.1\nCSeq: 1 REGISTER\n"
	"Contact: sip:ann@example.com?Route=%3Csip:sip.example.com%3E\nl: 0\n",
	""},
    {"3.1.2.14", "badaspec", 400,
	"OPTIONS sip:bea@example.org SIP/2.0\n" VIA
	"From: \"Nn, Ann\" <sip:ann@example.com>;tag=4\nTo: \"B, Bea\" < sip:bea@example.org >\n"
	"i: ba.1\nCSeq: 39 OPTIONS\nl: 0\n",
	""},
    {"3.1.2.15", "baddn", 400,
	"OPTIONS sip:bea@example.org SIP/2.0\n" VIA
	"From:    Nn, Ann <sip:ann@example.com>;tag=43\nTo:      B, Bea <sip:bea@example.org>\n"
	"i: dn.1\nCSeq:    39 OPTIONS\nl: 0\n",
	""},
    {"3.1.2.16", "badvers", 505,
	"OPTIONS sip:bea@example.org SIP/7.0\nVia:     SIP/7.0/UDP c.example.com;branch=z9hG4bKk\n" ENDS
	"i: bv.1\nCSeq:    1 OPTIONS\nl: 0\n",
	""},
    {"3.1.2.17", "mismatch01", 400,
	"OPTIONS sip:bea@example.com SIP/2.0\n" VIA ENDS "i: mm.1\nCSeq: 8 INVITE\nl: 0\n", ""},
    {"3.1.2.18", "mismatch02", 400,
	"NEWMETHOD sip:bea@example.com SIP/2.0\n" VIA ENDS "i: mm.2\nCSeq: 8 INVITE\nl: @\n", SDP},
    {"3.1.2.19", "bigcode", 400,
	"SIP/2.0 4294967301 better not break the receiver\n" VIA ENDS "i: bc.1\nCSeq: 3 INVITE\n"
	"Content-Length: 0\n",
	""},
};

/* For transactions and applications, which come behind the edge: 3.2 to 3.4. */
static const struct torture further[] = {
    {"3.2.1", "badbranch", 0,
	"OPTIONS sip:bea@example.com SIP/2.0\n" ENDS "Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK\n"
	"i: bb.1\nCSeq: 8 OPTIONS\nl: 0\n",
	""},
    {"3.3.1", "insuf", 400, "INVITE sip:bea@example.com SIP/2.0\nCSeq: 19 INVITE\n" VIA "l: @\n",
	SDP},
    {"3.3.2", "unkscm", 416,
	"OPTIONS nobodyKnowsThisScheme:totallyopaquecontent SIP/2.0\n" VIA ENDS
	"i: us.1\nCSeq: 3 OPTIONS\nl: 0\n",
	""},
    {"3.3.3", "novelsc", 416,
	"OPTIONS soap.beep://192.0.2.103:3002 SIP/2.0\n" VIA ENDS
	"i: ns.1\nCSeq: 3 OPTIONS\nl: 0\n",
	""},
    {"3.3.4", "unksm2", 0,
	"REGISTER sip:example.com SIP/2.0\nTo: isbn:2983792873\n"
	"From: <http://www.example.com>;tag=3\ni: u2.1\nCSeq: 23 REGISTER\n" VIA
	"Contact: <name:John_Smith>\nl: 0\n",
	""},
    {"3.3.5", "bext01", 0,
	"OPTIONS sip:bea@example.com SIP/2.0\n" VIA ENDS "i: be.1\nRequire: nothing, nobody\n"
	"Proxy-Require: none, norAny\nCSeq: 8 OPTIONS\nl: 0\n",
	""},
    {"3.3.6", "invut", 0,
	"INVITE sip:bea@example.com SIP/2.0\n" VIA ENDS "i: iu.1\nCSeq: 235448 INVITE\n"
	"Content-Type: application/unknownformat\nl: @\n",
	"<audio>\r\n <pcmu port=\"443\"/>\r\n</audio>\r\n"},
    {"3.3.7", "regaut01", 0,
	"REGISTER sip:example.com SIP/2.0\n" VIA ENDS "i: ra.1\nCSeq: 9 REGISTER\n"
	"Authorization: NoOneKnows opaque-data=here\nContent-Length:0\n",
	""},
    {"3.3.8", "multi01", 400,
	"INVITE sip:bea@example.com SIP/2.0\n" VIA "CSeq: 5 INVITE\ni: mu.1\nCSeq: 59 INVITE\n"
	"Call-ID: mu.2\n" ENDS "To: sip:other@example.net\nFrom: sip:ann@example.net;tag=2\nl: 0\n",
	""},
    {"3.3.9", "mcl01", 400,
	"OPTIONS sip:bea@example.com SIP/2.0\n" VIA ENDS "i: mc.1\nCSeq: 15 OPTIONS\n"
	"Content-Length: 13\nMax-Forwards: 60\nContent-Length: 5\n",
	"How many octets are here?"},
    {"3.3.10", "bcast", 0,
	"SIP/2.0 200 OK\n" VIA "Via: SIP/2.0/UDP 255.255.255.255;branch=z9hG4bK1\n" ENDS
	"i: bc.2\nCSeq: 35 INVITE\nl: @\n",
	SDP},
    {"3.3.11", "zeromf", 0,
	"OPTIONS sip:bea@example.com SIP/2.0\n" VIA ENDS "i: zm.1\nCSeq: 39 OPTIONS\n"
	"Max-Forwards: 0\nl: 0\n",
	""},
    {"3.3.12", "cparam01", 0,
	"REGISTER sip:example.com SIP/2.0\n" VIA ENDS "i: cp.1\nCSeq: 2 REGISTER\n"
	"Contact: sip:+19725552222@gw.example.net;unknown\nl: 0\n",
	""},
    {"3.3.13", "cparam02", 0,
	"REGISTER sip:example.com SIP/2.0\n" VIA ENDS "i: cp.2\nCSeq: 3 REGISTER\n"
	"Contact: <sip:+19725552222@gw.example.net;unknown>\nl: 0\n",
	""},
    {"3.3.14", "regescrt", 0,
	"REGISTER sip:example.com SIP/2.0\n" VIA ENDS "i: re.1\nCSeq: 14 REGISTER\n"
	"M: <sip:ann@example.com?Route=%3Csip:sip.example.com%3E>\nL:0\n",
	""},
    {"3.3.15", "sdp01", 0,
	"INVITE sip:bea@example.com SIP/2.0\n" VIA ENDS "i: sd.1\nAccept: text/nobodyKnows\n"
	"CSeq: 8 INVITE\nContent-Length: @\nContent-Type: application/sdp\n",
	SDP},
    /* Without a Content-Length, as was allowed on UDP. */
    {"3.4.1", "inv2543", 400,
	"INVITE sip:bea@example.com SIP/2.0\nVia: SIP/2.0/UDP gw.example.com\n"
	"From: <sip:+13035551111@example.net;user=phone>\n"
	"Record-Route: <sip:bea@example.com;maddr=ss1.example.com>\n"
	"To: sip:+16505552222@example.net;user=phone\ni: 25.43\nCSeq: 56 INVITE\n",
	SDP},
};

/* --- building --- */

/* A length of "@" is the only one that a line ends with. */
static void build(struct buffer *w, const struct torture *t)
{
	for (const char *p = t->head; *p; p++) {
		if (*p == '\n')
			buffer_add_char(w, '\r');
		if (p[0] == '@' && p[1] == '\n')
			buffer_add_number(w, strlen(t->body));
		else
			buffer_add_char(w, *p);
	}
	buffer_add(w, SLICE("\r\n"));
	buffer_add(w, slice_of(t->body));
}

/* --- what comes of one --- */

struct outcome {
	struct edge_framer framer;
	const struct torture *torture;
	unsigned messages, status;
};

static void begin(void *arg)
{
	struct outcome *o = arg;

	*o = (struct outcome){.torture = o->torture};
}

static void check_message(const struct torture *t, const struct edge_message *m)
{
	char text[8192];
	struct buffer w = BUFFER_ON(text);
	struct edge_head h = {0};
	const char *differs;

	assert_memory_equal(m->body.p, t->body, m->body.len);
	edge_head_write(&w, &m->head, &(struct edge_change){.drop_via = false});
	assert_int_equal(edge_head_scan(&h, buffer_text(&w), &usual), 0);
	buffer_add(&w, m->body);
	assert_int_equal(w.err, 0);
	differs = sofia_differs(buffer_text(&w), &h);
	if (differs)
		fail_msg("%s: Sofia-SIP sees another %s", t->name, differs);
}

static void piece(struct slice bytes, void *arg)
{
	struct outcome *o = arg;
	struct edge_message m;
	enum edge_framed what;

	while ((what = edge_framer_next(&o->framer, &bytes, false, &usual, &m)) != EDGE_MORE) {
		if (what == EDGE_MESSAGE) {
			o->messages++;
			check_message(o->torture, &m);
		} else if (what == EDGE_FAULTY || what == EDGE_BROKEN) {
			o->status = m.head.status;
		}
	}
}

static void end(const char *how, void *arg)
{
	struct outcome *o = arg;
	const struct torture *t = o->torture;

	if (o->status != t->status || o->messages != (t->status ? 0 : 1))
		fail_msg("%s %s: %u, %u messages, %s", t->section, t->name, o->status, o->messages,
		    how);
	edge_framer_fini(&o->framer);
}

static void run(const struct torture *all, size_t count)
{
	static const struct cut_target target = {begin, piece, end};

	for (size_t i = 0; i < count; i++) {
		char text[8192];
		struct buffer w = BUFFER_ON(text);
		struct outcome o = {.torture = &all[i]};

		build(&w, &all[i]);
		assert_int_equal(w.err, 0);
		cut_every_way(buffer_text(&w), &target, &o);
	}
}

#define RUN(all) run(all, sizeof(all) / sizeof((all)[0]))

static void test_valid(void **state)
{
	(void)state;
	RUN(valid);
	run(&method, 1);
}

static void test_invalid(void **state)
{
	(void)state;
	RUN(invalid);
}

static void test_further(void **state)
{
	(void)state;
	RUN(further);
}

static void test_quoted_nul(void **state)
{
	struct edge_head h = {0};

	(void)state;
	assert_int_equal(edge_head_scan(&h, (struct slice){intmeth, sizeof(intmeth) - 1}, &usual),
	    -EAGAIN);
	assert_int_equal(h.status, 501);
}

/* 3.1.1.8, extra octets behind a message: the next one on a stream, nothing in a datagram. */
static void test_dblreq(void **state)
{
	static const char request[] =
	    "REGISTER sip:example.com SIP/2.0\r\n"
	    "v: SIP/2.0/UDP a;branch=z9hG4bKk\r\nf: sip:a@b;tag=1\r\n"
	    "t: sip:a@b\r\ni: 1\r\nCSeq: 8 REGISTER\r\nl: 0\r\n\r\nINVITE";
	struct edge_framer framer = {.framed = true};
	struct slice bytes = slice_of(request);
	struct edge_message m;

	(void)state;
	assert_int_equal(edge_framer_next(&framer, &bytes, true, &usual, &m), EDGE_MESSAGE);
	assert_int_equal(edge_framer_next(&framer, &bytes, true, &usual, &m), EDGE_MORE);
	assert_true(edge_framer_idle(&framer));
	framer.framed = false;
	bytes = slice_of(request);
	assert_int_equal(edge_framer_next(&framer, &bytes, true, &usual, &m), EDGE_MESSAGE);
	assert_int_equal(edge_framer_next(&framer, &bytes, true, &usual, &m), EDGE_MORE);
	assert_false(edge_framer_idle(&framer));
	edge_framer_fini(&framer);
}

/* 3.1.2.2: on a stream one waits for the rest. */
static void test_clerr(void **state)
{
	static const char request[] =
	    "MESSAGE sip:a@b SIP/2.0\r\nv: SIP/2.0/UDP a\r\nf: sip:a@b\r\n"
	    "t: sip:a@b\r\ni: 1\r\nCSeq: 8 MESSAGE\r\nl: 9999\r\n\r\nshort";
	struct edge_framer framer = {.framed = true};
	struct slice bytes = slice_of(request);
	struct edge_message m;

	(void)state;
	assert_int_equal(edge_framer_next(&framer, &bytes, true, &usual, &m), EDGE_FAULTY);
	assert_int_equal(m.head.status, 400);
	framer = (struct edge_framer){.framed = false};
	bytes = slice_of(request);
	assert_int_equal(edge_framer_next(&framer, &bytes, false, &usual, &m), EDGE_MORE);
	assert_false(edge_framer_idle(&framer));
	edge_framer_fini(&framer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_valid),
	    cmocka_unit_test(test_quoted_nul),
	    cmocka_unit_test(test_dblreq),
	    cmocka_unit_test(test_invalid),
	    cmocka_unit_test(test_clerr),
	    cmocka_unit_test(test_further),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
