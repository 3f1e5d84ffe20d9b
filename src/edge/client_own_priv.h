/*
 * What the files of a client transaction share: client.c has its life, client_flow.c and client_udp.c
 * the two ways it goes, client_response.c what comes back, and client_given_up.c what the edge says
 * when nothing does.
 */
#pragma once

#include "edge/client_priv.h"

enum { CLIENT_KEY_SIZE = 320 };

/* --- client.c --- */

/** Of a request, with the timer of one that is not answered.  @return NULL: no memory, or no branch */
struct edge_client *client_new(struct edge *edge, const struct edge_head *request,
    unsigned attempt);

/** @param queue  NULL: it is not bounded any more */
void client_set_life(struct edge_client *client, struct timer_queue *queue);

/** Another text, copied: absent for none, and without memory. */
void client_set_text(struct slice *to, struct slice text);

/** @return 0 or -ENOBUFS */
int client_take_memory(struct edge_client *client, const struct edge_head *request);

/** It goes over its flow no more, and waits for no name. */
void client_leave_lists(struct edge_client *client);

/** Nobody finds it any more. */
void client_leave(struct edge_client *client);

/** A response to it may come again, and the ACK of an INVITE has to find its way. */
void client_complete(struct edge_client *client, struct timer_queue *life);

/** The one of that attempt, after edge_client_retire(); NULL. */
struct edge_client *client_find_retired(const struct edge_client *current, unsigned attempt);

/** The re-INVITE that waits in the dialog that a peer's BYE ends; NULL. */
struct edge_client *client_find_reinvite(struct edge *edge, const struct edge_head *bye);

/** What we say instead of the peer. */
struct edge_reply client_reply(const struct edge_client *client, const struct edge_head *request,
    unsigned code, const char *why);

/** It has failed: is that one to be counted? */
void client_count_failure(const struct edge_client *client);

/* --- client_flow.c --- */

/** Tell who has sent it. */
void client_tell_flow_failure(const struct edge_client *client, unsigned code, const char *why);

/* --- client_udp.c --- */

/** The same. */
void client_tell_datagram_failure(struct edge_client *client, unsigned code, const char *why);

/** By UDP after all: to the host and port that are noted, with its text.  It may be gone then. */
void client_send_by_udp(struct edge_client *client);

/** Once more.  @return 0 or negative errno */
int client_transmit(struct edge_client *client);

/* --- client_given_up.c --- */

/**
 * An UPDATE or a PRACK that nobody answers, or so that the dialog is over: the stack must not hear of
 * that, but of a 504.  It would send no BYE (RFC 4028 10), nor give back the memory of an INVITE that
 * still waits.  It is gone then.
 */
void client_give_up_watched(struct edge_client *client);

/** The same of a re-INVITE that this response ends, which gets its ACK.  It may be gone then. */
void client_give_up_reinvite(struct edge_client *client, const struct edge_head *response);

/**
 * An INVITE of which the stack hears those alone whose tag the first reliable provisional response
 * has: a final response of another branch of a fork.  The stack is told of a failure.
 *
 * @return is the response for the stack as well, to be acknowledged and hung up?
 */
bool client_end_fork(struct edge_client *client, const struct edge_head *response);

/** Its time is over. */
void client_expire(struct edge_client *client);
