/*
 * A file that goes: looked through by threads first, for its SHA-1 stands in the offer; then read
 * by one of them a half ahead of what the connection takes.
 */
#include "files/priv.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <msrpd/cpim.h>
#include <msrpd/rand.h>

/* --- its end --- */

static void settle(struct transfer *t)
{
	if (t->over && !t->busy && !t->s)
		transfer_free(t);
}

static void fail(struct transfer *t, struct slice reason)
{
	transfer_over(t, &files_failed, reason);
	transfer_end_session(t);
	settle(t);
}

static void succeed(struct transfer *t)
{
	transfer_over(t, &files_sent, (struct slice){NULL, 0});
	transfer_end_session(t);
	settle(t);
}

void send_timeout(struct transfer *t, bool confirm)
{
	/* RFC 4975 7.1.2: not every peer sends REPORTs; the bytes are acknowledged. */
	if (confirm)
		succeed(t);
	else
		fail(t, SLICE("timeout"));
}

/* --- bytes --- */

static uint64_t portion(const struct transfer *t)
{
	return t->max - t->offset;
}

static int read_half(struct transfer *t)
{
	struct half *half = &t->halves[t->working];
	uint64_t left = portion(t) - t->read;
	size_t want = left < HALF_SIZE ? (size_t)left : HALF_SIZE;

	half->len = half->at = 0;
	while (half->len < want) {
		ssize_t n = pread(t->fd, half->p + half->len, want - half->len,
		    (off_t)(t->offset + t->read + half->len));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -ENODATA;
		half->len += (size_t)n;
	}
	t->read += half->len;
	return 0;
}

static struct slice why_read(int err)
{
	return err == -ENODATA ? SLICE("it has become shorter") : slice_of(strerror(-err));
}

static void on_read(struct transfer *t);

static const struct work reading = {.disk = read_half, .done = on_read};

/* A half is free: read ahead. */
static void read_ahead(struct transfer *t)
{
	int half = t->filled[t->sending] ? !t->sending : t->sending;

	if (t->busy || t->over || t->filled[half] || t->read >= portion(t))
		return;
	t->working = half;
	transfer_put(t, &reading, 0);
}

static void on_read(struct transfer *t)
{
	if (t->over) {
		settle(t);
		return;
	}
	if (t->err < 0) {
		fail(t, why_read(t->err));
		return;
	}
	t->filled[t->working] = true;
	read_ahead(t);
	if (t->starved && t->s) {
		t->starved = false;
		ua_message_ready(t->s, slice_of(t->message_id));
	}
}

/* @return false: there is nothing now */
static bool give_half(struct transfer *t, size_t want, struct slice *piece)
{
	struct half *half = &t->halves[t->sending];
	size_t n;

	if (t->filled[t->sending] && half->at == half->len) {
		t->filled[t->sending] = false;
		t->sending = !t->sending;
		half = &t->halves[t->sending];
		read_ahead(t);
	}
	if (!t->filled[t->sending])
		return false;
	n = half->len - half->at < want ? half->len - half->at : want;
	*piece = (struct slice){half->p + half->at, n};
	half->at += n;
	return true;
}

static int on_pull(void *arg, size_t want, struct slice *piece)
{
	struct transfer *t = arg;

	if (t->head_at < t->head_len) {
		*piece = slice_head((struct slice){t->head + t->head_at, t->head_len - t->head_at},
		    want);
		t->head_at += piece->len;
		return 0;
	}
	if (t->moved < portion(t) && !give_half(t, want, piece)) {
		read_ahead(t);
		t->starved = true;
		return -EAGAIN;
	}
	transfer_moved(t, piece->len);
	return 0;
}

/* --- the session --- */

/* The peer wants an envelope: the head of one, to be followed by the file. */
static int wrap(struct transfer *t)
{
	struct ua_session_info info;
	struct cpim_out out = {.content_type = slice_of(t->type), .body = SLICE("")};

	ua_session_info(t->s, &info);
	out.from_uri = info.from_uri;
	out.to_uri = info.to_uri;
	return cpim_build(&t->head, &t->head_len, &out);
}

static int send_message(struct transfer *t)
{
	struct message_out out = {
	    .content_type = slice_of(t->type),
	    .body = {.pull = on_pull, .arg = t},
	    .success_report = true,
	};

	if (!ua_accepts(t->s, out.content_type)) {
		if (!ua_accepts_wrapped(t->s, out.content_type) || wrap(t) < 0)
			return -EPROTOTYPE;
		out.content_type = SLICE("message/cpim");
	}
	out.body.total = t->head_len + portion(t);
	return ua_send(t->s, &out, UA_SEND_CONFIRM, t->message_id);
}

static struct slice why_not_sent(int err)
{
	switch (err) {
	case -EPROTOTYPE:
		return SLICE("the peer does not accept its type");
	case -EMSGSIZE:
		return SLICE("larger than the peer's max-size");
	case -EPERM:
		return SLICE("the peer does not receive");
	default:
		return slice_of(strerror(-err));
	}
}

static void begin(struct transfer *t)
{
	struct file_range range;
	int err;

	/* RFC 5547 8.2.2: the receiver may have a part of it already. */
	if (file_range_parse(&range, ua_peer_attribute(t->s)) < 0 || range.start > t->size) {
		fail(t, SLICE("the answer's file-range is none of this file"));
		return;
	}
	t->offset = range.start - 1;
	t->max = range.stop < t->size ? range.stop : t->size;
	timer_queue_start(&t->files->idle, &t->idle);
	err = send_message(t);
	if (err < 0)
		fail(t, why_not_sent(err));
}

static void on_notify(struct ua_session *s, const struct ua_notice *notice, void *arg)
{
	struct transfer *t = arg;

	(void)s;
	if (notice->what == UA_ESTABLISHED) {
		begin(t);
		return;
	}
	t->s = NULL;
	if (notice->what == UA_FAILED)
		transfer_failed_by(t, notice->code, notice->reason);
	else if (t->all_acknowledged && notice->end == UA_END_BYE)
		transfer_over(t, &files_sent, (struct slice){NULL, 0});
	else
		transfer_over(t, &files_failed,
		    notice->end == UA_END_BYE ? SLICE("cancelled by the receiver")
					      : slice_of(ua_end_name(notice->end)));
	settle(t);
}

static void on_report(struct ua_session *s, const struct message_report *r, void *arg)
{
	struct transfer *t = arg;
	bool good = r->namespace == 0 && r->code < 300;

	(void)s;
	if (t->over || !slice_equal(r->message_id, slice_of(t->message_id)))
		return;
	if (!good) {
		transfer_failed_by(t, r->code, r->phrase);
		transfer_end_session(t);
		settle(t);
	} else if (r->source == REPORT_FROM_RESPONSE) {
		t->all_acknowledged = true;
		timer_queue_stop(&t->files->idle, &t->idle);
		timer_queue_start(&t->files->confirm, &t->confirm);
	} else if (t->moved == portion(t) && r->range.end == t->head_len + portion(t)) {
		succeed(t);
	}
}

static void on_cancelled(void *arg)
{
	struct transfer *t = arg;

	t->s = NULL;
	transfer_over(t, &files_failed, SLICE("cancelled"));
	settle(t);
}

static int on_message(struct ua_session *s, const struct message *m, void *arg)
{
	(void)s;
	(void)arg;
	return m->request ? 405 : 403;
}

static const struct ua_handler handler = {
    .name = "file_out",
    .notify = on_notify,
    .message = on_message,
    .report = on_report,
    .hears_out = true,
    .cancelled = on_cancelled,
};

/* --- the sums, and then the offer --- */

static int offer(struct transfer *t)
{
	const struct selector_out selector = {
	    .name = slice_of(t->name),
	    .type = slice_of(t->type),
	    .size = t->size,
	    .sha1 = t->is_sha1,
	};
	struct buffer w = {.max = BUFFER_UNBOUNDED};
	char id[23], *text;
	size_t len;
	int err;

	rand_token(id, 22);
	selector_write(&w, &selector);
	buffer_printf(&w,
	    "a=file-transfer-id:%s\r\na=file-disposition:attachment\r\na=file-range:1-%" PRIu64
	    "\r\n",
	    id, t->size);
	err = buffer_take(&w, &text, &len);
	if (err < 0)
		return err;
	err = ua_release(t->s, (struct slice){text, len});
	free(text);
	return err;
}

static void on_summed(struct transfer *t);

static const struct work summing = {.sum = transfer_sum, .done = on_summed};

static void on_summed(struct transfer *t)
{
	int err = t->err;

	if (t->over) {
		settle(t);
		return;
	}
	if (err == 0 && t->summed < t->size) {
		transfer_put_sums(t, &summing, t->size);
		return;
	}
	if (err == 0)
		err = transfer_sum_up(t);
	if (err < 0) {
		fail(t, why_read(err));
		return;
	}
	t->summed_up = true;
	err = offer(t);
	if (err < 0)
		fail(t, slice_of(strerror(-err)));
}

/* --- an order --- */

static int open_file(struct transfer *t, const struct source *source)
{
	struct stat st;

	t->fd = source_open(source);
	if (t->fd < 0)
		return t->fd;
	if (fstat(t->fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL;
	if (st.st_size == 0)
		return -ENODATA;
	t->size = t->max = (uint64_t)st.st_size;
	posix_fadvise(t->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
	return transfer_allocate(t);
}

static int start(struct transfer *t, const struct send_order *order)
{
	const struct ua_offer offer = {
	    .accept_types = SLICE("*"),
	    .handler = &handler,
	    .arg = t,
	    .peer_attribute = "file-range",
	    .sends_only = true,
	    .file = true,
	    .held = true,
	};
	struct ua_session *s;
	int err;

	if (order->carrier)
		err = ua_join(order->carrier, &offer, &s);
	else
		err =
		    ua_start(t->files->ua, &offer, order->from_uri, order->to_uri, order->ruri, &s);
	if (err < 0)
		return err;
	err = transfer_set_session(t, s);
	if (err < 0)
		transfer_end_session(t);
	return err;
}

static struct slice last_part(struct slice path)
{
	const char *slash = memrchr(path.p, '/', path.len);

	return slash ? slice_from(path, (size_t)(slash + 1 - path.p)) : path;
}

int send_begin(struct files *files, const struct send_order *order, struct transfer **tp,
    const char **stepp)
{
	struct slice type = order->type.p ? order->type : SLICE("application/octet-stream");
	struct slice path = slice_of(order->source->path);
	struct transfer *t;
	int err;

	*stepp = "memory";
	err = transfer_new(&t, files, order->name.p ? order->name : last_part(path), type);
	if (err < 0)
		return err;
	t->out = true;
	t->path = slice_dup(path);
	*stepp = "file";
	err = t->path ? open_file(t, order->source) : -ENOMEM;
	if (err == 0) {
		*stepp = "session";
		err = start(t, order);
	}
	if (err < 0) {
		transfer_free(t);
		return err;
	}
	transfer_put_sums(t, &summing, t->size);
	*tp = t;
	return 0;
}
