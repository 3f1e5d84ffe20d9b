/* Methods of the control socket (JSON-RPC 2.0), as services bring them: docs/control.md. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <msrpd/slice.h>

enum param_kind {
	PARAM_TEXT, /* holds no NUL */
	PARAM_BODY, /* text that may hold NULs */
	PARAM_WORD, /* text, or true or false, which are the words */
	PARAM_NUMBER,
	PARAM_BASE64,
	PARAM_TEXTS,   /* a list; none holds a NUL */
	PARAM_HEADERS, /* an object of names and texts; given as "Name: value\r\n" lines */
};

/** One parameter of a method, in the order in which it may be given by position. */
struct param_spec {
	const char *name; /* NULL ends the table */
	enum param_kind kind;
	bool required;
};

struct param {
	bool present;
	struct slice text; /* of texts, PARAM_WORD, PARAM_HEADERS; PARAM_BASE64: decoded */
	int64_t number;
	const struct slice *texts; /* PARAM_TEXTS */
	size_t count;
};

struct reply;

/** How a result is written: by whoever calls the method, in the form that its caller wants. */
struct reply_ops {
	void (*text)(struct reply *reply, const char *key, struct slice text);
	void (*body)(struct reply *reply, const char *key, struct slice bytes);
	void (*number)(struct reply *reply, const char *key, int64_t number);
	void (*boolean)(struct reply *reply, const char *key, bool value);
	void (*null)(struct reply *reply, const char *key);
	void (*open)(struct reply *reply, const char *key, bool list); /* or an object */
	void (*close)(struct reply *reply);
	void (*error)(struct reply *reply, int code, const char *message);
	bool (*is_for)(const struct reply *reply, struct slice address);
};

/**
 * Where a method writes its result: one value, built in order.  Inside an object key names
 * the member, elsewhere it is NULL.  Embedded in its owner.
 */
struct reply {
	const struct reply_ops *ops;
};

/** Text that is absent becomes null. */
static inline void reply_text(struct reply *reply, const char *key, struct slice text)
{
	reply->ops->text(reply, key, text);
}

/** Octets, as a member of an object: key, or key_base64 when they are not UTF-8. */
static inline void reply_body(struct reply *reply, const char *key, struct slice bytes)
{
	reply->ops->body(reply, key, bytes);
}

static inline void reply_number(struct reply *reply, const char *key, int64_t number)
{
	reply->ops->number(reply, key, number);
}

static inline void reply_bool(struct reply *reply, const char *key, bool value)
{
	reply->ops->boolean(reply, key, value);
}

static inline void reply_null(struct reply *reply, const char *key)
{
	reply->ops->null(reply, key);
}

static inline void reply_open_object(struct reply *reply, const char *key)
{
	reply->ops->open(reply, key, false);
}

static inline void reply_open_list(struct reply *reply, const char *key)
{
	reply->ops->open(reply, key, true);
}

/** Close the object or list that was opened last. */
static inline void reply_close(struct reply *reply)
{
	reply->ops->close(reply);
}

/** Make the answer an error: what was written so far is dropped.  message is copied. */
static inline void reply_error(struct reply *reply, int code, const char *message)
{
	reply->ops->error(reply, code, message);
}

/**
 * Is what belongs to this address (a URI, or one with a name) for who calls?  Everything is for
 * the operator; for a user what is his own.
 */
static inline bool reply_is_for(const struct reply *reply, struct slice address)
{
	return reply->ops->is_for(reply, address);
}

/** Who may call a method. */
enum method_access {
	METHOD_OPERATOR, /* who may write to the control socket: others are refused with 403 */
	METHOD_USER,     /* users too: it tells what reply_is_for() them */
	METHOD_OWNER, /* users too, about what is theirs; anything else they are told is not there: 404 */
	METHOD_SPEAKER, /* users too, in their own name: 403 for another's */
};

struct method {
	const char *name;                /* NULL ends the table */
	const char *also;                /* another name for it, or NULL */
	const struct param_spec *params; /* NULL: none */
	enum method_access access;
	/**
	 * METHOD_OWNER, METHOD_SPEAKER: is what the params name for who calls?  By reply_is_for();
	 * nothing is written.
	 */
	bool (*is_theirs)(const struct param *params, const struct reply *reply, void *state);
	/** params: as many as specs, borrowed for the call; state: the service's */
	void (*call)(const struct param *params, struct reply *reply, void *state);
	const char *help; /* one line */
};
