/* The sender of MESSAGEs, for who owns it; its use is in msrpd/page.h. */
#pragma once

#include <msrpd/page.h>

struct sip_stack;

/** @param stack  must outlive the page.  @return 0 or -ENOMEM */
int page_new(struct page **pagep, struct sip_stack *stack);

/** MESSAGEs under way are forgotten, their callbacks not called.  Accepts NULL. */
void page_free(struct page *page);
