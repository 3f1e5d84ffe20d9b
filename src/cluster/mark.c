/*
 * What one node says to another in a request: "TO MAC SERVICE ARG…", each argument behind "=" so
 * that an empty one can be told from none, which is "-".
 */
#include <ctype.h>
#include <errno.h>
#include <string.h>

#include <openssl/crypto.h>

#include <msrpd/hex.h>

#include "base/chars.h"
#include "cluster/priv.h"

static size_t plain_span(struct slice text)
{
	size_t n = 0;

	while (n < text.len && isgraph((unsigned char)text.p[n]) && text.p[n] != '%')
		n++;
	return n;
}

static void write_escaped(struct buffer *w, struct slice text)
{
	if (!text.p) {
		buffer_add_char(w, '-');
		return;
	}
	buffer_add_char(w, '=');
	while (text.len) {
		size_t plain = plain_span(text);

		buffer_add(w, slice_head(text, plain));
		text = slice_from(text, plain);
		if (text.len) {
			buffer_printf(w, "%%%02x", (unsigned char)text.p[0]);
			text = slice_from(text, 1);
		}
	}
}

/* @return absent where it says so, or is broken */
static struct slice read_escaped(struct buffer *w, struct slice text)
{
	size_t start = w->len;
	struct slice plain;

	if (!chars_take_char(&text, '='))
		return (struct slice){NULL, 0};
	while (slice_cut(&text, '%', &plain)) {
		int byte = hex_byte(text);

		buffer_add(w, plain);
		if (text.p && byte < 0)
			return (struct slice){NULL, 0};
		if (text.p) {
			buffer_add_char(w, (char)byte);
			text = slice_from(text, 2);
		}
	}
	return w->err ? (struct slice){NULL, 0} : (struct slice){w->p + start, w->len - start};
}

void cluster_words_write(struct buffer *w, const struct slice *texts, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (i > 0)
			buffer_add_char(w, ' ');
		write_escaped(w, texts[i]);
	}
}

ssize_t cluster_words_read(struct buffer *w, struct slice words, struct slice *texts, size_t max)
{
	struct slice word;
	size_t count = 0;

	buffer_reserve(w, words.len); /* so that it does not move while texts point into it */
	while (count < max && slice_cut(&words, ' ', &word))
		texts[count++] = read_escaped(w, word);
	return w->err ? w->err : (ssize_t)count;
}

/* Over all but itself. */
void cluster_mark_mac(const struct cluster *cluster, struct slice to, struct slice rest,
    char mac[MAC_OWN_SIZE])
{
	mac_own(mac, (struct slice){cluster->secret, SECRET_LEN},
	    (struct slice[]){to, SLICE(" "), rest}, 3);
}

void cluster_mark_write(const struct cluster *cluster, struct buffer *w, struct slice to,
    const struct cluster_mark *mark)
{
	struct buffer rest = {.max = BUFFER_UNBOUNDED};
	char mac[MAC_OWN_SIZE];

	buffer_add(&rest, mark->service);
	buffer_add_char(&rest, ' ');
	cluster_words_write(&rest, &mark->at, 1);
	if (mark->count)
		buffer_add_char(&rest, ' ');
	cluster_words_write(&rest, mark->args, mark->count);
	if (!rest.err) {
		cluster_mark_mac(cluster, to, buffer_text(&rest), mac);
		buffer_add(w, SLICE(CLUSTER_HEADER ": "));
		buffer_add(w, to);
		buffer_add_char(w, ' ');
		buffer_add(w, slice_of(mac));
		buffer_add_char(w, ' ');
		buffer_add(w, buffer_text(&rest));
		buffer_add(w, SLICE("\r\n"));
	} else {
		w->err = rest.err;
	}
	buffer_fini(&rest);
}

int cluster_mark_read(const struct cluster *cluster, struct buffer *w, struct slice value,
    struct cluster_mark *mark)
{
	struct slice rest = value, to, mac, texts[1 + CLUSTER_ARGS_MAX];
	char made[MAC_OWN_SIZE];
	ssize_t count;

	if (!cluster || !slice_cut(&rest, ' ', &to) || !slice_cut(&rest, ' ', &mac) || !rest.p
	    || !slice_equal(to, slice_of(cluster->settings->node)) || mac.len != MAC_OWN_SIZE - 1)
		return -EACCES;
	cluster_mark_mac(cluster, to, rest, made);
	if (CRYPTO_memcmp(mac.p, made, mac.len) != 0)
		return -EACCES;
	*mark = (struct cluster_mark){.count = 0};
	slice_cut(&rest, ' ', &mark->service);
	count = cluster_words_read(w, rest, texts, 1 + CLUSTER_ARGS_MAX);
	if (count < 1)
		return -EACCES;
	mark->at = texts[0];
	mark->count = (size_t)count - 1;
	memcpy(mark->args, texts + 1, mark->count * sizeof(*texts));
	return 0;
}
