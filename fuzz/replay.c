/* Runs a fuzz target over every file of the corpus folders named on the command line. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay_file(const char *path)
{
	FILE *f = fopen(path, "rb");
	size_t cap = 1 << 20, n;
	uint8_t *whole, *exact;

	if (!f)
		return -1;
	whole = malloc(cap);
	if (!whole)
		abort();
	n = fread(whole, 1, cap, f);
	fclose(f);
	/* exactly as long as the input, so that a sanitizer sees a read past its end */
	exact = malloc(n ? n : 1);
	if (!exact)
		abort();
	for (size_t i = 0; i < n; i++)
		exact[i] = whole[i];
	LLVMFuzzerTestOneInput(exact, n);
	free(exact);
	free(whole);
	return 0;
}

int main(int argc, char **argv)
{
	unsigned count = 0;

	for (int i = 1; i < argc; i++) {
		DIR *dir = opendir(argv[i]);
		struct dirent *e;

		if (!dir) {
			perror(argv[i]);
			return 1;
		}
		while ((e = readdir(dir))) {
			char path[4096];

			if (e->d_name[0] == '.')
				continue;
			snprintf(path, sizeof(path), "%s/%s", argv[i], e->d_name);
			if (replay_file(path) == 0)
				count++;
		}
		closedir(dir);
	}
	printf("%u inputs replayed\n", count);
	return count == 0;
}
