/*
 * What a browser may send (1: a token, 2: the request that makes a WebSocket of the API of its
 * connection): every answer is HTTP's, or a WebSocket's, and what is told to a user is his.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <event2/event.h>

#include "conversation.h"
#include "web_host.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char root[] = "/tmp/msrpd-fuzz-XXXXXX";

static void remove_root(void)
{
	static const char *const files[] = {"index.html", "a.js", "sub/index.html"};
	char path[200];

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", root, files[i]);
		unlink(path);
	}
	snprintf(path, sizeof(path), "%s/sub", root);
	rmdir(path);
	rmdir(root);
}

static void write_file(const char *name, const char *text)
{
	char path[200];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", root, name);
	f = fopen(path, "w");
	must(f && fputs(text, f) >= 0);
	fclose(f);
}

static void make_root(void)
{
	char path[200];

	must(mkdtemp(root) != NULL);
	atexit(remove_root);
	write_file("index.html", "<title>page</title>");
	write_file("a.js", "x");
	snprintf(path, sizeof(path), "%s/sub", root);
	must(mkdir(path, 0700) == 0);
	write_file("sub/index.html", "<title>sub</title>");
}

static struct event_base *start_once(void)
{
	static struct event_base *base;

	if (!base) {
		base = event_base_new();
		make_root();
	}
	must(base != NULL);
	return base;
}

static void check_answer(const struct speaker *s)
{
	static const char version[] = "HTTP/1.1 ";

	if (s->first_len >= sizeof(version) - 1)
		must(memcmp(s->first, version, sizeof(version) - 1) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct conversation c = {.base = start_once()};
	struct web_host host;
	char upgrade[1000];

	if (size > INPUT_MAX)
		return 0;
	web_host_init(&host, c.base);
	host.settings.root = root;
	must(web_host_start(&host) == 0);
	snprintf(upgrade, sizeof(upgrade),
	    "GET /api?token=%s HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n"
	    "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
	    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: jsonrpc\r\n\r\n",
	    host.token);
	c.names[0] = host.token;
	c.names[1] = upgrade;
	for (size_t i = 0; i < SPEAKERS; i++)
		speaker_open(&c, i, &STAILQ_FIRST(&host.web->listeners)->socket);
	conversation_run(&c, data, size);
	web_host_tell(&host);
	conversation_settle(&c);
	for (size_t i = 0; i < SPEAKERS; i++)
		check_answer(&c.speakers[i]);
	conversation_end(&c);
	web_host_stop(&host);
	return 0;
}
