/* The notifier, for who owns it; its use is in msrpd/subscription.h. */
#pragma once

#include <msrpd/subscription.h>

struct sip_stack;

/** @param stack  must outlive the notifier, and has no other.  @return 0 or -ENOMEM */
int notifier_new(struct notifier **notifierp, struct sip_stack *stack);

/** What is left is forgotten, no callback called and no NOTIFY sent.  Accepts NULL. */
void notifier_free(struct notifier *notifier);

/* --- for the stack --- */

/** A SUBSCRIBE outside any dialog; arg is the notifier. */
void notifier_request(struct sip_request *req, void *arg);

/** Every subscription ends by a last NOTIFY; the stack's stop waits for them. */
void notifier_stop(struct notifier *notifier);
