#!/bin/sh
# A transfer of curl_multi whose CURLOPT_TIMEOUT_MS is over while its host's address is still asked
# for ends late: the call that ends it waits for getaddrinfo() in the resolver's thread, so who drives
# it from an event loop stands still as long. CURLOPT_QUICK_EXIT leaves the thread alone.
. "$(dirname "$0")/lib.sh"
unpack libcurl4=7.88.1-10+deb12u15 libcurl4-openssl-dev=7.88.1-10+deb12u15
mv "$tmp/root/usr/include/$arch/curl" "$tmp/root/usr/include/"
compile curl <<'C'
#define _GNU_SOURCE
#include <netdb.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>
#include <curl/curl.h>

enum { ANSWERS_S = 4 };

/* Name servers that do not answer. */
int getaddrinfo(const char *host, const char *port, const struct addrinfo *hints,
    struct addrinfo **found)
{
	(void)host, (void)port, (void)hints, (void)found;
	sleep(ANSWERS_S);
	return EAI_AGAIN;
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void get(const char *what, long quick)
{
	CURLM *multi = curl_multi_init();
	CURL *easy = curl_easy_init();
	double longest = 0, start;
	int running = 1;

	curl_easy_setopt(easy, CURLOPT_URL, "http://host.example/");
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, 500L);
	curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, quick);
	curl_multi_add_handle(multi, easy);
	while (running) {
		start = now();
		curl_multi_perform(multi, &running);
		if (now() - start > longest)
			longest = now() - start;
		curl_multi_poll(multi, NULL, 0, 100, NULL);
	}
	start = now();
	curl_multi_remove_handle(multi, easy);
	curl_easy_cleanup(easy);
	if (now() - start > longest)
		longest = now() - start;
	printf("%s: %s\n", what,
	    longest > ANSWERS_S / 2 ? "a call waits for the address" : "no call waits");
	fflush(stdout);
	curl_multi_cleanup(multi);
}

int main(void)
{
	alarm(60);
	curl_global_init(CURL_GLOBAL_DEFAULT);
	get("as it is", 0);
	get("with CURLOPT_QUICK_EXIT", 1);
	return 0;
}
C
(cd "$tmp" && ./finding) | judge "as it is: a call waits for the address
with CURLOPT_QUICK_EXIT: no call waits"
