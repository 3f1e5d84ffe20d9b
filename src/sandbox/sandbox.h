/*
 * What the daemon takes from itself once it has started: files by Landlock, system calls by
 * seccomp, core dumps.  There is no way back, so all of it is fixed at start.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <msrpd/setting.h>

struct sandbox_settings {
	bool seccomp, landlock, core_dumps;
};

/** The keys of `sandbox:`, over struct sandbox_settings. */
extern const struct setting sandbox_settings_rows[];

/** The files that will be left, while they become known. */
struct sandbox {
	int ruleset;      /* of Landlock, -1: the kernel has none, or all is over */
	uint64_t handled; /* LANDLOCK_ACCESS_FS_* that it rules over */
};

/** Begin; it does nothing yet. */
void sandbox_init(struct sandbox *s);

/** Give up, or be done. */
void sandbox_fini(struct sandbox *s);

/**
 * Leave the directory of a file to be read from, so that a file which takes its place is found; and
 * where links lead, too.  What is not there, and whatever comes after sandbox_enter(), is ignored.
 */
void sandbox_allow_read(struct sandbox *s, const char *file);

/** Leave a directory to be read from, with all that is in it, but not what is around it. */
void sandbox_allow_below(struct sandbox *s, const char *directory);

/** As sandbox_allow_read(), and files there may be made, written and removed. */
void sandbox_allow_write(struct sandbox *s, const char *file);

/** A directory where files may be read, made, written and removed. */
void sandbox_allow_directory(struct sandbox *s, const char *path);

/**
 * Take the rest away.  A forbidden file is EACCES from now on; a forbidden system call ends the
 * process by SIGSYS after a log line that names it.  What the kernel does not have is logged and
 * left out.
 */
void sandbox_enter(struct sandbox *s, const struct sandbox_settings *settings);
