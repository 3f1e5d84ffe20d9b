#include "msrp/transport.h"

#include <stddef.h>
static const struct msrp_transport transports[] = {
    {.secure = false, .name = {"tcp", 3}, .net = &net_tcp},
    {.secure = true, .name = {"tcp", 3}, .net = &net_tls},
    {.secure = false, .name = {"ws", 2}, .net = &net_ws, .accepts_only = true},
    {.secure = true, .name = {"ws", 2}, .net = &net_wss, .accepts_only = true},
};

const struct msrp_transport *msrp_transport_find(bool secure, struct slice name)
{
	for (size_t i = 0; i < sizeof(transports) / sizeof(transports[0]); i++)
		if (transports[i].secure == secure && slice_equal_nocase(transports[i].name, name))
			return &transports[i];
	return NULL;
}
