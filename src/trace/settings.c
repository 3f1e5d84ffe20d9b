#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>

#include <msrpd/slice.h>

#include "trace/priv.h"

static int check_directory(const void *value, struct reason *why)
{
	const char *path = *(char *const *)value;
	struct stat st;

	if (path[0] != '/')
		return reason_set(why, -EINVAL, "is not an absolute path");
	if (stat(path, &st) < 0)
		return reason_set(why, -EINVAL, "cannot be used: %s", strerror(errno));
	if (!S_ISDIR(st.st_mode))
		return reason_set(why, -EINVAL, "is not a directory");
	return 0;
}

static int check_hep(const void *value, struct reason *why)
{
	struct slice host, port;

	if (trace_hep_parse(slice_of(*(char *const *)value), &host, &port) == 0)
		return 0;
	return reason_set(why, -EINVAL, "is not HOST:PORT");
}

#define OF(member) offsetof(struct trace_settings, member)

const struct setting trace_settings_rows[] = {
    {.name = "directory",
	.type = SETTING_TEXT,
	.offset = OF(directory),
	.flags = SETTING_FIXED,
	.check = check_directory,
	.help = "Where `msrp_trace` writes files; without it there are none."},
    {.name = "hep",
	.type = SETTING_TEXT,
	.offset = OF(hep),
	.check = check_hep,
	.help = "HOST:PORT of the HEPv3 collector that `hep=true` sends to, over UDP."},
    {.name = "hep_id",
	.type = SETTING_NUMBER,
	.offset = OF(hep_id),
	.preset = "2855",
	.max = UINT32_MAX,
	.help = "Number by which a collector knows this msrpd."},
    {.name = "queue",
	.type = SETTING_SIZE,
	.offset = OF(queue),
	.preset = "4MiB",
	.min = 256 << 10,
	.max = 1 << 30,
	.help = "Bytes that wait to be written; what does not fit is lost, and counted."},
    {.name = "max_file",
	.type = SETTING_SIZE,
	.offset = OF(max_file),
	.preset = "64MiB",
	.min = 128 << 10,
	.max = UINT64_C(1) << 40,
	.help = "Bytes of a file; the trace goes on in another one."},
    {.name = "files",
	.type = SETTING_NUMBER,
	.offset = OF(files),
	.preset = "4",
	.min = 1,
	.max = 1000,
	.help = "Files that a trace leaves: the last ones."},
    {0},
};
