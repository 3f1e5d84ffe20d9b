/*
 * What the cluster reads: the first byte says what the rest is.  'u': a URL of a Redis; 'w': words;
 * 'm': a mark; 'n': a node; 'r': a reply of Redis, of which a record is made.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/priv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { WORDS_MAX = 16 };

static void must(bool ok)
{
	if (!ok)
		abort();
}

static bool is_within(const char *p, struct slice whole)
{
	return p >= whole.p && p <= whole.p + whole.len;
}

static void check_url(struct slice text)
{
	struct redis_place place;
	struct reason why;

	if (redis_place_parse(&place, text, &why) == 0)
		must(place.host[0] && strlen(place.host) < sizeof(place.host));
}

/* What is read can be written, and is read again as the same. */
static void check_words(struct slice text)
{
	struct buffer first = {.max = BUFFER_UNBOUNDED}, second = {.max = BUFFER_UNBOUNDED};
	struct buffer w = {.max = BUFFER_UNBOUNDED};
	struct slice words[WORDS_MAX], again[WORDS_MAX];
	ssize_t count = cluster_words_read(&first, text, words, WORDS_MAX);

	must(count >= 0 && count <= WORDS_MAX);
	cluster_words_write(&w, words, (size_t)count);
	must(cluster_words_read(&second, count ? buffer_text(&w) : (struct slice){NULL, 0}, again,
		 WORDS_MAX)
	    == count);
	for (ssize_t i = 0; i < count; i++)
		must(slice_equal(words[i], again[i]) && !words[i].p == !again[i].p);
	buffer_fini(&first);
	buffer_fini(&second);
	buffer_fini(&w);
}

/* As it is, and with a good code before it, so that it is looked at. */
static void check_mark(struct slice text)
{
	struct cluster_settings settings = {.given = true, .node = (char[]){"a"}};
	struct cluster cluster = {.settings = &settings, .secret = "a secret of sixteen or more"};
	struct buffer texts = {.max = BUFFER_UNBOUNDED}, w = {.max = BUFFER_UNBOUNDED};
	struct cluster_mark mark = {.service = {NULL, 0}}, told;
	char mac[MAC_OWN_SIZE];

	must(cluster_mark_read(&cluster, &texts, text, &told) < 0);
	cluster_mark_mac(&cluster, SLICE("a"), text, mac);
	buffer_printf(&w, "a %s ", mac);
	buffer_add(&w, text);
	if (cluster_mark_read(&cluster, &texts, buffer_text(&w), &mark) == 0)
		must(mark.count <= CLUSTER_ARGS_MAX
		    && (!mark.service.p || is_within(mark.service.p, buffer_text(&w))));
	buffer_fini(&texts);
	buffer_fini(&w);
}

static void check_node(struct slice text)
{
	struct cluster_node node;

	if (node_parse(&node, text) == 0)
		must(is_within(node.name.p, text)
		    && (!node.sip.p || is_within(node.sip.p + node.sip.len, text)));
}

static void check_reply(struct slice text)
{
	static struct cluster_line lines[CLUSTER_LINES_MAX];
	redisReader *reader = redisReaderCreate();
	struct cluster_record record;
	void *reply = NULL;

	must(reader);
	redisReaderFeed(reader, text.p, text.len);
	if (redisReaderGetReply(reader, &reply) == REDIS_OK && reply
	    && record_parse(&record, reply, lines) == 0) {
		must(record.count <= CLUSTER_LINES_MAX);
		for (size_t i = 0; i < record.count; i++)
			check_words(record.lines[i].text);
	}
	if (reply)
		freeReplyObject(reply);
	redisReaderFree(reader);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice text;
	char *copy;

	if (size == 0)
		return 0;
	copy = malloc(size); /* of the very size, so that no byte behind it is read */
	must(copy);
	memcpy(copy, data + 1, size - 1);
	text = (struct slice){copy, size - 1};
	switch (data[0]) {
	case 'u':
		check_url(text);
		break;
	case 'w':
		check_words(text);
		break;
	case 'm':
		check_mark(text);
		break;
	case 'n':
		check_node(text);
		break;
	default:
		check_reply(text);
	}
	free(copy);
	return 0;
}
