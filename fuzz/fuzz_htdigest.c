/* A file of htdigest: whatever it holds is refused with its line, or its users are found by their names. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "auth/users.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
	if (!ok)
		abort();
}

/* Each is there with the hash that stands last for him. */
static void check_line(const struct users *users, struct slice line)
{
	struct digest_secret secret;
	struct slice realm = line, user;

	while (line.len && line.p[line.len - 1] == '\r')
		line.len--;
	if (line.len == 0 || line.p[0] == '#')
		return;
	realm = slice_head(line, line.len - 33);
	slice_cut(&realm, ':', &user);
	if (user.len + realm.len < 1000)
		must(users_find(users, user, realm, &secret) && secret.ha1.len == 32);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int fd = memfd_create("htdigest", 0);
	char path[40];
	struct auth_sources sources = {.htdigest = path};
	struct slice rest = {(const char *)data, size}, line;
	struct users *users;
	struct reason why;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	must(fd >= 0 && write(fd, data, size) == (ssize_t)size);
	if (users_new(&users, &sources, &why) == 0) {
		while (slice_cut(&rest, '\n', &line))
			check_line(users, line);
		users_free(users);
	} else {
		must(why.text[0]);
	}
	close(fd);
	return 0;
}
