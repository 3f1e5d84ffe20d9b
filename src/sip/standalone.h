/*
 * Requests that stand alone, outside of dialogs and making none: REGISTER, MESSAGE, OPTIONS.  They
 * need no transaction of Sofia's, as the edge knows what comes again; so she reads them, and no more.
 */
#pragma once

#include "sip/priv.h"

enum { SIP_ALONE_TAG = 11 };

/** What is kept of one; zeroed: nothing. */
struct sip_alone {
	msg_t *msg;
	struct slice head;           /* as the edge gave it */
	char tag[SIP_ALONE_TAG + 1]; /* of our To */
};

/** @param head  so many bytes of it are its head  @return 0, -EBADMSG, -ENOMEM; fini it anyhow */
int sip_alone_read(struct sip_alone *alone, const struct sip_stack *stack, struct slice text,
    size_t head);
void sip_alone_fini(struct sip_alone *alone);

/**
 * What nua does before it shows one.
 *
 * @param lines  gets a header that the refusal has
 * @return the status that it is refused with; 0: it is good
 */
int sip_alone_judge(const struct sip_alone *alone, const struct sip_stack *stack,
    struct buffer *lines);

void sip_alone_answer(const struct sip_alone *alone, const struct sip_stack *stack, int code,
    const char *phrase, struct slice lines);

/** Nobody is to hear anything. */
void sip_alone_silence(const struct sip_alone *alone, const struct sip_stack *stack);
