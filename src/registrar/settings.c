#include <errno.h>
#include <stddef.h>

#include "registrar/priv.h"

#define OF(member) offsetof(struct registrar_settings, member)
#define EXPIRES(text, member, value, bound, sentence)                                              \
	{                                                                                          \
		.name = (text), .type = SETTING_DURATION, .offset = OF(member), .preset = (value), \
		.min = SECOND_MS, .max = (bound), .check = check_seconds, .help = (sentence)       \
	}

/* RFC 3261 10.3: an interval of an hour is short enough for nobody to refuse it. */
enum { SECOND_MS = 1000, HOUR_MS = 3600 * SECOND_MS };

#define YEAR_MS (UINT64_C(365) * 24 * HOUR_MS)

/* Expires is whole seconds on the wire. */
static int check_seconds(const void *value, struct reason *why)
{
	if (*(const uint64_t *)value % SECOND_MS == 0)
		return 0;
	return reason_set(why, -EINVAL, "is not a whole number of seconds");
}

static int check_domain(const void *value, struct reason *why)
{
	const char *domain = *(char *const *)value;

	if (*domain && !domain[strcspn(domain, "@:;<> \t\"")])
		return 0;
	if (domain[0] == '[' && domain[strlen(domain) - 1] == ']')
		return 0;
	return reason_set(why, -EINVAL, "is not a domain: a name or an address alone");
}

const struct setting registrar_settings_rows[] = {
    {.name = "domains",
	.type = SETTING_TEXTS,
	.offset = OF(domains),
	.check = check_domain,
	.help = "Domains whose users may register. Default: the hosts of sip.listen and of "
		"sip.advertised_contact."},
    EXPIRES("min_expires", min_expires_ms, "60s", HOUR_MS,
	"A contact that wants to be kept for less is answered 423."),
    EXPIRES("default_expires", default_expires_ms, "1h", YEAR_MS,
	"How long a contact that says nothing is kept."),
    EXPIRES("max_expires", max_expires_ms, "2h", YEAR_MS, "One that wants more gets this."),
    {.name = "max_contacts",
	.type = SETTING_NUMBER,
	.offset = OF(max_contacts),
	.preset = "8",
	.min = 1,
	.max = CONTACTS_MAX,
	.help = "Contacts of one address-of-record; one more is answered 403."},
    {.name = NULL},
};

int registrar_settings_check(const void *settings, struct reason *why)
{
	const struct registrar_settings *s = settings;

	if (s->min_expires_ms <= s->default_expires_ms
	    && s->default_expires_ms <= s->max_expires_ms)
		return 0;
	return reason_set(why, -EINVAL,
	    "wants min_expires, default_expires and max_expires in this order");
}
