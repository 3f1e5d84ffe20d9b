#include "auth/users.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <msrpd/table.h>

#include "base/buffer.h"

/* The key is the name, or name:realm for lines of htdigest, in one table. */
struct user {
	UT_hash_handle hh;
	struct digest_secret secret;
	char *text; /* of a line of htdigest; the config's rows own theirs */
};

struct users {
	struct user *config, *htdigest;
};

static struct user *find(struct user *table, struct slice key)
{
	struct user *user;

	HASH_FIND(hh, table, key.p, key.len, user);
	return user;
}

/* Who is in two maps is known by the first. */
static int add_map(struct users *users, const struct setting_list *map)
{
	const struct auth_user *rows = map->items;

	for (size_t i = 0; i < map->count; i++) {
		struct user *user;

		if (find(users->config, slice_of(rows[i].name)))
			continue;
		user = calloc(1, sizeof(*user));
		if (!user)
			return -ENOMEM;
		user->secret = (struct digest_secret){
		    .password = slice_of(rows[i].password),
		    .ha1 = slice_of(rows[i].ha1),
		    .ha1_sha256 = slice_of(rows[i].ha1_sha256),
		};
		HASH_ADD_KEYPTR(hh, users->config, rows[i].name, (unsigned)strlen(rows[i].name),
		    user);
		if (!user->hh.tbl) {
			free(user);
			return -ENOMEM;
		}
	}
	return 0;
}

/* "user:realm:ha1"; the key is all before the last colon. */
static int add_line(struct users *users, struct slice line)
{
	const char *colon = memrchr(line.p, ':', line.len);
	size_t key_len = colon ? (size_t)(colon - line.p) : 0;
	struct slice ha1 = slice_from(line, colon ? key_len + 1 : 0);
	struct user *user, *before;

	if (!colon || !memchr(line.p, ':', key_len) || ha1.len != 32)
		return -EINVAL;
	for (size_t i = 0; i < ha1.len; i++)
		if (!isxdigit((unsigned char)ha1.p[i]))
			return -EINVAL;
	user = calloc(1, sizeof(*user));
	if (!user)
		return -ENOMEM;
	user->text = slice_dup(line);
	if (!user->text) {
		free(user);
		return -ENOMEM;
	}
	user->secret.ha1 = (struct slice){user->text + key_len + 1, ha1.len};
	/* Of several lines the last counts: that is where htdigest's users add theirs. */
	before = find(users->htdigest, (struct slice){user->text, key_len});
	if (before) {
		HASH_DEL(users->htdigest, before);
		slice_free_secret(before->text);
		free(before);
	}
	HASH_ADD_KEYPTR(hh, users->htdigest, user->text, (unsigned)key_len, user);
	if (user->hh.tbl)
		return 0;
	slice_free_secret(user->text);
	free(user);
	return -ENOMEM;
}

static struct slice without_newline(const char *line, ssize_t len)
{
	struct slice s = {line, (size_t)len};

	while (s.len && (s.p[s.len - 1] == '\n' || s.p[s.len - 1] == '\r'))
		s.len--;
	return s;
}

static int read_htdigest(struct users *users, const char *path, struct reason *why)
{
	FILE *file = fopen(path, "re");
	char bytes[BUFSIZ], *line = NULL;
	size_t cap = 0;
	unsigned number = 0;
	ssize_t len;
	int err = 0;

	if (!file) {
		err = -errno;
		reason_set(why, -EINVAL, "%s: %s", path, strerror(-err));
		return err;
	}
	setvbuf(file, bytes, _IOFBF, sizeof(bytes)); /* its own would not be wiped */
	while (err == 0 && (len = getline(&line, &cap, file)) >= 0) {
		struct slice text = without_newline(line, len);

		number++;
		if (text.len && text.p[0] != '#')
			err = add_line(users, text);
	}
	if (err == -EINVAL)
		reason_set(why, -EINVAL, "%s:%u: not a line of user:realm:ha1", path, number);
	else if (err == 0 && !feof(file))
		err = reason_set(why, -errno, "%s: %s", path, strerror(errno));
	if (line)
		explicit_bzero(line, cap);
	free(line);
	fclose(file);
	explicit_bzero(bytes, sizeof(bytes));
	return err;
}

int users_new(struct users **usersp, const struct auth_sources *sources, struct reason *why)
{
	struct users *users = calloc(1, sizeof(*users));
	int err = 0;

	reason_set(why, -ENOMEM, "out of memory");
	if (!users)
		return -ENOMEM;
	for (size_t i = 0; err == 0 && i < AUTH_MAPS_MAX; i++)
		if (sources->maps[i])
			err = add_map(users, sources->maps[i]);
	if (err == 0 && sources->htdigest)
		err = read_htdigest(users, sources->htdigest, why);
	if (err < 0) {
		users_free(users);
		return err;
	}
	*usersp = users;
	return 0;
}

static void free_table(struct user *table)
{
	struct user *user, *next;

	HASH_ITER(hh, table, user, next)
	{
		HASH_DEL(table, user);
		slice_free_secret(user->text);
		free(user);
	}
}

void users_free(struct users *users)
{
	if (!users)
		return;
	free_table(users->config);
	free_table(users->htdigest);
	free(users);
}

bool users_find(const struct users *users, struct slice name, struct slice realm,
    struct digest_secret *secret)
{
	char key[1024];
	struct buffer w = BUFFER_ON(key);
	struct user *user = find(users->config, name);

	if (!user) {
		buffer_add(&w, name);
		buffer_add_char(&w, ':');
		buffer_add(&w, realm);
		user = w.err ? NULL : find(users->htdigest, buffer_text(&w));
	}
	if (!user)
		return false;
	*secret = user->secret;
	return true;
}
