/*
 * Settings as tables: a module declares the keys of its section of the config
 * file as rows over a plain struct; the config reader fills it, the reference
 * documentation is checked against the same rows.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <msrpd/reason.h>

enum setting_type {
	SETTING_BOOL,     /* bool: true or false */
	SETTING_NUMBER,   /* uint64_t, min to max */
	SETTING_DURATION, /* uint64_t in ms: 30, 500ms, 30s, 5m, 12h */
	SETTING_SIZE,     /* uint64_t in bytes: 4096, 64KiB, 1MiB, 1GiB */
	SETTING_TEXT,     /* char *, NULL if absent and without preset */
	SETTING_SECRET,   /* char *: text, or {file: PATH} whose first line it is */
	SETTING_FILE,     /* char *: path of a file that can be read */
	SETTING_CHOICE,   /* int: index into choices */
	SETTING_MODE,     /* uint64_t: octal permissions */
	SETTING_TEXTS,    /* struct setting_list of char *: a list, or one text alone */
	SETTING_GROUP,    /* a struct in place, by the rows of group */
	SETTING_LIST,     /* struct setting_list of structs of item_size, by the rows of group */
	SETTING_MAP,      /* the same, the key of the map in the char * that each begins with */
	SETTING_TREE,     /* not stored: somebody else reads what stands there (routes) */
};

/** A list that the config reader owns. */
struct setting_list {
	void *items;
	size_t count;
};

enum {
	/* flags, those of a group hold for all in it */
	SETTING_FIXED = 1,    /* a change needs a restart, a reload refuses it */
	SETTING_REQUIRED = 2, /* of items: there is no item without it */
	/* of a group whose struct begins with a bool: whether it is in the file, which is fixed */
	SETTING_OPTIONAL = 4,
	/* of a text: a file that is written, with others beside it that have its name's front */
	SETTING_WRITTEN = 8,
};

struct setting {
	const char *name;
	enum setting_type type;
	size_t offset;               /* into the section's struct */
	const char *preset;          /* default as one would write it; NULL: absent */
	uint64_t min, max;           /* of numbers, in the struct's unit; max 0: no bound */
	const char *const *choices;  /* NULL-terminated */
	const struct setting *group; /* rows, ended by one without a name */
	size_t item_size;
	unsigned flags;
	/**
	 * Check what was filled in: text: char **, if there is one; SETTING_TEXTS: so for each;
	 * groups, lists, maps: each struct.  NULL: any will do.
	 *
	 * @return 0; -ENOMEM; or -EINVAL with the reason, which goes on from the key's name: "has a
	 *         session id"
	 */
	int (*check)(const void *value, struct reason *why);
	const char *help; /* one sentence of the reference */
};

/** Rows that every table of sessions has: cleanup_interval (ms) and hash_size, at these offsets. */
#define SETTING_CLEANUP_INTERVAL(at)                                                               \
	{                                                                                          \
		.name = "cleanup_interval", .type = SETTING_DURATION, .offset = (at),              \
		.preset = "60s", .min = 100, .help = "How often expired sessions are looked for.", \
	}
#define SETTING_HASH_SIZE(at)                                                                \
	{                                                                                    \
		.name = "hash_size", .type = SETTING_NUMBER, .offset = (at), .preset = "10", \
		.min = 1, .max = 20, .flags = SETTING_FIXED,                                 \
		.help = "Log2 of the session table's first size, a hint.",                   \
	}
