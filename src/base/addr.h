/* IP addresses with their ports: read, print, compare. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <msrpd/slice.h>

/** An address of IPv4 or IPv6.  Zeroed: none, AF_UNSPEC. */
union addr {
	struct sockaddr any;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

/** "[ffff:…:255.255.255.255%interface]:65535" and a NUL. */
enum { ADDR_TEXT_SIZE = INET6_ADDRSTRLEN + IF_NAMESIZE + sizeof("[]:65535") };

/** Parse a literal without brackets and port; port becomes 0.  @return 0 or -EINVAL, a unset */
int addr_parse_host(union addr *a, struct slice text);

/** Parse "192.0.2.1:80" or "[2001:db8::1]:80".  @return 0 or -EINVAL, a unset */
int addr_parse(union addr *a, struct slice text);

/** The same, where IPv6 may have the brackets of a URI. */
int addr_parse_literal(union addr *a, struct slice text);

/**
 * Parse a literal, alone or with the length of a prefix: "192.0.2.0/24".
 * @param bits  all, if there is no length, and when it is wrong
 * @return 0, -EINVAL: not an address, -ERANGE: not a length of a prefix of it
 */
int addr_parse_prefix(union addr *a, unsigned *bits, struct slice text);

/** Copy a socket's address, without flow label; none if it is of another family. */
void addr_from(union addr *a, const struct sockaddr *from);

/** What the socket is bound to, or connected with; none if it has none such. */
void addr_of_socket(union addr *a, int fd);
void addr_of_peer(union addr *a, int fd);

/** For bind() and connect(); 0 for none. */
socklen_t addr_len(const union addr *a);

/** In host byte order. */
uint16_t addr_port(const union addr *a);
void addr_set_port(union addr *a, uint16_t port);

/** The 4 or 16 bytes of the host; empty for none. */
struct slice addr_bytes(const union addr *a);

/** 0.0.0.0 or ::? */
bool addr_is_any(const union addr *a);

/** The same host, on whatever port; of IPv6 in the same zone. */
bool addr_same_host(const union addr *a, const union addr *b);

/** The same host and port. */
bool addr_equal(const union addr *a, const union addr *b);

/** Are the first bits of both the same, and the families? */
bool addr_in_prefix(const union addr *a, const union addr *prefix, unsigned bits);

/** Make ::ffff:192.0.2.1 of a socket for both families the 192.0.2.1 that it means. */
void addr_unmap(union addr *a);

/** Write "192.0.2.1:80", "[2001:db8::1]:80", or "-" for none.  @return text */
const char *addr_print(const union addr *a, char text[ADDR_TEXT_SIZE]);

/** Write "192.0.2.1", "2001:db8::1", or "-" for none.  @return text */
const char *addr_print_host(const union addr *a, char text[ADDR_TEXT_SIZE]);
