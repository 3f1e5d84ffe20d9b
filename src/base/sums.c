#include <msrpd/sums.h>

#include <errno.h>
#include <openssl/evp.h>
#include <stdlib.h>

struct sums {
	EVP_MD_CTX *sha1, *sha256;
};

int sums_new(struct sums **sumsp)
{
	struct sums *sums = calloc(1, sizeof(*sums));

	if (!sums)
		return -ENOMEM;
	sums->sha1 = EVP_MD_CTX_new();
	sums->sha256 = EVP_MD_CTX_new();
	if (!sums->sha1 || !sums->sha256 || sums_reset(sums) < 0) {
		sums_free(sums);
		return -ENOMEM;
	}
	*sumsp = sums;
	return 0;
}

void sums_free(struct sums *sums)
{
	if (!sums)
		return;
	EVP_MD_CTX_free(sums->sha1);
	EVP_MD_CTX_free(sums->sha256);
	free(sums);
}

int sums_reset(struct sums *sums)
{
	return EVP_DigestInit_ex(sums->sha1, EVP_sha1(), NULL) == 1
		&& EVP_DigestInit_ex(sums->sha256, EVP_sha256(), NULL) == 1
	    ? 0
	    : -ENOMEM;
}

int sums_add(struct sums *sums, struct slice bytes)
{
	return EVP_DigestUpdate(sums->sha1, bytes.p, bytes.len) == 1
		&& EVP_DigestUpdate(sums->sha256, bytes.p, bytes.len) == 1
	    ? 0
	    : -ENOMEM;
}

int sums_finish(struct sums *sums, struct sums_result *result)
{
	return EVP_DigestFinal_ex(sums->sha1, result->sha1, NULL) == 1
		&& EVP_DigestFinal_ex(sums->sha256, result->sha256, NULL) == 1
	    ? 0
	    : -ENOMEM;
}
