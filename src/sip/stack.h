/*
 * The SIP side of the daemon: listeners, what comes in on them, and the state
 * that dialogs and pages share (credentials, contact, outbound proxy).
 * RFC 3261; Sofia-SIP does the transactions, and stays inside this folder.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <msrpd/request.h>
#include <msrpd/setting.h>

#include "edge/edge.h"

struct auth;
struct event_base;
struct net_guard;
struct sip_stack;
struct stats;

/** The section sip: of the config. */
struct sip_settings {
	struct setting_list listen; /* char *: "sip:ADDR:PORT;transport=udp" */
	char *advertised_contact;   /* NULL: the socket's address */
	char *outbound_proxy;       /* NULL: none */
	struct setting_list pass_headers, accept_required; /* char * */
	uint64_t transaction_timeout; /* ms; 64 times T1, so timers B, F, H, J */
	uint64_t max_subscriptions;
	struct edge_settings edge;
};

extern const struct setting sip_settings_rows[];

/** The check of the section: listeners of TLS have a certificate. */
int sip_settings_check(const void *settings, struct reason *why);

/** How many of the listeners are of UDP. */
size_t sip_settings_count_udp(const struct sip_settings *settings);

/** How we answer challenges (RFC 3261 22); one of password and ha1 is set. */
struct sip_credential {
	char *realm, *username, *password, *ha1;
};

extern const struct setting sip_credential_rows[];

struct sip_stack_handler {
	/**
	 * An INVITE, MESSAGE or REGISTER outside any dialog.  Answer it with
	 * sip_request_reply(), or an INVITE with sip_dialog_accept(); whoever does so
	 * later takes a reference.
	 */
	void (*request)(struct sip_request *req, void *arg);

	/**
	 * What the Contact has of its own in the answer to an OPTIONS, as sip_dialog_set_contact()
	 * has it; NULL: nothing ever.
	 *
	 * @return bytes written to text; 0: nothing
	 */
	size_t (*contact)(const struct sip_request *options, char *text, size_t size, void *arg);
};

/** What a stack is made of; all is borrowed for the lifetime of the stack. */
struct sip_stack_options {
	struct net *net;
	struct stats *stats;
	const struct sip_settings *settings;      /* or until the next reload */
	const struct sip_credential *credentials; /* or until the next reload */
	size_t credential_count;
	struct auth *auth;       /* who may call */
	struct net_guard *guard; /* whose credentials are looked at; NULL: everybody's */
	bool registers;          /* REGISTER is for the handler, not to be answered 405 */
	const struct sip_stack_handler *handler;
	void *arg; /* the handler's */
};

/**
 * Open every listener.
 *
 * @param why  filled on failure
 * @return 0; -EINVAL: settings that cannot work; -EADDRINUSE, -EADDRNOTAVAIL, -EACCES: a socket
 *         that cannot be opened; -ENOMEM.  Nothing is left half-started.
 */
int sip_stack_new(struct sip_stack **stackp, const struct sip_stack_options *options,
    struct reason *why);

/**
 * Take the new settings (listeners excepted) and credentials; connections live on.
 *
 * @return 0; -EINVAL with why: TLS files that cannot be used, and nothing has changed; -ENOMEM
 */
int sip_stack_reload(struct sip_stack *stack, const struct sip_settings *settings,
    const struct sip_credential *credentials, size_t credential_count, struct reason *why);

/** Call fn with the URI of each listener as it is open, the real port put in. */
void sip_stack_each_listener(const struct sip_stack *stack, void (*fn)(const char *uri, void *arg),
    void *arg);

/**
 * End gracefully: new requests are answered 503, dialogs that are left end without a further
 * callback (their owners still free them).  done is called once, not from inside this call,
 * when everything under way has been answered; bound the wait with a timer.
 */
void sip_stack_stop(struct sip_stack *stack, void (*done)(void *arg), void *arg);

/** All dialogs, requests and pages must be gone.  At any time, stopped or not.  Accepts NULL. */
void sip_stack_free(struct sip_stack *stack);

/** Is this, as it stands in a URI, the host of a listener, or of the advertised contact? */
bool sip_stack_is_host(const struct sip_stack *stack, struct slice host);

struct net_listener;
union addr;

/**
 * Take SIP over WebSockets that another listener hands over (RFC 7118), as one more listener.
 *
 * @param addr       where they come in
 * @param secure     behind TLS
 * @param listenerp  whom they are handed to, valid as long as the stack
 * @return 0 or negative errno
 */
int sip_stack_take_websockets(struct sip_stack *stack, const union addr *addr, bool secure,
    const struct net_listener **listenerp);
