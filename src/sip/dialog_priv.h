/* Dialogs as the stack handles them. */
#pragma once

struct sip_stack;

/** @return 0 or -ENOMEM */
int sip_dialogs_init(struct sip_stack *stack);

/** Drop those that end behind the scenes. */
void sip_dialogs_fini(struct sip_stack *stack);
