#include <stdio.h>
#include <string.h>

#include "gw/priv.h"

/* RFC 4975 section 10, and 404 of RFC 7701. */
int gw_msrp_status(const struct page_result *result)
{
	if (!result->from_peer)
		return result->code == 413 ? 413 : 408;
	if (result->code < 300)
		return 200;
	switch (result->code) {
	case 404:
	case 410:
	case 604:
		return 404;
	case 401:
	case 403:
	case 405:
	case 407:
	case 603:
		return 403;
	case 406:
	case 415:
	case 488:
	case 606:
		return 415;
	case 413:
	case 513:
		return 413;
	case 408:
	case 480:
	case 486:
	case 600:
		return 408;
	default:
		/* Of its 4xx the request is at fault; otherwise it may do better another time. */
		return result->code >= 400 && result->code < 500 ? 400 : 408;
	}
}

int gw_sip_status(int msrp_code)
{
	switch (msrp_code) {
	case 400:
	case 403:
	case 404:
	case 413:
	case 415:
		return msrp_code;
	case 408:
		return 504; /* RFC 4320 4.2: no 408 for what is no INVITE */
	case 481:
	case 506:
		return 480;
	default:
		return 500;
	}
}

/* What would end a text early, or a line, is left out of it; it is for people to read. */
static size_t plain(char *text, size_t size, struct slice phrase)
{
	size_t n = 0;

	for (size_t i = 0; i < phrase.len && n < size; i++) {
		unsigned char c = (unsigned char)phrase.p[i];

		text[n++] = c < 0x20 || c >= 0x7f || c == '"' || c == '\\' ? '?' : (char)c;
	}
	return n;
}

struct slice gw_reason_header(char text[GW_HEADERS_SIZE], const char *protocol, int code,
    struct slice phrase)
{
	char quoted[200];
	int shown = (int)plain(quoted, sizeof(quoted), phrase);
	int n = snprintf(text, GW_HEADERS_SIZE,
	    shown ? "Reason: %s;cause=%d;text=\"%.*s\"\r\n" : "Reason: %s;cause=%d%.*s\r\n",
	    protocol, code, shown, quoted);

	return (struct slice){text, (size_t)n};
}

struct slice gw_report_phrase(char text[GW_PHRASE_SIZE], const struct page_result *result)
{
	char reason[40];
	int n;

	if (!result->from_peer || result->code < 300)
		return (struct slice){NULL, 0};
	n = snprintf(text, GW_PHRASE_SIZE, "SIP %d %.*s", result->code,
	    (int)plain(reason, sizeof(reason), result->reason), reason);
	return (struct slice){text, (size_t)n};
}
