#include "sandbox/sandbox.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>

#include "base/log.h"
#include "sandbox/priv.h"

const struct setting sandbox_settings_rows[] = {
    {.name = "seccomp",
	.type = SETTING_BOOL,
	.offset = offsetof(struct sandbox_settings, seccomp),
	.preset = "true",
	.help = "Give up the system calls that msrpd does not use; one of them ends it, with a log "
		"line."},
    {.name = "landlock",
	.type = SETTING_BOOL,
	.offset = offsetof(struct sandbox_settings, landlock),
	.preset = "true",
	.help =
	    "Give up the files that neither the configuration nor the system's libraries want."},
    {.name = "core_dumps",
	.type = SETTING_BOOL,
	.offset = offsetof(struct sandbox_settings, core_dumps),
	.preset = "false",
	.help = "Let a crash leave a core dump, and debuggers attach: secrets are in it."},
    {0},
};

static void log_result(const char *what, int err)
{
	if (err < 0)
		log_warn("sandbox: no %s: %s", what, strerror(-err));
	else
		log_debug("sandbox: %s", what);
}

void sandbox_enter(struct sandbox *s, const struct sandbox_settings *settings)
{
	/* Unlike RLIMIT_CORE it holds for dumps into a pipe as well. */
	prctl(PR_SET_DUMPABLE, settings->core_dumps ? 1 : 0, 0, 0, 0);
	/* Whoever may take from itself may not make others take for it (seccomp(2)). */
	if ((settings->landlock || settings->seccomp) && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		log_result("sandbox", -errno);
	if (settings->landlock)
		log_result("landlock", sandbox_restrict_files(s));
	if (settings->seccomp)
		log_result("seccomp", sandbox_restrict_calls());
	sandbox_fini(s);
}
