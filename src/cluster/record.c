/* What all nodes know of something: read, and written by who has seen the latest. */
#include "cluster/priv.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* --- what Redis says --- */

static bool take_number(const redisReply *reply, uint64_t *numberp)
{
	return slice_to_u64(redis_text(reply), INT64_MAX, numberp) == 0;
}

/* "NAME INSTANCE TEXT"; the two are "-" where it is bound to no process. */
static bool read_line(struct cluster_line *line, struct slice text, struct slice owner)
{
	struct slice rest = text, name, instance;
	struct cluster_node node;

	*line = (struct cluster_line){.text = {NULL, 0}};
	if (!slice_cut(&rest, ' ', &name) || !slice_cut(&rest, ' ', &instance) || !rest.p)
		return false;
	if (!slice_equal(name, SLICE("-")))
		line->process = slice_head(text, name.len + 1 + instance.len);
	line->text = rest;
	if (node_parse(&node, owner) == 0)
		line->sip = node.sip;
	return true;
}

int record_parse(struct cluster_record *record, const redisReply *reply,
    struct cluster_line lines[CLUSTER_LINES_MAX])
{
	uint64_t written;

	*record = (struct cluster_record){.lines = lines};
	if (reply->type != REDIS_REPLY_ARRAY || reply->elements < 4
	    || !take_number(reply->element[0], &written)
	    || !take_number(reply->element[1], &record->born_us)
	    || !take_number(reply->element[2], &record->version)
	    || !take_number(reply->element[3], &record->now_ms))
		return -EBADMSG;
	record->written = written;
	for (size_t i = 4; i + 1 < reply->elements && record->count < CLUSTER_LINES_MAX; i += 2)
		if (read_line(&lines[record->count], redis_text(reply->element[i]),
			redis_text(reply->element[i + 1])))
			record->count++;
	return 0;
}

static void on_answer(const redisReply *reply, void *arg)
{
	struct cluster_question *question = arg;
	struct cluster *cluster = question->cluster;
	struct cluster_counters *count = &cluster->count;
	cluster_record_fn *fn = question->record;
	void *fn_arg = question->arg;
	struct cluster_line lines[CLUSTER_LINES_MAX];
	struct cluster_record record;
	bool writes = question->writes;
	bool good = reply && record_parse(&record, reply, lines) == 0;

	free(question);
	if (good && record.written)
		++*count->records_written;
	if (good && writes && !record.written)
		++*count->records_changed;
	cluster->unsure |= writes && !good && redis_is_ready(&cluster->redis); /* it is full, say */
	if (fn)
		fn(good ? &record : NULL, fn_arg);
}

/* --- asking --- */

static void write_lines(struct buffer *w, const struct cluster_writing *writing)
{
	for (size_t i = 0; i < writing->count; i++) {
		const struct cluster_line *line = &writing->lines[i];

		buffer_add(w, line->process.p ? line->process : SLICE("- -"));
		buffer_add_char(w, ' ');
		buffer_add(w, line->text);
		buffer_add_char(w, '\n');
	}
}

struct cluster_question *cluster_record_read(struct cluster *cluster, const char *kind,
    struct slice key, cluster_record_fn *fn, void *arg)
{
	const struct cluster_question ours = {.cluster = cluster, .record = fn, .arg = arg};
	const struct question_call call = {.script = SCRIPT_RECORD, .kind = kind, .key = key};
	struct cluster_question *question = question_ask(&ours, &call, on_answer);

	if (question)
		++*cluster->count.records_read;
	return question;
}

struct cluster_question *cluster_record_write(struct cluster *cluster, const char *kind,
    struct slice key, const struct cluster_writing *writing, cluster_record_fn *fn, void *arg)
{
	const struct cluster_question ours = {
	    .cluster = cluster,
	    .record = fn,
	    .arg = arg,
	    .writes = true,
	};
	struct buffer lines = {.max = BUFFER_UNBOUNDED};
	struct cluster_question *question = NULL;
	char born[24], version[24], ms[24];
	struct slice more[QUESTION_MORE_MAX];
	const struct question_call call = {SCRIPT_RECORD, kind, key, more, QUESTION_MORE_MAX};

	write_lines(&lines, writing);
	snprintf(born, sizeof(born), "%" PRIu64, writing->born_us);
	snprintf(version, sizeof(version), "%" PRIu64, writing->version);
	snprintf(ms, sizeof(ms), "%" PRIu64, writing->keep_ms);
	more[0] = slice_of(born);
	more[1] = slice_of(version);
	more[2] = slice_of(ms);
	more[3] = buffer_text(&lines);
	if (!lines.err)
		question = question_ask(&ours, &call, on_answer);
	buffer_fini(&lines);
	return question;
}

struct slice cluster_own_process(const struct cluster *cluster)
{
	return slice_of(cluster->me);
}

/* --- when Redis may know nothing --- */

void cluster_watch_start(struct cluster *cluster, struct cluster_watch *watch)
{
	if (cluster)
		TAILQ_INSERT_TAIL(&cluster->watches, watch, entry);
}

void cluster_watch_stop(struct cluster *cluster, struct cluster_watch *watch)
{
	if (cluster)
		TAILQ_REMOVE(&cluster->watches, watch, entry);
}

void records_anew(struct cluster *cluster, bool all)
{
	struct cluster_watch *watch;

	TAILQ_FOREACH(watch, &cluster->watches, entry)
		watch->anew(watch, all);
}
