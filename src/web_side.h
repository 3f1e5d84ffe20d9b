/* web/ joined with what only the whole daemon knows, such as whose an address is. */
#pragma once

#include "config.h"
#include "web/web.h"

struct msrp_stack;
struct sip_stack;

/** A config_hook: webhooks name events that there are. */
int web_side_check(const struct config *cfg, struct config_load *load, void *arg);

struct web_side {
	struct web *web;
	struct config *const *config; /* the one in force */
	struct sip_stack *const *sip; /* NULL where it points to: there is none */
};

/**
 * Listen, if the config says so.  The fields but web are set by the owner.
 * @param env  but for what is filled in here
 * @return 0 or negative errno with the reason
 */
int web_side_start(struct web_side *side, struct web_env *env, struct reason *why);

/** Let MSRP and SIP have their WebSockets, if they are to.  @return 0 or negative errno */
int web_side_join_msrp(struct web_side *side, struct msrp_stack *msrp, struct reason *why);
int web_side_join_sip(struct web_side *side, struct reason *why);

/** Write the member `web` of an object of `status`: the URLs listened on. */
void web_side_put(const struct web_side *side, struct reply *reply);
