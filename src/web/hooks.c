#include "web/hooks.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>
#include <event2/event.h>

#include <msrpd/log.h>
#include <msrpd/rand.h>
#include <msrpd/stats.h>

#include "ctl/jsonline.h"
#include "base/mac.h"

enum {
	WAITING_MAX = 1000,          /* events for one hook */
	WAITING_BYTES_MAX = 4 << 20, /* of them */
	TRIES_MAX = 6,               /* with 1, 2, 4, 8 and 16 s between them */
	RETRY_MS = 1000,             /* after the first, twice as much after each */
	REQUEST_MS = 10000,
	ANSWER_MAX = 65536, /* bytes of an answer's body that are read */
	ID_LEN = 22,
	KEEP_MAX = 65536,
	HOOKS_MAX = 64,
};

/* What waits to be posted. */
struct post {
	STAILQ_ENTRY(post) next;
	char id[ID_LEN + 1];
	size_t len;
	char body[];
};

struct web_hook {
	STAILQ_ENTRY(web_hook) next;
	struct web_hooks *all;
	char *url, *secret, *ca_file;
	uint64_t mask;
	STAILQ_HEAD(, post) posts; /* the first is under way, or waits to be tried again */
	size_t count, bytes;
	unsigned tries; /* of the first, so far */
	CURL *easy;
	struct curl_slist *headers; /* while it is under way */
	size_t answered;            /* bytes */
	struct timer retry;
	uint64_t overflowed; /* events that found no room since there was some */
	bool kept;           /* by the settings that are being taken */
};

/* --- settings --- */

static int check_url(const void *value, struct reason *why)
{
	const char *url = *(char *const *)value;
	CURLU *parts = curl_url();
	char *scheme = NULL, *user = NULL;
	bool good = parts && curl_url_set(parts, CURLUPART_URL, url, 0) == CURLUE_OK
	    && curl_url_get(parts, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK
	    && curl_url_get(parts, CURLUPART_USER, &user, 0) != CURLUE_OK
	    && (strcmp(scheme, "http") == 0 || strcmp(scheme, "https") == 0);

	curl_free(scheme);
	curl_free(user);
	curl_url_cleanup(parts);
	return good ? 0
		    : reason_set(why, -EINVAL, "is not a URL http[s]://HOST… without a password");
}

const struct setting web_hook_rows[] = {
    {.name = "url",
	.type = SETTING_TEXT,
	.offset = offsetof(struct web_hook_settings, url),
	.flags = SETTING_REQUIRED,
	.check = check_url,
	.help = "Where events are posted: http:// or https://, whose certificate is verified."},
    {.name = "events",
	.type = SETTING_TEXTS,
	.offset = offsetof(struct web_hook_settings, events),
	.help = "Names of these events; absent: all of them."},
    {.name = "secret",
	.type = SETTING_SECRET,
	.offset = offsetof(struct web_hook_settings, secret),
	.help =
	    "Signs what is posted: X-Msrpd-Signature is its HMAC-SHA256. Absent: nothing does."},
    {.name = "ca_file",
	.type = SETTING_FILE,
	.offset = offsetof(struct web_hook_settings, ca_file),
	.help = "PEM file with the authorities to trust for https; the system's if absent."},
    {0},
};

/* --- posts that come to nothing --- */

static void free_post(struct web_hook *h)
{
	struct post *post = STAILQ_FIRST(&h->posts);

	STAILQ_REMOVE_HEAD(&h->posts, next);
	h->count--;
	h->bytes -= post->len;
	--*h->all->queued;
	h->tries = 0;
	free(post);
}

static void give_up(struct web_hook *h, const char *why)
{
	log_warn("webhook: %s: gave up event %s after %u tries: %s", h->url,
	    STAILQ_FIRST(&h->posts)->id, h->tries, why);
	++*h->all->given_up;
	free_post(h);
}

static void lose(struct web_hook *h, const char *why)
{
	if (h->overflowed++ == 0)
		log_warn("webhook: %s: %s, events are lost", h->url, why);
	++*h->all->given_up;
}

/* --- one request --- */

static size_t on_answer(char *p, size_t size, size_t n, void *arg)
{
	struct web_hook *h = arg;

	(void)p;
	h->answered += size * n;
	return h->answered > ANSWER_MAX ? 0 : size * n;
}

static int add_header(struct web_hook *h, const char *name, const char *value)
{
	char line[160];
	struct buffer w = BUFFER_ON(line);
	struct curl_slist *list;

	buffer_printf(&w, "%s: %s%c", name, value, '\0');
	list = w.err ? NULL : curl_slist_append(h->headers, line);
	if (list)
		h->headers = list;
	return list ? 0 : -ENOMEM;
}

static int add_headers(struct web_hook *h, const struct post *post)
{
	char signature[sizeof("sha256=") + MAC_HEX_SIZE] = "sha256=";
	int err = add_header(h, "Content-Type", "application/json");

	if (err == 0)
		err = add_header(h, "X-Msrpd-Delivery", post->id);
	if (err == 0 && h->secret)
		err = mac_hex(signature + strlen(signature), slice_of(h->secret),
		    (struct slice){post->body, post->len});
	if (err == 0 && h->secret)
		err = add_header(h, "X-Msrpd-Signature", signature);
	return err;
}

#define SET(option, value) (curl_easy_setopt(h->easy, option, value) == CURLE_OK)

static int prepare(struct web_hook *h, const struct post *post)
{
	/* QUICK_EXIT: a thread that still asks for the host's address is left alone, not waited for. */
	bool good = SET(CURLOPT_URL, h->url) && SET(CURLOPT_PROTOCOLS_STR, "http,https")
	    && SET(CURLOPT_QUICK_EXIT, 1L) && SET(CURLOPT_FOLLOWLOCATION, 0L)
	    && SET(CURLOPT_NOSIGNAL, 1L) && SET(CURLOPT_PROXY, "")
	    && SET(CURLOPT_TIMEOUT_MS, (long)REQUEST_MS) && SET(CURLOPT_WRITEFUNCTION, on_answer)
	    && SET(CURLOPT_WRITEDATA, h)
	    && (!h->ca_file || (SET(CURLOPT_CAINFO, h->ca_file) && SET(CURLOPT_CAPATH, NULL)))
	    && SET(CURLOPT_PRIVATE, h) && SET(CURLOPT_USERAGENT, "msrpd/" MSRPD_VERSION)
	    && SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1)
	    && SET(CURLOPT_HTTPHEADER, h->headers) && SET(CURLOPT_POST, 1L)
	    && SET(CURLOPT_POSTFIELDS, (const char *)post->body)
	    && SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)post->len);

	return good ? 0 : -ENOMEM;
}

static void drop_request(struct web_hook *h)
{
	if (h->easy) {
		curl_multi_remove_handle(h->all->multi, h->easy);
		curl_easy_cleanup(h->easy);
	}
	h->easy = NULL;
	curl_slist_free_all(h->headers);
	h->headers = NULL;
}

static void try_again(struct web_hook *h, const char *why)
{
	if (h->tries >= TRIES_MAX) {
		give_up(h, why);
		timer_start(&h->retry, 0);
		return;
	}
	++*h->all->retried;
	timer_start(&h->retry, (uint64_t)RETRY_MS << (h->tries - 1));
}

/* Post the first, if nothing else of it is under way. */
static void post_next(struct web_hook *h)
{
	const struct post *post = STAILQ_FIRST(&h->posts);
	int err;

	if (!post || h->easy || timer_running(&h->retry))
		return;
	h->tries++;
	h->answered = 0;
	h->easy = curl_easy_init();
	err = h->easy ? add_headers(h, post) : -ENOMEM;
	if (err == 0)
		err = prepare(h, post);
	if (err == 0 && curl_multi_add_handle(h->all->multi, h->easy) != CURLM_OK)
		err = -ENOMEM;
	if (err == 0)
		return;
	drop_request(h);
	try_again(h, "out of memory");
}

static void on_retry(void *arg)
{
	post_next(arg);
}

/* What has come of it: who has said 2xx has taken it, whatever was to follow. */
static void on_done(struct web_hook *h, CURLcode result)
{
	char why[160];
	struct buffer w = BUFFER_ON(why);
	long status = 0;

	curl_easy_getinfo(h->easy, CURLINFO_RESPONSE_CODE, &status);
	drop_request(h);
	if (status >= 200 && status < 300) {
		++*h->all->delivered;
		free_post(h);
		timer_start(&h->retry, 0); /* not from in here */
		return;
	}
	if (result == CURLE_OK)
		buffer_printf(&w, "%ld%c", status, '\0');
	else
		buffer_printf(&w, "%s%c", curl_easy_strerror(result), '\0');
	log_debug("webhook: %s: %s", h->url, why);
	try_again(h, why);
}

/* --- libcurl on the loop --- */

static void take_results(struct web_hooks *all)
{
	CURLMsg *message;
	int left;

	while ((message = curl_multi_info_read(all->multi, &left))) {
		CURLcode result = message->data.result;
		char *hook;

		if (message->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &hook);
		on_done((struct web_hook *)(void *)hook, result);
	}
}

static void act(struct web_hooks *all, curl_socket_t fd, int what)
{
	int running;

	curl_multi_socket_action(all->multi, fd, what, &running);
	take_results(all);
}

static void on_socket_event(evutil_socket_t fd, short what, void *arg)
{
	act(arg, fd,
	    (what & EV_READ ? CURL_CSELECT_IN : 0) | (what & EV_WRITE ? CURL_CSELECT_OUT : 0));
}

static void on_timer(void *arg)
{
	act(arg, CURL_SOCKET_TIMEOUT, 0);
}

/* libcurl wants a socket watched otherwise, or no more. */
static int watch(CURL *easy, curl_socket_t fd, int what, void *arg, void *watched)
{
	struct web_hooks *all = arg;
	struct event *event = watched;
	short events = (short)((what & CURL_POLL_IN ? EV_READ : 0)
	    | (what & CURL_POLL_OUT ? EV_WRITE : 0) | EV_PERSIST);

	(void)easy;
	if (event)
		event_free(event);
	event = what == CURL_POLL_REMOVE ? NULL
					 : event_new(all->base, fd, events, on_socket_event, all);
	curl_multi_assign(all->multi, fd, event);
	/* Where there is none the request ends by its time-out. */
	if (event)
		event_add(event, NULL);
	return 0;
}

static int set_timer(CURLM *multi, long ms, void *arg)
{
	struct web_hooks *all = arg;

	(void)multi;
	if (ms < 0)
		timer_stop(&all->timer);
	else
		timer_start(&all->timer, (uint64_t)ms);
	return 0;
}

static int make_multi(struct web_hooks *all)
{
	if (all->multi)
		return 0;
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return -ENOMEM;
	all->multi = curl_multi_init();
	if (!all->multi)
		return -ENOMEM;
	curl_multi_setopt(all->multi, CURLMOPT_SOCKETFUNCTION, watch);
	curl_multi_setopt(all->multi, CURLMOPT_SOCKETDATA, all);
	curl_multi_setopt(all->multi, CURLMOPT_TIMERFUNCTION, set_timer);
	curl_multi_setopt(all->multi, CURLMOPT_TIMERDATA, all);
	curl_multi_setopt(all->multi, CURLMOPT_MAXCONNECTS, (long)HOOKS_MAX);
	return 0;
}

/* --- events --- */

static void add_post(struct web_hook *h, struct slice body)
{
	struct post *post;

	if (h->count >= WAITING_MAX || body.len > WAITING_BYTES_MAX - h->bytes) {
		lose(h, "too many events wait");
		return;
	}
	post = malloc(sizeof(*post) + body.len);
	if (!post) {
		lose(h, "out of memory");
		return;
	}
	if (h->overflowed)
		log_warn("webhook: %s: %" PRIu64 " events were lost", h->url, h->overflowed);
	h->overflowed = 0;
	rand_token(post->id, ID_LEN);
	post->len = body.len;
	memcpy(post->body, body.p, body.len);
	STAILQ_INSERT_TAIL(&h->posts, post, next);
	h->count++;
	h->bytes += body.len;
	++*h->all->queued;
	post_next(h);
}

static void on_event(const struct event_notice *event, void *arg)
{
	struct web_hooks *all = arg;
	uint64_t bit = event_bus_bit(all->subscriber.bus, event->type);
	struct buffer *line = &all->line;
	struct web_hook *h;

	line->len = 0;
	jsonline_event(line, event, true);
	STAILQ_FOREACH(h, &all->list, next) {
		if (!(h->mask & bit))
			continue;
		if (line->err)
			lose(h, "out of memory");
		else
			add_post(h, slice_head(buffer_text(line), line->len - 1));
	}
	if (line->err || line->cap > KEEP_MAX)
		buffer_fini(line);
}

/* --- the hooks of a config --- */

static void free_hook(struct web_hook *h)
{
	drop_request(h);
	if (h->count)
		log_warn("webhook: %s: %zu events were not delivered", h->url, h->count);
	*h->all->given_up += h->count;
	while (!STAILQ_EMPTY(&h->posts))
		free_post(h);
	timer_fini(&h->retry);
	free(h->url);
	free(h->ca_file);
	slice_free_secret(h->secret);
	free(h);
}

/* @return 0, or -ENOENT with the reason */
static int read_mask(const struct web_hooks *all, const struct setting_list *names, uint64_t *maskp,
    struct reason *why)
{
	struct event_bus *bus = all->subscriber.bus;

	*maskp = names->count ? 0 : EVENT_ALL;
	for (size_t i = 0; i < names->count; i++) {
		const char *name = ((char *const *)names->items)[i];
		const struct event_type *type = event_bus_find(bus, slice_of(name));

		if (!type)
			return reason_set(why, -ENOENT, "webhooks: there is no event %.64s", name);
		*maskp |= event_bus_bit(bus, type);
	}
	return 0;
}

static int make_hook(struct web_hook **hp, struct web_hooks *all,
    const struct web_hook_settings *settings, struct reason *why)
{
	struct web_hook *h = calloc(1, sizeof(*h));
	int err = h ? read_mask(all, &settings->events, &h->mask, why) : -ENOMEM;

	if (h) {
		h->all = all;
		STAILQ_INIT(&h->posts);
		h->url = slice_dup(slice_of(settings->url));
		h->secret = slice_dup(slice_of(settings->secret));
		h->ca_file = slice_dup(slice_of(settings->ca_file));
	}
	if (err == 0
	    && (!h->url || (settings->secret && !h->secret) || (settings->ca_file && !h->ca_file)))
		err = -ENOMEM;
	if (err == 0)
		err = timer_init(&h->retry, all->base, on_retry, h);
	if (err < 0 && h)
		free_hook(h);
	else
		*hp = h;
	return err;
}

STAILQ_HEAD(hooks_list, web_hook);

static int make_hooks(struct hooks_list *list, struct web_hooks *all,
    const struct setting_list *settings, struct reason *why)
{
	const struct web_hook_settings *rows = settings->items;
	struct web_hook *h;
	int err = 0;

	for (size_t i = 0; err == 0 && i < settings->count; i++) {
		err = make_hook(&h, all, &rows[i], why);
		if (err == 0)
			STAILQ_INSERT_TAIL(list, h, next);
	}
	return err;
}

static struct web_hook *find_url(struct web_hooks *all, const char *url)
{
	struct web_hook *h;

	STAILQ_FOREACH(h, &all->list, next)
		if (!h->kept && strcmp(h->url, url) == 0)
			return h;
	return NULL;
}

/* What waits goes on under the new settings. */
static void inherit(struct web_hook *h, struct web_hook *old)
{
	old->kept = true;
	drop_request(old);
	STAILQ_CONCAT(&h->posts, &old->posts);
	h->count = old->count;
	h->bytes = old->bytes;
	old->count = old->bytes = 0;
}

static void free_list(struct hooks_list *list)
{
	struct web_hook *h;

	while ((h = STAILQ_FIRST(list))) {
		STAILQ_REMOVE_HEAD(list, next);
		free_hook(h);
	}
}

int web_hooks_configure(struct web_hooks *all, const struct setting_list *settings,
    struct reason *why)
{
	struct hooks_list fresh = STAILQ_HEAD_INITIALIZER(fresh);
	struct hooks_list before = STAILQ_HEAD_INITIALIZER(before);
	struct web_hook *h;
	int err;

	reason_set(why, -ENOMEM, "out of memory");
	err = settings->count ? make_multi(all) : 0;
	if (err == 0)
		err = make_hooks(&fresh, all, settings, why);
	if (err < 0) {
		free_list(&fresh);
		return err;
	}
	all->subscriber.mask = 0;
	STAILQ_FOREACH(h, &fresh, next) {
		struct web_hook *old = find_url(all, h->url);

		if (old)
			inherit(h, old);
		all->subscriber.mask |= h->mask;
	}
	STAILQ_CONCAT(&before, &all->list);
	free_list(&before);
	STAILQ_CONCAT(&all->list, &fresh);
	STAILQ_FOREACH(h, &all->list, next)
		post_next(h);
	return 0;
}

#define NUMBER(field) offsetof(struct web_hooks, field)

static const struct stats_row numbers[] = {
    {.name = "queued",
	.help = "events that wait to be posted",
	.offset = NUMBER(queued),
	.gauge = true},
    {.name = "delivered", .help = "events that were posted", .offset = NUMBER(delivered)},
    {.name = "retried", .help = "posts that were not taken", .offset = NUMBER(retried)},
    {.name = "given_up", .help = "events that were lost", .offset = NUMBER(given_up)},
    {0},
};

int web_hooks_init(struct web_hooks *all, struct event_base *base, struct event_bus *bus,
    struct stats *stats)
{
	int err = stats_register(stats, "webhooks", numbers, all);

	all->base = base;
	all->line.max = BUFFER_UNBOUNDED;
	STAILQ_INIT(&all->list);
	all->subscriber = (struct event_subscriber){.fn = on_event, .arg = all};
	event_bus_subscribe(bus, &all->subscriber);
	return err == 0 ? timer_init(&all->timer, base, on_timer, all) : err;
}

void web_hooks_fini(struct web_hooks *all)
{
	struct hooks_list list = STAILQ_HEAD_INITIALIZER(list);

	event_bus_unsubscribe(&all->subscriber);
	if (all->base)
		STAILQ_CONCAT(&list, &all->list);
	free_list(&list);
	if (all->multi) {
		curl_multi_cleanup(all->multi);
		curl_global_cleanup();
	}
	all->multi = NULL;
	timer_fini(&all->timer);
	buffer_fini(&all->line);
}
