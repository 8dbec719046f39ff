/* dhatu: how blocks of a table are spread over ranks. */
#ifndef DH_RUN_SHARE_H
#define DH_RUN_SHARE_H

#include <stdint.h>

typedef enum dh_share_kind {
    DH_SHARE_RANGES, /* each rank has consecutive blocks: fewest seeks */
    DH_SHARE_CYCLIC  /* block b is of rank b modulo ranks: in rounds, blocks come in their order */
} dh_share_kind;

typedef struct dh_share {
    dh_share_kind kind;
    uint64_t blocks;
    uint32_t rank, ranks;
} dh_share;

static inline uint64_t dh_share_first(const dh_share *share, uint32_t rank)
{
    return (uint64_t)((unsigned __int128)share->blocks * rank / share->ranks);
}

/* How many blocks this rank has. */
static inline uint64_t dh_share_count(const dh_share *share)
{
    if (share->kind == DH_SHARE_RANGES) {
        return dh_share_first(share, share->rank + 1) - dh_share_first(share, share->rank);
    }
    return share->blocks / share->ranks + (share->rank < share->blocks % share->ranks ? 1 : 0);
}

/* This rank's block number k. */
static inline uint64_t dh_share_block(const dh_share *share, uint64_t k)
{
    return share->kind == DH_SHARE_RANGES ? dh_share_first(share, share->rank) + k
                                          : k * share->ranks + share->rank;
}

/* The rank that has a block. */
static inline uint32_t dh_share_owner(const dh_share *share, uint64_t block)
{
    if (share->kind == DH_SHARE_CYCLIC) {
        return (uint32_t)(block % share->ranks);
    }
    uint32_t rank = (uint32_t)((unsigned __int128)block * share->ranks / share->blocks);
    while (dh_share_first(share, rank + 1) <= block) {
        rank++;
    }
    return rank;
}

/* k of a block that this rank has. */
static inline uint64_t dh_share_local(const dh_share *share, uint64_t block)
{
    return share->kind == DH_SHARE_RANGES ? block - dh_share_first(share, share->rank) : block / share->ranks;
}

#endif
