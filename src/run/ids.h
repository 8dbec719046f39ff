/* dhatu: ids made unique. The first document with an id keeps it; later ones, and ids that end in
 * #dup and digits by themselves, get #dupROW behind. So every id of that form names its row and all others
 * are first ones: no two are alike. */
#ifndef DH_RUN_IDS_H
#define DH_RUN_IDS_H

#include "comm/comm.h"
#include "run/rows.h"
#include "run/share.h"

typedef struct dh_ids {
    dh_share share;    /* of row blocks */
    uint8_t *suffixed; /* a bit for each row of this rank's blocks */
    uint64_t width;    /* bytes of the longest id of all ranks */
    uint64_t changed;  /* ids that got a suffix, of all ranks */
} dh_ids;

/* COLLECTIVE. Finds the ids that occur twice by exchanging 128-bit hashes of ids, in slices that fit
 * into bounded memory; a collision of hashes gives a needless suffix, nothing worse. suffixed takes a bit a
 * row of this rank. Owner frees with dh_ids_free. */
dh_status dh_ids_resolve(dh_comm *comm, dh_row_reader *reader, uint64_t rows, dh_share_kind kind,
                         dh_ids *out);
void dh_ids_free(dh_ids *ids);

/* Writes the final ids of a block as a fixed-length column: width bytes each, NUL-padded. */
void dh_ids_fill(const dh_ids *ids, const dh_row_block *block, char *out);

#endif
