/* CPU time of processes, all of their threads. */
#pragma once

#include <dirent.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

enum { CPU_PIDS_MAX = 64 };

struct cpu_pids {
	int pids[CPU_PIDS_MAX], count;
};

/** "PID,…" */
static inline void cpu_read_pids(struct cpu_pids *all, const char *text)
{
	all->count = 0;
	for (char *end; *text && all->count < CPU_PIDS_MAX; text = *end ? end + 1 : end)
		all->pids[all->count++] = (int)strtol(text, &end, 10);
}

static inline uint64_t cpu_ns_of(int pid)
{
	char path[300];
	uint64_t total = 0, ns;
	struct dirent *entry;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	dir = opendir(path);
	while (dir && (entry = readdir(dir))) {
		FILE *file;

		snprintf(path, sizeof(path), "/proc/%d/task/%.20s/schedstat", pid, entry->d_name);
		file = entry->d_name[0] == '.' ? NULL : fopen(path, "r");
		if (file && fscanf(file, "%" SCNu64, &ns) == 1)
			total += ns;
		if (file)
			fclose(file);
	}
	if (dir)
		closedir(dir);
	return total;
}

static inline uint64_t cpu_ns(const struct cpu_pids *all)
{
	uint64_t total = 0;

	for (int i = 0; i < all->count; i++)
		total += cpu_ns_of(all->pids[i]);
	return total;
}
