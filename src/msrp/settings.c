/* The `msrp:` section of the config. */
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "msrp/listener.h"
#include "msrp/stack.h"
#include "msrp/transport.h"
#include "net/tls.h"
#include "net/upgrade.h"

static int check_listen_uri(const void *value, struct reason *why)
{
	const char *text = *(char *const *)value;
	char buf[MSRP_LISTEN_URI_MAX];
	struct msrp_uri uri;

	if (msrp_listen_uri_parse(&uri, buf, slice_of(text)) < 0
	    || !msrp_transport_find(uri.secure, uri.transport)) {
		return reason_set(why, -EINVAL,
		    "is not a listener: msrp[s]://ADDRESS[:PORT];tcp or ;ws, without a session id");
	}
	if (!msrp_uri_is_address(&uri))
		return reason_set(why, -EINVAL,
		    "has a name where the IP address belongs: a name goes into advertise");
	return 0;
}

int msrp_check_my_uri(const void *value, struct reason *why)
{
	struct slice text = slice_of(*(char *const *)value);
	struct msrp_uri uri;
	ssize_t n = msrp_uri_parse(&uri, text);

	if (n < 0 || (size_t)n != text.len) {
		return reason_set(why, -EINVAL,
		    "is not an MSRP URI, like msrps://im.example.org:2856;tcp");
	}
	if (uri.session_id.p)
		return reason_set(why, -EINVAL, "has a session id");
	return 0;
}

static const struct setting listen_rows[] = {
    {.name = "name",
	.type = SETTING_TEXT,
	.offset = offsetof(struct msrp_listen_settings, name),
	.flags = SETTING_FIXED,
	.help = "Name of the listener for rules and lists; its URI if absent."},
    {.name = "uri",
	.type = SETTING_TEXT,
	.offset = offsetof(struct msrp_listen_settings, uri),
	.flags = SETTING_FIXED | SETTING_REQUIRED,
	.check = check_listen_uri,
	.help = "Address and port, `msrp://` plain, `msrps://` over TLS; `;tcp`, or `;ws` for "
		"WebSockets; port 0 is any free port."},
    {.name = "advertise",
	.type = SETTING_TEXT,
	.offset = offsetof(struct msrp_listen_settings, advertise),
	.flags = SETTING_FIXED,
	.help = "HOST or HOST:PORT by which others reach it."},
    {.name = "origins",
	.type = SETTING_TEXTS,
	.offset = offsetof(struct msrp_listen_settings, origins),
	.flags = SETTING_FIXED,
	.check = upgrade_check_origin,
	.help =
	    "Of `;ws`: origins (`https://chat.example.org`) whose pages may connect, `*` for any; "
	    "programs that send none always may."},
    {0},
};

#define MSRP(field) offsetof(struct msrp_settings, field)
#define DURATION(key, field, value, text)                                                      \
	{                                                                                      \
		.name = key, .type = SETTING_DURATION, .offset = MSRP(field), .preset = value, \
		.help = text                                                                   \
	}
#define SIZE(key, field, value, least, most, text)                                         \
	{                                                                                  \
		.name = key, .type = SETTING_SIZE, .offset = MSRP(field), .preset = value, \
		.min = least, .max = most, .help = text                                    \
	}

const struct setting msrp_settings_rows[] = {
    {.name = "listen",
	.type = SETTING_LIST,
	.offset = MSRP(listen),
	.group = listen_rows,
	.item_size = sizeof(struct msrp_listen_settings),
	.flags = SETTING_FIXED,
	.help = "Where MSRP is listened for."},
    {.name = "tls",
	.type = SETTING_GROUP,
	.offset = MSRP(tls),
	.group = net_tls_settings_rows,
	.check = net_tls_settings_check,
	.help = "TLS of the msrps listeners and of outgoing msrps connections."},
    DURATION("transaction_timeout", transaction_timeout_ms, "30s",
	"A request without a response for this long is a 408 (RFC 4975 7.1.1)."),
    DURATION("connect_timeout", connect_timeout_ms, "10s", "Time for one TCP connect."),
    DURATION("tls_handshake_timeout", tls_handshake_timeout_ms, "5s", "Time for a TLS handshake."),
    DURATION("bind_timeout", bind_timeout_ms, "30s",
	"An accepted connection without a frame for a known session by then is closed."),
    DURATION("idle_timeout", idle_timeout_ms, "5m",
	"A connection that carries no session any more is closed after this long; 0 is never."),
    {.name = "max_connections",
	.type = SETTING_NUMBER,
	.offset = MSRP(max_connections),
	.preset = "65536",
	.min = 1,
	.max = 10000000,
	.help = "Connections at once; one more is accepted and closed."},
    SIZE("max_header_size", max_header_size, "16KiB", 512, 1 << 20,
	"Start line and headers of one frame."),
    SIZE("max_message_size", max_message_size, "8MiB", 1, UINT64_C(1) << 40,
	"The largest message taken, offered as `a=max-size`; more is answered 413."),
    {.name = "max_open_messages",
	.type = SETTING_NUMBER,
	.offset = MSRP(max_open_messages),
	.preset = "16",
	.min = 1,
	.max = 65536,
	.help = "Incomplete messages of a session; one more is answered 413."},
    DURATION("partial_timeout", partial_timeout_ms, "5m",
	"An incomplete message without a chunk for this long is dropped."),
    SIZE("max_memory", max_memory, "1GiB", 1 << 16, UINT64_C(1) << 44,
	"Bodies held by the process; beyond it new ones are answered 413. Incomplete messages take "
	"seven tenths of it at most, and so does what waits in the gateway, files half, what waits "
	"to be sent nine, so that the relay goes on."),
    SIZE("chunk_size", chunk_size, "32KiB", 2048, 1 << 24,
	"Bytes of body in a SEND that msrpd makes."),
    SIZE("send_queue", send_queue, "1MiB", 4096, 1 << 30,
	"Bytes waiting on one connection before reading from whoever fills it pauses."),
    DURATION("send_timeout", send_timeout_ms, "30s",
	"A connection that takes none of the bytes that wait for this long is closed."),
    DURATION("shared_stall", shared_stall_ms, "1s",
	"How long a source that feeds other destinations too is paused for one of them."),
    DURATION("keepalive", keepalive_ms, "0",
	"A bodiless SEND on a session this long silent; 0 is off."),
    {0},
};
