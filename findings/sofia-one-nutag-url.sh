#!/bin/sh
# Sofia-SIP's manual says that nua_create() takes several NUTAG_URL, one for each address to bind. It
# binds one of them: more addresses need more nua objects.
. "$(dirname "$0")/lib.sh"
version=1.12.11+20110422.1+1e14eea~dfsg-6
unpack libsofia-sip-ua0=$version libsofia-sip-ua-dev=$version
compile sofia-sip-ua <<'C'
#include <stdio.h>
#include <string.h>
#include <sofia-sip/nua.h>
#include <sofia-sip/su.h>

static void on_event(nua_event_t event, int status, char const *phrase, nua_t *nua,
    nua_magic_t *magic, nua_handle_t *nh, nua_hmagic_t *hmagic, sip_t const *sip, tagi_t tags[])
{
}

static int is_bound(const char *address, int port)
{
	char line[512], wanted[64];
	unsigned a, b, c, d;
	int found = 0;
	FILE *f = fopen("/proc/self/net/udp", "r");

	sscanf(address, "%u.%u.%u.%u", &a, &b, &c, &d);
	snprintf(wanted, sizeof(wanted), " %02X%02X%02X%02X:%04X ", d, c, b, a, port);
	while (f && fgets(line, sizeof(line), f))
		found |= strstr(line, wanted) != NULL;
	return found;
}

int main(void)
{
	su_root_t *root;

	su_init();
	root = su_root_create(NULL);
	su_root_threading(root, 0);
	nua_create(root, on_event, NULL, NUTAG_URL("sip:127.0.0.11:35060;transport=udp"),
	    NUTAG_URL("sip:127.0.0.12:35060;transport=udp"), TAG_END());
	for (int i = 0; i < 20; i++)
		su_root_step(root, 10);
	printf("the first is %sbound, the second is %sbound\n",
	    is_bound("127.0.0.11", 35060) ? "" : "not ", is_bound("127.0.0.12", 35060) ? "" : "not ");
	return 0;
}
C
timeout 20 "$tmp/finding" 2>&1 | judge "the first is not bound, the second is bound"
