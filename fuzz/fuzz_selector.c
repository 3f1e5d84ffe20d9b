/* What SDP says of a file: what is read of a selector can be written, and is read again as the same. */
#include <stdint.h>
#include <stdlib.h>

#include "files/selector.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
	if (!ok)
		abort();
}

static bool is_within(struct slice part, struct slice whole)
{
	return !part.p || (part.p >= whole.p && part.p + part.len <= whole.p + whole.len);
}

static void check_written(const struct selector *said)
{
	static const uint8_t none[SUM_SHA1_SIZE];
	char name[SELECTOR_SIZE_MAX], again_name[SELECTOR_SIZE_MAX], text[8 * SELECTOR_SIZE_MAX];
	struct buffer w = BUFFER_ON(text);
	struct selector_out out = {
	    .name = {name, selector_unescape(name, said->name)},
	    .type = SLICE("text/plain;charset=utf-8"),
	    .size = said->size,
	    .sha1 = said->has_sha1 ? said->sha1 : none,
	};
	struct selector again;
	struct slice value;

	selector_write(&w, &out);
	must(!w.err && slice_is_one_line(slice_head(buffer_text(&w), w.len - 2)));
	value = slice_from(buffer_text(&w), sizeof("a=file-selector:") - 1);
	value.len -= 2;
	if (value.len > SELECTOR_SIZE_MAX)
		return;
	must(selector_parse(&again, value) == 0);
	must(slice_equal(out.name,
	    (struct slice){again_name, selector_unescape(again_name, again.name)}));
	must(again.size == out.size && again.has_sha1);
	must(memcmp(again.sha1, out.sha1, SUM_SHA1_SIZE) == 0);
}

static void check_range(struct slice text)
{
	struct file_range range;

	if (file_range_parse(&range, text) == 0)
		must(range.start > 0 && range.start <= range.stop);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice text = {(const char *)data, size};
	struct selector selector;

	check_range(text);
	if (selector_parse(&selector, text) < 0)
		return 0;
	must(is_within(selector.name, text) && is_within(selector.type, text));
	/* What is offered has a name and a size. */
	if (selector.name.p && selector.size != UINT64_MAX)
		check_written(&selector);
	return 0;
}
