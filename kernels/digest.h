/* dhatu: the hashed profile of a document (job digest): nine SHA-256 and what is made of them.
 * Definitions: docs/jobs.md, "digest". */
#ifndef DH_KERNELS_DIGEST_H
#define DH_KERNELS_DIGEST_H

#include <stdint.h>

enum { DH_DHATUS = 9, DH_DIGEST_PRIMES = 10 };

/* Where the results go, n the documents of the batch. No array may be NULL. */
typedef struct dh_digest_out {
    uint16_t *raw;    /* n x 9: the raw weights, each at most 5 * 255 */
    double *prime;    /* n x 10 */
    double *entropy;  /* n */
    double *variance; /* n */
    double *score;    /* n: 0.7 entropy + 0.3 variance */
} dh_digest_out;

#endif
