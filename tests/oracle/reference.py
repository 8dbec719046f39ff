#!/usr/bin/env python3
"""What dhatu computes, again, in plain Python from the definitions (docs/jobs.md) and from nothing else.

The oracle of tests/oracle/result.py; importable for other checks. It shares no code and no table with the
program, works on whole corpora in memory and does not try to be fast. The standard library is enough;
XXH3 hashes need the module xxhash and are None without it.

    corpus = read_corpus(folder, Options())
    lexicons = default_lexicons()
    rows = compute_rows(corpus, lexicons, options)

Left out: damaged and unsupported compression, text of another Unicode version than Python's.
"""

import bisect
import bz2
import gzip
import hashlib
import math
import os
import re
import subprocess
import sys
import unicodedata
from collections import Counter
from fractions import Fraction
from functools import cmp_to_key

try:
    import xxhash
except ImportError:
    xxhash = None

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
DHATUS = ("RELATE", "MODAL", "EXIST", "EVAL", "COMM", "CAUSE", "ITER", "DECIDE", "FEEL")
PRIMES = (2, 3, 5, 7, 11, 13, 17, 19, 23, 29)
STATUSES = ("ok", "repaired", "no-tokens")
REASONS = (
    "json_syntax json_not_object json_too_deep text_missing text_not_string record_too_large too_many_tokens"
    " invalid_utf8 nul_padding cut_by_damage source_truncated source_corrupt source_checksum"
    " source_trailing_garbage source_window source_nested source_unsupported source_utf16 source_binary"
).split()


class Options:
    """The options of dhatu run that matter to the result."""

    def __init__(self, **changes):
        self.text_field, self.id_field, self.lang_field = "text", "id", "lang"
        self.lang = None
        self.format = "auto"
        self.tokens = "unicode"
        self.max_record, self.max_tokens, self.max_id = 300 << 20, 8388608, 256
        for name, value in changes.items():
            if not hasattr(self, name):
                raise AttributeError(name)
            setattr(self, name, value)


# --- UTF-8 and hashes -------------------------------------------------------------------------------------


def repair(data):
    """(text, number of U+FFFD put in): each maximal ill-formed part becomes one."""
    text = data.decode("utf-8", "replace")
    return text, text.count("\ufffd") - data.count(b"\xef\xbf\xbd")


def xxh3_64(data):
    return xxhash.xxh3_64_intdigest(data) if xxhash else None


def content_hash(data):
    """The sum of XXH3-128 of each 64 KiB block, the block's number as seed; hexadecimal."""
    if not xxhash:
        return None
    blocks = range(0, len(data), 65536)
    total = sum(xxhash.xxh3_128_intdigest(data[at : at + 65536], seed=i) for i, at in enumerate(blocks))
    return f"{total % (1 << 128):032x}"


# --- Tokens -----------------------------------------------------------------------------------------------

# Script = Han, Hiragana, Katakana, Thai, Lao, Khmer or Myanmar (Scripts.txt of Unicode 15.0).
UNSPACED = (
    "E01-E3A E40-E5B E81-E82 E84-E84 E86-E8A E8C-EA3 EA5-EA5 EA7-EBD EC0-EC4 EC6-EC6 EC8-ECE ED0-ED9 EDC-EDF"
    " 1000-109F 1780-17DD 17E0-17E9 17F0-17F9 19E0-19FF 2E80-2E99 2E9B-2EF3 2F00-2FD5 3005-3005 3007-3007"
    " 3021-3029 3038-303B 3041-3096 309D-309F 30A1-30FA 30FD-30FF 31F0-31FF 32D0-32FE 3300-3357 3400-4DBF"
    " 4E00-9FFF A9E0-A9FE AA60-AA7F F900-FA6D FA70-FAD9 FF66-FF6F FF71-FF9D 16FE2-16FE3 16FF0-16FF1 1AFF0-1AFF3"
    " 1AFF5-1AFFB 1AFFD-1AFFE 1B000-1B122 1B132-1B132 1B150-1B152 1B155-1B155 1B164-1B167 1F200-1F200"
    " 20000-2A6DF 2A700-2B739 2B740-2B81D 2B820-2CEA1 2CEB0-2EBE0 2F800-2FA1D 30000-3134A 31350-323AF"
)
_RANGES = [tuple(int(end, 16) for end in part.split("-")) for part in UNSPACED.split()]
_STARTS = [first for first, _ in _RANGES]


def is_unspaced(char):
    at = bisect.bisect_right(_STARTS, ord(char)) - 1
    return at >= 0 and ord(char) <= _RANGES[at][1]


class _Classes(dict):
    """Character to itself (part of a run), with blanks around it (a token) or a blank, for str.translate."""

    def __missing__(self, code):
        char = chr(code)
        category = unicodedata.category(char)
        word = category[0] in "LMN"
        if category == "Sm" or (word and is_unspaced(char)):
            result = f" {char} "
        else:
            result = char if word else " "
        self[code] = result
        return result


_CLASSES = _Classes()


def unicode_tokens(text):
    # No letter, mark or number is a blank, so that splitting at U+0020 only is exact.
    folded = unicodedata.normalize("NFKC", text).casefold().translate(_CLASSES)
    return [token for token in folded.split(" ") if token]


def sklearn_tokens(text):
    return re.findall(r"(?u)\b\w\w+\b", text.lower())


def tokenizer(rule):
    return {"unicode": unicode_tokens, "sklearn": sklearn_tokens}[rule]


# --- JSON (RFC 8259) --------------------------------------------------------------------------------------


class BadRecord(Exception):
    """A record that is no document; the argument is the reason."""


_BLANK = re.compile(rb"[ \t\r\n]*")
_NUMBER = re.compile(rb"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_SPECIAL = re.compile(rb'[\x00-\x1f"\\]')
_HEX4 = re.compile(rb"u[0-9a-fA-F]{4}")
_ESCAPE = re.compile(
    rb"\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})|\\u([0-9a-fA-F]{4})|\\(.)", re.DOTALL
)
_SHORT = {b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t"}


class JsonString:
    def __init__(self, raw):
        self.raw = raw
        self.has_escapes = b"\\" in raw

    def unescape(self):
        """(bytes, lone surrogates that became U+FFFD)."""
        if not self.has_escapes:
            return self.raw, 0
        lone = 0

        def replace(match):
            nonlocal lone
            high, low, unit, short = match.groups()
            if high:
                code = 0x10000 + ((int(high, 16) - 0xD800) << 10) + int(low, 16) - 0xDC00
                return chr(code).encode()
            if unit:
                code = int(unit, 16)
                if 0xD800 <= code < 0xE000:
                    lone += 1
                    code = 0xFFFD
                return chr(code).encode()
            return _SHORT.get(short, short)

        return _ESCAPE.sub(replace, self.raw), lone


class JsonNumber:
    def __init__(self, raw):
        self.raw = raw


def _json_string(line, at):
    """A string from behind its opening quote: (JsonString, next)."""
    start = at
    while True:
        match = _SPECIAL.search(line, at)
        if not match:
            raise BadRecord("json_syntax")
        at = match.end()
        if match.group() == b'"':
            return JsonString(line[start : at - 1]), at
        if match.group() != b"\\":
            raise BadRecord("json_syntax")
        if line[at : at + 1] in (b'"', b"\\", b"/", b"b", b"f", b"n", b"r", b"t"):
            at += 1
        elif _HEX4.match(line, at):
            at += 5
        else:
            raise BadRecord("json_syntax")


def parse_json(line, max_depth=1024):
    """Objects become dicts of (unescaped bytes) names, arrays lists, others JsonString, JsonNumber or Python's."""
    blank = lambda at: _BLANK.match(line, at).end()
    stack = []  # containers that are open; of an object with its current name
    at = blank(0)
    while True:
        # A value begins at `at`.
        char = line[at : at + 1]
        if char in (b"{", b"["):
            if len(stack) == max_depth:
                raise BadRecord("json_too_deep")
            value = {} if char == b"{" else []
            at = blank(at + 1)
            if line[at : at + 1] == (b"}" if char == b"{" else b"]"):
                at += 1
            else:
                stack.append([value, None])
                if char == b"{":
                    stack[-1][1], at = _json_name(line, at, blank)
                continue
        elif char == b'"':
            value, at = _json_string(line, at + 1)
        elif line.startswith((b"true", b"false", b"null"), at):
            word = next(w for w in (b"true", b"false", b"null") if line.startswith(w, at))
            value = {b"true": True, b"false": False, b"null": None}[word]
            at += len(word)
        else:
            match = _NUMBER.match(line, at)
            if not match:
                raise BadRecord("json_syntax")
            value, at = JsonNumber(match.group()), match.end()
        # A value has ended: put it into its container, and that one into its own as long as they end.
        while True:
            at = blank(at)
            if not stack:
                if at != len(line):
                    raise BadRecord("json_syntax")
                return value
            container, name = stack[-1]
            char = line[at : at + 1]
            if isinstance(container, dict):
                container[name] = value
                if char == b",":
                    stack[-1][1], at = _json_name(line, blank(at + 1), blank)
                    break
                if char != b"}":
                    raise BadRecord("json_syntax")
            else:
                container.append(value)
                if char == b",":
                    at = blank(at + 1)
                    break
                if char != b"]":
                    raise BadRecord("json_syntax")
            at += 1
            value = container
            stack.pop()


def _json_name(line, at, blank):
    if line[at : at + 1] != b'"':
        raise BadRecord("json_syntax")
    name, at = _json_string(line, at + 1)
    at = blank(at)
    if line[at : at + 1] != b":":
        raise BadRecord("json_syntax")
    return name.unescape()[0], blank(at + 1)


MISSING = object()


def json_field(value, path):
    """The value at a dotted path (backslash-dot is a dot of the name), or MISSING."""
    names = [name.replace("\0", ".") for name in path.replace("\\.", "\0").split(".")]
    for name in names:
        if not isinstance(value, dict):
            return MISSING
        value = value.get(name.encode(), MISSING)
    return value


# --- Sources and records ----------------------------------------------------------------------------------


class Document:
    """A record that is a document, or a bad one (reason is set; record is None where the source is meant)."""

    def __init__(self, source, record, offset, size):
        self.source, self.record, self.offset, self.size = source, record, offset, size
        self.reason = None
        self.text, self.replaced, self.own_id, self.language = "", 0, None, "und"
        self.tokens = []


class Source:
    def __init__(self, name, data):
        self.name, self.data = name, data
        self.records = 0


class Corpus:
    def __init__(self):
        self.sources, self.documents, self.bad = [], [], []
        self.blank_records = self.blank_bytes = 0


COMPRESSION = (".gz", ".gzip", ".zst", ".zstd", ".bz2", ".xz")


def source_name(path):
    for suffix in COMPRESSION:
        if path.endswith(suffix):
            return path[: -len(suffix)]
    return path


def uncompressed(path):
    with open(path, "rb") as file:
        data = file.read()
    if data.startswith(b"\x1f\x8b"):
        return gzip.decompress(data)
    if data.startswith(b"BZh"):
        return bz2.decompress(data)
    if data.startswith(b"\x28\xb5\x2f\xfd"):
        return subprocess.run(["zstd", "-dcq", path], stdout=subprocess.PIPE, check=True).stdout
    return data


def parse_language(tag):
    match = re.match(r"([A-Za-z]{2,3})(?:[-_]|\Z)", tag)
    return match.group(1).lower() if match else "und"


def _own_id(value, options):
    """(id that a record names, the same before it was cut), or None."""
    if isinstance(value, JsonNumber):
        data = value.raw
    elif isinstance(value, JsonString):
        data = value.unescape()[0]
    else:
        return None
    if not data:
        return None
    data = re.sub(rb"[\x00-\x1f\x7f]", b" ", data)
    data = whole = repair(data)[0].encode()
    if len(data) > options.max_id:
        cut = options.max_id - 17
        while data[cut] & 0xC0 == 0x80:
            cut -= 1
        hashed = xxh3_64(data)
        data = data[:cut] + (b"_%016x" % hashed if hashed is not None else b"_" + b"?" * 16)
    return data, whole


def _read_line(document, line, options):
    if not line.strip(b"\0"):
        raise BadRecord("nul_padding")
    if len(line) > options.max_record:
        raise BadRecord("record_too_large")
    value = parse_json(line)
    if not isinstance(value, dict):
        raise BadRecord("json_not_object")
    text = json_field(value, options.text_field)
    if text is MISSING:
        raise BadRecord("text_missing")
    if not isinstance(text, JsonString):
        raise BadRecord("text_not_string")
    data, lone = text.unescape()
    document.text, put = repair(data)
    document.replaced = lone + put
    document.own_id = _own_id(json_field(value, options.id_field), options)
    tag = json_field(value, options.lang_field)
    if isinstance(tag, JsonString) and not tag.has_escapes:
        document.language = parse_language(tag.raw.decode("utf-8", "replace"))


def _is_jsonl(name, options):
    if options.format != "auto":
        return options.format == "jsonl"
    return name.endswith((".jsonl", ".ndjson", ".json"))


def _read_jsonl(source, corpus, options):
    at, number = 0, 0
    while at < len(source.data):
        end = source.data.find(b"\n", at)
        stop = len(source.data) if end < 0 else end + 1
        line = source.data[at : stop - (end >= 0)]
        if number == 0 and line.startswith(b"\xef\xbb\xbf"):
            line = line[3:]
        number += 1
        if not line.strip(b" \t\r"):
            corpus.blank_records += 1
            corpus.blank_bytes += stop - at
        else:
            yield Document(source, number, at, stop - at), line
        at = stop
    source.records = number


def _read_text(document, options):
    data = document.source.data
    if b"\0" in data[:8192]:
        document.record = None
        raise BadRecord("source_binary")
    if data.startswith(b"\xef\xbb\xbf"):
        data = data[3:]
    if len(data) > options.max_record:
        raise BadRecord("record_too_large")
    document.text, document.replaced = repair(data)


def _finish(document, corpus, options, read):
    try:
        read()
        document.tokens = tokenizer(options.tokens)(document.text)
        if len(document.tokens) > options.max_tokens:
            raise BadRecord("too_many_tokens")
        corpus.documents.append(document)
    except BadRecord as error:
        document.reason = error.args[0]
        corpus.bad.append(document)


def read_corpus(folder, options):
    """All documents in the order of the result, with tokens; language is the record's own."""
    corpus = Corpus()
    paths = []
    for base, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        paths += [os.path.join(base, name) for name in files if not name.startswith(".")]
    for path in paths:
        name = source_name(os.path.relpath(path, folder))
        corpus.sources.append(Source(name, uncompressed(path)))
    corpus.sources.sort(key=lambda source: source.name.encode())
    for source in corpus.sources:
        if source.data.startswith((b"\xff\xfe", b"\xfe\xff")):
            document = Document(source, None, 0, 0)
            document.reason = "source_utf16"
            corpus.bad.append(document)
        elif _is_jsonl(source.name, options):
            for document, line in _read_jsonl(source, corpus, options):
                _finish(document, corpus, options, lambda d=document, l=line: _read_line(d, l, options))
        else:
            source.records = 1
            document = Document(source, 1, 0, len(source.data))
            _finish(document, corpus, options, lambda d=document: _read_text(d, options))
    return corpus


def unique_ids(documents):
    """The ids of the result, as bytes, and how many were changed."""
    seen, ids, changed = set(), [], 0
    for row, document in enumerate(documents):
        if document.own_id is None:
            name = whole = f"{document.source.name}#{document.record}".encode()
        else:
            name, whole = document.own_id
        key = whole if name.endswith(b"_" + b"?" * 16) else name  # a hash that is not known stands for all of it
        if key in seen or re.search(rb"#dup[0-9]+\Z", name):
            ids.append(name + b"#dup%d" % row)
            changed += 1
        else:
            ids.append(name)
        seen.add(key)
    return ids, changed


# --- Lexicons ---------------------------------------------------------------------------------------------


class Term:
    def __init__(self, text, categories, negative, weight):
        self.text, self.categories, self.negative, self.weight = text, categories, negative, weight
        self.fixed, self.units = False, 0


class Lexicon:
    """exact: tokens to term; prefix: tokens in front to {prefix of the last token: term}."""

    def __init__(self, path, tokenize):
        with open(path, "rb") as file:
            data = file.read()
        self.sha256 = hashlib.sha256(data).hexdigest()
        self.name, self.language, self.categories = os.path.basename(path), "*", []
        self.negators, self.function_words = set(), set()
        self.exact, self.prefix, self.continues, self.terms = {}, {}, set(), []
        self._tokenize = tokenize
        self.left_out = 0
        text = data.decode("utf-8-sig")
        if text.lstrip().startswith("%"):
            self._read_dic(text)
        else:
            self._read_tsv(text)
        for key, term in self.terms:
            exact_part = key[:-1] if term.text.endswith("*") else key
            term.fixed = any(token in self.negators for token in exact_part)

    def _add(self, term):
        words = term.text[:-1] if term.text.endswith("*") else term.text
        key = tuple(self._tokenize(words))
        # By sklearn's rule a term may lose words ("can t" is "can"): it would mean something else and is left out.
        if len(key) < len(unicode_tokens(words)):
            self.left_out += 1
            return
        if not 1 <= len(key) <= 4:
            raise ValueError(f"{self.name}: {term.text!r} has {len(key)} tokens")
        if term.text.endswith("*"):
            table, last = self.prefix.setdefault(key[:-1], {}), key[-1]
        else:
            table, last = self.exact, key
        if last in table:
            raise ValueError(f"{self.name}: {term.text!r} stands there twice")
        table[last] = term
        if len(key) > 1:
            self.continues.add(key[0])
        self.terms.append((key, term))

    def _read_tsv(self, text):
        for line in text.split("\n"):
            line = line.rstrip("\r")
            if not line.strip() or line.startswith("#"):
                continue
            if line.startswith("@"):
                name, _, value = line.partition("\t")
                if name == "@language":
                    self.language = value.strip()
                elif name == "@name":
                    self.name = value.strip()
                elif name == "@categories":
                    self.categories += value.split()
                elif name == "@negators":
                    self.negators.update(token for word in value.split() for token in self._tokenize(word))
                elif name == "@function":
                    self.function_words.update(token for word in value.split() for token in self._tokenize(word))
                continue
            fields = line.split("\t")
            categories = [self.categories.index(name) for name in fields[1].split(",")]
            weight = Fraction(fields[3]) if len(fields) > 3 else Fraction(1)
            self._add(Term(fields[0], categories, fields[2] == "-", weight))

    def _read_dic(self, text):
        _, head, body = text.split("%", 2)
        numbers = {}
        for line in head.strip().splitlines():
            number, name = line.split()
            numbers[number] = len(self.categories)
            self.categories.append(name)
        for line in body.strip().splitlines():
            word, *marks = line.rstrip().split("\t")
            self._add(Term(word, [numbers[mark] for mark in marks], False, Fraction(1)))

    def match(self, tokens, at):
        """(tokens, term) of the longest match that begins there, or None."""
        longest = min(4, len(tokens) - at) if tokens[at] in self.continues else 1
        for size in range(longest, 0, -1):
            key = tuple(tokens[at : at + size])
            term = self.exact.get(key)
            prefixes = self.prefix.get(key[:-1])
            if not term and prefixes:
                last = key[-1]
                term = next((prefixes[last[:n]] for n in range(len(last), 0, -1) if last[:n] in prefixes), None)
            if term:
                return size, term
        return None


class Lexicons:
    def __init__(self, paths, rule="unicode"):
        self.lexicons = [Lexicon(path, tokenizer(rule)) for path in paths]
        self.categories = self.lexicons[0].categories
        shares = [term.weight / len(term.categories) for lexicon in self.lexicons for _, term in lexicon.terms]
        self.denominator = math.lcm(*(share.denominator for share in shares)) if shares else 1
        for lexicon in self.lexicons:
            if lexicon.categories != self.categories:
                raise ValueError("other categories")
            for _, term in lexicon.terms:
                units = term.weight / len(term.categories) * self.denominator
                term.units = units.numerator

    def find(self, language):
        for wanted in (language, "*"):
            for lexicon in self.lexicons:
                if lexicon.language == wanted:
                    return lexicon
        return None

    def vote(self, tokens):
        looked = tokens[:1000]
        hits = Counter()
        for lexicon in self.lexicons:
            hits[lexicon.language] += sum(token in lexicon.function_words for token in looked)
        ranked = hits.most_common(2)
        if not ranked or ranked[0][1] == 0 or ranked[0][1] * 25 < len(looked):
            return "und"
        if len(ranked) > 1 and ranked[1][1] == ranked[0][1]:
            return "und"
        return ranked[0][0]


def default_lexicon_paths():
    return [os.path.join(ROOT, "data", "lexicon", name) for name in ("en.tsv", "fr.tsv")]


def default_lexicons(rule="unicode"):
    return Lexicons(default_lexicon_paths(), rule)


# --- Jobs -------------------------------------------------------------------------------------------------


def prime_activations(weights):
    """Exact for integers, in order for floats."""
    return [sum(weight * p ** (d % p) for d, weight in enumerate(weights)) for p in PRIMES]


class Profile:
    """The lexical profile of one document; counts in units of 1/denominator."""

    def __init__(self, tokens, lexicon, categories, denominator):
        self.positive, self.negative, self.matched = [0] * categories, [0] * categories, 0
        if lexicon:
            self._count(tokens, lexicon)
        both = [p + n for p, n in zip(self.positive, self.negative)]
        total = sum(both)
        self.units = both
        self.share = [units / total if total else 0.0 for units in both]
        self.coverage = self.matched / len(tokens) if tokens else 0.0
        entropy = -math.fsum(share * math.log(share) for share in self.share if share > 0)
        self.ambiguity = entropy / math.log(categories) if categories > 1 else 0.0
        mean = Fraction(1, categories) if total else 0
        exact = [Fraction(units, total) if total else 0 for units in both]
        self.variance = float(sum((share - mean) ** 2 for share in exact) / categories)
        self.prime = prime_activations(self.share)
        self.code2 = sum((units > 0) << d for d, units in enumerate(both))
        self.code3 = sum(self._sign(d) * 3**d for d in range(categories))
        self.code5 = sum(self._intensity(d, len(tokens) * denominator) * 5**d for d in range(categories))

    def _count(self, tokens, lexicon):
        at = 0
        while at < len(tokens):
            found = lexicon.match(tokens, at)
            if not found:
                at += 1
                continue
            size, term = found
            turned = not term.fixed and any(t in lexicon.negators for t in tokens[max(0, at - 3) : at])
            side = self.negative if term.negative != turned else self.positive
            for category in term.categories:
                side[category] += term.units
            self.matched += size
            at += size

    def _sign(self, d):
        difference = self.positive[d] - self.negative[d]
        return 1 if difference > 0 else 2 if difference < 0 else 0

    def _intensity(self, d, whole):
        units = self.units[d]
        if units == 0:
            return 0
        digit = 1 + sum(units * over >= whole for over in (200, 100, 50))
        return digit - (self.negative[d] > self.positive[d])


class Digest:
    """The hashed profile of one document."""

    def __init__(self, data):
        hashes = [hashlib.sha256(name.encode() + b"::" + data).digest() for name in DHATUS]
        self.raw = [sum(b[i] for i in (0, 5, 13, 21, 29)) for b in hashes]
        total = sum(self.raw)
        self.prime = [value / total for value in prime_activations(self.raw)]
        whole = math.fsum(self.prime)
        q = [value / (whole + 1e-8) for value in self.prime]
        self.entropy = -math.fsum(value * math.log(value + 1e-8) for value in q)
        mean = whole / len(self.prime)
        self.variance = math.fsum((value - mean) ** 2 for value in self.prime) / len(self.prime)
        self.score = 0.7 * self.entropy + 0.3 * self.variance


class Row:
    def __init__(self, document, lexicons, options):
        data = document.text.encode()
        self.document = document
        self.size = len(data)
        self.sha256 = hashlib.sha256(data).hexdigest()
        self.tokens = len(document.tokens)
        self.status = 1 if document.replaced else 2 if self.tokens == 0 else 0
        self.language = document.language
        if self.language == "und" and options.lang:
            self.language = parse_language(options.lang)
        if self.language == "und":
            self.language = lexicons.vote(document.tokens)
        lexicon = lexicons.find(self.language)
        self.profile = Profile(document.tokens, lexicon, len(lexicons.categories), lexicons.denominator)
        self.digest = Digest(data)
        self.even = sum(xxh3_64(token.encode()) % 2 == 0 for token in document.tokens) if xxhash else None


def compute_rows(corpus, lexicons, options):
    return [Row(document, lexicons, options) for document in corpus.documents]


# --- Sums over the corpus ---------------------------------------------------------------------------------


def language_order(language):
    """und, then two letters, then three."""
    return (0 if language == "und" else len(language), language)


def commonest_codes(codes, count=100):
    """Of (code, documents, first row), commonest first, at most count."""
    first, documents = {}, Counter(codes)
    for row, code in enumerate(codes):
        first.setdefault(code, row)
    ranked = sorted(documents, key=lambda code: (-documents[code], code))[:count]
    return [(code, documents[code], first[code]) for code in ranked]


def top_documents(rows, category, count=10, shortest=50):
    """Row numbers, densest first."""
    found = [i for i, row in enumerate(rows) if row.tokens >= shortest and row.profile.units[category] > 0]

    def order(a, b):
        left = rows[a].profile.units[category] * rows[b].tokens
        right = rows[b].profile.units[category] * rows[a].tokens
        return right - left or rows[b].tokens - rows[a].tokens or a - b

    return sorted(found, key=cmp_to_key(order))[:count]


def cooccurrence(rows, categories):
    table = [[0] * categories for _ in range(categories)]
    for row in rows:
        present = [d for d, units in enumerate(row.profile.units) if units]
        for a in present:
            for b in present:
                table[a][b] += 1
    return table


def ambiguity_histogram(values):
    bins = [0] * 20
    for value in values:
        bins[min(19, int(value * 20))] += 1
    return bins


def sum_columns(lists, width):
    return [sum(column) for column in zip(*lists)] if lists else [0] * width


def quality(corpus):
    """[(name, records, bytes)]; an unreadable source counts with all its bytes."""
    result = [("document", len(corpus.documents), sum(d.size for d in corpus.documents)),
              ("blank", corpus.blank_records, corpus.blank_bytes)]
    for reason in REASONS:
        found = [d for d in corpus.bad if d.reason == reason]
        size = sum(len(d.source.data) if reason == "source_utf16" else d.size for d in found)
        result.append((reason, len(found), size))
    return result


if __name__ == "__main__":
    sys.exit("a module; run tests/oracle/result.py")
