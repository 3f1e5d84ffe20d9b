/* The directory of files: what it may hold, and parts of what did not come whole. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <msrpd/reason.h>
#include <msrpd/slice.h>

enum {
	STORE_NAME_SIZE = 40,        /* of a file of ours, NUL included */
	STORE_PART_S = 24 * 60 * 60, /* a part that is older is of no use any more */
};

struct store {
	char *path;
	int fd;
	uint64_t used;       /* bytes of its files, and what is promised to those under way */
	uint64_t counted_ms; /* when it was counted anew */
};

/** Looks what there is.  @return 0, or negative errno with the reason */
int store_open(struct store *store, const char *path, struct reason *why);
void store_close(struct store *store);

/** Count anew, and remove parts that are old.  In any thread; no file is under way. */
int store_scan(int fd, uint64_t *usedp);

/** "file-" and what nobody can guess: whole files; the peer's name is none. */
void store_name(char name[STORE_NAME_SIZE]);

/** ".part-" and 32 digits that stand for what the texts say together.  @return 0 or -ENOMEM */
int store_part_name(char name[STORE_NAME_SIZE], const struct slice *texts, size_t count);

/** @return bytes of that file, 0 if there is none */
uint64_t store_size(const struct store *store, const char *name);

/** What is under way: is that part worked at?  And what is promised to all of them? */
struct store_work {
	bool (*busy)(const char *part, void *arg);
	uint64_t promised;
	void *arg;
};

/**
 * Promise that many bytes.  Where there is no room for them it is counted anew, and as many of
 * the parts that nobody works at give way as must (and a 64th of max more), the oldest first;
 * none if all of them would not do.
 *
 * @return 0 or -ENOSPC
 */
int store_promise(struct store *store, uint64_t bytes, uint64_t max, const struct store_work *work);
void store_give_back(struct store *store, uint64_t bytes);
