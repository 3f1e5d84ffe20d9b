/* A DNS server (RFC 1035) in the test's own loop: SRV records of a table, and 127.0.0.1 for their hosts. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"

struct event;
struct event_base;

struct dns_record {
	const char *name; /* in lower case */
	uint16_t priority, weight, port;
	const char *host; /* ".": nobody */
};

struct dns_server {
	char address[ADDR_TEXT_SIZE]; /* "127.0.0.1:PORT" */
	const struct dns_record *records;
	size_t count;
	/* DNS_CHOOSY: says nothing to names that it does not know. */
	enum { DNS_GOOD, DNS_SILENT, DNS_REFUSES, DNS_CUT, DNS_CHOOSY } mood;
	unsigned asked; /* questions for services */
	int fd;
	struct event *readable;
};

void dns_server_open(struct dns_server *server, struct event_base *base);
void dns_server_close(struct dns_server *server);
