/* Tests of read/stream.h: every compression, cut at every byte and with every bit turned over. */
#include "stream_files.h"

/* Damage anywhere in a large member: both libraries must tell the same. Bytes may differ where the lenient
 * one had handed out nonsense already, but not before the first changed byte could have an effect. */
static void test_gzip_large_damaged(void **state)
{
    (void)state;
    dh_buffer text = text_make(400000, 32768), file = {0};
    put_member(&file, text.data, 200000, 6, 0, 0, 0);
    const size_t second = file.size;
    put_member(&file, text.data + 200000, 200000, 9, 0, 0, 0);
    const int rounds = (int)support_turns(300);
    for (int round = 0; round < rounds; round++) {
        dh_buffer damaged = {0};
        put(&damaged, file.data, file.size);
        const size_t at = 10 + chance((uint32_t)file.size - 10);
        if (round % 3 == 0) {
            damaged.size = at;
        } else {
            damaged.data[at] ^= (uint8_t)(1 + chance(255));
        }
        file_write(damaged.data, damaged.size);
        reading strict = file_read(&dh_inflate_zlib, 65536);
        assert_int_not_equal(strict.damage, DH_STREAM_INTACT);
        if (at > second + 10) {
            assert_true(strict.bytes.size >= 200000);
            assert_memory_equal(strict.bytes.data, text.data, 200000);
        }
        for (size_t i = 1; i < COUNT(inflaters); i++) {
            reading other = file_read(inflaters[i], 65536);
            assert_int_equal(other.damage, strict.damage);
            if (round % 3 == 0) {
                assert_int_equal(other.bytes.size, strict.bytes.size);
            }
            assert_true(other.bytes.size >= strict.bytes.size);
            assert_memory_equal(other.bytes.data, strict.bytes.data, strict.bytes.size);
            dh_buffer_free(&other.bytes);
        }
        dh_buffer_free(&strict.bytes);
        dh_buffer_free(&damaged);
    }
    dh_buffer_free(&file);
    dh_buffer_free(&text);
}

/* ISA-L takes this block, of which a code is incomplete, for an empty one, and the zeros for its trailer. */
static void test_gzip_checksum_of_nothing(void **state)
{
    (void)state;
    static const char member[] = "\x1F\x8B\x08\0\0\0\0\0\0\3\x15\x52\xC7\x11\x00\x21\x08\xAC\x55\x72\xA6\xFF"
                                 "\xDF\x71\x51\x51\x51\x51\x3F\0\0\0\0\0\0\0\0\0\0\0";
    dh_buffer file = {0}, nothing = {0};
    put(&file, member, sizeof member - 1);
    expect_bytes(&file, DH_STREAM_CORRUPT, &nothing);
    dh_buffer_free(&file);
}

/* ---- every cut, every bit --------------------------------------------------------------------------- */

typedef struct sample {
    dh_buffer file, text;
    bool is_member_end[4096]; /* a cut there leaves whole members */
    size_t mark;              /* a cut before leaves too little to tell what it is */
} sample;

/* Several members of text_size bytes in all. */
static void sample_make(sample *s, int how, size_t text_size)
{
    memset(s, 0, sizeof *s);
    seed = 0; /* many of the bits make blocks that ISA-L takes and zlib does not */
    s->text = text_make(text_size, 400);
    s->mark = (size_t[]){3, 4, 6}[how];
    /* Letters without a pattern: deflate makes codes of its own for them. */
    for (size_t i = text_size / 3; i < 2 * text_size / 3; i++) {
        s->text.data[i] = (uint8_t)('a' + chance(20) / (1 + chance(4)));
    }
    for (size_t part = 0; part < 3; part++) {
        dh_buffer piece = {s->text.data + part * text_size / 3, text_size / 3, text_size / 3};
        if (how == 0 && part == 1) {
            put_member(&s->file, piece.data, piece.size, 9, 0x1E, 3, 5);
        } else {
            put_compressed(&s->file, how, &piece);
        }
        if (how == 1 && part == 1) {
            s->is_member_end[s->file.size] = true;
            put_skippable(&s->file, 1, 4);
        }
        assert_true(s->file.size < sizeof s->is_member_end);
        s->is_member_end[s->file.size] = true;
    }
}

static void sample_free(sample *s)
{
    dh_buffer_free(&s->file);
    dh_buffer_free(&s->text);
}

static void test_every_cut(void **state)
{
    (void)state;
    for (int how = 0; how < (DHATU_HAVE_BZIP2 ? 3 : 2); how++) {
        sample s;
        sample_make(&s, how, 1500);
        size_t longest = 0;
        const size_t step = support_step();
        for (size_t cut = 0; cut <= s.file.size; cut += s.file.size - cut < step ? 1 : step) {
            file_write(s.file.data, cut);
            reading first = file_read(&dh_inflate_zlib, 65536);
            dh_buffer expected = {s.text.data, first.bytes.size, 0};
            dh_stream_damage damage = s.is_member_end[cut] ? DH_STREAM_INTACT : DH_STREAM_TRUNCATED;
            if (cut < s.mark) {
                expected.data = s.file.data;
                expected.size = cut;
                damage = DH_STREAM_INTACT;
            } else {
                /* Longer files never give less. */
                assert_true(first.bytes.size >= longest && first.bytes.size <= s.text.size);
                longest = first.bytes.size;
            }
            expect_file_sized(damage, &expected, COUNT(pieces));
            dh_buffer_free(&first.bytes);
        }
        assert_int_equal(longest, s.text.size);
        sample_free(&s);
    }
}

/* Gzip and zstd give what lies before a cut, not only whole members. */
static void test_cut_gives_all_before(void **state)
{
    (void)state;
    dh_buffer text = text_make(600000, 30000), file = {0};
    put_gzip(&file, text.data, text.size);
    file_write(file.data, file.size / 2);
    for (size_t i = 0; i < COUNT(inflaters); i++) {
        reading r = file_read(inflaters[i], 65536);
        assert_int_equal(r.damage, DH_STREAM_TRUNCATED);
        assert_true(r.bytes.size > 250000 && r.bytes.size < 350000);
        assert_memory_equal(r.bytes.data, text.data, r.bytes.size);
        dh_buffer_free(&r.bytes);
    }
    /* All but the trailer: all the data. */
    for (size_t missing = 1; missing <= 8; missing++) {
        dh_buffer cut = {file.data, file.size - missing, 0};
        expect_bytes(&cut, DH_STREAM_TRUNCATED, &text);
    }
    dh_buffer_free(&file);
    put_zstd(&file, text.data, text.size, true, 17);
    file_write(file.data, file.size / 2);
    reading r = file_read(NULL, 65536);
    assert_int_equal(r.damage, DH_STREAM_TRUNCATED);
    assert_true(r.bytes.size >= 131072 && r.bytes.size < 400000);
    assert_memory_equal(r.bytes.data, text.data, r.bytes.size);
    dh_buffer_free(&r.bytes);
    dh_buffer_free(&file);
    dh_buffer_free(&text);
}

static void expect_flip_seen(const sample *s, size_t bit)
{
    reading r[COUNT(inflaters)];
    for (size_t i = 0; i < COUNT(inflaters); i++) {
        r[i] = file_read(inflaters[i], 65536);
        assert_int_equal(r[i].damage, r[0].damage);
        assert_int_equal(r[i].bytes.size, r[0].bytes.size);
        if (r[0].bytes.size > 0) {
            assert_memory_equal(r[i].bytes.data, r[0].bytes.data, r[0].bytes.size);
        }
    }
    reading slow = file_read(inflaters[COUNT(inflaters) - 1], 1);
    assert_int_equal(slow.damage, r[0].damage);
    dh_buffer_free(&slow.bytes);
    const bool same =
        r[0].bytes.size == s->text.size && memcmp(r[0].bytes.data, s->text.data, s->text.size) == 0;
    /* A file whose mark is broken is plain text, which anyone sees who reads it. */
    const bool told =
        r[0].damage != DH_STREAM_INTACT || r[0].compression == DH_COMPRESSION_NONE || r[0].unchecked;
    if (!same && !told) {
        fail_msg("bit %zu of a %s file is wrong, and nobody noticed", bit,
                 dh_compression_name(r[0].compression));
    }
    for (size_t i = 0; i < COUNT(inflaters); i++) {
        dh_buffer_free(&r[i].bytes);
    }
}

static void test_every_bit(void **state)
{
    (void)state;
    for (int how = 0; how < (DHATU_HAVE_BZIP2 ? 3 : 2); how++) {
        sample s;
        sample_make(&s, how, 1500);
        for (size_t bit = 0; bit < 8 * s.file.size; bit += support_step()) {
            s.file.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
            file_write(s.file.data, s.file.size);
            expect_flip_seen(&s, bit);
            s.file.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
        sample_free(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gzip_large_damaged), cmocka_unit_test(test_gzip_checksum_of_nothing),
        cmocka_unit_test(test_every_cut),          cmocka_unit_test(test_cut_gives_all_before),
        cmocka_unit_test(test_every_bit),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
