/* src/edge/stun.c: answers to Binding Requests, with the addresses of RFC 5769 2.2 and 2.3. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "edge/stun.h"

#define HEAD "\x00\x01\x00\x00\x21\x12\xa4\x42"
#define ID   "\xb7\xe7\xa7\x01\xbc\x34\xd6\x86\xfa\x87\xdf\xae"
#define V4   "\x00\x20\x00\x08\x00\x01\xa1\x47\xe1\x12\xa6\x43"
#define V6 \
	"\x00\x20\x00\x14\x00\x02\xa1\x47\x01\x13\xa9\xfa\xa5\xd3\xf1\x79\xbc\x25\xf4\xb5\xbe\xd2\xb9\xd9"
#define TEXT(s) ((struct slice){(s), sizeof(s) - 1})

static size_t ask(unsigned char answer[STUN_ANSWER_SIZE], const char *from, struct slice request)
{
	/* What is read behind it ASan sees. */
	char *copy = test_malloc(request.len + 1);
	union addr addr;
	size_t len;

	assert_int_equal(addr_parse(&addr, slice_of(from)), 0);
	memcpy(copy, request.p, request.len);
	len = stun_answer(answer, &addr, (struct slice){copy, request.len});
	test_free(copy);
	return len;
}

static void addresses(void **state)
{
	unsigned char answer[STUN_ANSWER_SIZE];

	(void)state;
	assert_int_equal(ask(answer, "192.0.2.1:32853", TEXT(HEAD ID)), 32);
	assert_memory_equal(answer, "\x01\x01\x00\x0c\x21\x12\xa4\x42" ID V4, 32);
	assert_int_equal(ask(answer, "[2001:db8:1234:5678:11:2233:4455:6677]:32853", TEXT(HEAD ID)),
	    44);
	assert_memory_equal(answer, "\x01\x01\x00\x18\x21\x12\xa4\x42" ID V6, 44);
}

static void attributes(void **state)
{
	static const struct {
		struct slice request;
		size_t len;
	} cases[] = {
	    /* SOFTWARE, and FINGERPRINT, need not be known. */
	    {TEXT("\x00\x01\x00\x10\x21\x12\xa4\x42" ID "\x80\x22\x00\x03"
		  "abc\0"
		  "\x80\x28\x00\x04\x01\x02\x03\x04"),
		32},
	    {TEXT("\x00\x01\x00\x04\x21\x12\xa4\x42" ID "\x80\x22\x00\x00"), 32},
	    {TEXT("\x00\x01\x00\x04\x21\x12\xa4\x42" ID "\x80\x22\x00\x01"), 0}, /* cut */
	    {TEXT("\x00\x01\x00\x02\x21\x12\xa4\x42" ID "\x80\x22"), 0},
	    {TEXT("\x00\x01\x00\x08\x21\x12\xa4\x42" ID "\x00\x06\x00\x04"
		  "user"),
		0},                                           /* USERNAME */
	    {TEXT("\x00\x01\x00\x04\x21\x12\xa4\x42" ID), 0}, /* its length is another */
	    {TEXT("\x00\x01\x00\x00\x21\x12\xa4\x42" ID "x"), 0},
	    {TEXT("\x00\x01\x00\x00\x21\x12\xa4\x43" ID), 0}, /* RFC 3489 */
	    {TEXT("\x00\x11\x00\x00\x21\x12\xa4\x42" ID), 0}, /* an indication */
	    {TEXT("\x01\x01\x00\x00\x21\x12\xa4\x42" ID), 0}, /* a response: no loop */
	    {TEXT("\x00\x01\x00\x00\x21\x12\xa4\x42"), 0},
	    {TEXT("\0"), 0},
	};
	unsigned char answer[STUN_ANSWER_SIZE];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (ask(answer, "192.0.2.1:1", cases[i].request) != cases[i].len)
			fail_msg("case %zu", i);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(addresses),
	    cmocka_unit_test(attributes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
