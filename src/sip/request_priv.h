/* Requests as the rest of the folder handles them. */
#pragma once

#include "sip/priv.h"
#include "sip/request.h"

/** Whom a request is handed to. */
struct sip_taker {
	void (*take)(struct sip_request *req, void *arg);
	void *arg;
	bool in_dialog; /* the handle is a dialog's already */
};

/** A request came in: hand it on, unless it is answered here. */
void sip_request_arrived(struct sip_stack *stack, const struct sip_event *ev,
    const struct sip_taker *taker);

/** What the stack itself has to say to an OPTIONS.  @param stack  a struct sip_stack */
void sip_options_answer(struct sip_request *req, void *stack);

struct sip_request_parts {
	struct sip_agent *agent;
	nua_handle_t *nh; /* NULL: it stands alone */
	const sip_t *sip; /* as long as the request */
};

void sip_request_look(const struct sip_request *req, struct sip_request_parts *parts);

/**
 * What a dialog is made of.
 *
 * @return 0, -EEXIST: answered, -EPIPE: cancelled, or gone, -EINVAL: not an INVITE
 */
int sip_request_invite(struct sip_request *req, struct sip_request_parts *parts);

/** The handle is the caller's now, who still answers by sip_request_reply(). */
nua_handle_t *sip_request_take_handle(struct sip_request *req);

/** The handle is the dialog's now, who answers; the request counts as answered. */
void sip_request_given(struct sip_request *req);

/** Who may call. */
struct auth *sip_request_auth(const struct sip_request *req);

/** Its credentials are good.  @return 0 or -ENOMEM */
int sip_request_authorized(struct sip_request *req, struct slice user, struct slice realm);

/** It is answered: if that is a refusal, say so once. */
void sip_request_note_refusal(const struct sip_request *req, int code, const char *phrase,
    const char *rule);

/** They are wrong. */
void sip_request_note_failure(struct sip_request *req);

/** Has its sender shown so many wrong ones that these are not to be looked at? */
bool sip_request_is_barred(const struct sip_request *req);

/** Another node answers it: the stack forgets it. */
void sip_request_gone_on(struct sip_request *req);

/** For NUTAG_WITH. */
msg_t *sip_request_msg(const struct sip_request *req);

struct buffer;

/** One Path: what sip_request_path() does to each. */
int sip_path_write(struct buffer *w, const char *text, bool *keeps_flows);

/** @return 0 or -ENOMEM */
int sip_requests_init(struct sip_stack *stack);

/** Let go of those that were dropped.  Before nua_shutdown(), which would answer them. */
void sip_requests_forget(struct sip_stack *stack);
void sip_requests_fini(struct sip_stack *stack);
