/* Listeners, which of them a request leaves from, and what the network may throw at them. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include <event2/event.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <msrpd/buffer.h>

#include "base/stats.h"
#include "net/net.h"
#include "loop.h"
#include "sip_peer.h"
#include "sip_side.h"

#define LISTEN(...)                                     \
	((struct setting_list){(char *[]){__VA_ARGS__}, \
	    sizeof((char *[]){__VA_ARGS__}) / sizeof(char *)})

struct world {
	struct event_base *base;
	struct side a, b;
	struct peer p;
};

static int set_up(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	w->base = event_base_new();
	assert_non_null(w->base);
	peer_open(&w->p, w->base);
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;

	if (w->a.stack)
		side_close(&w->a);
	if (w->b.stack)
		side_close(&w->b);
	peer_close(&w->p);
	event_base_free(w->base);
	free(w);
	return 0;
}

static int open_fds(void)
{
	int count = 0;

	for (int fd = 0; fd < 256; fd++) {
		struct stat st;

		count += fstat(fd, &st) == 0;
	}
	return count;
}

/* --- opening --- */

struct uris {
	char text[16][96];
	size_t count;
};

static void add_uri(const char *uri, void *arg)
{
	struct uris *u = arg;

	assert_true(u->count < 16);
	snprintf(u->text[u->count++], sizeof(u->text[0]), "%s", uri);
}

static bool has_uri(const struct uris *u, const char *prefix, const char *suffix)
{
	for (size_t i = 0; i < u->count; i++) {
		const char *text = u->text[i];
		size_t len = strlen(text), end = strlen(suffix);

		if (strncmp(text, prefix, strlen(prefix)) == 0 && len >= end
		    && strcmp(text + len - end, suffix) == 0 && !strstr(text, ":0;"))
			return true;
	}
	return false;
}

static void test_listeners(void **state)
{
	struct world *w = *state;
	struct uris uris = {.count = 0};

	w->a.settings.listen = LISTEN("sip:127.0.0.1:0;transport=udp",
	    "sip:127.0.0.1:0;transport=tcp", "sip:[::1]:0", "sip:127.0.0.2:0;transport=UDP");
	side_open(&w->a, w->base);
	sip_stack_each_listener(w->a.stack, add_uri, &uris);
	assert_int_equal(uris.count, 5);
	assert_true(has_uri(&uris, "sip:127.0.0.1:", ";transport=udp"));
	assert_true(has_uri(&uris, "sip:127.0.0.1:", ";transport=tcp"));
	assert_true(has_uri(&uris, "sip:127.0.0.2:", ";transport=udp"));
	assert_true(has_uri(&uris, "sip:[::1]:", ";transport=udp"));
	assert_true(has_uri(&uris, "sip:[::1]:", ";transport=tcp"));
}

static void test_wildcard(void **state)
{
	struct world *w = *state;
	struct uris uris = {.count = 0};

	w->a.settings.listen = LISTEN("sip:0.0.0.0:0;transport=udp");
	side_open(&w->a, w->base);
	sip_stack_each_listener(w->a.stack, add_uri, &uris);
	assert_true(has_uri(&uris, "sip:127.0.0.1:", ";transport=udp"));
	assert_false(has_uri(&uris, "sip:[", ";transport=udp"));
}

static void try_open(struct event_base *base, const struct sip_settings *settings, int expected,
    const char *why_has)
{
	static const struct sip_stack_handler none;
	struct sip_stack_options options = {.settings = settings, .handler = &none};
	struct sip_stack *stack = NULL;
	struct reason why = {""};
	int before = open_fds(), err;

	assert_int_equal(net_new(&options.net, base), 0);
	assert_int_equal(stats_new(&options.stats), 0);
	err = sip_stack_new(&stack, &options, &why);
	if (err != expected || !strstr(why.text, why_has))
		fail_msg("%d: %s", err, why.text);
	assert_null(stack);
	net_free(options.net);
	assert_int_equal(open_fds(), before);
	stats_free(options.stats);
}

static void test_refused_settings(void **state)
{
	static const struct {
		const char *listen;
		int err;
		const char *why;
	} cases[] = {
	    {"", -EINVAL, "\"\""},
	    {"127.0.0.1:5060", -EINVAL, "127.0.0.1:5060"},
	    {"sip:", -EINVAL, "sip:"},
	    {"sip:127.0.0.1:0;transport=sctp", -EINVAL, "sctp"},
	    {"tel:123", -EINVAL, "tel:123"},
	    {"sips:127.0.0.1:0", -EINVAL, "sip.tls.certificate"},
	    {"sip:127.0.0.1:0;transport=tls", -EINVAL, "sip.tls.certificate"},
	    {"sip:192.0.2.77:0", -EADDRNOTAVAIL, "192.0.2.77"},
	    {"sip:127.0.0.1:nonsense", -EINVAL, "nonsense"},
	    /* a label too long for DNS to be asked */
	    {"sip:im0123456789012345678901234567890123456789012345678901234567890123456789:0",
		-EADDRNOTAVAIL, "sip.advertised_contact"},
	};
	struct world *w = *state;
	struct sip_settings settings = {.transaction_timeout = 1000};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char text[128], *list[] = {text};

		snprintf(text, sizeof(text), "%s", cases[i].listen);
		settings.listen = (struct setting_list){list, 1};
		try_open(w->base, &settings, cases[i].err, cases[i].why);
	}
	settings.listen = LISTEN("sip:127.0.0.1:0");
	settings.outbound_proxy = (char[]){"nonsense"};
	try_open(w->base, &settings, -EINVAL, "outbound_proxy");
	settings.outbound_proxy = NULL;
	settings.advertised_contact = (char[]){"sip:a@h>"};
	try_open(w->base, &settings, -EINVAL, "advertised_contact");
}

/* The first listener opens, the second cannot: neither remains. */
static void test_port_in_use(void **state)
{
	struct world *w = *state;
	struct sip_settings settings = {.transaction_timeout = 1000};
	char taken[96];

	side_open(&w->a, w->base);
	snprintf(taken, sizeof(taken), "%s", w->a.udp);
	settings.listen = LISTEN("sip:127.0.0.1:0", taken);
	try_open(w->base, &settings, -EADDRINUSE, taken);
}

/* --- leaving --- */

static void test_family_and_transport(void **state)
{
	struct world *w = *state;
	static const char *const transports[] = {"", ";transport=udp", ";transport=tcp"};
	static const char *const protos[] = {"udp", "udp", "tcp"};

	w->a.settings.listen = LISTEN("sip:127.0.0.1:0;transport=udp", "sip:[::1]:0;transport=tcp",
	    "sip:[::1]:0;transport=udp");
	w->b.settings.listen = LISTEN("sip:[::1]:0");
	w->b.keep = true;
	side_open(&w->a, w->base);
	side_open(&w->b, w->base);
	for (size_t i = 0; i < 3; i++) {
		char uri[128];

		w->b.log[0] = '\0';
		snprintf(uri, sizeof(uri), "%.*s%s", (int)strcspn(w->b.udp, ";"), w->b.udp,
		    transports[i]);
		side_call(&w->a, uri, "offer");
		side_wait_log(&w->b, "INVITE ");
		assert_true(slice_equal(sip_request_field(w->b.kept, SIP_FIELD_PROTO),
		    slice_of(protos[i])));
		assert_true(slice_equal(sip_request_field(w->b.kept, SIP_FIELD_SOURCE_ADDRESS),
		    SLICE("::1")));
		assert_true(slice_starts_nocase(sip_request_field(w->b.kept, SIP_FIELD_CONTACT),
		    SLICE("sip:[::1]:")));
		side_let_go(&w->a);
	}
}

/* Of several addresses the one that leads there: RFC 3261 18.1.1 leaves that to the system. */
static void test_source_address(void **state)
{
	struct world *w = *state;

	w->a.settings.listen = LISTEN("sip:0.0.0.0:0;transport=udp");
	side_open(&w->a, w->base);
	side_call(&w->a, w->p.uri, "offer");
	peer_expect(&w->p, "INVITE ");
	assert_true(peer_has(&w->p, "Contact: <sip:127.0.0.1:"));
}

static void test_proxy_and_contact(void **state)
{
	struct world *w = *state;
	char proxy[128];

	snprintf(proxy, sizeof(proxy), "%s", w->p.uri);
	w->a.settings.outbound_proxy = proxy;
	w->a.settings.advertised_contact = (char[]){"sip:msrpd@im.example.org:5070"};
	side_open(&w->a, w->base);
	side_call(&w->a, "sip:bob@nowhere.invalid", "offer-a");
	peer_expect(&w->p, "INVITE sip:bob@nowhere.invalid SIP/2.0");
	assert_true(peer_has(&w->p, proxy) && peer_has(&w->p, ";lr>"));
	assert_true(peer_has(&w->p, "Contact: <sip:msrpd@im.example.org:5070>"));
	peer_answer(&w->p, "200 OK", NULL, "answer-p");
	side_wait_log(&w->a, "answer established ");
	/* once it is set up the dialog goes its own way: RFC 3261 12.2 */
	peer_expect(&w->p, "ACK sip:127.0.0.1:");
	side_let_go(&w->a);
	peer_expect(&w->p, "BYE ");
	peer_answer(&w->p, "200 OK", NULL, NULL);
	/* as a callee too */
	w->a.answer = "answer-a";
	peer_begin(&w->p, "INVITE", w->a.udp, NULL, "offer-p");
	peer_expect(&w->p, "SIP/2.0 200 ");
	assert_true(peer_has(&w->p, "Contact: <sip:msrpd@im.example.org:5070>"));
}

/* RFC 4579 5.1, 5.2: a focus says so in its Contact, whoever calls and whatever its address. */
static void test_contact_parameters(void **state)
{
	struct world *w = *state;
	struct sip_settings advertised;

	w->a.answer = "answer-a";
	w->a.contact = ";isfocus";
	side_open(&w->a, w->base);
	for (int i = 0; i < 2; i++) {
		const char *contact =
		    i ? "Contact: <sip:room@im.example.org>;isfocus\r\n" : ">;isfocus\r\n";

		side_call(&w->a, w->p.uri, "offer-a");
		peer_expect(&w->p, "INVITE ");
		assert_true(peer_has(&w->p, contact));
		peer_answer(&w->p, "486 Busy", NULL, NULL);
		peer_expect(&w->p, "ACK ");
		side_let_go(&w->a);
		peer_begin(&w->p, "INVITE", w->a.udp, NULL, "offer-p");
		peer_expect(&w->p, "SIP/2.0 200 ");
		assert_true(peer_has(&w->p, contact));
		side_let_go(&w->a);
		advertised = w->a.settings;
		advertised.advertised_contact = (char[]){"sip:room@im.example.org"};
		side_reload(&w->a, &advertised);
	}
	side_reload(&w->a, &w->a.settings);
}

static void test_reload(void **state)
{
	struct world *w = *state;
	struct sip_settings changed;

	side_open(&w->a, w->base);
	changed = w->a.settings;
	changed.outbound_proxy = w->p.uri;
	side_reload(&w->a, &changed);
	side_call(&w->a, "sip:bob@nowhere.invalid", "offer-a");
	peer_expect(&w->p, "INVITE sip:bob@nowhere.invalid SIP/2.0");
	peer_answer(&w->p, "486 Busy", NULL, NULL);
	side_wait_log(&w->a, "failed:486 ");
	side_reload(&w->a, &w->a.settings);
}

/* --- TLS --- */

/* Sofia 1.12 frees no SSL. */
const char *__lsan_default_suppressions(void);

const char *__lsan_default_suppressions(void)
{
	return "leak:libcrypto";
}

static void write_pem(const char *path, EVP_PKEY *key, X509 *cert)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	if (key)
		assert_int_equal(PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL), 1);
	else
		assert_int_equal(PEM_write_X509(f, cert), 1);
	fclose(f);
}

static void make_certificate(const char *cert_path, const char *key_path)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *cert = X509_new();

	assert_true(key && cert);
	X509_set_version(cert, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
	X509_gmtime_adj(X509_getm_notBefore(cert), -60);
	X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
	X509_set_pubkey(cert, key);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_ASC,
	    (const unsigned char *)"127.0.0.1", -1, -1, 0);
	X509_set_issuer_name(cert, X509_get_subject_name(cert));
	assert_true(X509_sign(cert, key, EVP_sha256()) > 0);
	write_pem(key_path, key, NULL);
	write_pem(cert_path, NULL, cert);
	X509_free(cert);
	EVP_PKEY_free(key);
}

static int free_port(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	socklen_t len = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&address, len), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
	close(fd);
	return ntohs(address.sin_port);
}

static void test_tls(void **state)
{
	struct world *w = *state;
	char dir[] = "/tmp/test-sip-XXXXXX", cert[64], key[64], fixed[64];
	struct sip_settings settings = {.transaction_timeout = SIDE_TRANSACTION_MS};
	struct uris uris = {.count = 0};

	assert_non_null(mkdtemp(dir));
	assert_int_equal(setenv("TMPDIR", dir, 1), 0);
	snprintf(cert, sizeof(cert), "%s/cert.pem", dir);
	snprintf(key, sizeof(key), "%s/key.pem", dir);
	make_certificate(cert, key);
	snprintf(fixed, sizeof(fixed), "sips:127.0.0.1:%d", free_port());
	settings.listen = LISTEN("sips:127.0.0.1:0");
	settings.edge.tls.certificate = cert;
	settings.edge.tls.private_key = key;
	w->a.settings = w->b.settings = settings;
	w->b.settings.listen = LISTEN(fixed);
	w->b.keep = true;
	side_open(&w->a, w->base);
	side_open(&w->b, w->base);
	sip_stack_each_listener(w->b.stack, add_uri, &uris);
	assert_int_equal(uris.count, 1);
	assert_string_equal(uris.text[0], fixed);
	side_call(&w->a, uris.text[0], "offer-a");
	side_wait_log(&w->b, "INVITE ");
	assert_true(slice_equal(sip_request_field(w->b.kept, SIP_FIELD_PROTO), SLICE("tls")));
	settings.edge.tls.private_key = cert;
	try_open(w->base, &settings, -EINVAL, "private_key");
	unlink(cert);
	unlink(key);
	assert_int_equal(rmdir(dir), 0); /* nothing of ours is left in it */
	unsetenv("TMPDIR");
}

/* --- what the network throws --- */

static void test_other_requests(void **state)
{
	static const struct {
		const char *method, *headers, *body, *status;
	} cases[] = {
	    {"OPTIONS", NULL, NULL, "SIP/2.0 200 "},
	    {"BYE", NULL, NULL, "SIP/2.0 481 "},
	    {"UPDATE", NULL, "offer", "SIP/2.0 481 "},
	    {"REGISTER", NULL, NULL, "SIP/2.0 40"},
	    {"SUBSCRIBE", "Event: presence\r\n", NULL, "SIP/2.0 4"},
	    {"REFER", "Refer-To: <sip:x@y>\r\n", NULL, "SIP/2.0 200 "}, /* as the handler says */
	    {"FOO", NULL, NULL, "SIP/2.0 501 "},
	    {"INVITE", "Require: nonsense\r\n", "offer", "SIP/2.0 420 "},
	    {"INVITE", "Content-Type: text/plain\r\n", "hello", "SIP/2.0 415 "},
	    {"INVITE", "Content-Type: multipart/mixed;boundary=b\r\n", NULL, "SIP/2.0 200 "},
	    {"INVITE", "Content-Type: multipart/mixed;boundary=b\r\n", "--b", "SIP/2.0 415 "},
	    {"INVITE", "Content-Encoding: gzip\r\n", "hello", "SIP/2.0 415 "},
	};
	struct world *w = *state;

	side_open(&w->a, w->base);
	w->a.answer = "answer-a";
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		peer_begin(&w->p, cases[i].method, w->a.udp, cases[i].headers, cases[i].body);
		do {
			peer_expect(&w->p, "SIP/2.0 ");
		} while (peer_has(&w->p, "SIP/2.0 100 "));
		if (strncmp(w->p.got, cases[i].status, strlen(cases[i].status)) != 0)
			fail_msg("case %zu: %s", i, w->p.got);
		if (strstr(cases[i].status, "415"))
			assert_true(peer_has(&w->p, "Accept: application/sdp")
			    || peer_has(&w->p, "Accept-Encoding: identity"));
		if (w->a.d)
			side_let_go(&w->a);
	}
}

/* --- Path: RFC 3327 --- */

static void read_path(struct world *w, const char *headers, int err, const char *path, bool keeps)
{
	struct buffer text = {.max = BUFFER_UNBOUNDED};
	bool keeps_flows = false;

	w->a.log[0] = '\0';
	peer_begin(&w->p, "MESSAGE", w->a.udp, headers, NULL);
	side_wait_log(&w->a, "MESSAGE ");
	assert_int_equal(sip_request_path(w->a.kept, &text, &keeps_flows), err);
	if (err == 0) {
		assert_true(slice_equal(buffer_text(&text), slice_of(path)));
		assert_int_equal(keeps_flows, keeps);
	}
	buffer_fini(&text);
	assert_int_equal(sip_request_reply(w->a.kept, 200, ABSENT, ABSENT), 0);
	peer_expect(&w->p, "SIP/2.0 200 ");
}

static void test_path(void **state)
{
	struct world *w = *state;

	w->a.keep = true;
	side_open(&w->a, w->base);
	read_path(w, NULL, 0, "", false);
	read_path(w, "Path: <sip:p1.example;lr>, <sips:p2:5061;lr>;x=y\r\n", 0,
	    "<sip:p1.example;lr>, <sips:p2:5061;lr>;x=y", false);
	read_path(w, "Path: <sip:p1.example;lr>\r\nPath: <sip:p2;lr;ob>\r\n", 0,
	    "<sip:p1.example;lr>, <sip:p2;lr;ob>", true);
	read_path(w, "Path: <sip:p1.example;lr;ob>, <sip:p2;lr>\r\n", 0,
	    "<sip:p1.example;lr;ob>, <sip:p2;lr>", false);
	read_path(w, "Path: <sip:p1.example>\r\n", -EBADMSG, NULL, false);
	read_path(w, "Path: <tel:+1;lr>\r\n", -EBADMSG, NULL, false);
	read_path(w, "Path: <sip:p1\r\n", -EBADMSG, NULL, false);
}

static void test_garbage(void **state)
{
	static const char *const messages[] = {
	    "",
	    "\r\n\r\n",
	    "\0\0\0\0",
	    "GET / HTTP/1.1\r\n\r\n",
	    "INVITE",
	    "INVITE sip:x SIP/2.0\r\n\r\n",
	    "INVITE ! SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bK1\r\nFrom: !\r\nTo: !\r\n"
	    "Call-ID: 1\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n",
	    "INVITE sip:x@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bK1\r\n"
	    "From: <sip:@>;tag=1\r\nTo: <sip:>\r\nCall-ID: 1\r\nCSeq: 1 INVITE\r\n"
	    "Contact: <sip:@>\r\nContent-Length: 0\r\n\r\n",
	    "MESSAGE sip:x@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bK2\r\n"
	    "From: <sip:a@b>;tag=1\r\nTo: <sip:a@b>\r\nCall-ID: 2\r\nCSeq: 99999999999 "
	    "MESSAGE\r\n\r\n",
	    "MESSAGE sip:x@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bK3\r\n"
	    "From: <sip:a@b>;tag=1\r\nTo: <sip:a@b>\r\nCall-ID: 3\r\nCSeq: 1 MESSAGE\r\n"
	    "Content-Length: 4294967295\r\n\r\nx",
	    "MESSAGE tel:+1;a=%00 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bK4\r\n"
	    "From: \"\\\"<\" <tel:1>;tag=1\r\nTo: \"x <sip:a@b>\r\nCall-ID: 4\r\nCSeq: 1 "
	    "MESSAGE\r\n"
	    "Content-Type: ;;;\r\nContent-Length: 1\r\n\r\nx",
	    "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bK5\r\nFrom: "
	    "<sip:a@b>;tag=1\r\n"
	    "To: <sip:a@b>;tag=2\r\nCall-ID: 5\r\nCSeq: 1 INVITE\r\n\r\n",
	    "ACK sip:x@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bK6\r\n"
	    "From: <sip:a@b>;tag=1\r\nTo: <sip:a@b>;tag=2\r\nCall-ID: 6\r\nCSeq: 1 ACK\r\n\r\n",
	    "CANCEL sip:x@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bK7\r\n"
	    "From: <sip:a@b>;tag=1\r\nTo: <sip:a@b>\r\nCall-ID: 7\r\nCSeq: 1 CANCEL\r\n\r\n",
	    "PRACK sip:x@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bK8\r\nRAck: "
	    "1 1 INVITE\r\n"
	    "From: <sip:a@b>;tag=1\r\nTo: <sip:a@b>;tag=2\r\nCall-ID: 8\r\nCSeq: 1 PRACK\r\n\r\n",
	};
	struct world *w = *state;
	/* A STUN binding request: RFC 8489 section 5. */
	static const char stun[20] = {0, 1, 0, 0, 0x21, 0x12, (char)0xa4, 0x42};

	side_open(&w->a, w->base);
	for (size_t i = 0; i < sizeof(messages) / sizeof(messages[0]); i++) {
		peer_send(&w->p, w->a.udp, messages[i], strlen(messages[i]));
		loop_settle(w->base);
	}
	peer_send(&w->p, w->a.udp, stun, sizeof(stun));
	/* and still it answers */
	peer_begin(&w->p, "MESSAGE", w->a.udp, "Content-Type: text/plain\r\n", "hello");
	peer_expect(&w->p, "SIP/2.0 200 ");
}

/*
 * An offer is a body to Sofia and nothing more: what is no SDP is ours to judge.  Sofia's own SDP
 * parser never ends with some m= lines (Debian's 1.12.11), and would refuse this one.
 */
static void test_offer_is_ours(void **state)
{
	struct world *w = *state;

	side_open(&w->a, w->base);
	w->a.answer = "answer-a";
	peer_begin(&w->p, "INVITE", w->a.udp, NULL, "this is no SDP");
	peer_expect(&w->p, "SIP/2.0 200 ");
	assert_string_equal(w->a.sdp, "this is no SDP");
}

/* Idle it wakes up for nua's second and little else. */
static void test_idle(void **state)
{
	struct world *w = *state;
	struct timeval second = {2, 0};
	int turns = 0;

	side_open(&w->a, w->base);
	loop_settle(w->base);
	event_base_loopexit(w->base, &second);
	while (!event_base_got_exit(w->base)) {
		event_base_loop(w->base, EVLOOP_ONCE);
		turns++;
		assert_true(turns < 1000);
		if (turns > 7)
			break;
	}
	assert_in_range(turns, 1, 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_listeners, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_wildcard, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_refused_settings, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_port_in_use, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_family_and_transport, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_source_address, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_proxy_and_contact, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_contact_parameters, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_reload, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_tls, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_other_requests, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_path, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_garbage, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_offer_is_ours, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_idle, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
