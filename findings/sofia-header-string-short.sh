#!/bin/sh
# sip_header_as_string() of Sofia-SIP gives a header field as text. Of one with a list of parameters whose
# text is longer than 128 bytes it loses the last parameter; msg_header_field_e() into memory with room to
# spare writes all of them.
. "$(dirname "$0")/lib.sh"
version=1.12.11+20110422.1+1e14eea~dfsg-6
unpack libsofia-sip-ua0=$version libsofia-sip-ua-dev=$version
compile sofia-sip-ua <<'C'
#include <stdio.h>
#include <string.h>
#include <sofia-sip/msg_header.h>
#include <sofia-sip/sip_header.h>
#include <sofia-sip/su.h>

static void show(su_home_t *home, const char *value)
{
	sip_authorization_t *h = sip_authorization_make(home, value);
	char whole[1024];

	msg_header_field_e(whole, sizeof(whole), (msg_header_t *)h, 0);
	printf("%zu bytes: %zu by sip_header_as_string(), %zu by msg_header_field_e()\n", strlen(value),
	    strlen(sip_header_as_string(home, (sip_header_t *)h)), strlen(whole));
}

int main(void)
{
	su_home_t home[1] = {SU_HOME_INIT(home)};

	su_init();
	su_home_init(home);
	show(home, "Digest username=\"alice\", realm=\"example.org\", nonce=\"00112233445566778899\", opaque=\"q\"");
	show(home,
	    "Digest username=\"alice\", realm=\"example.org\", nonce=\"00112233445566778899\", "
	    "uri=\"sip:example.org\", response=\"00112233445566778899aabbccddeeff\", opaque=\"q\"");
	return 0;
}
C
timeout 20 "$tmp/finding" 2>&1 | judge "\
86 bytes: 86 by sip_header_as_string(), 86 by msg_header_field_e()
154 bytes: 144 by sip_header_as_string(), 154 by msg_header_field_e()"
