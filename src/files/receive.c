/*
 * A file that comes: offered, judged, written by threads while it arrives, and whole at its end.
 * What the peer calls it is told, and never becomes a name on our disk.
 */
#include "files/priv.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <msrpd/cpim.h>
#include <msrpd/rand.h>

static void go_on(struct transfer *t);

/* --- in the threads --- */

static int write_half(struct transfer *t)
{
	const struct half *half = &t->halves[t->working];
	size_t at = 0;

	/* The part that we had is of no use. */
	if (t->anew && ftruncate(t->fd, 0) < 0)
		return -errno;
	while (at < half->len) {
		ssize_t n = pwrite(t->fd, half->p + at, half->len - at,
		    (off_t)(t->offset + t->written + at));

		if (n < 0 && errno != EINTR)
			return -errno;
		at += n > 0 ? (size_t)n : 0;
	}
	t->written += half->len;
	return 0;
}

static int sum_half(struct transfer *t, struct sum *sum)
{
	const struct half *half = &t->halves[t->working];

	if (t->anew && sum_reset(sum) < 0)
		return -ENOMEM;
	return sum_add(sum, (struct slice){half->p, half->len});
}

static int finish_file(struct transfer *t)
{
	int dir = t->files->store.fd, err = transfer_sum_up(t);

	if (err < 0)
		return err;
	if (t->has_sha1 && memcmp(t->sha1, t->is_sha1, SUM_SHA1_SIZE) != 0)
		return -EBADMSG;
	return renameat(dir, t->part, dir, t->final) < 0 ? -errno : 0;
}

static bool is_kept(const struct transfer *t)
{
	return t->resumable && !t->discard && t->offset + t->written > 0;
}

static int clean_up(struct transfer *t)
{
	/* Behind what is known to be good there may be half a write. */
	if (!is_kept(t) || ftruncate(t->fd, (off_t)(t->offset + t->written)) < 0) {
		unlinkat(t->files->store.fd, t->part, 0);
		t->discard = true;
	}
	return 0;
}

static void on_written(struct transfer *t);

static const struct work writing = {.disk = write_half, .sum = sum_half, .done = on_written};

static void write_next(struct transfer *t)
{
	t->working = t->filling;
	t->filling = !t->filling;
	transfer_put(t, &writing, t->halves[t->working].len);
}

/* --- its end --- */

static void on_cleaned(struct transfer *t)
{
	uint64_t kept = is_kept(t) ? t->offset + t->written : 0;

	store_give_back(&t->files->store, t->claim > kept ? t->claim - kept : 0);
	transfer_free(t);
}

static const struct work cleaning = {.disk = clean_up, .done = on_cleaned};

static bool has_more_to_keep(const struct transfer *t)
{
	return t->err == 0 && t->resumable && !t->discard && t->halves[t->filling].len;
}

/* It goes when nobody has it any more, and all that came is in its part. */
static void settle(struct transfer *t)
{
	if (!t->over || t->busy || t->s)
		return;
	if (t->finished)
		transfer_free(t);
	else if (has_more_to_keep(t))
		write_next(t);
	else
		transfer_put(t, &cleaning, 0);
}

static void fail(struct transfer *t, struct slice reason)
{
	transfer_over(t, &files_failed, reason);
	transfer_end_session(t);
	settle(t);
}

static void report(struct transfer *t, int code, struct slice phrase)
{
	const struct report_out out = {.code = code, .phrase = phrase};

	if (t->s)
		ua_send_report(t->s, slice_of(t->message_id), &out);
}

static void on_finished(struct transfer *t)
{
	const struct store *store = &t->files->store;

	if (t->over) { /* timed out, or cancelled meanwhile */
		t->discard = true;
		if (t->err == 0)
			unlinkat(store->fd, t->final, 0);
		settle(t);
		return;
	}
	if (t->err < 0) {
		t->discard = true;
		t->summed_up = t->err == -EBADMSG;
		report(t, 400, SLICE("File Not As Announced"));
		fail(t,
		    t->err == -EBADMSG ? SLICE("its SHA-1 is not the one announced")
				       : slice_of(strerror(-t->err)));
		return;
	}
	t->finished = t->summed_up = true;
	t->size = t->offset + t->written;
	store_give_back(&t->files->store, t->claim - t->size);
	report(t, 200, (struct slice){NULL, 0});
	transfer_over(t, &files_received, (struct slice){NULL, 0});
	/* The sender takes the stream away (RFC 5547 8.4). */
	timer_queue_start(&t->files->confirm, &t->confirm);
	settle(t);
}

static const struct work finishing = {.disk = finish_file, .done = on_finished};

void receive_timeout(struct transfer *t, bool confirm)
{
	if (confirm) {
		transfer_end_session(t);
		settle(t);
	} else {
		fail(t, SLICE("timeout"));
	}
}

/* --- bytes --- */

static void restart(struct transfer *t)
{
	t->restart = false;
	t->offset = t->summed = 0;
	t->anew = true;
}

static void on_worked(struct transfer *t)
{
	if (t->restart)
		restart(t);
	if (t->over)
		settle(t);
	else if (t->err < 0)
		fail(t, slice_of(strerror(-t->err)));
	else
		go_on(t);
}

static void on_written(struct transfer *t)
{
	t->halves[t->working].len = 0;
	t->anew = false;
	on_worked(t);
}

static const struct work summing = {.sum = transfer_sum, .done = on_worked};

static bool is_short(const struct transfer *t)
{
	return t->size != UINT64_MAX && t->offset + t->written != t->size;
}

static void finish(struct transfer *t)
{
	if (!is_short(t)) {
		transfer_put(t, &finishing, 0);
		return;
	}
	report(t, 400, SLICE("File Not As Announced"));
	fail(t, SLICE("it is shorter than announced"));
}

/* The threads have nothing of it under way. */
static void go_on(struct transfer *t)
{
	if (t->summed < t->offset) {
		transfer_put_sums(t, &summing, t->offset);
	} else if (t->halves[t->filling].len) {
		write_next(t);
	} else if (t->ended) {
		finish(t);
		return;
	}
	if (t->stalled && t->halves[t->filling].len < HALF_SIZE && t->s) {
		t->stalled = false;
		ua_message_resume(t->s, t);
	}
}

static int append(struct half *half, struct slice piece)
{
	if (piece.len > half->cap - half->len) {
		size_t cap = half->len + piece.len;
		char *grown = realloc(half->p, cap > HALF_SIZE ? cap : HALF_SIZE);

		if (!grown)
			return -ENOMEM;
		half->p = grown;
		half->cap = cap > HALF_SIZE ? cap : HALF_SIZE;
	}
	if (piece.len)
		memcpy(half->p + half->len, piece.p, piece.len);
	half->len += piece.len;
	return 0;
}

static int refuse(struct transfer *t, int code, const char *why)
{
	t->why = why;
	t->discard = true;
	return code;
}

/* Not for an offer, which costs its sender nothing; what of the file is there already stays. */
static int allocate(struct transfer *t)
{
	int err = t->halves[0].p ? 0 : transfer_allocate(t);

	if (err == 0)
		return 0;
	t->why = err == -ENOBUFS ? "msrp.max_memory is reached" : "out of memory";
	return 413;
}

static int take(struct transfer *t, struct slice piece)
{
	uint64_t begin = t->restart ? 0 : t->offset;
	uint64_t end = t->size != UINT64_MAX ? t->size : t->max;

	if (piece.len > end - begin - t->moved)
		return refuse(t, 413, "it is longer than announced");
	if (append(&t->halves[t->filling], piece) < 0)
		return refuse(t, 413, "out of memory");
	transfer_moved(t, piece.len);
	if (!t->busy)
		go_on(t);
	if (t->halves[t->filling].len < HALF_SIZE)
		return 0;
	t->stalled = true;
	return -EAGAIN;
}

/* The head of a message/cpim is not of the file. */
static int unwrap(struct transfer *t, struct slice piece)
{
	struct slice held;
	ssize_t head;

	if (append(&t->cpim, piece) < 0)
		return refuse(t, 413, "out of memory");
	held = (struct slice){t->cpim.p, t->cpim.len};
	head = cpim_head_size(held);
	if (head == -EAGAIN)
		return 0;
	if (head < 0)
		return refuse(t, 400, "not a message/cpim");
	t->wrapped = false;
	return take(t, slice_from(held, (size_t)head));
}

/* --- the session's messages --- */

static int on_begin(struct ua_session *s, const struct message *m, void **streamp, void *arg)
{
	struct transfer *t = arg;
	uint64_t left = t->size - t->offset;

	(void)s;
	if (t->begun || t->over || m->message_id.len >= sizeof(t->message_id))
		return 413;
	t->wrapped = slice_starts_nocase(m->content_type, SLICE("message/cpim"))
	    && !slice_starts_nocase(slice_of(t->type), SLICE("message/cpim"));
	if (!t->wrapped && m->total != UINT64_MAX && t->size != UINT64_MAX && m->total != left) {
		if (m->total != t->size)
			return 413;
		t->restart = true;
		if (!t->busy)
			restart(t);
	}
	memcpy(t->message_id, m->message_id.p, m->message_id.len);
	t->begun = true;
	*streamp = t;
	return 0;
}

static int on_piece(struct ua_session *s, void *stream, struct slice piece, void *arg)
{
	struct transfer *t = stream;

	(void)s;
	(void)arg;
	if (t->over || allocate(t) != 0)
		return 413;
	return t->wrapped ? unwrap(t, piece) : take(t, piece);
}

static const char *why_ended(int err)
{
	switch (err) {
	case -ETIMEDOUT:
		return "timeout";
	case -ECANCELED:
		return "aborted by the sender";
	case -ECONNRESET:
		return "connection lost";
	default:
		return "refused";
	}
}

static int on_end(struct ua_session *s, void *stream, int err, void *arg)
{
	struct transfer *t = stream;

	(void)s;
	(void)arg;
	if (err < 0 || t->wrapped) {
		fail(t, slice_of(t->why ? t->why : why_ended(err)));
		return 0;
	}
	t->ended = true;
	timer_queue_stop(&t->files->idle, &t->idle);
	/* Not from inside this call, which is for the message to be reported later. */
	if (!t->busy)
		transfer_put_sums(t, &summing, t->offset);
	return UA_REPORT_LATER;
}

static void on_notify(struct ua_session *s, const struct ua_notice *notice, void *arg)
{
	struct transfer *t = arg;

	(void)s;
	if (notice->what == UA_ESTABLISHED) {
		timer_queue_start(&t->files->idle, &t->idle);
		return;
	}
	t->s = NULL;
	if (notice->what == UA_FAILED)
		transfer_failed_by(t, notice->code, notice->reason);
	else if (!t->ended)
		transfer_over(t, &files_failed,
		    notice->end == UA_END_BYE ? SLICE("cancelled by the sender")
					      : slice_of(ua_end_name(notice->end)));
	settle(t);
}

static void on_cancelled(void *arg)
{
	struct transfer *t = arg;

	t->s = NULL;
	transfer_over(t, &files_failed, SLICE("cancelled"));
	settle(t);
}

static const struct ua_handler handler = {
    .name = "file_in",
    .notify = on_notify,
    .begin = on_begin,
    .piece = on_piece,
    .end = on_end,
    .cancelled = on_cancelled,
};

/* --- an offer --- */

static bool is_worked_at(const char *part, void *arg)
{
	struct files *files = arg;
	struct transfer *t;

	TAILQ_FOREACH(t, &files->all, next)
		if (!t->out && !t->finished && strcmp(t->part, part) == 0)
			return true;
	return false;
}

/* What is left of an earlier try may go on; that is known by who sends it, and by all that is said. */
static int name_part(struct transfer *t, const struct selector *selector, struct slice from)
{
	const struct slice texts[] = {from, selector->name, selector->type,
	    {(const char *)&selector->size, sizeof(selector->size)},
	    {(const char *)selector->sha1, sizeof(selector->sha1)}};
	char part[STORE_NAME_SIZE];
	int err = store_part_name(part, texts, sizeof(texts) / sizeof(texts[0]));

	if (err < 0)
		return err;
	t->resumable = selector->has_sha1 && t->size != UINT64_MAX && !is_worked_at(part, t->files);
	if (t->resumable) {
		memcpy(t->part, part, sizeof(part));
		return 0;
	}
	memcpy(t->part, ".part-", 6);
	rand_token(t->part + 6, 22);
	return 0;
}

/* RFC 5547 6: a part of the file, which must be what we lack. */
static int place(struct transfer *t, struct slice text)
{
	uint64_t have = t->resumable ? store_size(&t->files->store, t->part) : 0;
	struct file_range range;

	if (file_range_parse(&range, text) < 0
	    || (range.stop != UINT64_MAX && range.stop != t->size))
		return -EPROTO;
	t->claim = have;
	if (have >= t->size)
		have = 0;
	if (range.start > 1 && range.start != have + 1)
		return -EPROTO;
	/* Who does not know of ranges sends all of it. */
	t->offset = text.p ? have : 0;
	return 0;
}

static int open_part(struct transfer *t)
{
	int flags = O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC;

	if (!t->resumable)
		flags |= O_EXCL;
	if (t->offset == 0)
		flags |= O_TRUNC;
	t->fd = openat(t->files->store.fd, t->part, flags, 0600);
	return t->fd < 0 ? -errno : 0;
}

static uint64_t promised(const struct files *files)
{
	uint64_t sum = 0;
	const struct transfer *t;

	TAILQ_FOREACH(t, &files->all, next)
		if (!t->out && !t->finished)
			sum += t->claim;
	return sum;
}

static int claim(struct transfer *t)
{
	const struct store_work work = {
	    .busy = is_worked_at,
	    .promised = promised(t->files),
	    .arg = t->files,
	};
	uint64_t need = t->size != UINT64_MAX ? t->size : t->max;
	uint64_t more = need > t->claim ? need - t->claim : 0;
	int err = store_promise(&t->files->store, more, ua_files(t->files->ua)->max_total, &work);

	if (err == 0)
		t->claim += more;
	return err;
}

/* Our side of the stream: RFC 5547 8.2.2. */
static int describe(struct transfer *t, const struct ua_file *file, struct ua_offer *offer)
{
	struct buffer w = {.max = BUFFER_UNBOUNDED};
	struct slice type = slice_of(t->type), bare;
	size_t len;

	slice_cut(&type, ';', &bare);
	buffer_printf(&w, "%.*s message/cpim%c%.*s%c", SLICE_ARG(bare), 0, SLICE_ARG(bare), 0);
	buffer_printf(&w, "a=file-selector:%.*s\r\n", SLICE_ARG(file->selector));
	if (file->transfer_id.p)
		buffer_printf(&w, "a=file-transfer-id:%.*s\r\n", SLICE_ARG(file->transfer_id));
	if (file->range.p)
		buffer_printf(&w, "a=file-range:%" PRIu64 "-%" PRIu64 "\r\n", t->offset + 1,
		    t->size);
	if (buffer_take(&w, &t->head, &len) < 0)
		return -ENOMEM;
	offer->accept_types = slice_of(t->head);
	offer->accept_wrapped_types = slice_of(t->head + offer->accept_types.len + 1);
	offer->attributes =
	    slice_of(t->head + offer->accept_types.len + 1 + offer->accept_wrapped_types.len + 1);
	offer->file = true;
	offer->handler = &handler;
	offer->arg = t;
	return 0;
}

static int fit(struct transfer *t, const struct ua_file *file, const struct selector *selector,
    struct slice from, const char **reasonp)
{
	char *path;
	int err;

	t->size = selector->size;
	t->has_sha1 = selector->has_sha1;
	memcpy(t->sha1, selector->sha1, sizeof(t->sha1));
	store_name(t->final);
	*reasonp = "out of memory";
	if (name_part(t, selector, from) < 0
	    || asprintf(&path, "%s/%s", t->files->store.path, t->final) < 0)
		return 500;
	t->path = path;
	*reasonp = "its file-range does not begin where our part ends";
	if (place(t, file->range) < 0)
		return 488;
	*reasonp = "ua.files.max_total is reached";
	if (claim(t) < 0)
		return 480;
	err = open_part(t);
	*reasonp = strerror(-err);
	return err < 0 ? 500 : 0;
}

static int judge(const struct selector *selector, const struct receive_rule *rule,
    const char **reasonp)
{
	struct slice type = selector->type.p ? selector->type : SLICE("application/octet-stream");

	*reasonp = "a type that the rule does not take";
	if (!ua_type_in(rule->content_types, type))
		return 488;
	*reasonp = "an empty file, which MSRP cannot bring";
	if (selector->size == 0)
		return 488;
	*reasonp = "larger than the rule takes";
	return selector->size != UINT64_MAX && selector->size > rule->max_size ? 488 : 0;
}

static struct slice name_of(char *text, struct slice escaped)
{
	return (struct slice){text, selector_unescape(text, escaped)};
}

int receive_begin(struct transfer **tp, struct files *files, const struct ua_file *file,
    struct slice from, const struct receive_rule *rule, struct ua_offer *offer,
    const char **reasonp)
{
	char name[SELECTOR_SIZE_MAX];
	struct selector selector;
	struct transfer *t;
	int code;

	*reasonp = "a file-selector or file-transfer-id that is none";
	if (!file->selector.p || selector_parse(&selector, file->selector) < 0
	    || (file->transfer_id.p && !slice_is_token(file->transfer_id)))
		return 488;
	*reasonp = "the peer wants a file of ours";
	if (!file->sends)
		return 488;
	code = judge(&selector, rule, reasonp);
	if (code)
		return code;
	*reasonp = "out of memory";
	if (transfer_new(&t, files, name_of(name, selector.name),
		selector.type.p ? selector.type : SLICE("application/octet-stream"))
	    < 0)
		return 480;
	t->max = rule->max_size;
	t->working = !t->filling;
	code = fit(t, file, &selector, from, reasonp);
	if (code == 0 && describe(t, file, offer) < 0)
		code = 500;
	if (code)
		receive_forget(t);
	else
		*tp = t;
	return code;
}

void receive_forget(struct transfer *t)
{
	t->over = true;
	if (t->fd >= 0) {
		settle(t);
		return;
	}
	store_give_back(&t->files->store, t->claim - store_size(&t->files->store, t->part));
	transfer_free(t);
}

void receive_set_session(struct transfer *t, struct ua_session *s)
{
	if (transfer_set_session(t, s) < 0)
		fail(t, SLICE("out of memory"));
}
