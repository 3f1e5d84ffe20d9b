#include "net/resume.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <time.h>

enum { SESSIONS_MAX = 128 };

struct kept {
	TAILQ_ENTRY(kept) entry;
	SSL_SESSION *session;
	char peer[];
};

/* Handshakes of several threads keep their sessions here. */
struct sessions {
	pthread_mutex_t lock;
	TAILQ_HEAD(kept_list, kept) list; /* the last one first */
	unsigned count;
};

static void kept_free(struct kept *kept)
{
	if (!kept)
		return;
	SSL_SESSION_free(kept->session);
	free(kept);
}

static struct kept *take_out(struct sessions *sessions, struct kept *kept)
{
	if (!kept)
		return NULL;
	TAILQ_REMOVE(&sessions->list, kept, entry);
	sessions->count--;
	return kept;
}

/* Out of the list, so that it is used once: RFC 8446 C.4. */
static struct kept *take(struct sessions *sessions, const char *peer)
{
	struct kept *kept;

	pthread_mutex_lock(&sessions->lock);
	TAILQ_FOREACH(kept, &sessions->list, entry)
		if (strcmp(kept->peer, peer) == 0)
			break;
	take_out(sessions, kept);
	pthread_mutex_unlock(&sessions->lock);
	return kept;
}

static void put(struct sessions *sessions, struct kept *kept)
{
	struct kept *last = NULL;

	kept_free(take(sessions, kept->peer));
	pthread_mutex_lock(&sessions->lock);
	if (sessions->count == SESSIONS_MAX)
		last = take_out(sessions, TAILQ_LAST(&sessions->list, kept_list));
	TAILQ_INSERT_HEAD(&sessions->list, kept, entry);
	sessions->count++;
	pthread_mutex_unlock(&sessions->lock);
	kept_free(last);
}

/* --- what OpenSSL keeps of us --- */

static void free_sessions(void *ctx, void *data, CRYPTO_EX_DATA *ex, int index, long argl,
    void *argp)
{
	struct sessions *sessions = data;
	struct kept *kept;

	(void)ctx;
	(void)ex;
	(void)index;
	(void)argl;
	(void)argp;
	if (!sessions)
		return;
	while ((kept = take_out(sessions, TAILQ_FIRST(&sessions->list))))
		kept_free(kept);
	pthread_mutex_destroy(&sessions->lock);
	free(sessions);
}

static void free_peer(void *ssl, void *peer, CRYPTO_EX_DATA *ex, int index, long argl, void *argp)
{
	(void)ssl;
	(void)ex;
	(void)index;
	(void)argl;
	(void)argp;
	free(peer);
}

static int sessions_index(void)
{
	static int index = -1; /* of the process, as OpenSSL has it */

	if (index < 0)
		index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, free_sessions);
	return index;
}

static int peer_index(void)
{
	static int index = -1;

	if (index < 0)
		index = SSL_get_ex_new_index(0, NULL, NULL, NULL, free_peer);
	return index;
}

static struct sessions *sessions_of(const SSL *ssl)
{
	return SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), sessions_index());
}

/* @return 1: the session's reference is ours now */
static int on_session(SSL *ssl, SSL_SESSION *session)
{
	const char *peer = SSL_get_ex_data(ssl, peer_index());
	size_t size = peer ? strlen(peer) + 1 : 0;
	struct kept *kept = peer ? malloc(sizeof(*kept) + size) : NULL;

	if (!kept)
		return 0;
	memcpy(kept->peer, peer, size);
	kept->session = session;
	put(sessions_of(ssl), kept);
	return 1;
}

int sessions_enable(SSL_CTX *ctx)
{
	struct sessions *sessions = calloc(1, sizeof(*sessions));

	if (!sessions || sessions_index() < 0 || peer_index() < 0
	    || SSL_CTX_set_ex_data(ctx, sessions_index(), sessions) != 1) {
		free(sessions);
		return -ENOMEM;
	}
	pthread_mutex_init(&sessions->lock, NULL);
	TAILQ_INIT(&sessions->list);
	SSL_CTX_set_session_cache_mode(ctx,
	    SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL | SSL_SESS_CACHE_NO_AUTO_CLEAR);
	SSL_CTX_sess_set_new_cb(ctx, on_session);
	return 0;
}

static bool is_fresh(const SSL_SESSION *session)
{
	long age = (long)time(NULL) - SSL_SESSION_get_time(session);

	return SSL_SESSION_is_resumable(session) && age >= 0
	    && age < SSL_SESSION_get_timeout(session);
}

/* Only TLS 1.3 brings another one each time. */
static void give_back(struct sessions *sessions, struct kept *kept)
{
	if (kept && SSL_SESSION_get_protocol_version(kept->session) < TLS1_3_VERSION
	    && is_fresh(kept->session))
		put(sessions, kept);
	else
		kept_free(kept);
}

int sessions_offer(SSL *ssl, const char *peer)
{
	struct sessions *sessions = sessions_of(ssl);
	struct kept *kept = take(sessions, peer);
	char *copy = strdup(peer);
	int ok = copy && SSL_set_ex_data(ssl, peer_index(), copy) == 1;

	if (!ok)
		free(copy);
	if (ok && kept && is_fresh(kept->session))
		ok = SSL_set_session(ssl, kept->session);
	give_back(sessions, kept);
	return ok ? 0 : -ENOMEM;
}
