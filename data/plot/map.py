#!/usr/bin/env python3
"""Plots a map of the documents: two principal components of the hashed features, or of the profile without these.

    map.py OUT.h5 PICTURE.png       (job features or profile; needs h5py, numpy and matplotlib)

At most ROWS documents are shown, evenly spread. The components come from a randomised singular value decomposition
with power iterations (Halko, Martinsson, Tropp 2011), which needs the matrix in products only: it stays sparse.
"""

import sys

import h5py
import matplotlib
import numpy

matplotlib.use("Agg")  # no display is needed
from matplotlib import pyplot  # noqa: E402

ROWS = 20000
COMPONENTS, SPARE, ITERATIONS = 2, 8, 6
COLOURS = 9  # languages with a colour of their own


class Sparse:
    """A sparse matrix less the mean of each column."""

    def __init__(self, data, columns, lengths):
        names, self.column = numpy.unique(columns, return_inverse=True)
        self.data, self.row = data.astype(float), numpy.repeat(numpy.arange(len(lengths)), lengths)
        self.shape = len(lengths), len(names)
        self.mean = numpy.bincount(self.column, self.data, self.shape[1]) / self.shape[0]

    def times(self, other):
        found = [numpy.bincount(self.row, self.data * vector[self.column], self.shape[0]) for vector in other.T]
        return numpy.stack(found, axis=1) - self.mean @ other

    def transposed_times(self, other):
        found = [numpy.bincount(self.column, self.data * vector[self.row], self.shape[1]) for vector in other.T]
        return numpy.stack(found, axis=1) - numpy.outer(self.mean, other.sum(axis=0))


def read_features(group, rows):
    begin, end = group["indptr"][:-1][rows], group["indptr"][1:][rows]
    data = [group["data"][a:b] for a, b in zip(begin, end)]
    columns = [group["indices"][a:b] for a, b in zip(begin, end)]
    return Sparse(numpy.concatenate(data), numpy.concatenate(columns), end - begin)


def components(matrix):
    start = numpy.random.default_rng(1).standard_normal((matrix.shape[1], COMPONENTS + SPARE))
    basis = numpy.linalg.qr(matrix.times(start))[0]
    for _ in range(ITERATIONS):
        basis = numpy.linalg.qr(matrix.times(numpy.linalg.qr(matrix.transposed_times(basis))[0]))[0]
    left, values, _ = numpy.linalg.svd(matrix.transposed_times(basis).T, full_matrices=False)
    return (basis @ left * values)[:, :COMPONENTS]


def main(result, picture):
    with h5py.File(result) as file:
        count = len(file["obs/_index"])
        rows = numpy.unique(numpy.linspace(0, count - 1, min(count, ROWS)).astype(int))
        languages, codes = file["obs/lang/categories"].asstr()[:], file["obs/lang/codes"][:][rows]
        if "indptr" in file["X"]:
            what, points = "hashed features", components(read_features(file["X"], rows))
        else:
            profile = file["obsm/dhatu"][:][rows]
            left, values, _ = numpy.linalg.svd(profile - profile.mean(axis=0), full_matrices=False)
            what, points = "profile", (left * values)[:, :COMPONENTS]
    order = numpy.argsort(-numpy.bincount(codes, minlength=len(languages)), kind="stable")
    figure, axes = pyplot.subplots(figsize=(7, 6), layout="constrained")
    others = ~numpy.isin(codes, order[:COLOURS])
    if others.any():
        axes.scatter(*points[others].T, s=6, color="lightgrey", label="others")
    for code in order[:COLOURS]:
        if (codes == code).any():
            axes.scatter(*points[codes == code].T, s=6, label=languages[code])
    axes.set_xlabel(f"first component of the {what}")
    axes.set_ylabel("second component")
    axes.legend(markerscale=3)
    figure.savefig(picture, dpi=120)
    print(f"{picture}: {len(rows)} documents of {count}, by their {what}")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2])
