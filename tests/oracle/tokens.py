#!/usr/bin/env python3
"""Recomputes tokens in pure Python and compares them with what dhatu gives.

    tokens.py TOKENS_DUMP [--rounds N] [--seed N] [FILE...]

TOKENS_DUMP is the program of tests/tools/tokens_dump.c. Compared are random text and the files. Code points
that Python's unicodedata does not know (it may be of an older Unicode than utf8proc) are replaced first,
for both sides. Hashes are compared, too, where the module xxhash is installed. Exit code 77: skipped.
"""

import argparse
import os
import random
import re
import subprocess
import sys
import tempfile
import unicodedata

try:
    import xxhash
except ImportError:
    xxhash = None

SCRIPTS = os.path.join(os.environ.get("DH_UNICODE_DATA", "/usr/share/unicode"), "Scripts.txt")
UNSPACED = {"Han", "Hiragana", "Katakana", "Thai", "Lao", "Khmer", "Myanmar"}


def read_unspaced():
    """The code points of the scripts written without spaces."""
    found = set()
    with open(SCRIPTS, encoding="utf-8") as lines:
        for line in lines:
            fields = line.split("#")[0].split(";")
            if len(fields) == 2 and fields[1].strip() in UNSPACED:
                first, _, last = fields[0].strip().partition("..")
                found.update(range(int(first, 16), int(last or first, 16) + 1))
    return found


def unicode_tokens(text, unspaced):
    tokens, run = [], []
    for char in unicodedata.normalize("NFKC", text).casefold():
        category = unicodedata.category(char)
        word = category[0] in "LMN"
        single = category == "Sm" or (word and ord(char) in unspaced)
        if run and (single or not word):
            tokens.append("".join(run))
            run = []
        if single:
            tokens.append(char)
        elif word:
            run.append(char)
    if run:
        tokens.append("".join(run))
    return tokens


def sklearn_tokens(text, _):
    return re.findall(r"(?u)\b\w\w+\b", text.lower())


def known(char):
    return unicodedata.category(char) not in ("Cn", "Cs")


POOL = (
    "aeoZ09_+=<>|~.,'\n \u00a0\u00ad\u00b2\u00bd\u00c9\u00df\u0130\u0131\u0149\u01c4\u0300\u0301\u0307\u0308\u0323"
    "\u0327\u0338\u0340\u0344\u0345\u034f\u037a\u0390\u03a3\u03a3\u03b1\u03c2\u0419\u0587\u05b4\u05e9\u0627\u0653"
    "\u0915\u0928\u093c\u094d\u09c7\u09be\u0b47\u0b56\u0dd9\u0dca\u0dcf\u0e01\u0e33\u0e48\u0eb3\u0f42\u0f43\u0fb7"
    "\u0f71\u0f72\u1000\u1025\u102e\u1100\u1112\u1160\u1161\u1175\u11a7\u11a8\u11c2\u1780\u17d2\u1b05\u1b35\u1e9b"
    "\u1e9e\u1ea1\u1f00\u1f52\u1fb7\u200b\u200d\u2019\u2026\u2044\u2126\u212b\u2167\u2211\u2460\u3000\u3042\u304b"
    "\u3093\u3099\u309a\u30fc\u32c0\u3300\u4e00\u9fa5\uac00\uac01\ufb01\ufb2c\ufdfa\uff21\uff76\uff9e\ufffd"
    "\U00010400\U000110ba\U00011099\U0001d15e\U0001d165\U0001d400\U0001f600\U00020000\U0002f800"
)


def random_text(source):
    chars = []
    limit = source.choice((0x80, 0x250, 0x600, 0x3100, 0x20000, 0x110000))
    weight = source.random()
    for _ in range(source.randrange(2000)):
        char = source.choice(POOL) if source.random() < weight else chr(source.randrange(limit))
        chars.append(char if known(char) else " ")
    return "".join(chars)


def dump(program, mode, text):
    with tempfile.NamedTemporaryFile() as file:
        file.write(text.encode("utf-8"))
        file.flush()
        done = subprocess.run([program, mode, file.name], stdout=subprocess.PIPE, check=True)
    rows = done.stdout.decode("utf-8").split("\n")[:-1]
    return [row.split("\t", 1) for row in rows]


def compare(program, mode, tokenize, text, unspaced, name):
    expected = tokenize(text, unspaced)
    rows = dump(program, mode, text)
    got = [row[1] for row in rows]
    if got != expected:
        at = next((i for i, pair in enumerate(zip(got, expected)) if pair[0] != pair[1]), min(len(got), len(expected)))
        sys.exit(f"{name}, {mode}: token {at}: dhatu has {got[at:at + 3]!a}, Python has {expected[at:at + 3]!a}")
    if xxhash is not None:
        for digest, token in rows:
            if int(digest, 16) != xxhash.xxh3_64_intdigest(token.encode("utf-8")):
                sys.exit(f"{name}, {mode}: the hash of {token!a} is {digest}")
    return len(expected)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program")
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("files", nargs="*")
    options = parser.parse_intermixed_args()
    if not os.access(options.program, os.X_OK):
        print(f"skipped: no program {options.program}")
        return 77
    if not os.path.exists(SCRIPTS):
        print(f"skipped: no {SCRIPTS} (package unicode-data, or set DH_UNICODE_DATA)")
        return 77
    unspaced = read_unspaced()
    source = random.Random(options.seed)
    # Every code point that Python knows comes once, each between letters and marks.
    every = "\n".join(f"a{c}e\u0301{c}\u0323 {c}" for c in map(chr, range(0x110000)) if known(c))
    texts = [("every code point", every)]
    texts += [(f"random text {i}", random_text(source)) for i in range(options.rounds)]
    for path in options.files:
        with open(path, "rb") as file:
            text = file.read().decode("utf-8", "replace")
        texts.append((path, "".join(c if known(c) else " " for c in text)))
    count = 0
    for name, text in texts:
        count += compare(options.program, "unicode", unicode_tokens, text, unspaced, name)
        count += compare(options.program, "sklearn", sklearn_tokens, text, unspaced, name)
    print(f"{len(texts)} texts, {count} tokens: the same (Unicode {unicodedata.unidata_version} here,"
          f" hashes {'compared' if xxhash else 'not compared: no module xxhash'})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
