/* The batches that every backend is given, and what must come out. */
#ifndef DH_TESTS_CASES_H
#define DH_TESTS_CASES_H

#include "reference.h"

enum {
    CASE_SHA256 = 1,
    CASE_DIGEST = 2,
    CASE_PROFILE = 4,
    CASE_NGRAMS = 8,
    CASE_MINHASH = 16,
    CASE_SPELLING = 32,
    CASE_ALL = 63
};

typedef struct diff_case {
    char name[80];
    sample_batch *batch;
    dh_batch view; /* all of the batch, or its middle */
    uint32_t set;
    uint32_t kernels; /* CASE_, or'ed */
    reference_request request;
    bool is_large;
    reference_rows expected; /* NULL: not an output of this case */
} diff_case;

enum { SETS_MAX = 100 };

typedef struct case_list {
    sample_set *set[SETS_MAX];
    uint32_t set_count;
    uint32_t flip[DH_PERMUTATIONS_MAX], factor[DH_PERMUTATIONS_MAX];
    diff_case *item; /* those of a set stand together */
    uint32_t count, capacity;
} case_list;

enum { SIZE_SMALL = 0, SIZE_SHORT, SIZE_QUICK, SIZE_FULL };

case_list *case_list_create(int size);
void case_list_free(case_list *list);

#endif
