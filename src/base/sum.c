#include <msrpd/sum.h>

#include <errno.h>
#include <openssl/evp.h>
#include <stdlib.h>

struct sum {
	EVP_MD_CTX *ctx;
	enum sum_kind kind;
};

int sum_new(struct sum **sump, enum sum_kind kind)
{
	struct sum *sum = malloc(sizeof(*sum));

	if (!sum)
		return -ENOMEM;
	*sum = (struct sum){.ctx = EVP_MD_CTX_new(), .kind = kind};
	if (!sum->ctx || sum_reset(sum) < 0) {
		sum_free(sum);
		return -ENOMEM;
	}
	*sump = sum;
	return 0;
}

void sum_free(struct sum *sum)
{
	if (!sum)
		return;
	EVP_MD_CTX_free(sum->ctx);
	free(sum);
}

int sum_reset(struct sum *sum)
{
	const EVP_MD *md = sum->kind == SUM_SHA1 ? EVP_sha1() : EVP_sha256();

	return EVP_DigestInit_ex(sum->ctx, md, NULL) == 1 ? 0 : -ENOMEM;
}

int sum_add(struct sum *sum, struct slice bytes)
{
	return EVP_DigestUpdate(sum->ctx, bytes.p, bytes.len) == 1 ? 0 : -ENOMEM;
}

int sum_finish(struct sum *sum, uint8_t *result)
{
	return EVP_DigestFinal_ex(sum->ctx, result, NULL) == 1 ? 0 : -ENOMEM;
}
