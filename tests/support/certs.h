/* Certificates made on the spot, as PEM files in a directory of their own. */
#pragma once

struct certs {
	char dir[64];
	char ca[96];                              /* the authority to trust */
	char cert[96], key[96];                   /* of localhost, 127.0.0.1, im.example.org */
	char stranger_cert[96], stranger_key[96]; /* the same names, of another authority */
};

/* Extensions, as openssl.cnf has them. */
struct cert_terms {
	const char *names;         /* subjectAltName */
	const char *usages, *keys; /* extendedKeyUsage and keyUsage; NULL: not limited */
};

void certs_make(struct certs *certs);
/** The same but for the names, and what the certificates are for. */
void certs_make_with(struct certs *certs, const struct cert_terms *terms);
void certs_remove(struct certs *certs);
