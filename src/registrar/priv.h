/* What the files of this folder share, and nobody else. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include <msrpd/flow.h>
#include <msrpd/request.h>
#include <msrpd/service.h>
#include <msrpd/timer.h>

#include "registrar/registrar.h"

enum {
	CONTACTS_MAX = 32, /* of one address-of-record, and of one REGISTER */
	TEXT_MAX = 1024,   /* bytes of a URI, a Call-ID, an instance */
	Q_MAX = 1000,      /* q is kept in thousandths (RFC 3261 20.10) */
};

extern const struct setting registrar_settings_rows[];

int registrar_settings_check(const void *settings, struct reason *why);

/** Why a binding ended. */
enum end {
	END_UNREGISTERED, /* by its REGISTER */
	END_EXPIRED,
	END_REMOVED,  /* by registrar_remove */
	END_REPLACED, /* by another contact of the same instance */
	END_FAILED,   /* the connection that it came over is closed */
	ENDS,
};

struct registrar_counters {
	uint64_t *aors, *contacts, *registered, *refreshed, *refused, *ended[ENDS];
	uint64_t *found, *not_found;
};

struct aor;

struct registrar {
	struct service_env env;
	const struct registrar_settings *settings; /* until the next reload */
	struct aor *aors;                          /* by name */
	struct registrar_counters count;
};

/* --- binding.c: addresses-of-record and where they are --- */

TAILQ_HEAD(bindings, binding);

/** An address-of-record.  It exists while it has bindings. */
struct aor {
	UT_hash_handle hh;
	struct registrar *registrar;
	struct bindings bindings; /* the best first: by falling q, the newest of equal ones first */
	size_t count;             /* of them; more while it is held */
	size_t len;
	char name[]; /* "user@domain" */
};

/** What a binding is made of. */
struct binding_terms {
	struct slice contact; /* URI */
	struct slice call_id;
	struct slice instance, reg_id; /* RFC 5626; absent if there are none */
	struct slice user_agent;
	struct slice source;   /* "proto:address:port" */
	struct sip_flow *flow; /* NULL: UDP; of one in place its watch knows */
	uint32_t cseq;
	unsigned q;          /* in thousandths */
	bool q_given;        /* else it is 1 */
	uint64_t expires_ms; /* from now */
};

struct binding {
	TAILQ_ENTRY(binding) entry;
	struct aor *aor; /* NULL: not in place yet */
	struct timer expiry;
	struct sip_flow_watch flow; /* of the connection that it came over; UDP has none */
	uint64_t due_ms;
	struct binding_terms terms; /* whose texts are its own */
	char text[];
};

/** Longest name of an address-of-record. */
enum { AOR_NAME_MAX = 512 };

/**
 * The name of a URI's address-of-record (RFC 3261 10.3): user, and domain in small letters.
 *
 * @return absent: it has no user or no domain, or is too long
 */
struct slice aor_name(struct slice uri, char name[AOR_NAME_MAX]);

/** @return NULL: nobody is there */
struct aor *aor_find(struct registrar *r, struct slice name);

/** Find it, or make it; one without a binding is to be given to aor_release().  NULL: no memory */
struct aor *aor_get(struct registrar *r, struct slice name);

/** Free it if it has no binding. */
void aor_release(struct aor *aor);

/** The binding of that contact, or of that instance and reg-id (RFC 5626 6); NULL: none. */
struct binding *aor_find_binding(const struct aor *aor, const struct binding_terms *terms);

/** Not in place yet.  @return NULL when memory is out */
struct binding *binding_new(struct registrar *r, const struct binding_terms *terms);
void binding_free(struct binding *b);

/** Put it in its place, and in that of old, if there is one, which is freed; tell the event. */
void binding_put(struct binding *b, struct aor *aor, struct binding *old);

/** Take it away, and tell.  Its address-of-record goes with its last one. */
void binding_end(struct binding *b, enum end end);

/** Whole seconds that it has left. */
uint64_t binding_seconds(const struct binding *b);

extern const struct event_type registration_new, registration_end;

/* --- register.c: REGISTER --- */

/** Answer a REGISTER.  @return 0 or negative errno: it was refused */
int register_save(struct registrar *r, struct sip_request *req);

/** One that no rule is for: ask for credentials first.  @return false: it is no REGISTER */
bool register_unruled(struct registrar *r, struct sip_request *req);
