#include "files/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <msrpd/hex.h>
#include <msrpd/rand.h>
#include <msrpd/sum.h>
#include <msrpd/timer.h>

enum {
	COUNT_AGAIN_MS = 1000,
	SPARE_SHARE = 64,  /* of max_total: what old parts leave free when they give way */
	PARTS_MAX = 65536, /* that may give way at once */
};

static const char part_front[] = ".part-";

static bool is_part(const char *name)
{
	return strncmp(name, part_front, sizeof(part_front) - 1) == 0;
}

/* Its own descriptor: fdopendir() takes it. */
static DIR *open_listing(int fd)
{
	int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = copy < 0 ? NULL : fdopendir(copy);

	if (!dir && copy >= 0)
		close(copy);
	return dir;
}

static bool look(int fd, const char *name, struct stat *st)
{
	return fstatat(fd, name, st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st->st_mode);
}

int store_scan(int fd, uint64_t *usedp)
{
	DIR *dir = open_listing(fd);
	time_t now = time(NULL);
	struct dirent *entry;
	struct stat st;

	if (!dir)
		return -errno;
	*usedp = 0;
	while ((entry = readdir(dir))) {
		if (!look(fd, entry->d_name, &st))
			continue;
		if (is_part(entry->d_name) && now - st.st_mtime > STORE_PART_S
		    && unlinkat(fd, entry->d_name, 0) == 0)
			continue;
		*usedp += (uint64_t)st.st_size;
	}
	closedir(dir);
	return 0;
}

int store_open(struct store *store, const char *path, struct reason *why)
{
	int err = 0;

	*store = (struct store){.path = slice_dup(slice_of(path)), .fd = -1};
	if (!store->path)
		return reason_set(why, -ENOMEM, "out of memory");
	store->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (store->fd < 0 || (err = store_scan(store->fd, &store->used)) < 0
	    || faccessat(store->fd, ".", W_OK | X_OK, AT_EACCESS) < 0) {
		err = err < 0 ? err : -errno;
		store_close(store);
		return reason_set(why, err, "ua.files: %s: %s", path, strerror(-err));
	}
	return 0;
}

void store_close(struct store *store)
{
	if (store->fd >= 0)
		close(store->fd);
	free(store->path);
	*store = (struct store){.fd = -1};
}

void store_name(char name[STORE_NAME_SIZE])
{
	memcpy(name, "file-", 5);
	rand_token(name + 5, 22);
}

int store_part_name(char name[STORE_NAME_SIZE], const struct slice *texts, size_t count)
{
	uint8_t result[SUM_SHA256_SIZE];
	struct sum *sum;
	int err = sum_new(&sum, SUM_SHA256);

	if (err < 0)
		return err;
	for (size_t i = 0; i < count && err == 0; i++) {
		err = sum_add(sum, texts[i]);
		if (err == 0)
			err = sum_add(sum, (struct slice){"", 1});
	}
	if (err == 0)
		err = sum_finish(sum, result);
	sum_free(sum);
	if (err < 0)
		return err;
	memcpy(name, part_front, sizeof(part_front) - 1);
	hex_write(name + sizeof(part_front) - 1, result, 16);
	return 0;
}

uint64_t store_size(const struct store *store, const char *name)
{
	struct stat st;

	return look(store->fd, name, &st) ? (uint64_t)st.st_size : 0;
}

/* --- room --- */

struct old_part {
	char name[STORE_NAME_SIZE];
	struct timespec changed;
	uint64_t size;
};

/* What is in the directory, and the parts that nobody works at. */
struct inventory {
	uint64_t used, in_parts;
	struct old_part *parts;
	size_t count, cap;
};

/* One that is not written down does not give way. */
static void add_part(struct inventory *all, const char *name, const struct stat *st)
{
	size_t size = strlen(name) + 1;
	struct old_part *part;

	if (size > sizeof(part->name) || all->count == PARTS_MAX)
		return;
	if (all->count == all->cap) {
		size_t cap = all->cap ? 2 * all->cap : 16;

		part = reallocarray(all->parts, cap, sizeof(*part));
		if (!part)
			return;
		all->parts = part;
		all->cap = cap;
	}
	part = &all->parts[all->count++];
	memcpy(part->name, name, size);
	part->changed = st->st_mtim;
	part->size = (uint64_t)st->st_size;
	all->in_parts += part->size;
}

static int take_stock(struct inventory *all, const struct store *store,
    const struct store_work *work)
{
	DIR *dir = open_listing(store->fd);
	struct dirent *entry;
	struct stat st;

	*all = (struct inventory){.used = work->promised};
	if (!dir)
		return -errno;
	while ((entry = readdir(dir))) {
		bool part = is_part(entry->d_name);

		if ((part && work->busy(entry->d_name, work->arg))
		    || !look(store->fd, entry->d_name, &st))
			continue;
		all->used += (uint64_t)st.st_size;
		if (part)
			add_part(all, entry->d_name, &st);
	}
	closedir(dir);
	return 0;
}

static int oldest_first(const void *a, const void *b)
{
	const struct timespec *x = &((const struct old_part *)a)->changed;
	const struct timespec *y = &((const struct old_part *)b)->changed;

	if (x->tv_sec != y->tv_sec)
		return x->tv_sec < y->tv_sec ? -1 : 1;
	return (x->tv_nsec > y->tv_nsec) - (x->tv_nsec < y->tv_nsec);
}

static bool fits(uint64_t used, uint64_t bytes, uint64_t max)
{
	return used <= max && bytes <= max - used;
}

/*
 * They may be resumed yet: none goes where all of them would not do, and no more than the offer
 * needs and some others after it, until the directory may be walked through again.
 */
static void drop_parts(struct inventory *all, const struct store *store, uint64_t bytes,
    uint64_t max)
{
	const uint64_t spare = max / SPARE_SHARE;

	if (fits(all->used, bytes, max) || !fits(all->used - all->in_parts, bytes, max))
		return;
	if (all->count)
		qsort(all->parts, all->count, sizeof(all->parts[0]), oldest_first);
	for (size_t i = 0; i < all->count && !fits(all->used + spare, bytes, max); i++)
		if (unlinkat(store->fd, all->parts[i].name, 0) == 0)
			all->used -= all->parts[i].size;
}

/* A walk through a directory is not for each offer. */
static void make_room(struct store *store, uint64_t bytes, uint64_t max,
    const struct store_work *work)
{
	uint64_t now = timer_now_ms();
	struct inventory all;

	if (store->counted_ms && now - store->counted_ms < COUNT_AGAIN_MS)
		return;
	if (take_stock(&all, store, work) < 0)
		return;
	store->counted_ms = now;
	drop_parts(&all, store, bytes, max);
	store->used = all.used;
	free(all.parts);
}

int store_promise(struct store *store, uint64_t bytes, uint64_t max, const struct store_work *work)
{
	if (!fits(store->used, bytes, max))
		make_room(store, bytes, max, work);
	if (!fits(store->used, bytes, max))
		return -ENOSPC;
	store->used += bytes;
	return 0;
}

void store_give_back(struct store *store, uint64_t bytes)
{
	store->used -= bytes < store->used ? bytes : store->used;
}
