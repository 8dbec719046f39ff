#include "shuffle/block.h"

#include "base/file.h"
#include "base/log.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

enum { BLOCK_MAGIC = 0x62706864, /* "dhpb" */ PAIRS_MAX = DH_BLOCK_BYTES - (int)sizeof(dh_block_header) };

/* The place is a part of it, so that a block that stands elsewhere is noticed. */
static uint64_t seed_of(const dh_block_header *header, uint64_t offset)
{
    const uint64_t facts[] = {(uint64_t)header->pairs << 32 | header->magic, header->size, header->first_key,
                              offset};
    return XXH3_64bits(facts, sizeof facts);
}

/* ---- writing ----------------------------------------------------------------------------------------- */

dh_status dh_block_writer_open(dh_block_writer *writer)
{
    writer->file = -1;
    writer->bytes = writer->pairs = writer->first_key = writer->block_max = 0;
    writer->filled = 0;
    writer->block_pairs = 0;
    void *memory = NULL;
    DH_TRY(dh_count_allocate(writer->count, DH_BLOCK_BYTES, "a block of pairs", &memory));
    writer->block = memory;
    return dh_file_open(writer->path, O_WRONLY | O_CREAT | O_EXCL, &writer->file);
}

/* Behind the header come `parts` parts, which together are header->size bytes. */
static dh_status write_block(dh_block_writer *writer, const dh_block_header *header, dh_file_part *part,
                             size_t parts)
{
    if (writer->poll != NULL) {
        DH_TRY(writer->poll(writer->poll_context));
    }
    part[0] = (dh_file_part){header, sizeof *header};
    DH_TRY(dh_file_write_parts_at(writer->file, writer->path, part, parts + 1, writer->bytes));
    if (writer->take != NULL) {
        DH_TRY(writer->take(writer->take_context, header->first_key, writer->bytes));
    }
    const uint64_t size = sizeof *header + header->size;
    writer->block_max = size > writer->block_max ? size : writer->block_max;
    writer->bytes += size;
    return DH_OK;
}

dh_status dh_block_writer_flush(dh_block_writer *writer)
{
    if (writer->block_pairs == 0) {
        return DH_OK;
    }
    dh_block_header header = {.magic = BLOCK_MAGIC,
                              .pairs = writer->block_pairs,
                              .size = writer->filled,
                              .first_key = writer->block_key};
    header.check = XXH3_64bits_withSeed(writer->block, writer->filled, seed_of(&header, writer->bytes));
    dh_file_part part[2] = {{0}, {writer->block, writer->filled}};
    DH_TRY(write_block(writer, &header, part, 1));
    writer->filled = 0;
    writer->block_pairs = 0;
    return DH_OK;
}

/* A block of its own, written from where the pair lies. */
static dh_status write_large(dh_block_writer *writer, const dh_pair *pair)
{
    uint8_t head[DH_PAIR_HEAD_MAX];
    const size_t head_size = dh_pair_put_head(pair, head);
    dh_block_header header = {.magic = BLOCK_MAGIC,
                              .pairs = 1,
                              .size = head_size + pair->name_size + pair->value_size,
                              .first_key = pair->key};
    dh_file_part part[4] = {
        {0}, {head, head_size}, {pair->name, pair->name_size}, {pair->value, pair->value_size}};
    XXH3_state_t hash;
    XXH3_INITSTATE(&hash); /* reset looks at the seed that it had */
    (void)XXH3_64bits_reset_withSeed(&hash, seed_of(&header, writer->bytes));
    for (size_t i = 1; i < sizeof part / sizeof *part; i++) {
        (void)XXH3_64bits_update(&hash, part[i].data, part[i].size);
    }
    header.check = XXH3_64bits_digest(&hash);
    return write_block(writer, &header, part, 3);
}

dh_status dh_block_writer_add(dh_block_writer *writer, const dh_pair *pair)
{
    const size_t size = dh_pair_encoded_size(pair);
    if (size > PAIRS_MAX - writer->filled) {
        DH_TRY(dh_block_writer_flush(writer));
    }
    if (writer->pairs == 0) {
        writer->first_key = pair->key;
    }
    if (size > PAIRS_MAX) {
        DH_TRY(write_large(writer, pair));
    } else {
        if (writer->block_pairs == 0) {
            writer->block_key = pair->key;
        }
        writer->filled += dh_pair_encode(pair, writer->block + writer->filled);
        writer->block_pairs++;
    }
    writer->pairs++;
    return DH_OK;
}

dh_status dh_block_writer_close(dh_block_writer *writer)
{
    const int file = writer->file;
    writer->file = -1;
    return dh_file_close(file, writer->path);
}

void dh_block_writer_free(dh_block_writer *writer)
{
    if (writer->file >= 0) {
        (void)close(writer->file); /* what was written is given up */
    }
    dh_count_free(writer->count, writer->block, DH_BLOCK_BYTES);
    writer->block = NULL;
    writer->file = -1;
}

/* ---- reading ----------------------------------------------------------------------------------------- */

dh_status dh_block_reader_open(dh_block_reader *reader, size_t capacity)
{
    reader->file = -1;
    reader->capacity = capacity;
    void *memory = NULL;
    DH_TRY(dh_count_allocate(reader->count, capacity, "blocks of pairs", &memory));
    reader->buffer = memory;
    const dh_status status = dh_file_open(reader->path, O_RDONLY | O_NONBLOCK | O_NOCTTY, &reader->file);
    if (status != DH_OK) {
        dh_block_reader_close(reader);
    }
    return status;
}

void dh_block_reader_close(dh_block_reader *reader)
{
    if (reader->buffer == NULL) {
        return;
    }
    if (reader->file >= 0) {
        (void)close(reader->file); /* nothing was written to it */
    }
    dh_count_free(reader->count, reader->buffer, reader->capacity);
    reader->buffer = NULL;
}

void dh_block_reader_seek(dh_block_reader *reader, uint64_t begin, uint64_t end)
{
    reader->next = begin;
    reader->end = end;
    reader->begin = reader->filled = 0;
    reader->pairs_left = 0;
    reader->at = reader->block_end = NULL;
    reader->last_key = 0;
}

static dh_status grow(dh_block_reader *reader, size_t capacity)
{
    const size_t kept = reader->filled - reader->begin;
    void *memory = NULL;
    DH_TRY(dh_count_allocate(reader->count, capacity, "a large pair", &memory));
    memcpy(memory, reader->buffer + reader->begin, kept);
    dh_count_free(reader->count, reader->buffer, reader->capacity);
    reader->buffer = memory;
    reader->capacity = capacity;
    reader->begin = 0;
    reader->filled = kept;
    return DH_OK;
}

/* Has `size` bytes from begin on in the buffer; the file has them. */
static dh_status fill(dh_block_reader *reader, size_t size)
{
    if (reader->filled - reader->begin >= size) {
        return DH_OK;
    }
    if (reader->poll != NULL) {
        DH_TRY(reader->poll(reader->poll_context));
    }
    if (size > reader->capacity) {
        DH_TRY(grow(reader, size));
    } else {
        memmove(reader->buffer, reader->buffer + reader->begin, reader->filled - reader->begin);
        reader->filled -= reader->begin;
        reader->begin = 0;
    }
    const uint64_t left = reader->end - reader->next;
    const size_t room = reader->capacity - reader->filled;
    const size_t piece = left < room ? (size_t)left : room;
    DH_TRY(dh_file_read_at(reader->file, reader->path, reader->buffer + reader->filled, piece, reader->next));
    reader->next += piece;
    reader->filled += piece;
    return DH_OK;
}

static dh_status damaged(const dh_block_reader *reader)
{
    if (reader->damaged != NULL) {
        *reader->damaged = true;
        return DH_IO;
    }
    return dh_error(DH_IO, "%s: the block at %" PRIu64 " is damaged", reader->path, reader->block);
}

static dh_status read_block(dh_block_reader *reader)
{
    dh_block_header header;
    const uint64_t left = reader->filled - reader->begin + (reader->end - reader->next);
    reader->block = reader->end - left;
    if (left == 0) {
        return DH_END;
    }
    if (left < sizeof header) {
        return damaged(reader);
    }
    DH_TRY(fill(reader, sizeof header));
    memcpy(&header, reader->buffer + reader->begin, sizeof header);
    if (header.magic != BLOCK_MAGIC || header.pairs == 0 || header.size > left - sizeof header ||
        header.size > (header.pairs == 1 ? DH_PAIR_ENCODED_MAX : PAIRS_MAX)) {
        return damaged(reader);
    }
    DH_TRY(fill(reader, sizeof header + header.size));
    const uint8_t *pairs = reader->buffer + reader->begin + sizeof header;
    if (XXH3_64bits_withSeed(pairs, header.size, seed_of(&header, reader->block)) != header.check) {
        return damaged(reader);
    }
    reader->begin += sizeof header + header.size;
    reader->at = pairs;
    reader->block_end = pairs + header.size;
    reader->pairs_left = header.pairs;
    return DH_OK;
}

dh_status dh_block_reader_next(dh_block_reader *reader, dh_pair *out)
{
    if (reader->pairs_left == 0) {
        if (reader->at != reader->block_end) {
            return damaged(reader);
        }
        DH_TRY(read_block(reader));
    }
    dh_pair pair;
    if (!dh_pair_decode(&reader->at, reader->block_end, &pair) || pair.key < reader->last_key) {
        return damaged(reader);
    }
    reader->pairs_left--;
    reader->last_key = pair.key;
    *out = pair;
    return DH_OK;
}
