/* What the files of this folder share, and nobody else. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include <msrpd/buffer.h>
#include <msrpd/cluster.h>
#include <msrpd/flow.h>
#include <msrpd/request.h>
#include <msrpd/service.h>
#include <msrpd/table.h>
#include <msrpd/timer.h>

#include "registrar/registrar.h"

enum {
	CONTACTS_MAX = 32, /* of one address-of-record, and of one REGISTER */
	TEXT_MAX = 1024,   /* bytes of a URI, a Call-ID, an instance, a Path */
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
	uint64_t *found, *not_found, *elsewhere, *alone;
};

struct aor;
struct share;
TAILQ_HEAD(aor_queue, aor);

struct registrar {
	struct service_env env;
	const struct registrar_settings *settings; /* until the next reload */
	struct aor *aors;                          /* by name */
	struct registrar_counters count;
	/* With other nodes. */
	LIST_HEAD(, share) shares; /* under way */
	struct cluster_watch watch;
	struct aor_queue unsettled; /* to be written when others are */
	size_t settling;
	bool clock_known;
	uint64_t clock_ms; /* of Redis, as far as it is ahead of ours */
};

/* --- binding.c: addresses-of-record and where they are --- */

TAILQ_HEAD(bindings, binding);

/** An address-of-record.  It exists while it has bindings, is held, or is to be written. */
struct aor {
	UT_hash_handle hh;
	struct registrar *registrar;
	struct bindings bindings; /* the best first: by falling q, the newest of equal ones first */
	size_t count;             /* of them */
	size_t own;               /* of them: those that came to this node */
	unsigned held;
	/* With other nodes: its record as this one has seen it last. */
	uint64_t born_us, version;
	bool dirty;    /* that is no more what is here */
	bool settling; /* and it is being written */
	bool again;    /* and then once more */
	bool queued;
	TAILQ_ENTRY(aor) unsettled;
	size_t len;
	char name[]; /* "user@domain" */
};

/** What a binding is made of. */
struct binding_terms {
	struct slice contact; /* URI */
	struct slice call_id;
	struct slice instance, reg_id; /* RFC 5626; absent if there are none */
	struct slice params;           /* its others, ";a=b;c"; empty: none */
	struct slice path;             /* RFC 3327: "<URI>, <URI>"; absent: it has none */
	struct slice user_agent;
	struct slice source; /* "proto:address:port" */
	struct sip_flow
	    *flow; /* NULL: where contact or path leads; of one in place its watch knows */
	uint32_t cseq;
	unsigned q;          /* in thousandths */
	bool q_given;        /* else it is 1 */
	uint64_t expires_ms; /* from now */
	/* It came to another node. */
	uint64_t made_ms;     /* then */
	struct slice line;    /* of the record; absent: it came to this one */
	struct slice process; /* that has its connection; absent: it has none */
	struct slice at;      /* URI by which that is reached; absent: it cannot be */
	struct slice node;    /* name of the other node */
};

struct binding {
	TAILQ_ENTRY(binding) entry;
	struct aor *aor; /* NULL: not in place yet */
	struct timer expiry;
	struct sip_flow_watch flow; /* of the connection that it came over; UDP has none */
	uint64_t made_ms, due_ms;
	bool written; /* it is in the record */
	bool seen;    /* in the record that is being read */
	bool ending;  /* unless it is another node's by now */
	enum end end;
	struct binding_terms terms; /* whose texts are its own */
	struct slice plain;         /* the contact for who calls by sip */
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

/** Free it if nothing keeps it. */
void aor_release(struct aor *aor);

/** Are they of one binding: of one instance and reg-id, and without those of one contact? */
bool terms_are_same(const struct binding_terms *a, const struct binding_terms *b);

/** The binding that these are to take the place of; NULL: none. */
struct binding *aor_find_binding(const struct aor *aor, const struct binding_terms *terms);

/** The same of a line of a record, whose lines do not take each other's place: seen ones stay. */
struct binding *aor_find_told(const struct aor *aor, const struct binding_terms *terms);

/** Not in place yet.  @return NULL when memory is out */
struct binding *binding_new(struct registrar *r, const struct binding_terms *terms);
void binding_free(struct binding *b);

/**
 * Put it in its place, and in that of old, if there is one, which is freed; tell the event.
 * @return false: its connection is closed by now
 */
bool binding_put(struct binding *b, struct aor *aor, struct binding *old);

/** The same of what another node has told.  old is NULL, or gone. */
void binding_adopt(struct binding *b, struct aor *aor, struct binding *old);

/** Take it away, and tell.  Its address-of-record may go with its last one. */
void binding_end(struct binding *b, enum end end);

/** Take it away: another node has told already.  Its address-of-record stays. */
void binding_drop(struct binding *b);

/** Did it come to this node? */
static inline bool binding_is_own(const struct binding *b)
{
	return !b->terms.line.p;
}

/**
 * The best one that can be reached; NULL: none.
 *
 * @param secure  by a sips URI; else a contact with one is called by the same with sip, over the
 *                TLS that it has (RFC 5630 5.3)
 * @param place   filled
 */
struct binding *aor_best(const struct aor *aor, bool secure, struct sip_place *place);

/** Whole seconds that it has left. */
uint64_t binding_seconds(const struct binding *b);

extern const struct event_type registration_new, registration_end;

/* --- share.c: what the nodes of a cluster know together --- */

/** One contact's way: all of them are looked at before any is gone. */
struct change {
	struct binding *old;   /* NULL: there was none */
	struct binding *fresh; /* NULL: it is to go */
};

enum share_result {
	SHARE_AWAY,    /* Redis did not answer: this node decides alone */
	SHARE_SEEN,    /* what others know is here now */
	SHARE_WRITTEN, /* what was written counts for all */
	SHARE_STOPPED, /* there is no registrar any more */
};

/** A question to the others, embedded in whoever asks. */
struct share {
	LIST_ENTRY(share) next;
	struct registrar *registrar;
	struct cluster_question *question;
	uint64_t asked_ms;
	/** It is no more among those under way. */
	void (*done)(struct share *share, enum share_result result);
	size_t len;
	char name[AOR_NAME_MAX];
};

void share_init(struct share *share, struct registrar *r, struct slice name);

/** Learn what others know of the name.  @return 0: done() follows; -ENOTCONN: this node is alone */
int share_read(struct share *share);

/**
 * Write what is here, the changes made, for all to know, if they know no more than is here; else
 * that is learned.
 */
int share_write(struct share *share, const struct aor *aor, const struct change *changes,
    size_t count);

/** Nobody waits for it any more: no done(). */
void share_drop(struct share *share);

/** Of an address-of-record of this node others may have to be told before it is known. */
bool share_must_read(const struct registrar *r, const struct aor *aor);

/** It has been written as it is here. */
void share_note_written(struct aor *aor);

/** Something of it has changed here alone: have it written. */
void share_settle(struct aor *aor);

/** The same where it was seen only now that the record is not as it should be; NULL: nothing. */
void share_mend(struct aor *aor);

/** share_settle(), and take the contact away from wherever it came to; absent: all of them. */
void share_remove(struct registrar *r, struct slice name, struct slice contact);

/** Its time is over, or its connection: for good if no other node has got it meanwhile. */
void share_end(struct binding *b, enum end end);

void share_start(struct registrar *r);
void share_stop(struct registrar *r);

/* --- contact.c: what a REGISTER says --- */

/** An answer that refuses it. */
struct refusal {
	int code;           /* 0: none */
	const char *reason; /* NULL: the usual */
};

/** Who has sent a REGISTER, and by which way. */
struct registrant {
	const struct registrar_settings *settings;
	struct sip_request *req; /* borrowed, as what is of it */
	struct slice call_id, user_agent;
	uint32_t cseq;
	char source[128];
	struct buffer path_text;
	struct slice path;               /* absent: there is none */
	bool keeps_flows;                /* the first hop, us or another one, does (RFC 5626) */
	bool knows_outbound, knows_path; /* option tags */
	char params[TEXT_MAX];           /* of the Contact that was read last */
	struct sip_flow *flow;           /* that it came over; NULL: not asked for yet */
};

/** To be given to registrant_fini(), whatever comes of it. */
struct refusal registrant_read(struct registrant *from, const struct registrar *r,
    struct sip_request *req);
void registrant_fini(struct registrant *from);

/** @param terms  filled; borrows from the request, and until the next call from the sender */
struct refusal contact_read(struct registrant *from, struct slice contact,
    struct binding_terms *terms);

/* --- register.c: REGISTER --- */

/** As the settings spell it; absent: it is not among them. */
struct slice registrar_domain(const struct registrar *r, struct slice domain);

/** Answer a REGISTER.  @return 0 or negative errno: it was refused */
int register_save(struct registrar *r, struct sip_request *req);

/** One that no rule is for: ask for credentials first.  @return false: it is no REGISTER */
bool register_unruled(struct registrar *r, struct sip_request *req);
