"""Broken input of every kind: the valid documents of each file are found, every loss is counted by reason and
listed in the quarantine, every byte is accounted for, and no rank takes more than 512 MiB.

What must come is told by a reader written here (Reference), which knows nothing of dhatu's, and by the table
of reasons below. With DHATU_NASTY=FOLDER, a folder with a MANIFEST.tsv (file, bytes, valid_docs, note), its
files are checked in the same way."""

import bz2
import concurrent.futures
import csv
import glob
import gzip
import json
import lzma
import os
import random
import re
import shutil
import struct
import subprocess
import sys
import zlib

import support

MEMORY_MAX = 512 << 20
DEPTH_MAX = 1024
TOKENS_MAX = 8 << 20
BLANK = re.compile(rb"[ \t\r]*\Z")

# ---- the reference -------------------------------------------------------------------------------------------


def refuse_constant(name):
    raise ValueError(name)


def number(text):
    return (text,)  # of any size, and no text


JSON = json.JSONDecoder(parse_constant=refuse_constant, parse_int=number, parse_float=number)
SURROGATE = re.compile("[\ud800-\udfff]")


def depth_of(line):
    depth = deepest = 0
    for c in re.sub(rb'"(?:[^"\\]|\\.)*"', b"", line):
        depth += (c in b"{[") - (c in b"}]")
        deepest = max(deepest, depth)
    return deepest


def judge_line(line):
    """Why a line is no document (None: it is one), and whether its text needs repair."""
    if len(line) > 4 << 20:  # the giants that are made here: a flat object of texts without escapes
        if line[:1] != b"{" or line[-1:] != b"}" or line.count(b'"') % 4 != 0:
            return "json_syntax", False
        return ("too_many_tokens" if line.count(b" ") >= TOKENS_MAX else None), False
    if line.strip(b"\0") == b"":
        return "nul_padding", False
    try:
        value = JSON.decode(line.decode("utf-8", "surrogateescape").strip(" \t\r\n"))
    except RecursionError:
        return ("json_too_deep" if depth_of(line) > DEPTH_MAX else "json_syntax"), False
    except ValueError:
        return "json_syntax", False
    if depth_of(line) > DEPTH_MAX:
        return "json_too_deep", False
    if not isinstance(value, dict):
        return "json_not_object", False
    if "text" not in value:
        return "text_missing", False
    if not isinstance(value["text"], str):
        return "text_not_string", False
    return None, SURROGATE.search(value["text"]) is not None


def gunzip(data):
    """The decoded bytes and the damage (None: intact), member after member."""
    out = []
    damage = None
    at = 0
    while at < len(data):
        rest = data[at:]
        if at > 0 and rest.strip(b"\0") == b"":
            break
        if rest[:3] != b"\x1f\x8b\x08":
            zeros = len(rest) - len(rest.lstrip(b"\0"))
            if zeros and rest[zeros:zeros + 3] == b"\x1f\x8b\x08":
                at += zeros
                continue
            damage = damage or "source_trailing_garbage"
            break
        if rest[3] & 0x1E:
            raise NotImplementedError("gzip header with extras")
        decoder = zlib.decompressobj(-15)
        body = []
        place = 10
        step = 4096
        try:
            while not decoder.eof and place < len(rest):
                body.append(decoder.decompress(rest[place:place + step]))
                place += step
        except zlib.error:
            out += body
            damage = damage or "source_corrupt"
            break
        out += body
        trailer = rest[len(rest) - len(decoder.unused_data) - max(len(rest) - place, 0):] if decoder.eof else b""
        if not decoder.eof or len(trailer) < 8:
            damage = damage or "source_truncated"
            break
        body = b"".join(body)
        if struct.unpack("<II", trailer[:8]) != (zlib.crc32(body), len(body) & 0xFFFFFFFF):
            damage = damage or "source_checksum"
        at = len(data) - len(trailer) + 8
    return b"".join(out), damage


def bunzip(data):
    decoder = bz2.BZ2Decompressor()
    out = decoder.decompress(data)
    return out, None if decoder.eof else "source_truncated"


def decode(data):
    if data[:2] == b"\x1f\x8b":
        out, damage = gunzip(data)
    elif data[:3] == b"BZh":
        out, damage = bunzip(data)
    elif data[:6] == b"\xfd7zXZ\0":
        return b"", "source_unsupported"
    else:
        return data, None
    if out[:2] == b"\x1f\x8b" or out[:3] == b"BZh" or out[:6] == b"\xfd7zXZ\0":
        return b"", "source_nested"
    return out, damage


class Reference:
    """What must come of one file."""

    def __init__(self, data):
        content, self.damage = decode(data)
        self.bytes = len(content)
        self.documents = self.document_bytes = self.records = self.blank = self.blank_bytes = self.repaired = 0
        self.bad = []  # (record, offset, bytes, reason)
        if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
            self.damage = "source_utf16"
            return
        offset = 0
        while offset < len(content):
            end = content.find(b"\n", offset)
            size = (len(content) if end < 0 else end + 1) - offset
            self.take(content, offset, size, end < 0)
            offset += size

    def take(self, content, offset, size, last):
        line = content[offset:offset + size - (not last)]
        self.records += 1
        if offset == 0 and line[:3] == b"\xef\xbb\xbf":
            line = line[3:]
        if BLANK.match(line):
            self.blank += 1
            self.blank_bytes += size
            return
        reason, repaired = judge_line(line)
        if reason is None:
            self.documents += 1
            self.repaired += repaired
            self.document_bytes += size
            return
        if last and self.damage in ("source_truncated", "source_corrupt", "source_checksum") and \
                reason != "nul_padding":
            reason = "cut_by_damage"
        self.bad.append((self.records, offset, size, reason))

    def reasons(self):
        found = {}
        for *_, reason in self.bad:
            found[reason] = found.get(reason, 0) + 1
        if self.damage:
            found[self.damage] = found.get(self.damage, 0) + 1
        return found


# ---- the files -----------------------------------------------------------------------------------------------

BROKEN = (
    lambda line: line[:len(line) // 2],
    lambda line: line + b"}",
    lambda line: line.replace(b'"text"', b'text"'),
    lambda line: b"<html>" + line,
    lambda line: line.replace(b'{"id": ', b'{"id": \xff\xfe'),
    lambda line: line[:-1] + b",}",
    lambda line: b"{'id': 'x', 'text': 'single quotes'}",
    lambda line: b"null",
    lambda line: b"[]",
    lambda line: b"42",
    lambda line: b'{"id": "no-text"}',
    lambda line: b'{"id": "t-num", "text": 12}',
    lambda line: b'{"id": "t-null", "text": null}',
    lambda line: b'{"text": "a\tb raw tab"}',
    lambda line: b'{"id":"nul","text":"a\x00b"}',
    lambda line: b'{"id":"nan","text":"x","score":NaN}',
    lambda line: b"NUL\x00\x00\x00\x00",
)

SPECIAL = (
    ("lone-surrogate-hi", "a\\ud800b"), ("lone-surrogate-lo", "a\\udc00b"), ("pair", "\\ud83d\\ude00"),
    ("nul-escape", "a\\u0000b"), ("noncharacter", "\\ufffe\\uffff"), ("zwj", "\\ud83d\\udc68\\u200d\\ud83d\\udc69"),
    ("rtl", "abc \\u202e def \\u202c \\u05e9"), ("line-sep", "a\\u2028b\\u2029c\\u0085d\\fe\\u000b"), ("empty", ""),
    ("spaces", "   \\n\\t "), ("zalgo", "Z" + "\\u0300\\u0316\\u0327" * 200), ("", "empty id"), ("dup", "one"),
    ("dup", "two, same id"), ("long-" + "x" * 5000, "long id"), ("../../etc/passwd", "path-like id"),
    ("tab\\tnl\\nid", "control characters in the id"), ("#dup1", "an id like ours"),
)

WEIRD = (
    b'{"id":"a","text":"first","text":"second"}',
    b'{"id":"deep","text":"x","meta":' + b"[" * 100000 + b"]" * 100000 + b"}",
    b'{"id":"bignum","text":"x","n":1e999999,"m":' + b"9" * 5000 + b"}",
    b'{"id":"esc","text":"\\u00e9\\ud83d\\ude00\\/\\b\\f"}',
    b'  {"text" : "spaces" , "id" : "sp" }  ',
    b'{"id":"two","text":"a"}{"id":"two2","text":"b on the same line"}',
)


def members(pieces):
    return b"".join(gzip.compress(p, 6, mtime=0) for p in pieces)


def flipped(data, place, bit=0x40):
    return data[:place] + bytes([data[place] ^ bit]) + data[place + 1:]


def giant(head, unit, size, tail):
    return head + unit * ((size - len(head) - len(tail)) // len(unit)) + tail


def bomb(unit):
    """256 MiB in one line."""
    packer = zlib.compressobj(6, zlib.DEFLATED, 31)
    parts = [packer.compress(b'{"id":"bomb","text":"')]
    parts += [packer.compress(unit) for _ in range((256 << 20) // len(unit))]
    return b"".join(parts + [packer.compress(b'"}\n'), packer.flush()])


def mixed_encodings(lines):
    """Each UTF-16 line ends as editors on Windows would have it not: with 0A alone."""
    codecs = ("utf-8", "latin-1", "cp1252", "utf-16-le", "cp850", "utf-8")
    out = []
    for i, line in enumerate(lines):
        out.append(line.decode().encode(codecs[i % 6], "replace") + b"\n")
    return b"".join(out)


def make_files():
    """Name -> (bytes of the file, valid documents; -1: only the reference tells)."""
    rng = random.Random(2024)
    lines = [support.record(rng, i) for i in range(400)]
    clean = b"".join(line + b"\n" for line in lines)
    packed = gzip.compress(clean, 6, mtime=0)
    broken = b"".join((BROKEN[i // 5 % len(BROKEN)](line) if i % 5 == 4 else line) + b"\n"
                      for i, line in enumerate(b'{"id": "d%d", "text": "%s"}' % (i, support.sentences(rng, 3).encode())
                                               for i in range(400)))
    latin = [json.dumps({"id": f"l{i}", "text": "é " + support.sentences(rng, 2, "fr")}, ensure_ascii=False)
             for i in range(400)]
    pretty = json.dumps([json.loads(line) for line in lines[:40]], indent=2, ensure_ascii=False).encode()
    middle = [clean[i:i + 500] for i in range(0, len(clean), 500)]
    text = b'{"id":"s","text":"%s"}\n'
    return {
        "clean.jsonl": (clean, 400),
        "clean.jsonl.gz": (packed, 400),
        "no-final-newline.jsonl": (clean[:-1], 400),
        "crlf.jsonl": (clean.replace(b"\n", b"\r\n"), 400),
        "bom.jsonl": (b"\xef\xbb\xbf" + clean, 400),
        "blank-lines.jsonl": (b"\n \n" + clean.replace(b"}\n", b"}\n\n\t \r\n") + b"   ", 400),
        "broken-lines.jsonl": (broken, 320),
        "broken-lines.jsonl.gz": (gzip.compress(broken, 6, mtime=0), 320),
        "trailing-garbage.jsonl.gz": (packed + b"\0" * 512 + b"garbage" * 4, 400),
        "trailing-zeros.jsonl.gz": (packed + b"\0" * 1024, 400),
        "truncated.jsonl.gz": (packed[:len(packed) * 2 // 3], -1),
        "truncated-crc.jsonl.gz": (packed[:-4], 400),
        "bad-crc.jsonl.gz": (flipped(packed, len(packed) - 6), 400),
        "bitflip-middle.jsonl.gz": (flipped(packed, len(packed) // 2), -1),
        "multi-member.jsonl.gz": (members(line + b"\n" for line in lines), 400),
        "member-split-midline.jsonl.gz": (members(middle), 400),
        "empty.jsonl": (b"", 0),
        "empty.jsonl.gz": (b"", 0),
        "empty-member.jsonl.gz": (gzip.compress(b"", mtime=0), 0),
        "not-gzip.jsonl.gz": (clean, 400),
        "gzip-without-suffix.jsonl": (packed, 400),
        "double-gzip.jsonl.gz": (gzip.compress(packed, mtime=0), 0),
        "xz-named-gz.jsonl.gz": (lzma.compress(clean), 0),
        "bz2.jsonl.bz2": (bz2.compress(clean), 400),
        "zlib-raw.jsonl.gz": (zlib.compress(clean), 0),
        "huge-line-32MiB.jsonl.gz": (gzip.compress(
            text % b"before" + giant(b'{"id":"giant","text":"', b"a calm sea, an angry wind. ", 32 << 20, b'"}\n') +
            text % b"after", 1, mtime=0), 3),
        "huge-word-8MiB.jsonl.gz": (gzip.compress(giant(b'{"id":"word","text":"', b"abcdefgh", 8 << 20, b'"}\n'), 1,
                                                  mtime=0), 1),
        "gzip-bomb-256MiB.jsonl.gz": (bomb(b"A" * 65536), 1),
        "mixed-encodings.jsonl": (mixed_encodings(lines[:300]), -1),
        "utf16le-bom.jsonl": (b"\xff\xfe" + clean.decode().encode("utf-16-le"), 0),
        "utf16be.jsonl": (clean.decode().encode("utf-16-be"), 0),
        "latin1-whole.jsonl": ("".join(line + "\n" for line in latin).encode("latin-1", "replace"), 400),
        "mojibake.jsonl": ("".join(line + "\n" for line in latin[:100]).encode().decode("latin-1").encode(), 100),
        "special-strings.jsonl": (b"".join(b'{"id": "%s", "text": "%s"}\n' % (i.encode(), t.encode()) for i, t in SPECIAL) +
                                  b'{"id": 7, "text": "numeric id"}\n{"id": null, "text": "null id"}\n', len(SPECIAL) + 2),
        "weird-json.jsonl": (b"\n".join(WEIRD) + b"\n", 4),
        "pretty-printed.json": (pretty, 0),
        "concatenated-pretty.json": (b"\n".join(json.dumps(json.loads(line), indent=1).encode() for line in lines[:40]), 0),
        "cr-only.jsonl": (clean.replace(b"\n", b"\r"), 0),
        "one-million-empty-lines.jsonl": (b"\n" * 1000000, 0),
        "random-bytes.jsonl": (rng.getrandbits(8 << 20).to_bytes(1 << 20, "little"), 0),
        "nul-tail.jsonl": (clean + b"\0" * 65536, 400),
        "many-tiny.jsonl.gz": (gzip.compress(b"".join(b'{"id":"t%d","text":"ab"}\n' % i for i in range(200000)), 1,
                                             mtime=0), 200000),
        # beyond the list of the corpus
        "bz2-truncated.jsonl.bz2": (bz2.compress(clean)[:-500], -1),
        "second-member-truncated.jsonl.gz": (packed + packed[:-300], -1),
        "second-member-bad-crc.jsonl.gz": (packed + flipped(packed, len(packed) - 6) + packed, 1200),
        "zeros-between.jsonl.gz": (packed + b"\0" * 100 + packed, 800),
        "bomb-of-words.jsonl.gz": (bomb(b"peace and war " * 65536), 0),
        "one-byte.jsonl": (b"{", 0),
        "magic-only.jsonl.gz": (b"\x1f\x8b\x08\0\0\0\0\0\0\x03", 0),
        "nul-first.jsonl": (b"\0\n" + clean, 400),
    }


# Reasons that a file must have, whatever else; () for none at all.
REASONS = {
    "truncated.jsonl.gz": {"source_truncated": 1},
    "truncated-crc.jsonl.gz": {"source_truncated": 1},
    "bad-crc.jsonl.gz": {"source_checksum": 1},
    "trailing-garbage.jsonl.gz": {"source_trailing_garbage": 1},
    "double-gzip.jsonl.gz": {"source_nested": 1},
    "xz-named-gz.jsonl.gz": {"source_unsupported": 1},
    "utf16le-bom.jsonl": {"source_utf16": 1},
    "cr-only.jsonl": {"json_syntax": 1},
    "nul-tail.jsonl": {"nul_padding": 1},
    "bomb-of-words.jsonl.gz": {"too_many_tokens": 1},
    "magic-only.jsonl.gz": {"source_truncated": 1},
    "second-member-bad-crc.jsonl.gz": {"source_checksum": 1},
}
ZERO = ("pretty-printed.json", "utf16be.jsonl", "zlib-raw.jsonl.gz", "utf16le-bom.jsonl", "cr-only.jsonl",
        "double-gzip.jsonl.gz", "xz-named-gz.jsonl.gz")

# ---- the checks ----------------------------------------------------------------------------------------------


class File:
    def __init__(self, path, valid):
        self.path, self.valid = path, valid
        self.name = os.path.basename(path)
        with open(path, "rb") as file:
            self.reference = Reference(file.read())
        # Behind invalid codes of deflate a decoder may give some nonsense before it notices (stream.h).
        self.exact = self.reference.damage != "source_corrupt"


def stem(name):
    return re.sub(r"\.(gz|bz2|zst|xz)$", "", name)


def check_source(checks, label, file, got, lines):
    reference = file.reference
    if file.exact:
        checks.equal(got["documents"], reference.documents, f"{label}: documents")
        checks.equal(got["records"], reference.records, f"{label}: records")
        checks.equal(got["bytes"], reference.bytes, f"{label}: bytes")
        checks.equal(got["bad"], len(reference.bad) + (reference.damage is not None), f"{label}: bad")
        listed = [(q["record"], q["offset"], q["bytes"], q["reason"]) for q in lines if q["record"] is not None]
        if listed != reference.bad:
            wrong = next((pair for pair in zip(listed, reference.bad) if pair[0] != pair[1]),
                         (len(listed), len(reference.bad)))
            checks.fail(f"{label}: the quarantine's records are not those that are bad: {wrong}")
    else:
        checks.that(reference.documents - 1 <= got["documents"] <= max(file.valid, 400),
                    f"{label}: {got['documents']} documents, {reference.documents} lie in front of the damage")
    of_source = [q["reason"] for q in lines if q["record"] is None]
    checks.equal(of_source, [reference.damage] if reference.damage else [], f"{label}: reasons of the source")
    checks.equal(len(lines), got["bad"], f"{label}: lines in the quarantine")
    if file.valid >= 0:
        checks.equal(got["documents"], file.valid, f"{label}: valid documents")
    counts = {}
    for line in lines:
        counts[line["reason"]] = counts.get(line["reason"], 0) + 1
        checks.that(line["description"], f"{label}: a quarantine line without a description")
    for reason, count in REASONS.get(file.name, {}).items():
        checks.equal(counts.get(reason, 0), count, f"{label}: {reason}")
    if file.name in ZERO:
        checks.equal(got["documents"], 0, f"{label}: documents by policy")


def check_quality(checks, label, files, result, lines, sources):
    quality = result.quality()
    checks.equal(sum(b for _, b in quality.values()), sum(s["bytes"] for s in sources.values()),
                 f"{label}: the bytes of quality do not add up to those of the sources")
    counts, sizes = {}, {}
    for line in lines:
        counts[line["reason"]] = counts.get(line["reason"], 0) + 1
        sizes[line["reason"]] = sizes.get(line["reason"], 0) + line["bytes"]
    for reason, (count, size) in quality.items():
        if reason in ("document", "blank"):
            continue
        checks.equal(count, counts.get(reason, 0), f"{label}: quality of {reason} beside the quarantine")
        if reason != "source_utf16":
            checks.equal(size, sizes.get(reason, 0), f"{label}: bytes of {reason} beside the quarantine")
    if all(f.exact for f in files):
        references = [f.reference for f in files]
        checks.equal(quality["document"], (sum(r.documents for r in references),
                                           sum(r.document_bytes for r in references)), f"{label}: documents")
        checks.equal(quality["blank"], (sum(r.blank for r in references), sum(r.blank_bytes for r in references)),
                     f"{label}: blank lines")
        checks.equal(result.values("repaired")[0], sum(r.repaired for r in references),
                     f"{label}: repaired documents")
        utf16 = sum(r.bytes for r in references if r.damage == "source_utf16")
        checks.equal(quality["source_utf16"][1], utf16, f"{label}: bytes of UTF-16 sources")


def check_run(checks, label, files, argument, output, ranks, options=()):
    outcome = support.run(["run", "-q", "-j", "profile,digest", "-o", output, *options, argument], ranks, limit=120)
    if not checks.ended(outcome, 0, label):
        return
    memory = support.peak_memory(output)
    checks.that(memory <= MEMORY_MAX, f"{label}: {memory / support.MEBIBYTE:.0f} MiB of memory, {MEMORY_MAX >> 20} allowed")
    lines = support.quarantine(output)
    with support.Result(output) as result:
        sources = result.sources()
        checks.equal(len(sources), len(files), f"{label}: sources")
        for file in files:
            name = next((n for n in sources if n == file.source), None)
            if not checks.that(name is not None, f"{label}: {file.source} is no source of the result"):
                continue
            check_source(checks, f"{label}: {file.name}", file, sources[name], [q for q in lines if q["source"] == name])
        check_quality(checks, label, files, result, lines, sources)
    return memory


def check_folder(checks, work, title, paths, ranks_of_all=(1, 2)):
    """paths: [(path, valid documents)]. Files of one name less its suffix cannot be in one folder."""
    together = f"{work}/together"
    os.makedirs(f"{together}/a")
    os.makedirs(f"{together}/b")
    files, stems = [], set()
    for path, valid in paths:
        file = File(path, valid)
        part = "b" if stem(file.name) in stems else "a"
        stems.add(stem(file.name))
        os.symlink(os.path.abspath(path), f"{together}/{part}/{file.name}")
        file.source = f"{part}/{stem(file.name)}"
        files.append(file)
    digests = set()
    for ranks in ranks_of_all:
        output = f"{work}/all{ranks}.h5"
        memory = check_run(checks, f"{title}, {ranks} ranks", files, together, output, ranks)
        if memory:
            print(f"{title}, {len(files)} files, {ranks} ranks: {memory / support.MEBIBYTE:.0f} MiB a rank at most")
            digests.add(support.sha256(output))
            os.unlink(output)
    checks.that(len(digests) <= 1, f"{title}: the result depends on the number of ranks")
    for file in files:
        file.source = stem(file.name)
    with concurrent.futures.ThreadPoolExecutor(2) as pool:  # a start is mostly waiting
        list(pool.map(lambda file: check_run(checks, f"{title}, {file.name} alone", [file], file.path,
                                             f"{together}/alone-{file.name}.h5", 0), files))
    shutil.rmtree(together)  # with the results: another folder may have files of the same names


def check_limits(checks, work):
    """What the options forbid is quarantined, and the run goes on."""
    lines = [b'{"id":"%d","text":"%s"}' % (i, b"calm sea " * size) for i, size in enumerate((1, 500, 3, 40, 2))]
    path = support.write(f"{work}/limits.jsonl", b"\n".join(lines))
    for options, reason, count in ((("--max-record", "1K"), "record_too_large", 1),
                                   (("--max-tokens", "50"), "too_many_tokens", 2),
                                   (("--max-record", "8"), "record_too_large", 5)):
        output = f"{work}/limits.h5"
        outcome = support.run(["run", "-q", "-f", "-o", output, *options, path])
        label = " ".join(options)
        if checks.ended(outcome, 0, label):
            with support.Result(output) as result:
                quality = result.quality()
                checks.equal(quality[reason][0], count, f"{label}: {reason}")
                checks.equal(quality["document"][0], 5 - count, f"{label}: documents")
                bad = sum(len(line) + 1 for line in lines if (len(line) > 1024 if options[1] == "1K" else
                                                              line.count(b"calm") > 25 if options[1] == "50" else True))
                bad -= options[1] == "8"  # the last line has no end
                checks.equal(quality[reason][1], bad, f"{label}: bytes")


def check_zstd(checks, work):
    if shutil.which("zstd") is None:
        checks.note("no zstd command: damaged zstd is left out")
        return
    clean = support.records(8, 400)

    def zstd(*options):
        return subprocess.run(["zstd", "-q", "-c", *options], input=clean, capture_output=True, check=True).stdout

    frame, bare = zstd("--check"), zstd("--no-check")
    skippable = b"\x50\x2a\x4d\x18" + struct.pack("<I", 5) + b"hello"
    wide = subprocess.run(["zstd", "-q", "-c", "--ultra", "--long=28", "--no-check"], stdin=subprocess.DEVNULL,
                          capture_output=True, check=False)
    checks.that(wide.returncode == 0, "zstd --long=28 does not work here")
    cases = {
        "good": (skippable + frame + bare + skippable, 800, None),
        "truncated": (frame[:len(frame) // 2], -1, "source_truncated"),
        "flipped": (flipped(frame, len(frame) - 2), 400, "source_checksum"),
        "garbage": (frame + b"what is this", 400, "source_trailing_garbage"),
        "twice": (subprocess.run(["zstd", "-q", "-c"], input=frame, capture_output=True, check=True).stdout, 0,
                  "source_nested"),
        "window": (b"\x28\xb5\x2f\xfd\x00" + bytes([(31 - 10) << 3]) + b"\x01\0\0", 0, "source_window"),
    }
    for name, (data, documents, reason) in cases.items():
        path = support.write(f"{work}/zst-{name}.jsonl.zst", data)
        output = f"{work}/zst.h5"
        outcome = support.run(["run", "-q", "-f", "-o", output, path])
        label = f"zstd, {name}"
        if not checks.ended(outcome, 0, label):
            continue
        with support.Result(output) as result:
            source = result.sources()[f"zst-{name}.jsonl"]
            if documents >= 0:
                checks.equal(source["documents"], documents, f"{label}: documents")
            damages = [q["reason"] for q in support.quarantine(output) if q["record"] is None]
            checks.equal(damages, [reason] if reason else [], f"{label}: reasons of the source")


def main():
    checks = support.Checks()
    nasty = os.environ.get("DHATU_NASTY")
    with support.folder() as work:
        paths = []
        for name, (data, valid) in make_files().items():
            paths.append((support.write(f"{work}/files/{name}", data), valid))
        check_folder(checks, work, "made here", paths)
        check_limits(checks, work)
        check_zstd(checks, work)
        if nasty:
            with open(f"{nasty}/MANIFEST.tsv", encoding="utf-8") as table:
                rows = list(csv.DictReader(table, delimiter="\t"))
            paths = [(f"{nasty}/{row['file']}", int(row["valid_docs"])) for row in rows]
            check_folder(checks, work, nasty, paths)
    checks.exit()


if __name__ == "__main__":
    sys.exit(main())
