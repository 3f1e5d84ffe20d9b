/* The request for a WebSocket: whatever comes is answered, and one that is let in asked for it. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <msrpd/setting.h>

#include "base/buffer.h"
#include "net/upgrade.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
	if (!ok)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char *texts[] = {"https://chat.example.org"};
	static const struct setting_list origins = {texts, 1};
	struct slice head = {(const char *)data, size};
	struct upgrade_terms terms = {.subprotocol = SLICE("msrp"), .origins = &origins};
	char text[512];
	struct buffer w = BUFFER_ON(text);
	unsigned status = upgrade_answer(head, &terms, &w);
	struct slice answer = buffer_text(&w);

	must(w.err == 0 && answer.len > 16);
	must(memcmp(answer.p, "HTTP/1.1 ", 9) == 0);
	must(atoi(answer.p + 9) == (int)status);
	must(memmem(answer.p, answer.len, "\r\n\r\n", 4) == answer.p + answer.len - 4);
	must(status != 101 || memmem(head.p, head.len, "\r\n\r\n", 4) == head.p + head.len - 4);
	return 0;
}
