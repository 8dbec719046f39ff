"""The result opens in h5ls, h5py and AnnData, says of every dataset what it is, and tells nothing of the run."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys

# This file has the name of a module that it imports.
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:] = [path for path in sys.path if os.path.abspath(path or ".") != HERE]
sys.modules.pop("anndata", None)
try:
    import anndata
except ImportError:
    anndata = None
try:
    import h5py
    import numpy
except ImportError:
    h5py = None
sys.path.append(HERE)
import support  # noqa: E402

ROOT = {"X", "obs", "var", "obsm", "varm", "obsp", "varp", "layers", "uns"}
DOCUMENTS = 400


def make_corpus(work):
    lines = support.records(21, DOCUMENTS - 40).splitlines(keepends=True)
    lines[5:5] = [b'{"id":"twice","text":"Peace."}\n'] * 10 + [b'{"text":"no id"}\n'] * 10 + [b"bad\n"] * 3
    support.write(f"{work}/secret-folder/a.jsonl", b"".join(lines))
    for i in range(20):
        support.write(f"{work}/secret-folder/sub/{i:02d}.txt", b"La paix vint. " * i)
    return f"{work}/secret-folder"


def check_h5ls(checks, path):
    if shutil.which("h5ls") is None:
        return checks.note("no h5ls (hdf5-tools)")
    done = subprocess.run(["h5ls", "-r", path], capture_output=True, text=True, check=False)
    checks.equal(done.returncode, 0, "h5ls")
    for member in ("/obs/_index", "/obsm/dhatu", "/obsm/digest_prime", "/uns/dhatu/content_sha256"):
        checks.that(re.search(rf"^{member}\s+Dataset", done.stdout, re.M), f"h5ls does not show {member}")
    return None


def texts_of(value):
    """All texts in an attribute or a dataset."""
    if isinstance(value, bytes):
        return [value.decode("utf-8", "replace")]
    if isinstance(value, str):
        return [value]
    if isinstance(value, numpy.ndarray) and value.dtype.kind in "SOU":
        return [text for item in value.ravel()[:5000] for text in texts_of(item)]
    return []


def check_telltale(checks, name, value, secrets):
    for text in texts_of(value):
        for secret in secrets:
            checks.that(secret not in text, f"{name} tells of the run: {text[:100]!r}")
        checks.that(not re.search(r"\d\d:\d\d:\d\d|20\d\d-\d\d-\d\d", text), f"{name} holds a time: {text[:100]!r}")


def is_inside_categorical(file, name):
    parent = file[name].parent
    return parent.attrs.get("encoding-type") == "categorical"


def check_words(checks, file, secrets):
    """Descriptions and units everywhere; nothing of the run anywhere."""
    names = []
    file.visit(names.append)
    for name in names:
        item = file[name]
        checks.that("encoding-type" in item.attrs and "encoding-version" in item.attrs, f"{name}: no encoding")
        for key, value in item.attrs.items():
            check_telltale(checks, f"{name}@{key}", value, secrets)
        if not isinstance(item, h5py.Dataset):
            continue
        if not name.startswith("obs/_index") and not name.startswith("uns/dhatu/sources/_index"):
            check_telltale(checks, name, item[()], secrets)
        holder = item.parent if is_inside_categorical(file, name) else item
        for word in ("description", "unit"):
            value = holder.attrs.get(word)
            checks.that(isinstance(value, str) and value.strip(), f"{name}: no {word}")
        info = h5py.h5o.get_info(item.id)
        checks.that(getattr(info, "mtime", 0) == 0, f"{name}: has a time")
    checks.that(len(names) > 50, f"only {len(names)} objects")


def check_layout(checks, file):
    checks.equal(file.attrs.get("encoding-type"), "anndata", "root encoding-type")
    checks.equal(file.attrs.get("encoding-version"), "0.1.0", "root encoding-version")
    checks.that(set(file) <= ROOT, f"members that AnnData does not know: {set(file) - ROOT}")
    checks.that({"obs", "var", "obsm", "uns"} <= set(file), f"members missing: {sorted(file)}")
    rows = len(file["obs/_index"])
    for name in ("obs", "var"):
        frame = file[name]
        checks.equal(frame.attrs.get("encoding-type"), "dataframe", f"{name} encoding")
        checks.equal(frame.attrs.get("_index"), "_index", f"{name} index")
        order = [c.decode() if isinstance(c, bytes) else c for c in frame.attrs["column-order"]]
        checks.equal(sorted(order + ["_index"]), sorted(frame), f"{name} columns")
    for name, column in file["obs"].items():
        if isinstance(column, h5py.Dataset):
            checks.equal(column.shape, (rows,), f"obs/{name} shape")
            continue
        checks.equal(column.attrs.get("encoding-type"), "categorical", f"obs/{name} encoding")
        codes, categories = column["codes"][...], column["categories"][...]
        checks.equal(codes.shape, (rows,), f"obs/{name}/codes shape")
        checks.that(len(codes) == 0 or (codes.min() >= 0 and codes.max() < len(categories)), f"obs/{name}: codes out of range")
        checks.equal(len(set(categories.tolist())), len(categories), f"obs/{name}: categories repeat")
    for name, matrix in file["obsm"].items():
        checks.equal(matrix.shape[0], rows, f"obsm/{name} rows")
    ids = file["obs/_index"][...].tolist()
    checks.equal(len(set(ids)), rows, "ids repeat")
    checks.that(all(i.rstrip(b"\0") for i in ids), "an id is empty")
    for i in ids:
        i.decode("utf-8")


def check_shapes(checks, file):
    """The columns of 2-output.md."""
    rows = len(file["obs/_index"])
    wanted = {"obsm/dhatu": (numpy.float32, (rows, 9)), "obsm/dhatu_counts": (numpy.uint32, (rows, 18)),
              "obsm/prime": (numpy.float64, (rows, 10)), "obsm/digest": (numpy.uint16, (rows, 9)),
              "obsm/digest_prime": (numpy.float64, (rows, 10))}
    for name, (kind, shape) in wanted.items():
        if checks.that(name in file, f"{name} is missing"):
            checks.equal((file[name].dtype, file[name].shape), (numpy.dtype(kind), shape), name)
    for name in ("source", "record", "offset", "bytes", "tokens", "lang", "sha256", "status"):
        checks.that(f"obs/{name}" in file, f"obs/{name} is missing")
    for name in ("config", "sources", "versions", "content_sha256", "quality"):
        checks.that(f"uns/dhatu/{name}" in file, f"uns/dhatu/{name} is missing")
    config = json.loads(file["uns/dhatu/config"][()])
    for name in ("output", "checkpoint", "segment-size", "batch-size", "backend", "progress", "force"):
        checks.that(name not in config, f"config holds {name}")
    checks.that(numpy.isfinite(file["obsm/dhatu"][...]).all(), "obsm/dhatu is not finite")


def check_anndata(checks, path):
    if anndata is None:
        return checks.note("no anndata")
    whole = anndata.read_h5ad(path)
    backed = anndata.read_h5ad(path, backed="r")
    for data, label in ((whole, "in memory"), (backed, "backed")):
        checks.that(data.obs_names.is_unique, f"{label}: obs_names are not unique")
        checks.equal(data.n_obs, len(data.obs), f"{label}: rows")
        checks.equal(str(data.obs["source"].dtype), "category", f"{label}: source")
        checks.equal(data.obsm["dhatu"].shape, (data.n_obs, 9), f"{label}: obsm/dhatu")
        checks.that("dhatu" in data.uns, f"{label}: uns/dhatu")
        part = data[data.obs["lang"] == "fr"]
        checks.that(0 < part.n_obs < data.n_obs, f"{label}: {part.n_obs} French documents")
    checks.that((whole.obsm["dhatu"] == backed.obsm["dhatu"]).all(), "backed differs from in memory")
    backed.file.close()
    copy = path + ".copy.h5ad"
    whole.write_h5ad(copy)
    again = anndata.read_h5ad(copy)
    checks.that((again.obs_names == whole.obs_names).all(), "ids differ after write and read by AnnData")
    return None


def check_inspect(checks, path, file):
    told = support.inspect(path)["results"]
    for name, value in told.items():
        data = file["uns/dhatu/" + name][()]
        wanted = [v.decode().rstrip("\0") for v in data.ravel()] if data.dtype.kind == "S" else data.tolist()
        same = value == wanted if data.dtype.kind != "f" else numpy.allclose(value, wanted, rtol=1e-12, atol=0)
        checks.that(same, f"inspect --json tells another {name} than h5py reads")


def check_verify(checks, path, corpus):
    """verify agrees with a good file and not with a changed one."""
    outcome = support.run(["verify", path])
    checks.ended(outcome, 0, "verify")
    outcome = support.run(["verify", "--sources", corpus, path])
    checks.ended(outcome, 0, "verify --sources")
    with open(path, "rb") as file:
        data = bytearray(file.read())
    with h5py.File(path, "r") as h5:
        place = h5["obsm/digest"].id.get_offset()
    if place is None:
        return
    data[place + 40] ^= 1
    bad = support.write(path + ".flipped.h5", bytes(data))
    checks.ended(support.run(["verify", bad]), 78, "verify of a file with one bit flipped")
    half = support.write(path + ".half.h5", bytes(data[:len(data) // 2]))
    checks.ended(support.run(["verify", half]), (74, 78), "verify of half a file")


def main():
    checks = support.Checks()
    with support.folder() as work:
        corpus = make_corpus(work)
        secrets = {work, "secret-folder", "/tmp/", socket.gethostname() if len(socket.gethostname()) > 4 else work}
        for ranks, deflate in ((0, "0"), (2, "3")):
            path = f"{work}/out{ranks}.h5"
            outcome = support.run(["run", "-j", "profile,digest", "--deflate", deflate, "-o", path, corpus], ranks)
            if not checks.ended(outcome, 0, f"run with --deflate {deflate}"):
                continue
            check_h5ls(checks, path)
            if h5py is None:
                checks.note("no h5py: only h5ls looked at the result")
                continue
            with h5py.File(path, "r") as file:
                checks.equal(len(file["obs/_index"]), DOCUMENTS, "documents")
                check_layout(checks, file)
                check_shapes(checks, file)
                check_words(checks, file, secrets)
                check_inspect(checks, path, file)
            check_anndata(checks, path)
            check_verify(checks, path, corpus)
        for jobs in ("profile", "digest", "null"):
            path = f"{work}/{jobs}.h5"
            outcome = support.run(["run", "-j", jobs, "-o", path, corpus])
            if checks.ended(outcome, 0, f"job {jobs}") and anndata is not None:
                checks.equal(anndata.read_h5ad(path).n_obs, DOCUMENTS, f"job {jobs}: AnnData")
        nothing = support.write(f"{work}/none.jsonl", b"\n")
        path = f"{work}/none.h5"
        outcome = support.run(["run", "-j", "profile,digest", "-o", path, nothing], 2)
        if checks.ended(outcome, 0, "no document") and anndata is not None:
            checks.equal(anndata.read_h5ad(path).n_obs, 0, "no document: AnnData")
    checks.exit()


if __name__ == "__main__":
    sys.exit(main())
