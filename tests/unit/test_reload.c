/* A reload that a service refuses: nobody goes on with settings of the config that is freed. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "anchor/anchor.h"
#include "app/app.h"
#include "config.h"
#include "daemon.h"
#include "registrar/registrar.h"
#include "relay/relay.h"
#include "directory.h"

/* --- services that keep a pointer to their settings, as some do --- */

struct numbers {
	uint64_t number;
	bool refuse;
};

static const struct setting rows[] = {
    {.name = "number",
	.type = SETTING_NUMBER,
	.offset = offsetof(struct numbers, number),
	.preset = "0",
	.help = "."},
    {.name = "refuse",
	.type = SETTING_BOOL,
	.offset = offsetof(struct numbers, refuse),
	.preset = "false",
	.help = "."},
    {0},
};

struct kept {
	const struct numbers *settings;
	unsigned reloads;
};

static struct kept first, second, third;

static int keep(struct kept *kept, const void *settings, struct reason *why)
{
	kept->settings = settings;
	return kept->settings->refuse ? reason_set(why, -EINVAL, "refused") : 0;
}

static int reload(void *state, const void *settings, struct reason *why)
{
	struct kept *kept = state;

	kept->reloads++;
	return keep(kept, settings, why);
}

static int start(struct kept *kept, const void *settings, void **statep, struct reason *why)
{
	*statep = kept;
	return keep(kept, settings, why);
}

static void stop(void *state)
{
	(void)state;
}

#define SERVICE(name_)                                                                \
	static int start_##name_(const struct service_env *env, const void *settings, \
	    void **statep, struct reason *why)                                        \
	{                                                                             \
		(void)env;                                                            \
		return start(&name_, settings, statep, why);                          \
	}                                                                             \
	static const struct service name_##_service = {                               \
	    .name = #name_,                                                           \
	    .section = #name_,                                                        \
	    .settings = rows,                                                         \
	    .settings_size = sizeof(struct numbers),                                  \
	    .start = start_##name_,                                                   \
	    .reload = reload,                                                         \
	    .stop = stop,                                                             \
	}

SERVICE(first);
SERVICE(second);
SERVICE(third);

static int start_nothing(const struct service_env *env, const void *settings, void **statep,
    struct reason *why)
{
	(void)env;
	(void)settings;
	(void)statep;
	(void)why;
	return 0;
}

static const struct service nothing = {.name = "nothing", .start = start_nothing, .stop = stop};

/* In place of those of services.c. */
const struct service *const services[SERVICES + 1] = {
    &anchor_service,
    &app_service,
    &registrar_service,
    &first_service,
    &second_service,
    &third_service,
    &relay_service,
    &nothing,
    NULL,
};

/* --- a daemon --- */

struct place {
	char directory[32], config[48];
	struct daemon daemon;
};

static void write_config(const struct place *p, int number, const char *refuses)
{
	FILE *f = fopen(p->config, "w");

	assert_non_null(f);
	fprintf(f, "control: {socket: %s/socket}\n", p->directory);
	fprintf(f, "msrp: {chunk_size: %d}\n", 4096 + number);
	for (int i = 0; i < 3; i++) {
		static const char *const names[] = {"first", "second", "third"};

		fprintf(f, "%s: {number: %d, refuse: %s}\n", names[i], number,
		    strcmp(names[i], refuses) == 0 ? "true" : "false");
	}
	assert_int_equal(fclose(f), 0);
}

static int set_up(void **state)
{
	struct place *p = calloc(1, sizeof(*p));
	struct reason why;

	strcpy(p->directory, "/tmp/msrpd-reload-XXXXXX");
	assert_non_null(mkdtemp(p->directory));
	snprintf(p->config, sizeof(p->config), "%s/config", p->directory);
	write_config(p, 1, "");
	p->daemon = (struct daemon){
	    .options = {.config = p->config, .to_stderr = true},
	    .sandbox = {.ruleset = -1},
	    .notify = {.fd = -1},
	};
	if (daemon_load(&p->daemon, NULL, &why) < 0 || daemon_start(&p->daemon, &why) < 0)
		fail_msg("%s", why.text);
	first.reloads = second.reloads = third.reloads = 0;
	*state = p;
	return 0;
}

static int tear_down(void **state)
{
	struct place *p = *state;

	daemon_finish(&p->daemon);
	directory_remove(p->directory);
	free(p);
	return 0;
}

static void assert_all_have(const struct place *p, uint64_t number)
{
	assert_ptr_equal(first.settings, config_service(p->daemon.config, &first_service));
	assert_ptr_equal(second.settings, config_service(p->daemon.config, &second_service));
	assert_ptr_equal(third.settings, config_service(p->daemon.config, &third_service));
	assert_int_equal(first.settings->number, number);
	assert_int_equal(second.settings->number, number);
	assert_int_equal(third.settings->number, number);
}

/* --- tests --- */

static void test_taken(void **state)
{
	struct place *p = *state;
	struct reason why;

	write_config(p, 2, "");
	assert_int_equal(daemon_reload(&p->daemon, &why), 0);
	assert_all_have(p, 2);
}

/* The one that refuses had taken its new settings already. */
static void test_refused(void **state)
{
	static const char *const refusing[] = {"first", "second", "third"};
	struct place *p = *state;
	struct reason why;

	for (size_t i = 0; i < sizeof(refusing) / sizeof(refusing[0]); i++) {
		write_config(p, 2, refusing[i]);
		assert_int_equal(daemon_reload(&p->daemon, &why), -EINVAL);
		assert_string_equal(why.text, "refused");
		assert_all_have(p, 1);
	}
	/* One behind it was not asked but for taking back what it has. */
	assert_int_equal(first.reloads, 2 * 3);
	assert_int_equal(third.reloads, 3 + 1);
	write_config(p, 3, "");
	assert_int_equal(daemon_reload(&p->daemon, &why), 0);
	assert_all_have(p, 3);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_taken),
	    TEST(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
