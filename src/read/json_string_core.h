/* The search and the unescaping of json_string.h, once for each kind of register. Included several times by
 * json_string.c, which defines before:
 *
 *   DH_STRINGS(name)  the name of a function of this kind
 *   the attribute that lets the compiler use the vectors
 *
 * and these functions on blocks of BLOCK bytes, where bit i of a mask speaks of byte i:
 *
 *   DH_STRINGS(specials)(block)      quotes, backslashes and control characters
 *   DH_STRINGS(backslashes)(block)   backslashes
 *   DH_STRINGS(copy_plain)(from, to) copies a block unless it has backslashes; returns their mask
 *
 * No include guard: that is the purpose. */

/* The mask of the bytes from `at`, of which fewer than BLOCK are left. The block that ends with the last
 * byte is searched, so that nothing behind the limit is read; it may begin before `at`. */
static inline uint64_t DH_STRINGS(last_specials)(const uint8_t *begin, const uint8_t *at,
                                                 const uint8_t *limit)
{
    const size_t left = (size_t)(limit - at);
    if (limit - begin >= BLOCK) {
        return DH_STRINGS(specials)(limit - BLOCK) >> (BLOCK - left);
    }
    uint64_t mask = 0;
    for (size_t i = 0; i < left; i++) {
        mask |= (uint64_t)(at[i] == '"' || at[i] == '\\' || at[i] < 0x20) << i;
    }
    return mask;
}

static const uint8_t *DH_STRINGS(find_end)(const uint8_t *begin, const uint8_t *text, const uint8_t *limit,
                                           bool *has_escapes, const uint8_t **error)
{
    *has_escapes = false;
    const uint8_t *at = text;
    while (at < limit) {
        const bool whole = limit - at >= BLOCK;
        uint64_t special = whole ? DH_STRINGS(specials)(at) : DH_STRINGS(last_specials)(begin, at, limit);
        const uint8_t *next = whole ? at + BLOCK : limit;
        while (special != 0) {
            const uint8_t *hit = at + __builtin_ctzll(special);
            if (*hit == '"') {
                return hit;
            }
            const size_t size = *hit == '\\' ? dh_json_escape_size(hit, limit) : 0;
            if (size == 0) {
                *error = hit;
                return NULL;
            }
            *has_escapes = true;
            const size_t behind = (size_t)(hit - at) + size;
            if (behind >= BLOCK) {
                next = at + behind;
                break;
            }
            special &= UINT64_MAX << behind;
        }
        at = next;
    }
    *error = limit;
    return NULL;
}

static inline uint64_t DH_STRINGS(last_backslashes)(const uint8_t *begin, const uint8_t *at,
                                                    const uint8_t *limit)
{
    const size_t left = (size_t)(limit - at);
    if (limit - begin >= BLOCK) {
        return DH_STRINGS(backslashes)(limit - BLOCK) >> (BLOCK - left);
    }
    uint64_t mask = 0;
    for (size_t i = 0; i < left; i++) {
        mask |= (uint64_t)(at[i] == '\\') << i;
    }
    return mask;
}

/* In place, the output never overtakes the input: so what is still to be read is never overwritten, as
 * long as exactly the plain bytes are written and no more. */
static size_t DH_STRINGS(unescape)(const uint8_t *text, size_t size, uint8_t *out, uint64_t *replaced)
{
    const uint8_t *at = text;
    const uint8_t *const limit = text + size;
    uint8_t *to = out;
    while (at < limit) {
        uint64_t mask;
        size_t plain;
        if (limit - at >= BLOCK) {
            mask = DH_STRINGS(copy_plain)(at, to);
            if (mask == 0) {
                at += BLOCK;
                to += BLOCK;
                continue;
            }
            plain = (size_t)__builtin_ctzll(mask);
        } else {
            mask = DH_STRINGS(last_backslashes)(text, at, limit);
            plain = mask != 0 ? (size_t)__builtin_ctzll(mask) : (size_t)(limit - at);
        }
        if (plain > 0) {
            memmove(to, at, plain);
            at += plain;
            to += plain;
        }
        while (at < limit && *at == '\\') {
            size_t written;
            at += dh_json_escape_decode(at, limit, to, &written, replaced);
            to += written;
        }
    }
    return (size_t)(to - out);
}
