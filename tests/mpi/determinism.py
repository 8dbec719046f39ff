"""The same corpus gives the same bytes: for any number of ranks, compression, segment and batch size, way to
name the input, memory, working folder and locale. The quarantine file and the vocabulary too."""

import bz2
import os
import random
import shutil
import subprocess
import sys

import support
from support import mixed_lines, multi_member, zstd_frames

RANKS = (0, 1, 2, 3, 4, 7)  # 0: without mpirun
JOBS = ["-j", "profile,digest,features,vocab,neardup", "--ngrams", "1-2", "--features", "5000", "--minhash", "--vocab-tsv"]
SUFFIXES = ("", ".quarantine.jsonl", ".vocab.tsv")


def make_corpus(root):
    """Large plain files, small ones, a tree of 1,500 small texts."""
    big = mixed_lines(1, 3500)
    support.write(f"{root}/big.jsonl", b"\xef\xbb\xbf" + b"".join(big))
    support.write(f"{root}/no-end.jsonl", b"".join(mixed_lines(2, 1500)).rstrip(b"\n"))
    support.write(f"{root}/again.jsonl", b"".join(big[:1500]))  # repeats ids of another source
    support.write(f"{root}/empty.jsonl", b"")
    support.write(f"{root}/utf16.jsonl", ("\ufeff" + support.SENTENCES["en"][0] * 2000).encode("utf-16-le"))
    rng = random.Random(3)
    for i in range(40):
        support.write(f"{root}/small/{i % 7}/s{i}.ndjson", b"".join(mixed_lines(100 + i, rng.randint(0, 25))))
    for i in range(1500):
        text = support.sentences(rng, rng.randint(0, 3), rng.choice(("en", "fr", "xx")))
        support.write(f"{root}/tree/{i % 13:02d}/{i % 5}/t{i}.txt", text.encode())
    support.write(f"{root}/tree/binary.txt", b"a\0b" * 100)
    support.write(f"{root}/tree/latin1.txt", "d\u00e9j\u00e0 vu".encode("latin-1"))


def files_of(root):
    return sorted(os.path.join(folder, name) for folder, _, names in os.walk(root) for name in names)


def copy_compressed(root, copy, suffix, compress, every=1):
    """A copy of the corpus with the larger sources compressed; every: which of the small ones too."""
    for i, path in enumerate(files_of(root)):
        target = os.path.join(copy, os.path.relpath(path, root))
        with open(path, "rb") as file:
            data = file.read()
        if len(data) > 50000 or i % every == 0:
            support.write(target + suffix, compress(data))
        else:
            support.write(target, data)


class Comparer:
    def __init__(self, checks, work):
        self.checks, self.work = checks, work
        self.wanted = {}
        self.number = 0

    def run(self, label, family, inputs, ranks=0, options=(), **more):
        """All runs of a family must give the same files."""
        self.number += 1
        output = f"{self.work}/out{self.number}.h5"
        arguments = ["run", "-q", *JOBS, "-o", output, *options, *inputs]
        outcome = support.run(arguments, ranks, limit=120, **more)
        label = f"{family}: {label}, {f'{ranks} ranks' if ranks else 'no mpirun'}"
        if not self.checks.ended(outcome, 0, label):
            return
        got = tuple(support.sha256(output + suffix) for suffix in SUFFIXES)
        first, wanted, kept = self.wanted.setdefault(family, (label, got, output))
        same = [self.checks.equal(g[:16], w[:16], f"{label}: {what} differs from that of '{first}'", outcome)
                for g, w, what in zip(got, wanted, ("the result", "the quarantine", "the vocabulary"))]
        if all(same) and kept != output:
            for suffix in SUFFIXES:
                os.unlink(output + suffix)
        self.checks.that(not os.path.exists(output + ".ckpt"), f"{label}: the folder of the spills is left behind")
        self.checks.that(not os.path.exists(output + ".partial"), f"{label}: a partial file is left behind")


def check_tree(compare, root, work):
    for ranks in RANKS:
        compare.run("folder", "corpus", [root], ranks)
    for size, ranks in (("64K", 0), ("100000", 3), ("64K", 7), ("1T", 2)):
        compare.run(f"segments of {size}", "corpus", [root], ranks, ["--segment-size", size])
    for size, ranks in (("1K", 4), ("10000", 0), ("16M", 3)):
        compare.run(f"batches of {size}", "corpus", [root], ranks, ["--batch-size", size])
    for size, ranks in (("16M", 0), ("20M", 3), ("1G", 2)):
        compare.run(f"--memory {size}", "corpus", [root], ranks, ["--memory", size])
    compare.run("both sizes small", "corpus", [root], 2, ["--segment-size", "64K", "--batch-size", "1K"])
    compare.run("spills elsewhere", "corpus", [root], 2, ["-c", f"{work}/elsewhere/deep"])
    compare.run("another locale", "corpus", [root], 0, env={"LC_ALL": "C", "TZ": "Asia/Kolkata"})
    os.symlink(root, f"{work}/link")
    compare.run("through a link", "corpus", [f"{work}/link"], 0)
    compare.run("relative", "corpus", ["."], 2, cwd=root)


def check_inputs(compare, root, work):
    files = files_of(root)
    listed = f"{work}/list.txt"
    support.write(listed, "\n".join(files).encode() + b"\n")
    compare.run("@list", "corpus", [f"@{listed}"], 2)
    random.Random(5).shuffle(files)
    support.write(listed, "\r\n".join(os.path.relpath(f, root) for f in files + files[:10]).encode())
    compare.run("@list, shuffled, relative, some twice", "corpus", [f"@{listed}"], 0, cwd=root)
    loose = [f for f in files_of(root) if "/tree/" not in f]
    family = "loose files"
    compare.run("in order", family, loose)
    compare.run("backwards", family, loose[::-1], 3)
    compare.run("some twice", family, loose + loose[2:5], 2)
    compare.run("a glob", family, [f"{root}/*.jsonl", f"{root}/small/*/*.ndjson"], 2)
    compare.run("a glob with braces", family, [f"{root}/small/{{0,1,2,3,4,5,6}}/*", f"{root}/*.jsonl"], 0)


def check_copies(compare, root, work):
    copies = [("gz", multi_member), ("bz2", bz2.compress)]
    if shutil.which("zstd"):
        copies.append(("zst", zstd_frames))
    else:
        compare.checks.note("no zstd command: zstd copies are left out")
    for suffix, compress in copies:
        copy = f"{work}/{suffix}"
        copy_compressed(root, copy, "." + suffix, compress, 40)
        compare.run(f"{suffix} copy", "corpus", [copy], 0)
        compare.run(f"{suffix} copy, segments of 64K", "corpus", [copy], 3, ["--segment-size", "64K"])
        compare.run(f"{suffix} copy, batches of 1K", "corpus", [copy], 2, ["--batch-size", "1K"])


def check_backends(compare, root, work):
    """Devices of OpenCL, alone and beside processors, on one node and on several; compared with the processors'."""
    if support.opencl_devices() == 0:
        compare.checks.note("no OpenCL device: backends are not compared")
        return
    opencl = ["--backend", "opencl"]
    packed = f"{work}/packed"
    copy_compressed(root, packed, ".gz", multi_member, 40)
    for ranks in RANKS:
        compare.run("opencl", "corpus", [packed if ranks % 2 else root], ranks,
                    [*opencl, "--route", "device", "--batch-size", "16K"])
    for ranks in (0, 3, 4):
        compare.run("cpu and opencl", "corpus", [packed if ranks % 2 else root], ranks, [*opencl, "--batch-size", "64K"])
    compare.run("cpu", "corpus", [root], 2, ["--backend", "cpu"])
    for ranks in (3, 7):
        compare.run("cpu and opencl, several nodes", "corpus", [root], ranks, [*opencl, "--route", "device", "--batch-size", "16K"],
                    env={"DHATU_PRETEND_NODE_RANKS": "2"}, wrapper=support.seen_by(0, 3))


def check_deflate(compare, root):
    for ranks in (0, 2, 3, 7):
        compare.run("--deflate 3", "deflated", [root], ranks, ["--deflate", "3"])
    compare.run("--deflate 3, small sizes", "deflated", [root], 4,
                ["--deflate", "3", "--segment-size", "64K", "--batch-size", "4K"])


def check_edges(compare, work):
    """Corpora with fewer documents than ranks, or none."""
    nothing = support.write(f"{work}/nothing/a.jsonl", b"\n\n{}\n")
    one = support.write(f"{work}/one/a.jsonl", b'{"id":"1","text":"Peace came."}')
    edge = b'{"id":"%d","text":"' % 1
    exact = edge + b"x" * (65536 - len(edge) - 3) + b'"}\n'  # ends exactly where a segment does
    assert len(exact) == 65536
    borders = support.write(f"{work}/borders/a.jsonl", exact * 3 + exact[:-1] + b"\r\n" + exact * 2)
    for path, label in ((nothing, "no document"), (one, "one document"), (borders, "lines that end with segments")):
        for ranks in (0, 3, 7):
            compare.run("folder", label, [os.path.dirname(path)], ranks, ["--segment-size", "64K"])
        compare.run("large segments", label, [os.path.dirname(path)], 2)
        for ranks in (0, 3):
            compare.run("deflated", label + ", deflated", [path], ranks, ["--deflate", "1"])


def main():
    checks = support.Checks()
    with support.folder() as work:
        root = f"{work}/corpus"
        make_corpus(root)
        compare = Comparer(checks, work)
        check_tree(compare, root, work)
        check_inputs(compare, root, work)
        check_copies(compare, root, work)
        check_backends(compare, root, work)
        check_deflate(compare, root)
        check_edges(compare, work)
        print(f"{compare.number} runs")
    checks.exit()


if __name__ == "__main__":
    sys.exit(main())
