/* URIs and paths: what is parsed can be written and parsed again, and is the same. */
#include <stdint.h>
#include <stdlib.h>

#include "wire/path.h"
#include "wire/uri.h"
#include "base/buffer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { TEXT_MAX = 1 << 16 };

static char text[TEXT_MAX], again[TEXT_MAX];

static void must(bool ok)
{
	if (!ok)
		abort();
}

static void check_uri(struct slice input)
{
	struct buffer w = BUFFER_ON(text), v = BUFFER_ON(again);
	struct msrp_uri uri, copy;
	ssize_t n = msrp_uri_parse(&uri, input);

	if (n < 0)
		return;
	must(n > 0 && (size_t)n <= input.len);
	must(msrp_uri_equal(&uri, &uri) && msrp_uri_same_server(&uri, &uri));
	msrp_uri_write(&w, &uri);
	must(w.len <= (size_t)n); /* leading zeros of a port go */
	must(msrp_uri_parse(&copy, buffer_text(&w)) == (ssize_t)w.len);
	must(msrp_uri_equal(&uri, &copy));
	must(slice_equal(uri.userinfo, copy.userinfo) && slice_equal(uri.params, copy.params));
	must(msrp_uri_is_address(&uri) == msrp_uri_is_address(&copy));
	msrp_uri_write(&v, &copy);
	must(slice_equal(buffer_text(&w), buffer_text(&v)));
}

static void check_path(struct slice path)
{
	struct buffer w = BUFFER_ON(text), v = BUFFER_ON(again);
	ssize_t count = msrp_path_count(path);

	if (count < 0)
		return;
	msrp_path_write_reversed(&w, path);
	must(msrp_path_count(buffer_text(&w)) == count);
	must(slice_equal(msrp_path_first(path), msrp_path_last(buffer_text(&w))));
	msrp_path_write_reversed(&v, buffer_text(&w));
	must(slice_equal(buffer_text(&v), path));
	w.len = 0;
	msrp_path_write_joined(&w, msrp_path_first(path), msrp_path_rest(path));
	must(slice_equal(buffer_text(&w), path));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice input = {(const char *)data, size};

	if (size < TEXT_MAX) {
		check_uri(input);
		check_path(input);
	}
	return 0;
}
