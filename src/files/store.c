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

enum { COUNT_AGAIN_MS = 1000 };

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

/* A walk through a directory is not for each refusal. */
static void make_room(struct store *store, const struct store_work *work)
{
	uint64_t now = timer_now_ms(), used = work->promised;
	struct dirent *entry;
	struct stat st;
	DIR *dir;

	if (store->counted_ms && now - store->counted_ms < COUNT_AGAIN_MS)
		return;
	dir = open_listing(store->fd);
	if (!dir)
		return;
	store->counted_ms = now;
	while ((entry = readdir(dir))) {
		bool part = is_part(entry->d_name);

		if ((part && work->busy(entry->d_name, work->arg))
		    || !look(store->fd, entry->d_name, &st)
		    || (part && unlinkat(store->fd, entry->d_name, 0) == 0))
			continue;
		used += (uint64_t)st.st_size;
	}
	closedir(dir);
	store->used = used;
}

int store_promise(struct store *store, uint64_t bytes, uint64_t max, const struct store_work *work)
{
	if (store->used > max || bytes > max - store->used)
		make_room(store, work);
	if (store->used > max || bytes > max - store->used)
		return -ENOSPC;
	store->used += bytes;
	return 0;
}

void store_give_back(struct store *store, uint64_t bytes)
{
	store->used -= bytes < store->used ? bytes : store->used;
}
