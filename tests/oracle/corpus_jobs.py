"""The corpus jobs again, in plain Python and numpy from the definitions (docs/jobs.md) and from nothing else: exact counts
of n-grams (vocab), hashed tf-idf (features), duplicates and near-duplicates (neardup).

As tests/oracle/reference.py: whole corpora in memory, not fast, no code of the program. numpy is needed; signatures need the
module xxhash, too (tokens are known by their XXH3)."""

import math
from collections import Counter, defaultdict
from fractions import Fraction

import numpy as np

import reference

BUCKET_LEADERS = 64  # buckets up to so many documents: all pairs; larger ones: this many leaders
TERMS_OF_COLUMN, TERMS_BYTES = 3, 64
TERM_BYTES = 256  # of the commonest terms in the result
LONG_TERM = 1 << 14  # longer terms stand as so many bytes and a hash, and name no column
NO_SHINGLE = 0xFFFFFFFF


class JobOptions:
    """The options of these jobs."""

    def __init__(self, **changes):
        self.ngrams = (1, 1)
        self.features, self.alternate_sign, self.binary, self.idf, self.norm = 1 << 18, True, False, True, "l2"
        self.top = 1000
        self.shingle, self.bands, self.band_rows, self.min_shingles = 5, 14, 8, 5
        self.threshold, self.minhash, self.minhash_seed = "0.75", False, 1
        for name, value in changes.items():
            if not hasattr(self, name):
                raise AttributeError(name)
            setattr(self, name, value)

    @property
    def permutations(self):
        return self.bands * self.band_rows

    def config(self):
        """As the command line and the result's config name them."""
        least, most = self.ngrams
        answer = {True: "yes", False: "no"}
        return {"ngrams": str(least) if least == most else f"{least}-{most}", "features": self.features,
                "alternate-sign": answer[self.alternate_sign], "binary": answer[self.binary], "idf": answer[self.idf],
                "norm": self.norm, "top": self.top, "shingle": self.shingle, "bands": self.bands,
                "band-rows": self.band_rows, "threshold": self.threshold, "min-shingles": self.min_shingles,
                "minhash-seed": self.minhash_seed, "minhash": answer[self.minhash]}

    def command(self):
        """Arguments for what is not the default."""
        default, command = JobOptions().config(), []
        for name, value in self.config().items():
            if value != default[name]:
                command += ["--" + name] + ([] if name in ("binary", "minhash") else [str(value)])
        return command


# --- vocab ------------------------------------------------------------------------------------------------


def ngrams(tokens, least, most):
    for size in range(least, most + 1):
        for at in range(len(tokens) - size + 1):
            yield " ".join(tokens[at : at + size])


class Terms:
    """How often each n-gram occurs, and in how many documents."""

    def __init__(self, documents, least, most):
        self.frequency, self.documents = Counter(), Counter()
        for tokens in documents:
            counts = Counter(ngrams(tokens, least, most))
            self.frequency.update(counts)
            self.documents.update(counts.keys())

    def ranked(self, counts):
        """The n-grams, commonest first, then by their bytes."""
        return sorted(counts, key=lambda term: (-counts[term], stored(term)))


def stored(term):
    """The bytes that stand for an n-gram."""
    data = term.encode()
    if len(data) <= LONG_TERM:
        return data
    return cut(data, LONG_TERM) + (b"#" + reference.xxhash.xxh3_128_hexdigest(data).encode() if reference.xxhash else b"#")


# --- features ---------------------------------------------------------------------------------------------


def _rotate(value, bits):
    return (value << bits | value >> (32 - bits)) & 0xFFFFFFFF


def murmur3(data):
    """MurmurHash3 x86 32 with seed 0, as a signed number."""
    state, whole = 0, len(data) & ~3
    words = np.frombuffer(data[:whole], "<u4").tolist()
    for word in words:
        word = _rotate(word * 0xCC9E2D51 & 0xFFFFFFFF, 15) * 0x1B873593 & 0xFFFFFFFF
        state = (_rotate(state ^ word, 13) * 5 + 0xE6546B64) & 0xFFFFFFFF
    tail = int.from_bytes(data[whole:], "little")
    state ^= _rotate(tail * 0xCC9E2D51 & 0xFFFFFFFF, 15) * 0x1B873593 & 0xFFFFFFFF
    state ^= len(data)
    state = (state ^ state >> 16) * 0x85EBCA6B & 0xFFFFFFFF
    state = (state ^ state >> 13) * 0xC2B2AE35 & 0xFFFFFFFF
    state ^= state >> 16
    return state - (1 << 32) if state >= 1 << 31 else state


class Hasher:
    """Column and sign of n-grams; each is hashed once."""

    def __init__(self, options):
        self.options, self.known = options, {}

    def place(self, term):
        found = self.known.get(term)
        if found is None:
            value = murmur3(term.encode())
            # -2^31 has no absolute value in 32 bits; abs of Python's number gives 2^31, of which the rest is the same.
            found = abs(value) % self.options.features, -1 if self.options.alternate_sign and value < 0 else 1
            self.known[term] = found
        return found

    def row(self, tokens):
        """(columns, values) of a document; a column whose values cancel out stays, as a zero."""
        sums = {}
        for term in ngrams(tokens, *self.options.ngrams):
            column, sign = self.place(term)
            sums[column] = sums.get(column, 0) + sign
        columns = sorted(sums)
        return columns, [1 if self.options.binary else sums[column] for column in columns]


class Features:
    def __init__(self, documents, terms, options):
        hasher = Hasher(options)
        rows = [hasher.row(tokens) for tokens in documents]
        self.indptr = [0]
        for columns, _ in rows:
            self.indptr.append(self.indptr[-1] + len(columns))
        self.indices = [column for columns, _ in rows for column in columns]
        self.document_frequency = np.bincount(np.array(self.indices, dtype=np.int64), minlength=options.features)
        count = len(documents)
        self.idf = [math.log((1 + count) / (1 + df)) + 1 if options.idf else 1.0 for df in self.document_frequency.tolist()]
        self.data = [value for columns, values in rows for value in self._weighed(columns, values, options)]
        self.terms = self._terms(terms, hasher, options)

    def _weighed(self, columns, values, options):
        values = [value * self.idf[column] for column, value in zip(columns, values)]
        size = {"none": lambda: 0.0, "l1": lambda: math.fsum(map(abs, values)),
                "l2": lambda: math.sqrt(math.fsum(value * value for value in values))}[options.norm]()
        return [value / size for value in values] if size > 0 else values

    @staticmethod
    def _terms(terms, hasher, options):
        """Of each column the n-grams that most documents have."""
        named = [[] for _ in range(options.features)]
        for term in terms.ranked(terms.documents):
            column, _ = hasher.place(term)
            if len(named[column]) < TERMS_OF_COLUMN and len(term.encode()) <= LONG_TERM:
                named[column].append(term)
        return [cut(", ".join(found).encode(), TERMS_BYTES) for found in named]


def cut(data, size):
    """At most so many bytes, whole characters."""
    return data[:size].decode("utf-8", "ignore").encode()


# --- neardup ----------------------------------------------------------------------------------------------

_FACTOR = np.uint64(0xD1342543DE82EF95)


def permutations(seed, count):
    """(flip, factor): the halves of the numbers of SplitMix64; factor made odd."""
    flip, factor, mask = [], [], (1 << 64) - 1
    for _ in range(count):
        seed = (seed + 0x9E3779B97F4A7C15) & mask
        z = seed
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & mask
        z = (z ^ z >> 27) * 0x94D049BB133111EB & mask
        z ^= z >> 31
        flip.append(z >> 32)
        factor.append((z & 0xFFFFFFFF) | 1)
    return np.array(flip, dtype=np.uint32), np.array(factor, dtype=np.uint32)


def shingle_numbers(hashes, size):
    """The 32 bits of each shingle of a document, from the hashes of its tokens."""
    hashes = np.asarray(hashes, dtype=np.uint64)
    if len(hashes) < size:
        return np.zeros(0, dtype=np.uint32)
    total = np.zeros(len(hashes) - size + 1, dtype=np.uint64)
    for i in range(size):
        total = total * _FACTOR + hashes[i : i + len(total)]
    total = (total ^ total >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    total = (total ^ total >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    return (total >> np.uint64(32)).astype(np.uint32)


def signature(numbers, flip, factor):
    least = np.full(len(flip), NO_SHINGLE, dtype=np.uint32)
    for at in range(0, len(numbers), 1024):
        part = numbers[at : at + 1024]
        least = np.minimum(least, ((part[:, None] ^ flip) * factor).min(axis=0))
    return least


class Clusters:
    """Connected components; the least member names each."""

    def __init__(self, count):
        self.parent = list(range(count))

    def find(self, member):
        while self.parent[member] != member:
            self.parent[member] = self.parent[self.parent[member]]
            member = self.parent[member]
        return member

    def join(self, a, b):
        a, b = sorted((self.find(a), self.find(b)))
        self.parent[b] = a


class Duplicates:
    """exact, cluster, size and keep of each document; signatures."""

    def __init__(self, documents, options):
        count = len(documents)
        self.clusters = Clusters(count)
        self.exact = self._exact(documents)
        for row, first in enumerate(self.exact):
            if first >= 0:
                self.clusters.join(row, first)
        self.signatures = self.pairs = None
        if reference.xxhash:
            self._sign(documents, options)
            self._join_similar(options)
        members = Counter(self.clusters.find(row) for row in range(count))
        self.size = [members[self.clusters.find(row)] for row in range(count)]
        self.cluster = [self.clusters.find(row) if size > 1 else -1 for row, size in enumerate(self.size)]
        self.keep = [int(cluster in (-1, row)) for row, cluster in enumerate(self.cluster)]

    @staticmethod
    def _exact(documents):
        """The first document with the same tokens; -1 where there is no other, and without tokens."""
        found = defaultdict(list)
        for row, tokens in enumerate(documents):
            if tokens:
                found[tuple(tokens)].append(row)
        exact = [-1] * len(documents)
        for rows in found.values():
            for row in rows if len(rows) > 1 else ():
                exact[row] = rows[0]
        return exact

    def _sign(self, documents, options):
        flip, factor = permutations(options.minhash_seed, options.permutations)
        known = {}
        signatures, self.shingles = [], []
        for tokens in documents:
            for token in tokens:
                if token not in known:
                    known[token] = reference.xxh3_64(token.encode())
            numbers = np.unique(shingle_numbers([known[token] for token in tokens], options.shingle))
            self.shingles.append(len(numbers))
            signatures.append(signature(numbers, flip, factor))
        self.signatures = np.array(signatures, dtype=np.uint32).reshape(len(documents), options.permutations)

    def buckets(self, options):
        """(band, rows of documents that have it in common, ascending); two or more."""
        for band in range(options.bands):
            found = defaultdict(list)
            part = np.ascontiguousarray(self.signatures[:, band * options.band_rows : (band + 1) * options.band_rows])
            for row, shingles in enumerate(self.shingles):
                if shingles >= options.min_shingles:
                    found[part[row].tobytes()].append(row)
            yield from ((band, rows) for rows in found.values() if len(rows) > 1)

    def _join_similar(self, options):
        """Pairs that are kept. Of pairs that share several bands the comparison in the first one is counted, in large buckets
        every comparison; they are kept once more only where nothing else in the bucket connects the two."""
        least = math.ceil(Fraction(options.threshold) * options.permutations)
        self.pairs, self.compared = set(), 0
        for band, rows in self.buckets(options):
            if len(rows) <= BUCKET_LEADERS:
                self._compare_all(band, rows, least, options)
            else:
                self._compare_leaders(rows, least)
        for a, b in self.pairs:
            self.clusters.join(a, b)

    def _compare_all(self, band, rows, least, options):
        block = self.signatures[rows]
        equal = block[:, None, :] == block[None, :, :]
        first = equal.reshape(len(rows), len(rows), options.bands, options.band_rows).all(axis=3).argmax(axis=2) == band
        self.compared += int(np.triu(first, 1).sum())
        connected = Clusters(len(rows))
        for later, earlier in np.argwhere(np.tril(equal.sum(axis=2) >= least, -1)).tolist():
            if first[later, earlier] or connected.find(later) != connected.find(earlier):
                self.pairs.add((rows[earlier], rows[later]))
            connected.join(later, earlier)

    def _compare_leaders(self, rows, least):
        leaders = []
        for row in rows:
            for leader in leaders:
                self.compared += 1
                if int(np.count_nonzero(self.signatures[leader] == self.signatures[row])) >= least:
                    self.pairs.add((leader, row))
                    break
            else:
                if len(leaders) < BUCKET_LEADERS:
                    leaders.append(row)

    def largest(self, count, samples):
        """(documents, first row, its first rows) of the largest clusters; of equal ones the earlier is first."""
        members = defaultdict(list)
        for row, cluster in enumerate(self.cluster):
            if cluster >= 0:
                members[cluster].append(row)
        ranked = sorted(members, key=lambda first: (-len(members[first]), first))[:count]
        return [(len(members[first]), first, (members[first] + [-1] * samples)[:samples]) for first in ranked]

    def sizes(self):
        """How many clusters have 2^i to 2^(i+1) - 1 documents."""
        powers = [self.size[row].bit_length() - 1 for row, cluster in enumerate(self.cluster) if cluster == row]
        return [powers.count(i) for i in range(max(powers, default=-1) + 1)]

    def counts(self):
        """Pairs compared and kept, equal documents, clusters, documents in them, documents kept, duplicates of earlier ones."""
        clusters = sum(cluster == row for row, cluster in enumerate(self.cluster))
        return [self.compared, len(self.pairs), sum(first >= 0 for first in self.exact), clusters,
                sum(cluster >= 0 for cluster in self.cluster), sum(self.keep), 0]


def chance(similarity, bands, rows):
    """That two documents share a band."""
    return 1 - (1 - similarity**rows) ** bands
