/* msrpd: options, signals, and the loop. */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include <ares.h>
#include <curl/curl.h>
#include <hiredis/hiredis.h>
#include <http_parser.h>
#include <jansson.h>
#include <openssl/crypto.h>
#include <seccomp.h>
#include <sodium/core.h>
#include <sodium/version.h>
#include <sofia-sip/su_types.h>
#include <sofia-sip/sofia_features.h>
#include <sqlite3.h>
#include <unistring/version.h>
#include <wslay/wslay.h>
#include <yaml.h>

#include "config.h"
#include "daemon.h"
#include "trace/trace.h"

static const char default_config[] = "/etc/msrpd/msrpd.yaml";

/* --- the loop --- */

static void on_signal(evutil_socket_t number, short what, void *arg)
{
	struct daemon *d = arg;
	struct reason why;

	(void)what;
	if (number == SIGHUP)
		daemon_reload(d, &why);
	else
		daemon_stop(d);
}

static int start_signals(struct daemon *d, struct reason *why)
{
	static const int numbers[] = {SIGTERM, SIGINT, SIGHUP};

	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN); /* LimitFSIZE= of systemd: as a disk that is full */
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		d->signals[i] = evsignal_new(d->base, numbers[i], on_signal, d);
		if (!d->signals[i] || event_add(d->signals[i], NULL) < 0)
			return reason_set(why, -ENOMEM, "out of memory");
	}
	return 0;
}

static void allow_files(struct sandbox *s, const struct ua_files *files)
{
	if (files->directory)
		sandbox_allow_directory(s, files->directory);
	for (size_t i = 0; i < files->send_from.count; i++)
		sandbox_allow_below(s, ((char *const *)files->send_from.items)[i]);
}

static void enter_sandbox(struct daemon *d)
{
	const struct trace_settings *trace = config_service(d->config, &trace_service);

	sandbox_allow_read(&d->sandbox, d->options.config);
	if (trace->directory)
		sandbox_allow_directory(&d->sandbox, trace->directory);
	sandbox_allow_write(&d->sandbox, d->config->control.socket);
	if (d->config->web.root)
		sandbox_allow_below(&d->sandbox, d->config->web.root);
	allow_files(&d->sandbox, &d->config->ua.files);
	sandbox_enter(&d->sandbox, &d->config->sandbox);
}

static int run(struct daemon *d)
{
	struct reason why;
	int err = daemon_start(d, &why);

	if (err == 0)
		err = start_signals(d, &why);
	if (err == 0) {
		enter_sandbox(d);
		log_info("start: msrpd " MSRPD_VERSION ", %s", d->options.config);
		notify_ready(&d->notify);
		event_base_dispatch(d->base);
	} else {
		fprintf(stderr, "msrpd: %s\n", why.text);
		if (!d->options.to_stderr)
			log_error("start: %s", why.text);
	}
	daemon_finish(d);
	return err < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* --- options --- */

static void print_version(void)
{
	unsigned long parser = http_parser_version();
	const struct scmp_version *seccomp = seccomp_version();

	printf("msrpd " MSRPD_VERSION "\n");
	printf("libevent %s, %s, %s, libyaml %s, jansson %s, libcurl %s, SQLite %s, c-ares %s, "
	       "wslay " WSLAY_VERSION ", ",
	    event_get_version(), SOFIA_SIP_NAME_VERSION, OpenSSL_version(OPENSSL_VERSION),
	    yaml_get_version_string(), jansson_version_str(),
	    curl_version_info(CURLVERSION_NOW)->version, sqlite3_libversion(), ares_version(NULL));
	printf("hiredis %d.%d.%d, libsodium %s, http-parser %lu.%lu.%lu, libseccomp %u.%u.%u, "
	       "libunistring %d.%d\n",
	    HIREDIS_MAJOR, HIREDIS_MINOR, HIREDIS_PATCH, sodium_version_string(), parser >> 16,
	    parser >> 8 & 255, parser & 255, seccomp->major, seccomp->minor, seccomp->micro,
	    _libunistring_version >> 16, _libunistring_version >> 8 & 255);
}

static int usage(void)
{
	fprintf(stderr, "usage: msrpd [-c FILE] [-i INSTANCE] [-t] [-n] [-v...] [-V]\n");
	return EXIT_FAILURE;
}

/* It becomes part of names, of a node as of files. */
static bool is_instance(const char *text)
{
	size_t len = strlen(text);

	return len > 0 && len <= 32
	    && strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-")
	    == len;
}

/* @return -1: go on, else the exit status */
static int read_options(struct options *options, int argc, char **argv)
{
	int c;

	*options = (struct options){.config = default_config};
	while ((c = getopt(argc, argv, "c:i:tnvV")) != -1) {
		switch (c) {
		case 'c':
			options->config = optarg;
			break;
		case 'i':
			if (!is_instance(optarg))
				return usage();
			options->instance = optarg;
			break;
		case 't':
			options->check = true;
			break;
		case 'n':
			options->to_stderr = true;
			break;
		case 'v':
			options->verbose++;
			break;
		case 'V':
			print_version();
			return EXIT_SUCCESS;
		default:
			return usage();
		}
	}
	return optind < argc ? usage() : -1;
}

static void print_line(const char *line, void *arg)
{
	(void)arg;
	fprintf(stderr, "msrpd: %s\n", line);
}

int main(int argc, char **argv)
{
	struct daemon d = {.notify = {.fd = -1}};
	int status = read_options(&d.options, argc, argv);
	struct reason why;

	if (status >= 0)
		return status;
	/* It looks at the processor: before that, and should it fail, all is done in plain C. */
	(void)!sodium_init();
	sandbox_init(&d.sandbox);
	if (daemon_load(&d, print_line, &why) < 0) {
		fprintf(stderr, "msrpd: %s\n", why.text);
		return EXIT_FAILURE;
	}
	if (d.options.check) {
		printf("msrpd: %s: good\n", d.options.config);
		daemon_unload(&d);
		return EXIT_SUCCESS;
	}
	if (daemon_open_log(&d, d.config) < 0) {
		fprintf(stderr, "msrpd: log: unknown facility %s\n", d.config->log.facility);
		daemon_unload(&d);
		return EXIT_FAILURE;
	}
	return run(&d);
}
