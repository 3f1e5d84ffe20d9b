/* A Path of a REGISTER: what is taken of it is one line, and as a Path it is itself. */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

#include <msrpd/buffer.h>

#include "sip/request_priv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
	if (!ok)
		abort();
}

/* @return is it one? */
static bool read_path(struct buffer *w, struct slice value, bool *keeps_flows)
{
	char *text = slice_dup(value);
	int err = text ? sip_path_write(w, text, keeps_flows) : -ENOMEM;

	must(err == 0 || err == -EBADMSG);
	free(text);
	return err == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buffer first = {.max = BUFFER_UNBOUNDED}, second = {.max = BUFFER_UNBOUNDED};
	struct slice value = {(const char *)data, size};
	bool keeps = false, keeps_again = false;

	/* The value of a header. */
	if (size == 0 || size > 4096 || !slice_is_one_line(value))
		return 0;
	if (read_path(&first, value, &keeps)) {
		must(slice_is_one_line(buffer_text(&first)));
		must(read_path(&second, buffer_text(&first), &keeps_again));
		must(slice_equal(buffer_text(&first), buffer_text(&second)));
		must(keeps == keeps_again);
	}
	buffer_fini(&first);
	buffer_fini(&second);
	return 0;
}
