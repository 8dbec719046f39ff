/* dhatu: the kernels of devices, one text for CUDA C and OpenCL C (and C, for what host and device share).
 *
 * A kernel gets the lane's block, the tables' block, and by value where in them things stand. Offsets are
 * bytes; everything begins at a multiple of DH_DEVICE_ALIGNMENT and is followed by at least as many bytes as
 * reach the next one. Work items behind the last one do nothing. */
#ifndef DH_KERNELS_DEVICE_CORE_H
#define DH_KERNELS_DEVICE_CORE_H

#include "kernels/core.h"
#include "kernels/digest_core.h"
#include "kernels/minhash_core.h"
#include "kernels/ngrams_core.h"
#include "kernels/profile_core.h"
#include "kernels/sha256_core.h"

enum {
    DH_DEVICE_ALIGNMENT = 64,
    DH_DEVICE_GROUP = 128, /* work items of a group (block), where the device allows it */
    DH_DEVICE_TOKENS = 8,  /* tokens that an item of the kernels of candidates and of shingles looks at */
    DH_DEVICE_NAME_LENGTHS = 3, /* of the digest's names */
    DH_DEVICE_NAMES_MAX = 4,    /* of one length */
    DH_DEVICE_OUTPUTS = 10,
    DH_DEVICE_PERMUTATIONS = 8,    /* of an item of the kernel of minima */
    DH_DEVICE_STRETCH = 512,       /* tokens that it goes through, of however many documents */
    DH_DEVICE_LONG_TEXT = 1 << 14, /* bytes */
    /* Fewer do not keep a large device busy: a warp for each of its schedulers. */
    DH_DEVICE_ITEMS_FEW = 1 << 14
};

/* The lexicons in the tables' block, all offsets; see dh_profile_tables. */
typedef struct dh_device_tables {
    dh_u64 slot, term, category, first_filter, negator_filter, next_filter;
    dh_u32 lexicon_count, category_count, denominator, slot_mask, term_count, reserved;
} dh_device_tables;

/* The kernels of a driver's launch: dh_kernel_sha256 and so on. A job may need several, one behind the
 * other. */
typedef enum dh_device_kernel {
    DH_KERNEL_SHA256 = 0,
    DH_KERNEL_DIGEST_HASH,
    DH_KERNEL_DIGEST_FINISH,
    DH_KERNEL_PROFILE_CANDIDATES,
    DH_KERNEL_PROFILE_COUNT,
    DH_KERNEL_NGRAMS,
    DH_KERNEL_MINHASH_CLEAR,
    DH_KERNEL_MINHASH_SHINGLES,
    DH_KERNEL_MINHASH_MINIMA,
    DH_KERNEL_MINHASH_FINISH,
    DH_KERNEL_SHA256_SPELLING,
    DH_KERNEL_COUNT
} dh_device_kernel;

/* Numbers of the outputs in dh_device_arguments. */
enum { DH_OUTPUT_HEX = 0 };
enum {
    DH_OUTPUT_RAW = 0,
    DH_OUTPUT_DIGEST_PRIME,
    DH_OUTPUT_ENTROPY,
    DH_OUTPUT_DIGEST_VARIANCE,
    DH_OUTPUT_SCORE
};
enum {
    DH_OUTPUT_COUNTS = 0,
    DH_OUTPUT_PROFILE,
    DH_OUTPUT_PRIME,
    DH_OUTPUT_MATCHED,
    DH_OUTPUT_COVERAGE,
    DH_OUTPUT_AMBIGUITY,
    DH_OUTPUT_VARIANCE,
    DH_OUTPUT_CODE2,
    DH_OUTPUT_CODE3,
    DH_OUTPUT_CODE5
};
enum { DH_OUTPUT_NGRAM = 0 };
enum { DH_OUTPUT_SIGNATURE = 0, DH_OUTPUT_SHINGLES };
enum { DH_OUTPUT_SPELLING_DIGEST = 0 };

/* A batch and the outputs of a job in the lane's block. An output that is not wanted has the offset 0, where
 * nothing stands. */
typedef struct dh_device_arguments {
    dh_u64 text_offset, text, token_offset, token, hit_offset, hit, lexicon;
    dh_u64 order;      /* document_count 32-bit numbers: the document of each item, long ones first */
    dh_u64 candidates; /* a bit a token: a term may begin here */
    dh_u64 share;      /* document_count x category_count doubles */
    dh_u64 spelling_offset, spelling, token_end;
    dh_u64 flip, factor; /* of the permutations; what stands behind the last is read, too */
    dh_u64 shingle;      /* a 32-bit number a token: x of the shingle that begins with it, if one does */
    dh_u64 found;        /* document_count x (counted + 1): see dh_device_find */
    dh_u64 output[DH_DEVICE_OUTPUTS];
    /* The batch's first offsets: text, token, hit and spelling begin there. */
    dh_u64 text_base, token_base, hit_base, spelling_base;
    dh_u64 token_count;   /* of the batch */
    dh_u64 long_text;     /* bytes from which on the digest's names do not share their work */
    dh_u64 shingle_power; /* dh_shingle_power(shingle_tokens) */
    dh_u32 document_count;
    dh_u32 ngram_least, ngram_most;
    dh_u32 shingle_tokens, permutations, counted;
    dh_device_tables tables;
} dh_device_arguments;

#if defined(__CUDACC__) || defined(__OPENCL_C_VERSION__)

#if defined(__CUDACC__)
#define DH_KERNEL(name)                                                                                      \
    extern "C" __global__ void __launch_bounds__(DH_DEVICE_GROUP)                                            \
        name(dh_u8 *lane, const dh_u8 *tables, const dh_device_arguments a)
#define DH_ITEM ((dh_u64)blockIdx.x * blockDim.x + threadIdx.x)
/* Both give what stood at p before: of a store where that was `expected`, of a store of the smaller one. */
#define DH_ATOMIC_SWAP(p, expected, value) atomicCAS((dh_u32 *)(p), expected, value)
#define DH_ATOMIC_LEAST(p, value) atomicMin(p, value)
#else
#define DH_KERNEL(name)                                                                                      \
    __kernel void name(__global dh_u8 *lane, __global const dh_u8 *tables, const dh_device_arguments a)
#define DH_ITEM ((dh_u64)get_global_id(0))
#define DH_ATOMIC_SWAP(p, expected, value) atomic_cmpxchg(p, expected, value)
#define DH_ATOMIC_LEAST(p, value) atomic_min(p, value)
#endif

/* Items that run together take as long as the longest of their documents, so they get documents of about the
 * same size. */
DH_FN dh_u64 dh_device_document(DH_GLOBAL const dh_u8 *lane, const dh_device_arguments *a, dh_u64 item)
{
    return ((DH_GLOBAL const dh_u32 *)(lane + a->order))[item];
}

/* The document that has a token of the batch: the last one that begins at or before it. */
DH_FN dh_u32 dh_device_document_of(DH_GLOBAL const dh_u64 *token_offset, dh_u32 document_count, dh_u64 token)
{
    dh_u32 low = 0;
    dh_u32 high = document_count;
    while (high - low > 1U) {
        const dh_u32 middle = low + (high - low) / 2U;
        if (token_offset[middle] <= token) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return low;
}

/* ---- SHA-256 of a document ---------------------------------------------------------------------------- */

/* Bytes of the lane's block. */
typedef struct dh_device_span {
    dh_u64 begin, end;
} dh_device_span;

DH_FN dh_device_span dh_device_text(DH_GLOBAL const dh_u8 *lane, const dh_device_arguments *a,
                                    dh_u64 document)
{
    DH_GLOBAL const dh_u64 *offset = (DH_GLOBAL const dh_u64 *)(lane + a->text_offset) + document;
    dh_device_span span;
    span.begin = a->text + offset[0] - a->text_base;
    span.end = a->text + offset[1] - a->text_base;
    return span;
}

/* A message, prefix and text, as it is read: in aligned pieces of 16 bytes. The piece that holds the end of a
 * block and the beginning of the next is kept. */
typedef struct dh_device_message {
    DH_GLOBAL const uint4 *next; /* piece to be read */
    DH_GLOBAL const uint4 *end;  /* behind the last one that has text */
    dh_i64 size;
    dh_i64 left;    /* bytes of the message from the next block on; below 0 behind its end */
    dh_u32 word[4]; /* the piece before next */
    dh_u32 skip;    /* bytes of the first piece before the message */
} dh_device_message;

DH_FN void dh_device_piece(dh_device_message *message, dh_u32 word[4])
{
    word[0] = 0;
    word[1] = 0;
    word[2] = 0;
    word[3] = 0;
    if (message->next < message->end) {
        const uint4 piece = *message->next;
        word[0] = piece.x;
        word[1] = piece.y;
        word[2] = piece.z;
        word[3] = piece.w;
    }
    message->next++;
}

/* Whatever stands before the text is read in place of the prefix, so something must stand before the first
 * text of a batch. */
DH_FN void dh_device_message_begin(DH_GLOBAL const dh_u8 *lane, dh_device_span text, dh_u32 prefix_size,
                                   dh_device_message *message)
{
    const dh_u64 begin = text.begin - prefix_size;
    message->next = (DH_GLOBAL const uint4 *)(lane + (begin & ~(dh_u64)15));
    message->end = (DH_GLOBAL const uint4 *)(lane + ((text.end + 15) & ~(dh_u64)15));
    message->size = (dh_i64)(text.end - begin);
    message->left = message->size;
    message->skip = (dh_u32)begin & 15U;
    dh_device_piece(message, message->word);
}

/* Zeros behind the message's last byte, one bit, and in the last block the length in bits. */
DH_FN void dh_device_pad(const dh_device_message *message, dh_u32 w[16])
{
    const dh_i32 left = (dh_i32)message->left;
    DH_UNROLL
    for (dh_i32 i = 0; i < 16; i++) {
        const dh_i32 count = left - 4 * i; /* bytes of the message from this word on */
        const dh_u32 shift = count > 0 ? (8U * (dh_u32)count) & 31U : 0;
        const dh_u32 kept = count > 0 ? w[i] & ~(0xFFFFFFFFU >> shift) : 0;
        if (count < 4) {
            w[i] = count >= 0 ? kept | (0x80000000U >> shift) : 0;
        }
    }
    if (left < 56) {
        w[14] = (dh_u32)((dh_u64)message->size >> 29);
        w[15] = (dh_u32)((dh_u64)message->size << 3);
    }
}

/* The words of the next block, with anything in the place of the prefix. */
DH_FN void dh_device_block(dh_device_message *message, dh_u32 w[16])
{
    dh_u32 x[20];
    DH_UNROLL
    for (dh_u32 i = 0; i < 4U; i++) {
        x[i] = message->word[i];
    }
    dh_device_piece(message, x + 4);
    dh_device_piece(message, x + 8);
    dh_device_piece(message, x + 12);
    dh_device_piece(message, x + 16);
    DH_UNROLL
    for (dh_u32 i = 0; i < 4U; i++) {
        message->word[i] = x[16U + i];
    }
    const int by_two = (message->skip & 8U) != 0;
    const int by_one = (message->skip & 4U) != 0;
    DH_UNROLL
    for (dh_u32 i = 0; i < 16U; i++) {
        x[i] = by_two ? x[i + 2U] : x[i];
    }
    x[16] = by_two ? x[18] : x[16];
    x[17] = by_two ? x[19] : x[17];
    DH_UNROLL
    for (dh_u32 i = 0; i < 16U; i++) {
        x[i] = by_one ? x[i + 1U] : x[i];
    }
    x[16] = by_one ? x[17] : x[16];
    const dh_u32 byte = message->skip & 3U;
    DH_UNROLL
    for (dh_u32 i = 0; i < 16U; i++) {
        w[i] = DH_BIG_ENDIAN_WORD(x[i], x[i + 1U], byte);
    }
    if (message->left < 64) {
        dh_device_pad(message, w);
    }
    message->left -= 64;
}

/* The names of the digest in the order of their lengths: 6, 7 and 8 bytes with the colons. The longest work
 * comes first. */
DH_CONSTANT_TABLE dh_u8 dh_device_name[DH_DHATUS] = {3, 4, 6, 8, 1, 2, 5, 0, 7};

/* Puts the prefix (0: none; else 4 to 8 bytes) into the first words. */
DH_FN void dh_device_put_prefix(dh_u32 place, dh_u32 size, dh_u32 w[16])
{
    if (size == 0) {
        return;
    }
    DH_CONSTANT const dh_u8 *name = dh_digest_prefix[dh_device_name[place]];
    w[0] = 0;
    w[1] &= size < 8U ? 0xFFFFFFFFU >> (8U * (size - 4U)) : 0;
    DH_UNROLL
    for (dh_u32 i = 0; i < 4U; i++) {
        w[0] |= (dh_u32)name[i] << (24U - 8U * i);
        w[1] |= (dh_u32)name[4U + i] << (24U - 8U * i);
    }
}

/* The first block differs from name to name; one compression in a loop for all. */
DH_FN void dh_device_first_block(const dh_u32 w[16], dh_u32 first, dh_u32 names, dh_u32 prefix_size,
                                 dh_u32 state[DH_DEVICE_NAMES_MAX][8])
{
    DH_ROLLED
    for (dh_u32 s = 0; s < names; s++) {
        dh_u32 own[16];
        dh_u32 result[8];
        DH_UNROLL
        for (dh_u32 i = 0; i < 16U; i++) {
            own[i] = w[i];
        }
        DH_UNROLL
        for (dh_u32 i = 0; i < 8U; i++) {
            result[i] = dh_sha256_core_initial[i];
        }
        dh_device_put_prefix(first + s, prefix_size, own);
        dh_sha256_core_compress(result, own);
        DH_UNROLL
        for (dh_u32 j = 0; j < DH_DEVICE_NAMES_MAX; j++) {
            DH_UNROLL
            for (dh_u32 i = 0; i < 8U; i++) {
                state[j][i] = j == s ? result[i] : state[j][i];
            }
        }
    }
}

/* One block that is the same for all names. Uses up w. */
DH_FN void dh_device_shared_block(dh_u32 w[16], dh_u32 names, dh_u32 state[DH_DEVICE_NAMES_MAX][8])
{
    dh_u32 v[DH_DEVICE_NAMES_MAX][8];
    DH_UNROLL
    for (dh_u32 s = 0; s < names; s++) {
        DH_UNROLL
        for (dh_u32 i = 0; i < 8U; i++) {
            v[s][i] = state[s][i];
        }
    }
    DH_ROLLED
    for (dh_u32 first = 0; first < 64U; first += 16U) {
        if (first != 0) {
            dh_sha256_core_expand(w);
        }
        DH_UNROLL
        for (dh_u32 s = 0; s < names; s++) {
            dh_sha256_core_rounds(v[s], w, first);
        }
    }
    DH_UNROLL
    for (dh_u32 s = 0; s < names; s++) {
        DH_UNROLL
        for (dh_u32 i = 0; i < 8U; i++) {
            state[s][i] += v[s][i];
        }
    }
}

/* state[s] = SHA-256 of the text behind each of `names` names of one length, of which the first has the place
 * `first` in dh_device_name. names and prefix_size are constants where this is called: the arrays live in
 * registers. */
DH_FN void dh_device_hash(DH_GLOBAL const dh_u8 *lane, dh_device_span text, dh_u32 first, dh_u32 names,
                          dh_u32 prefix_size, dh_u32 state[DH_DEVICE_NAMES_MAX][8])
{
    dh_device_message message;
    dh_u32 w[16];
    DH_UNROLL
    for (dh_u32 s = 0; s < DH_DEVICE_NAMES_MAX; s++) {
        DH_UNROLL
        for (dh_u32 i = 0; i < 8U; i++) {
            state[s][i] = 0;
        }
    }
    dh_device_message_begin(lane, text, prefix_size, &message);
    dh_device_block(&message, w);
    dh_device_first_block(w, first, names, prefix_size, state);
    DH_ROLLED
    while (message.left >= -8) { /* the bit and the length take 9 bytes behind the message */
        dh_device_block(&message, w);
        dh_device_shared_block(w, names, state);
    }
}

/* The hexadecimal digits of two bytes as the bytes of a little-endian word. */
DH_FN dh_u32 dh_device_hex(dh_u32 pair)
{
    const dh_u32 nibble =
        ((pair >> 12) & 0xFU) | (pair & 0xF00U) | ((pair << 12) & 0xF0000U) | ((pair << 24) & 0xF000000U);
    const dh_u32 letter = ((nibble + 0x06060606U) >> 4) & 0x01010101U; /* 10 and above */
    return nibble + 0x30303030U + letter * 0x27U;
}

DH_KERNEL(dh_kernel_sha256)
{
    if (DH_ITEM >= a.document_count) {
        return;
    }
    const dh_u64 document = dh_device_document(lane, &a, DH_ITEM);
    dh_u32 state[DH_DEVICE_NAMES_MAX][8];
    dh_device_hash(lane, dh_device_text(lane, &a, document), 0, 1, 0, state);
    DH_GLOBAL dh_u32 *hex = (DH_GLOBAL dh_u32 *)(lane + a.output[DH_OUTPUT_HEX]) + document * 16U;
    DH_UNROLL
    for (dh_u32 i = 0; i < 8U; i++) {
        hex[2U * i] = dh_device_hex(state[0][i] >> 16);
        hex[2U * i + 1U] = dh_device_hex(state[0][i] & 0xFFFFU);
    }
}

DH_KERNEL(dh_kernel_sha256_spelling)
{
    if (DH_ITEM >= a.document_count) {
        return;
    }
    const dh_u64 document = dh_device_document(lane, &a, DH_ITEM);
    DH_GLOBAL const dh_u64 *offset = (DH_GLOBAL const dh_u64 *)(lane + a.spelling_offset) + document;
    dh_device_span spelling;
    spelling.begin = a.spelling + offset[0] - a.spelling_base;
    spelling.end = a.spelling + offset[1] - a.spelling_base;
    if (spelling.end > spelling.begin) {
        spelling.end--; /* its last space */
    }
    dh_u32 state[DH_DEVICE_NAMES_MAX][8];
    dh_device_hash(lane, spelling, 0, 1, 0, state);
    DH_GLOBAL dh_u32 *digest =
        (DH_GLOBAL dh_u32 *)(lane + a.output[DH_OUTPUT_SPELLING_DIGEST]) + document * 8U;
    DH_UNROLL
    for (dh_u32 i = 0; i < 8U; i++) {
        digest[i] = DH_BIG_ENDIAN_WORD(state[0][i], 0U, 0U);
    }
}

/* ---- digest ------------------------------------------------------------------------------------------- */

DH_FN void dh_device_raw_weights(DH_GLOBAL dh_u8 *lane, const dh_device_arguments *a, dh_u64 document,
                                 dh_u32 first, dh_u32 names, dh_u32 prefix_size)
{
    dh_u32 state[DH_DEVICE_NAMES_MAX][8];
    dh_device_hash(lane, dh_device_text(lane, a, document), first, names, prefix_size, state);
    DH_GLOBAL dh_u16 *raw = (DH_GLOBAL dh_u16 *)(lane + a->output[DH_OUTPUT_RAW]) + document * DH_DHATUS;
    DH_UNROLL
    for (dh_u32 s = 0; s < names; s++) { /* bytes 0, 5, 13, 21, 29 */
        raw[dh_device_name[first + s]] =
            (dh_u16)((state[s][0] >> 24) + ((state[s][1] >> 16) & 255U) + ((state[s][3] >> 16) & 255U) +
                     ((state[s][5] >> 16) & 255U) + ((state[s][7] >> 16) & 255U));
    }
}

/* An item a document and name. Names of one length share the fetching and the schedule, so the item of the
 * first of them does their work, one length after the other so that neighbours do the same. Where a text is
 * long or the documents are few, waiting for one item would take longest: each name goes by itself. */
DH_KERNEL(dh_kernel_digest_hash)
{
    const dh_u64 count = a.document_count;
    const dh_u64 item = DH_ITEM;
    if (item >= DH_DHATUS * count) {
        return;
    }
    const dh_u32 place = (dh_u32)(item / count);
    const dh_u64 document = dh_device_document(lane, &a, item - place * count);
    DH_GLOBAL const dh_u64 *offset = (DH_GLOBAL const dh_u64 *)(lane + a.text_offset) + document;
    if (offset[1] - offset[0] >= a.long_text) {
        dh_device_raw_weights(lane, &a, document, place, 1, place < 4U ? 6U : (place < 7U ? 7U : 8U));
    } else if (place == 0) {
        dh_device_raw_weights(lane, &a, document, 0, 4, 6);
    } else if (place == 1U) {
        dh_device_raw_weights(lane, &a, document, 4, 3, 7);
    } else if (place == 2U) {
        dh_device_raw_weights(lane, &a, document, 7, 2, 8);
    }
}

DH_KERNEL(dh_kernel_digest_finish)
{
    const dh_u64 document = DH_ITEM;
    if (document >= a.document_count) {
        return;
    }
    DH_GLOBAL const dh_u16 *from = (DH_GLOBAL const dh_u16 *)(lane + a.output[DH_OUTPUT_RAW]);
    DH_GLOBAL double *to = (DH_GLOBAL double *)(lane + a.output[DH_OUTPUT_DIGEST_PRIME]);
    uint32_t raw[DH_DHATUS];
    double prime[DH_DIGEST_PRIMES];
    DH_UNROLL
    for (dh_u32 d = 0; d < DH_DHATUS; d++) {
        raw[d] = from[document * DH_DHATUS + d];
    }
    dh_digest_primes(raw, prime);
    DH_UNROLL
    for (dh_u32 i = 0; i < DH_DIGEST_PRIMES; i++) {
        to[document * DH_DIGEST_PRIMES + i] = prime[i];
    }
    double entropy;
    double variance;
    dh_digest_moments(prime, &entropy, &variance);
    ((DH_GLOBAL double *)(lane + a.output[DH_OUTPUT_ENTROPY]))[document] = entropy;
    ((DH_GLOBAL double *)(lane + a.output[DH_OUTPUT_DIGEST_VARIANCE]))[document] = variance;
    ((DH_GLOBAL double *)(lane + a.output[DH_OUTPUT_SCORE]))[document] = dh_digest_score(entropy, variance);
}

/* ---- profile ------------------------------------------------------------------------------------------ */

DH_FN dh_profile_tables dh_device_profile_tables(DH_GLOBAL const dh_u8 *tables, const dh_device_tables *at)
{
    dh_profile_tables all;
    all.lexicon_count = at->lexicon_count;
    all.category_count = at->category_count;
    all.denominator = at->denominator;
    all.slot_mask = at->slot_mask;
    all.slot = (DH_GLOBAL const dh_profile_slot *)(tables + at->slot);
    all.term = (DH_GLOBAL const dh_profile_term *)(tables + at->term);
    all.category = tables + at->category;
    all.first_filter = (DH_GLOBAL const dh_u64 *)(tables + at->first_filter);
    all.negator_filter = (DH_GLOBAL const dh_u64 *)(tables + at->negator_filter);
    all.next_filter = (DH_GLOBAL const dh_u64 *)(tables + at->next_filter);
    all.term_count = at->term_count;
    return all;
}

/* Tokens at which a term may begin, whatever document they are in: an item a byte of bits. */
DH_KERNEL(dh_kernel_profile_candidates)
{
    const dh_u64 first = DH_ITEM * DH_DEVICE_TOKENS;
    if (first >= a.token_count) {
        return;
    }
    const dh_u64 left = a.token_count - first;
    const dh_u32 count = left < DH_DEVICE_TOKENS ? (dh_u32)left : DH_DEVICE_TOKENS;
    DH_GLOBAL const dh_u64 *token = (DH_GLOBAL const dh_u64 *)(lane + a.token) + first;
    DH_GLOBAL const dh_u64 *offset = (DH_GLOBAL const dh_u64 *)(lane + a.token_offset);
    DH_GLOBAL const dh_u16 *lexicon_of = (DH_GLOBAL const dh_u16 *)(lane + a.lexicon);
    DH_GLOBAL const dh_u64 *filter = (DH_GLOBAL const dh_u64 *)(tables + a.tables.first_filter);
    dh_u32 document = dh_device_document_of(offset, a.document_count, first + a.token_base);
    dh_u32 lexicon = lexicon_of[document];
    dh_u64 end = offset[document + 1U] - a.token_base;
    dh_u32 bits = 0;
    for (dh_u32 i = 0; i < count; i++) {
        while (first + i >= end) {
            document++;
            end = offset[document + 1U] - a.token_base;
            lexicon = lexicon_of[document];
        }
        if (lexicon < a.tables.lexicon_count) {
            bits |= (dh_u32)dh_profile_passes(filter, lexicon, token[i]) << i;
        }
    }
    lane[a.candidates + DH_ITEM] = (dh_u8)bits;
}

/* The candidates of the window at token `base` of a document whose first token is number `begin` of the
 * batch: those of the kernel before, and the tokens with a prefix. */
DH_FN dh_u64 dh_device_window(DH_GLOBAL const dh_u64 *candidates, const dh_profile_document *document,
                              dh_u64 begin, dh_u32 base, dh_u32 cursor)
{
    const dh_u32 left = document->token_count - base;
    const dh_u32 count = left < DH_PROFILE_WINDOW ? left : DH_PROFILE_WINDOW;
    const dh_u64 at = (begin + base) / 64U;
    const dh_u32 shift = (dh_u32)(begin + base) & 63U;
    dh_u64 bits = candidates[at] >> shift;
    if (shift + count > 64U) {
        bits |= candidates[at + 1U] << (64U - shift);
    }
    if (count < 64U) {
        bits &= ((dh_u64)1 << count) - 1U;
    }
    for (dh_u32 h = cursor; h < document->hit_count && document->hit[h].token < base + count; h++) {
        if (document->hit[h].lexicon == document->lexicon && document->hit[h].token >= base) {
            bits |= (dh_u64)1 << (document->hit[h].token - base);
        }
    }
    return bits;
}

DH_FN dh_u32 dh_device_count(DH_GLOBAL const dh_u8 *lane, const dh_device_arguments *a,
                             const dh_profile_tables *tables, dh_u64 number, DH_GLOBAL dh_u32 *counts)
{
    DH_GLOBAL const dh_u64 *token_offset = (DH_GLOBAL const dh_u64 *)(lane + a->token_offset) + number;
    DH_GLOBAL const dh_u64 *hit_offset = (DH_GLOBAL const dh_u64 *)(lane + a->hit_offset) + number;
    const dh_u64 begin = token_offset[0] - a->token_base;
    const dh_u64 hits = hit_offset[0] - a->hit_base;
    dh_profile_document document;
    document.token = (DH_GLOBAL const dh_u64 *)(lane + a->token) + begin;
    document.hit = (DH_GLOBAL const dh_prefix_hit *)(lane + a->hit) + hits;
    document.token_count = (dh_u32)(token_offset[1] - token_offset[0]);
    document.hit_count = (dh_u32)(hit_offset[1] - hit_offset[0]);
    document.lexicon = ((DH_GLOBAL const dh_u16 *)(lane + a->lexicon))[number];
    dh_profile_walk walk = {0, 0, 0};
    if (document.lexicon < tables->lexicon_count) {
        DH_GLOBAL const dh_u64 *candidates = (DH_GLOBAL const dh_u64 *)(lane + a->candidates);
        for (dh_u32 base = 0; base < document.token_count; base += DH_PROFILE_WINDOW) {
            const dh_u64 bits = dh_device_window(candidates, &document, begin, base, walk.cursor);
            dh_profile_window(tables, &document, base, bits, &walk, counts);
        }
    }
    return walk.matched;
}

DH_FN dh_profile_out dh_device_profile_out(DH_GLOBAL dh_u8 *lane, const dh_u64 *at)
{
    dh_profile_out out;
    out.counts = (DH_GLOBAL dh_u32 *)(lane + at[DH_OUTPUT_COUNTS]);
    out.profile = (DH_GLOBAL float *)(lane + at[DH_OUTPUT_PROFILE]);
    out.prime = (DH_GLOBAL double *)(lane + at[DH_OUTPUT_PRIME]);
    out.matched = (DH_GLOBAL dh_u32 *)(lane + at[DH_OUTPUT_MATCHED]);
    out.coverage = (DH_GLOBAL double *)(lane + at[DH_OUTPUT_COVERAGE]);
    out.ambiguity = (DH_GLOBAL double *)(lane + at[DH_OUTPUT_AMBIGUITY]);
    out.variance = (DH_GLOBAL double *)(lane + at[DH_OUTPUT_VARIANCE]);
    out.code2 = at[DH_OUTPUT_CODE2] != 0 ? (DH_GLOBAL dh_u64 *)(lane + at[DH_OUTPUT_CODE2]) : 0;
    out.code3 = at[DH_OUTPUT_CODE3] != 0 ? (DH_GLOBAL dh_u64 *)(lane + at[DH_OUTPUT_CODE3]) : 0;
    out.code5 = at[DH_OUTPUT_CODE5] != 0 ? (DH_GLOBAL dh_u64 *)(lane + at[DH_OUTPUT_CODE5]) : 0;
    return out;
}

DH_KERNEL(dh_kernel_profile_count)
{
    if (DH_ITEM >= a.document_count) {
        return;
    }
    const dh_u64 document = dh_device_document(lane, &a, DH_ITEM);
    const dh_profile_tables all = dh_device_profile_tables(tables, &a.tables);
    const dh_profile_out out = dh_device_profile_out(lane, a.output);
    DH_GLOBAL const dh_u64 *token_offset = (DH_GLOBAL const dh_u64 *)(lane + a.token_offset) + document;
    DH_GLOBAL dh_u32 *counts = out.counts + document * 2U * all.category_count;
    DH_GLOBAL double *share = (DH_GLOBAL double *)(lane + a.share) + document * all.category_count;
    for (dh_u32 c = 0; c < 2U * all.category_count; c++) {
        counts[c] = 0;
    }
    const dh_u32 matched = dh_device_count(lane, &a, &all, document, counts);
    dh_profile_finish(&all, counts, token_offset[1] - token_offset[0], matched, (dh_u32)document, share,
                      &out);
}

/* ---- n-grams ------------------------------------------------------------------------------------------ */

/* An item a token. */
DH_KERNEL(dh_kernel_ngrams)
{
    const dh_u64 token = DH_ITEM;
    if (token >= a.token_count) {
        return;
    }
    const dh_u32 lengths = a.ngram_most - a.ngram_least + 1U;
    DH_GLOBAL const dh_u64 *offset = (DH_GLOBAL const dh_u64 *)(lane + a.token_offset);
    const dh_u32 document = dh_device_document_of(offset, a.document_count, token + a.token_base);
    const dh_u64 begin = offset[document] - a.token_base;
    const dh_u64 end = offset[document + 1U] - a.token_base;
    const dh_u64 at = ((DH_GLOBAL const dh_u64 *)(lane + a.spelling_offset))[document] - a.spelling_base;
    dh_ngrams_token(lane + a.spelling + at, (DH_GLOBAL const dh_u32 *)(lane + a.token_end) + begin,
                    end - begin, token - begin, a.ngram_least, a.ngram_most,
                    (DH_GLOBAL dh_u32 *)(lane + a.output[DH_OUTPUT_NGRAM]) + token * lengths);
}

/* ---- minhash ------------------------------------------------------------------------------------------ */

/* Signatures and found shingles, before any shingle is seen. */
DH_KERNEL(dh_kernel_minhash_clear)
{
    const dh_u64 signatures = (dh_u64)a.document_count * a.permutations;
    const dh_u64 found = (dh_u64)a.document_count * (a.counted + 1U);
    const dh_u64 item = DH_ITEM;
    if (item < signatures) {
        ((DH_GLOBAL dh_u32 *)(lane + a.output[DH_OUTPUT_SIGNATURE]))[item] = DH_MINHASH_NONE;
    } else if (item < signatures + found) {
        ((DH_GLOBAL dh_u32 *)(lane + a.found))[item - signatures] = DH_MINHASH_NONE;
    }
}

/* Adds x to the set of a document's shingles, of `counted` places and one for the number that marks a place
 * as empty. Places fill from the first on and never change again, so whoever brings the same x meets it where
 * another has put it, and a place that is read too early is only empty. Which x are in a full set depends on
 * who came first, their number does not. */
DH_FN void dh_device_find(DH_GLOBAL volatile dh_u32 *found, dh_u32 counted, dh_u32 x)
{
    if (x == DH_MINHASH_NONE) {
        found[counted] = 0;
        return;
    }
    for (dh_u32 place = 0; place < counted; place++) {
        dh_u32 there = found[place];
        if (there == DH_MINHASH_NONE) {
            there = DH_ATOMIC_SWAP(found + place, DH_MINHASH_NONE, x);
        }
        if (there == DH_MINHASH_NONE || there == x) {
            return;
        }
    }
}

/* x of each shingle, and the sets of different ones: an item DH_DEVICE_TOKENS tokens. */
DH_KERNEL(dh_kernel_minhash_shingles)
{
    const dh_u64 first = DH_ITEM * DH_DEVICE_TOKENS;
    if (first >= a.token_count) {
        return;
    }
    const dh_u64 left = a.token_count - first;
    const dh_u32 count = left < DH_DEVICE_TOKENS ? (dh_u32)left : DH_DEVICE_TOKENS;
    DH_GLOBAL const dh_u64 *token = (DH_GLOBAL const dh_u64 *)(lane + a.token);
    DH_GLOBAL const dh_u64 *offset = (DH_GLOBAL const dh_u64 *)(lane + a.token_offset);
    DH_GLOBAL dh_u32 *shingle = (DH_GLOBAL dh_u32 *)(lane + a.shingle);
    dh_u32 document = dh_device_document_of(offset, a.document_count, first + a.token_base);
    dh_u64 end = offset[document + 1U] - a.token_base;
    dh_u64 hash = 0;
    int is_first = 1; /* of the document or of the item */
    for (dh_u64 t = first; t < first + count; t++) {
        while (t >= end) {
            document++;
            end = offset[document + 1U] - a.token_base;
            is_first = 1;
        }
        if (a.shingle_tokens <= end - t) {
            hash = is_first ? dh_shingle_first(token + t, a.shingle_tokens)
                            : dh_shingle_next(hash, token[t - 1U], token[t - 1U + a.shingle_tokens],
                                              a.shingle_power);
            is_first = 0;
            const dh_u32 x = dh_shingle_x(hash);
            shingle[t] = x;
            DH_GLOBAL volatile dh_u32 *found =
                (DH_GLOBAL volatile dh_u32 *)(lane + a.found) + (dh_u64)document * (a.counted + 1U);
            if (found[a.counted - 1U] == DH_MINHASH_NONE) { /* else it is full */
                dh_device_find(found, a.counted, x);
            }
        }
    }
}

/* The least value of each permutation. */
DH_FN void dh_device_minima(DH_GLOBAL const dh_u32 *shingle, dh_u64 count,
                            const dh_u32 flip[DH_DEVICE_PERMUTATIONS],
                            const dh_u32 factor[DH_DEVICE_PERMUTATIONS], dh_u32 least[DH_DEVICE_PERMUTATIONS])
{
    DH_UNROLL
    for (dh_u32 p = 0; p < DH_DEVICE_PERMUTATIONS; p++) {
        least[p] = DH_MINHASH_NONE;
    }
    for (dh_u64 i = 0; i < count; i++) {
        const dh_u32 x = shingle[i];
        DH_UNROLL
        for (dh_u32 p = 0; p < DH_DEVICE_PERMUTATIONS; p++) {
            const dh_u32 value = dh_minhash_permute(x, flip[p], factor[p]);
            least[p] = value < least[p] ? value : least[p];
        }
    }
}

/* Takes the minima of some shingles of a document over to its signature; others may have more of them. */
DH_FN void dh_device_lower(DH_GLOBAL dh_u32 *signature, dh_u32 count, int is_whole,
                           const dh_u32 least[DH_DEVICE_PERMUTATIONS])
{
    DH_UNROLL
    for (dh_u32 p = 0; p < DH_DEVICE_PERMUTATIONS; p++) {
        if (p < count && is_whole) {
            signature[p] = least[p];
        } else if (p < count) {
            (void)DH_ATOMIC_LEAST(signature + p, least[p]);
        }
    }
}

/* An item a stretch of tokens and some of the permutations; those of a stretch are neighbours and read the
 * same. A stretch has as many tokens whatever its documents are, so no item takes longer than others, however
 * long a document is. */
DH_KERNEL(dh_kernel_minhash_minima)
{
    if (a.permutations == 0) { /* a driver tries its kernels with no arguments: nothing to divide by */
        return;
    }
    const dh_u32 parts = (a.permutations + DH_DEVICE_PERMUTATIONS - 1U) / DH_DEVICE_PERMUTATIONS;
    const dh_u64 stretch = DH_ITEM / parts;
    const dh_u32 permutation = (dh_u32)(DH_ITEM - stretch * parts) * DH_DEVICE_PERMUTATIONS;
    dh_u64 t = stretch * DH_DEVICE_STRETCH;
    if (t >= a.token_count) {
        return;
    }
    const dh_u64 left = a.token_count - t;
    const dh_u64 behind = t + (left < DH_DEVICE_STRETCH ? left : DH_DEVICE_STRETCH);
    const dh_u32 permutations_left = a.permutations - permutation;
    const dh_u32 stored =
        permutations_left < DH_DEVICE_PERMUTATIONS ? permutations_left : DH_DEVICE_PERMUTATIONS;
    DH_GLOBAL const dh_u32 *shingle = (DH_GLOBAL const dh_u32 *)(lane + a.shingle);
    DH_GLOBAL const dh_u64 *offset = (DH_GLOBAL const dh_u64 *)(lane + a.token_offset);
    DH_GLOBAL dh_u32 *signature = (DH_GLOBAL dh_u32 *)(lane + a.output[DH_OUTPUT_SIGNATURE]) + permutation;
    dh_u32 flip[DH_DEVICE_PERMUTATIONS];
    dh_u32 factor[DH_DEVICE_PERMUTATIONS];
    DH_UNROLL
    for (dh_u32 p = 0; p < DH_DEVICE_PERMUTATIONS; p++) {
        flip[p] = ((DH_GLOBAL const dh_u32 *)(lane + a.flip))[permutation + p];
        factor[p] = ((DH_GLOBAL const dh_u32 *)(lane + a.factor))[permutation + p];
    }
    dh_u32 document = dh_device_document_of(offset, a.document_count, t + a.token_base);
    while (t < behind) {
        const dh_u64 begin = offset[document] - a.token_base;
        const dh_u64 end = offset[document + 1U] - a.token_base;
        const dh_u64 last = begin + dh_shingle_count(end - begin, a.shingle_tokens);
        const dh_u64 until = last < behind ? last : behind; /* of shingles */
        if (t < until) {
            const int is_whole = t == begin && until == last;
            dh_u32 least[DH_DEVICE_PERMUTATIONS];
            dh_device_minima(shingle + t, until - t, flip, factor, least);
            dh_device_lower(signature + (dh_u64)document * a.permutations, stored, is_whole, least);
        }
        t = end;
        document++;
    }
}

DH_KERNEL(dh_kernel_minhash_finish)
{
    if (DH_ITEM >= a.document_count) {
        return;
    }
    DH_GLOBAL const dh_u32 *found = (DH_GLOBAL const dh_u32 *)(lane + a.found) + DH_ITEM * (a.counted + 1U);
    dh_u32 count = 0;
    for (dh_u32 place = 0; place <= a.counted; place++) {
        count += found[place] != DH_MINHASH_NONE;
    }
    ((DH_GLOBAL dh_u32 *)(lane + a.output[DH_OUTPUT_SHINGLES]))[DH_ITEM] =
        count < a.counted ? count : a.counted;
}

#endif /* CUDA or OpenCL */

#endif
