/*
 * Headers with addresses, Refer-To among them, as our parsers in front of Sofia-SIP's leave them:
 * the user is what was written, and what is made of them is one line, and a URI that is itself.
 */
#include <stdint.h>
#include <stdlib.h>

#include <sofia-sip/msg_addr.h>
#include <sofia-sip/msg_buffer.h>

#include <msrpd/buffer.h>
#include <msrpd/sip_uri.h>

#include "sip/priv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const names[] = {"Refer-To", "Referred-By", "From", "To", "Contact",
    "Record-Route"};

static void must(bool ok)
{
	if (!ok)
		abort();
}

/* A request with that header. */
static msg_t *parse(msg_mclass_t *mclass, const char *name, struct slice value)
{
	msg_t *msg = msg_create(mclass, 0);
	char text[8192];
	struct buffer w = BUFFER_ON(text);
	char *room;

	buffer_printf(&w, "REFER sip:h SIP/2.0\r\n%s: %.*s\r\n", name, SLICE_ARG(value));
	if (strcmp(name, "From") != 0)
		buffer_add(&w, SLICE("From: <sip:a@h>;tag=1\r\n"));
	if (strcmp(name, "To") != 0)
		buffer_add(&w, SLICE("To: <sip:b@h>\r\n"));
	buffer_add(&w,
	    SLICE("Via: SIP/2.0/TCP h;branch=z9hG4bKx\r\nCall-ID: c\r\n"
		  "CSeq: 1 REFER\r\nContent-Length: 0\r\n\r\n"));
	must(!w.err);
	room = msg_buf_alloc(msg, (usize_t)w.len + 1);
	must(room != NULL);
	memcpy(room, text, w.len);
	msg_buf_commit(msg, (usize_t)w.len, 1);
	must(msg_extract(msg) != 0);
	return msg;
}

static const sip_addr_t *find(const sip_t *sip, const char *name)
{
	return *name == 'F'                    ? sip->sip_from
	    : *name == 'T'                     ? sip->sip_to
	    : *name == 'C'                     ? (const sip_addr_t *)sip->sip_contact
	    : strcmp(name, "Refer-To") == 0    ? (const sip_addr_t *)sip->sip_refer_to
	    : strcmp(name, "Referred-By") == 0 ? (const sip_addr_t *)sip->sip_referred_by
					       : (const sip_addr_t *)sip->sip_record_route;
}

/* As what has no escape that it does not need: RFC 3261 19.1.4. */
static void check_user(const char *user, struct slice value)
{
	struct slice uri = sip_address_uri(value), written = sip_uri_user(uri);
	char *normal = slice_dup(written.p ? written : SLICE(""));

	must(normal != NULL);
	normal[sip_escapes_normalize(normal, written.len)] = '\0';
	must(strcmp(user, normal) == 0);
	free(normal);
}

static void check_url(const url_t *url)
{
	char *clean = sip_url_clean(url), *again;

	if (!clean)
		return;
	must(slice_is_one_line(slice_of(clean)) && !strpbrk(clean, "<>\" "));
	again = sip_uri_clean(slice_of(clean));
	must(again && strcmp(again, clean) == 0);
	free(again);
	free(clean);
}

static void check(su_home_t *home, const sip_addr_t *a, struct slice value)
{
	must(slice_is_one_line(sip_header_value(home, a, 0)));
	check_url(a->a_url);
	if (a->a_url->url_user && sip_url_usable(a->a_url)
	    && slice_starts_nocase(value, SLICE("<sip:")) && memchr(value.p, '%', value.len))
		check_user(a->a_url->url_user, value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct sip_stack stack;
	struct slice value;
	const char *name;
	const sip_addr_t *a;
	msg_t *msg;

	if (!stack.parse.mclass)
		must(sip_parse_init(&stack) == 0);
	if (size < 2 || size > 4096)
		return 0;
	value = (struct slice){(const char *)data + 1, size - 1};
	if (!slice_is_one_line(value))
		return 0;
	name = names[data[0] % (sizeof(names) / sizeof(names[0]))];
	msg = parse(stack.parse.mclass, name, value);
	a = find(sip_object(msg), name);
	if (a)
		check(msg_home(msg), a, value);
	msg_destroy(msg);
	return 0;
}
