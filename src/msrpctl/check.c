/*
 * Looks at what only shows when somebody calls: the configuration, whether msrpd answers, dates and
 * names of certificates, ports, the DNS of advertised names, the clock.
 */
#include "msrpctl/check.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/timex.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <jansson.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "msrpctl/connection.h"
#include "msrpctl/terminal.h"
#include "msrpctl/text.h"

#define DEFAULT_CONFIG "/etc/msrpd/msrpd.yaml"

enum { SOON_DAYS = 30, CONNECT_SECONDS = 5, DAY_SECONDS = 24 * 3600 };

enum verdict { GOOD, DOUBTFUL, BAD };

static int worst;

static void say(enum verdict verdict, const char *what, const char *why)
{
	static const struct {
		const char *word;
		enum colour colour;
	} verdicts[] =
	    {[GOOD] = {"good", GREEN}, [DOUBTFUL] = {"warn", YELLOW}, [BAD] = {"BAD", RED}};
	struct text text = {0};

	text_add_safe(&text, what);
	text_adds(&text, *why ? ": " : "");
	text_add_safe(&text, why);
	printf("%s%-4s%s  %s\n", colour(verdicts[verdict].colour), verdicts[verdict].word,
	    colour(PLAIN), text.p);
	fflush(stdout);
	free(text.p);
	if ((int)verdict > worst)
		worst = (int)verdict;
}

/* --- the configuration --- */

/* msrpd is the judge of its file; it says itself what is wrong. */
static void check_config(const char *path)
{
	int status, pipes[2];
	struct text out = {0};
	char buffer[4096];
	ssize_t n;
	pid_t child;

	if (pipe(pipes) < 0 || (child = fork()) < 0)
		die("fork", strerror(errno));
	if (child == 0) {
		dup2(pipes[1], STDOUT_FILENO);
		dup2(pipes[1], STDERR_FILENO);
		close(pipes[0]);
		close(pipes[1]);
		execlp(getenv("MSRPD") ? getenv("MSRPD") : "msrpd", "msrpd", "-t", "-c", path,
		    (char *)NULL);
		fprintf(stderr, "msrpd: %s", strerror(errno));
		_exit(127);
	}
	close(pipes[1]);
	text_adds(&out, "");
	while ((n = read(pipes[0], buffer, sizeof(buffer))) > 0)
		text_add(&out, buffer, (size_t)n);
	close(pipes[0]);
	waitpid(child, &status, 0);
	while (out.len && out.p[out.len - 1] == '\n')
		out.p[--out.len] = '\0';
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		say(strstr(out.p, "\n") ? DOUBTFUL : GOOD, "configuration", out.p);
	else
		say(WIFEXITED(status) && WEXITSTATUS(status) == 127 ? DOUBTFUL : BAD,
		    "configuration", out.p);
	free(out.p);
}

/* --- certificates --- */

static void check_dates(const char *what, X509 *certificate)
{
	char why[128];
	int days, seconds;

	if (!ASN1_TIME_diff(&days, &seconds, NULL, X509_get0_notAfter(certificate))) {
		say(BAD, what, "its dates cannot be read");
		return;
	}
	snprintf(why, sizeof(why), "valid for %d days", days);
	if (days < 0 || seconds < 0)
		say(BAD, what, "has expired");
	else if (X509_cmp_current_time(X509_get0_notBefore(certificate)) > 0)
		say(BAD, what, "is not valid yet: is the clock right?");
	else
		say(days < SOON_DAYS ? DOUBTFUL : GOOD, what, why);
}

static void check_name(const char *what, X509 *certificate, const char *name)
{
	char why[512];
	bool has = X509_check_host(certificate, name, 0, 0, NULL) == 1
	    || X509_check_ip_asc(certificate, name, 0) == 1;

	snprintf(why, sizeof(why), "%s %s", has ? "is for" : "is not for", name);
	say(has ? GOOD : BAD, what, why);
}

static void check_certificate(const char *section, const char *path, const json_t *names)
{
	FILE *file = fopen(path, "re");
	X509 *certificate = file ? PEM_read_X509(file, NULL, NULL, NULL) : NULL;
	struct text what = {0};
	json_t *name;
	size_t i;

	text_adds(&what, section);
	text_adds(&what, " certificate ");
	text_adds(&what, path);
	if (!file)
		say(DOUBTFUL, what.p, strerror(errno));
	else if (!certificate)
		say(BAD, what.p, "is no certificate");
	if (certificate) {
		check_dates(what.p, certificate);
		json_array_foreach(names, i, name)
		    check_name(what.p, certificate, json_string_value(name));
	}
	X509_free(certificate);
	if (file)
		fclose(file);
	free(what.p);
}

/* --- ports --- */

struct place {
	char host[256], port[8];
};

/* Host and port of a listener's URI: "msrps://[::1]:2856;tcp", "sip:192.0.2.1:5060;…".  A wildcard
 * is reached over loopback. */
static bool place_of(const char *uri, struct place *place)
{
	const char *p = strstr(uri, "://"), *end, *colon = NULL;

	p = p ? p + 3 : strchr(uri, ':') ? strchr(uri, ':') + 1 : uri;
	end = p + strcspn(p, ";/?");
	for (const char *at = end; at > p && *at != ']'; at--)
		if (*at == ':')
			colon = at;
	if (!colon)
		return false;
	snprintf(place->port, sizeof(place->port), "%.*s", (int)(end - colon - 1), colon + 1);
	if (*p == '[' && colon[-1] == ']') {
		p++;
		end = colon - 1;
	} else {
		end = colon;
	}
	snprintf(place->host, sizeof(place->host), "%.*s", (int)(end - p), p);
	if (strcmp(place->host, "0.0.0.0") == 0)
		snprintf(place->host, sizeof(place->host), "127.0.0.1");
	if (strcmp(place->host, "::") == 0)
		snprintf(place->host, sizeof(place->host), "::1");
	return true;
}

static void check_port(const char *uri)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST};
	const struct timeval limit = {.tv_sec = CONNECT_SECONDS};
	struct addrinfo *found;
	struct place place;
	int fd, err = 0;

	if (strstr(uri, "transport=udp") || !place_of(uri, &place)
	    || getaddrinfo(place.host, place.port, &hints, &found) != 0)
		return;
	fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	if (fd < 0 || connect(fd, found->ai_addr, found->ai_addrlen) < 0)
		err = errno;
	say(err ? BAD : GOOD, uri, err ? strerror(err) : "is open");
	if (fd >= 0)
		close(fd);
	freeaddrinfo(found);
}

/* --- names --- */

static bool is_own(const struct sockaddr *address)
{
	struct ifaddrs *all, *i;
	bool own = false;

	if (getifaddrs(&all) < 0)
		return false;
	for (i = all; i && !own; i = i->ifa_next) {
		if (!i->ifa_addr || i->ifa_addr->sa_family != address->sa_family)
			continue;
		if (address->sa_family == AF_INET)
			own = memcmp(&((const struct sockaddr_in *)(const void *)address)->sin_addr,
				  &((const struct sockaddr_in *)(void *)i->ifa_addr)->sin_addr,
				  sizeof(struct in_addr))
			    == 0;
		else if (address->sa_family == AF_INET6)
			own =
			    memcmp(&((const struct sockaddr_in6 *)(const void *)address)->sin6_addr,
				&((const struct sockaddr_in6 *)(void *)i->ifa_addr)->sin6_addr,
				sizeof(struct in6_addr))
			    == 0;
	}
	freeifaddrs(all);
	return own;
}

static void check_dns(const char *name)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
	struct addrinfo *found, *a;
	struct text what = {0};
	int err = getaddrinfo(name, NULL, &hints, &found);
	bool own = false;

	text_adds(&what, "advertised name ");
	text_adds(&what, name);
	if (err) {
		say(BAD, what.p, gai_strerror(err));
	} else {
		for (a = found; a && !own; a = a->ai_next)
			own = is_own(a->ai_addr);
		say(own ? GOOD : DOUBTFUL, what.p,
		    own ? "leads here" : "leads elsewhere: right if that is a NAT or a proxy");
		freeaddrinfo(found);
	}
	free(what.p);
}

/* --- the clock --- */

static void check_clock(void)
{
	struct timex state = {0};

	if (adjtimex(&state) == TIME_ERROR || state.status & STA_UNSYNC)
		say(DOUBTFUL, "clock",
		    "nothing keeps it right (timedatectl): certificates and "
		    "nonces go by it");
	else
		say(GOOD, "clock", "is kept right");
}

/* --- all of it --- */

static void check_daemon(FILE *stream)
{
	json_t *status = call(stream, "status", NULL), *list, *item;
	const json_t *names = json_object_get(status, "advertise");
	const char *section;
	size_t i;

	say(GOOD, "msrpd", "answers");
	json_object_foreach(json_object_get(status, "certificates"), section, item)
	    check_certificate(section, json_string_value(item), names);
	json_object_foreach(json_object_get(status, "listen"), section, list)
	    json_array_foreach(list, i, item) check_port(json_string_value(item));
	json_array_foreach(names, i, item) check_dns(json_string_value(item));
	json_decref(status);
}

int check(const struct options *options, char **args)
{
	char *why = NULL, *config = NULL;
	FILE *stream = try_to_connect(options->socket, &why);
	json_t *status = stream ? call(stream, "status", NULL) : NULL;
	const char *running = json_string_value(json_object_get(status, "config"));

	if (asprintf(&config, "%s", args[0] ? args[0] : running ? running : DEFAULT_CONFIG) < 0)
		die("out of memory", NULL);
	check_config(config);
	if (stream)
		check_daemon(stream);
	else
		say(BAD, options->socket, why);
	check_clock();
	json_decref(status);
	if (stream)
		fclose(stream);
	free(config);
	free(why);
	return worst == BAD ? EXIT_ERROR : EXIT_RESULT;
}
