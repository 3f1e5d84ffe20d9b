/* A name server's answer about a service: whatever it says, the places are hosts. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "net/service.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct net_place places[NET_PLACES_MAX];
	struct slice answer = {(const char *)data, size};
	int status;
	size_t count = net_service_read(places, answer, &status), len;

	if (count > NET_PLACES_MAX || (status != 0 && count > 0))
		abort();
	for (size_t i = 0; i < count; i++) {
		len = strnlen(places[i].host, sizeof(places[i].host));
		if (len == 0 || len == sizeof(places[i].host))
			abort();
	}
	return 0;
}
