/*
 * Traces to a file and to a collector while the n-th allocation fails, for each n, those of the thread
 * that writes among them: a trace is begun or refused, a message that the tap tells of is written or
 * counted as lost.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "ctl/params.h"
#include "ctl/priv.h"
#include "loop.h"
#include "memory.h"
#include "msrp_side.h"
#include "net/net.h"
#include "numbers.h"
#include "trace/priv.h"

enum { LONG = 3000 };

struct world {
	struct msrp_side side;
	struct msrp_peer peers[2];
	struct trace_settings settings;
	void *trace;
	char directory[32], hep[ADDR_TEXT_SIZE];
	int collector;
	unsigned told, got; /* messages: by the tap, and where they are written */
	uint64_t lost_before;
	char answer[1024];
};

static struct world w;

static void open_world(void)
{
	union addr any;

	memset(&w, 0, sizeof(w));
	strcpy(w.directory, "/tmp/msrpd-trace-XXXXXX");
	assert_non_null(mkdtemp(w.directory));
	w.collector = socket(AF_INET, SOCK_DGRAM, 0);
	assert_int_equal(addr_parse(&any, SLICE("127.0.0.1:0")), 0);
	assert_int_equal(bind(w.collector, &any.any, addr_len(&any)), 0);
	addr_of_socket(&any, w.collector);
	addr_print(&any, w.hep);
	w.settings = (struct trace_settings){.directory = w.directory,
	    .hep = w.hep,
	    .queue = 1 << 20,
	    .max_file = 1 << 20,
	    .files = 2};
	msrp_side_init(&w.side, NULL);
	msrp_side_start(&w.side);
	for (int i = 0; i < 2; i++)
		msrp_peer_open(&w.peers[i], &w.side, NULL, false);
	loop_settle(w.side.base);
}

static void close_world(void)
{
	static const char *const names[] = {"one", "two"};
	char path[64];

	for (int i = 0; i < 2; i++)
		msrp_peer_close(&w.peers[i]);
	msrp_side_stop(&w.side);
	close(w.collector);
	for (int i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "%s/%s.pcapng", w.directory, names[i]);
		unlink(path);
	}
	assert_int_equal(rmdir(w.directory), 0);
}

static int start(void)
{
	const struct service_env env = {.net = w.side.net, .stats = w.side.stats};
	struct reason why;

	return trace_service.start(&env, &w.settings, &w.trace, &why);
}

/* --- an account of messages --- */

static void on_head(struct net_tap *tap, const struct net_stream *stream, enum net_way way,
    struct slice bytes)
{
	w.told++;
	trace_tap_ops.head(tap, stream, way, bytes);
}

static void on_datagram(struct net_tap *tap, const union addr *local, const union addr *peer,
    enum net_way way, struct slice bytes)
{
	w.told++;
	trace_tap_ops.datagram(tap, local, peer, way, bytes);
}

static void count_told(void)
{
	static struct net_tap_ops ops;

	ops = trace_tap_ops;
	ops.head = on_head;
	ops.datagram = on_datagram;
	if (net_tap_of(w.side.net)->ops)
		net_tap_of(w.side.net)->ops = &ops;
}

/* Blocks of packets in the file. */
static unsigned written(void)
{
	enum { ENHANCED_PACKET = 6 };
	uint32_t block[2]; /* its type and length */
	unsigned packets = 0;
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "%s/one.pcapng", w.directory);
	f = fopen(path, "r");
	while (f && fread(block, sizeof(block), 1, f) == 1) {
		packets += block[0] == ENHANCED_PACKET;
		fseek(f, (long)(block[1] - sizeof(block)), SEEK_CUR);
	}
	if (f)
		fclose(f);
	return packets;
}

static uint64_t lost(void)
{
	return number_of(w.side.stats, "trace", "lost");
}

static bool all_there(void *arg)
{
	const bool *to_file = arg;
	char packet[2 * LONG];

	trace_collect_lost(w.trace);
	if (*to_file)
		w.got = written();
	while (recv(w.collector, packet, sizeof(packet), MSG_DONTWAIT) > 0)
		w.got++;
	return w.got + lost() - w.lost_before >= w.told;
}

/* --- the walk --- */

/* The command msrp_trace.  @return is it carried out? */
static bool run(const char *mode, const char *file)
{
	struct param params[PARAMS_MAX] = {{0}};
	struct buffer out = BUFFER_ON(w.answer);
	struct json_reply reply;

	params[0] = (struct param){.present = true, .text = slice_of(mode)};
	params[4] = (struct param){.present = file != NULL, .text = slice_of(file)};
	params[5] =
	    (struct param){.present = !file && strcmp(mode, "on") == 0, .text = SLICE("true")};
	json_reply_begin(&reply, &out, SLICE("1"));
	trace_service.methods[0].call(params, &reply.reply, w.trace);
	json_reply_end(&reply);
	buffer_add_char(&out, '\0');
	assert_int_equal(out.err, 0);
	return strstr(w.answer, "\"result\":") != NULL;
}

/* Whether it is read or not: for want of memory the connection may be closed. */
static void say(struct msrp_peer *peer, const char *text)
{
	send(peer->fd, text, strlen(text), MSG_NOSIGNAL);
	loop_settle(w.side.base);
}

/* A message, and its answer; one that breaks off, and one by a datagram. */
static void talk(struct msrp_peer *peer)
{
	char body[LONG + 1] = "", text[LONG + 500];
	struct net_tap *tap = net_tap_of(w.side.net);
	union addr here, there;

	memset(body, 'b', LONG);
	snprintf(text, sizeof(text),
	    "MSRP whole123 SEND\r\nTo-Path: %s\r\nFrom-Path: msrp://127.0.0.1:9/peer;tcp\r\n"
	    "Message-ID: 12345678\r\nContent-Type: text/plain\r\n\r\n%s\r\n-------whole123$\r\n",
	    w.side.uri, body);
	say(peer, text);
	say(peer, "MSRP half1234 SEND\r\nTo-Path: ");
	shutdown(peer->fd, SHUT_RDWR);
	loop_settle(w.side.base);
	addr_parse(&here, SLICE("127.0.0.1:1"));
	addr_parse(&there, SLICE("127.0.0.1:2"));
	if (tap->ops)
		tap->ops->datagram(tap, &here, &there, NET_IN,
		    SLICE("OPTIONS sip:x SIP/2.0\r\nCall-ID: 1\r\n\r\n"));
}

/* @return was it on? */
static bool trace(const char *file, struct msrp_peer *peer)
{
	bool to_file = file, on = run("on", file);

	w.told = w.got = 0;
	w.lost_before = lost();
	count_told();
	talk(peer);
	if (on)
		loop_until(w.side.base, all_there, &to_file);
	else
		assert_int_equal(w.told, 0);
	assert_true(run("off", NULL));
	assert_int_equal(number_of(w.side.stats, "trace", "on"), 0);
	return on;
}

static void each_allocation(void **state)
{
	unsigned n = 0, refused = 0, hurt = 0;
	bool failed, on;

	(void)state;
	do {
		open_world();
		memory_fail_at(++n);
		if (start() == 0) {
			on = trace("one.pcapng", &w.peers[0]);
			on = trace(NULL, &w.peers[1]) && on;
			refused += !on;
			hurt += lost() > 0;
			failed = memory_has_failed();
			memory_fail_at(0);
			assert_true(run("on", "two.pcapng"));
			assert_true(run("off", NULL));
			trace_service.stop(w.trace);
		} else {
			failed = memory_has_failed();
			memory_fail_at(0);
			assert_true(failed);
		}
		close_world();
		assert_true(n < 1000);
	} while (failed);
	assert_true(refused > 5 && hurt > 5);
	print_message(
	    "%u allocations failed in turn, %u traces were not begun, %u lost something\n", n - 1,
	    refused, hurt);
}

/* --- what a trace of one session knows of others --- */

/* A call that names another session as well; what is said in that one is of the call. */
static bool follow(struct trace_filter *f)
{
	struct trace_mark mark = {.all = false};
	struct slice call_id;

	trace_filter_takes_sip(f, SLICE("INVITE sip:a@h SIP/2.0\r\nCall-ID: 1\r\n\r\n"),
	    SLICE("a=path:msrp://h:1/mine;tcp\r\na=path:msrp://h:1/other;tcp\r\n"), &call_id);
	assert_true(slice_equal(call_id, SLICE("1")));
	return trace_filter_takes_msrp(f, SLICE("MSRP t SEND\r\nTo-Path: msrp://h:1/other;tcp\r\n"),
	    &mark, &call_id);
}

static void each_allocation_of_a_filter(void **state)
{
	const struct trace_filter_options options = {SLICE("mine"), SLICE("alice"),
	    SLICE("192.0.2.1")};
	unsigned n = 0, refused = 0, missed = 0;
	struct trace_filter *f;
	struct reason why;
	bool failed;

	(void)state;
	do {
		memory_fail_at(++n);
		if (trace_filter_new(&f, &options, &why) == 0) {
			missed += !follow(f);
			failed = memory_has_failed();
			memory_fail_at(0);
			assert_true(follow(f));
			trace_filter_free(f);
		} else {
			failed = memory_has_failed();
			memory_fail_at(0);
			assert_true(failed);
			refused++;
		}
		assert_true(n < 100);
	} while (failed);
	assert_true(refused > 2 && missed > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(each_allocation),
	    cmocka_unit_test(each_allocation_of_a_filter),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
