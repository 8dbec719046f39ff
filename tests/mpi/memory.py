"""A rank takes at most 256 MiB for 300 MB of text, plain or in one .gz, alone or with another."""

import os
import sys
import zlib

import support

MEMORY_MAX = 256 << 20
SIZE = 300 << 20
MARK = b"@@@@@@"


def write_corpus(folder):
    """The same block of documents again and again, with other ids."""
    block = support.records(11, 700).replace(b'"id": "doc-', b'"id": "' + MARK + b"-")
    packer = zlib.compressobj(1, zlib.DEFLATED, 31)
    with open(f"{folder}/plain.jsonl", "wb") as plain, open(f"{folder}/packed.jsonl.gz", "wb") as packed:
        for i in range(SIZE // len(block)):
            piece = block.replace(MARK, b"%06d" % i)
            plain.write(piece)
            packed.write(packer.compress(piece))
        packed.write(packer.flush())


def main():
    checks = support.Checks()
    with support.folder() as work:
        write_corpus(work)
        print(f"{os.path.getsize(f'{work}/plain.jsonl') / 1e6:.0f} MB written in {support.time.monotonic() - checks.began:.1f} s")
        output = f"{work}/out.h5"
        documents = set()
        for source in ("plain.jsonl", "packed.jsonl.gz"):
            for ranks in (0, 2):
                label = f"{source}, {ranks or 1} ranks"
                outcome = support.run(["run", "-q", "-f", "-j", "profile,digest", "-o", output, f"{work}/{source}"], ranks,
                                      limit=180)
                if not checks.ended(outcome, 0, label):
                    continue
                report = support.run_report(output)
                documents.add(report["documents"])
                memory = support.peak_memory(output)
                print(f"{label}: {memory / support.MEBIBYTE:.0f} MiB a rank at most, {report['seconds']:.1f} s")
                checks.that(memory <= MEMORY_MAX, f"{label}: {memory / support.MEBIBYTE:.0f} MiB, {MEMORY_MAX >> 20} allowed")
        checks.equal(len(documents), 1, f"numbers of documents differ: {documents}")
    checks.exit()


if __name__ == "__main__":
    sys.exit(main())
