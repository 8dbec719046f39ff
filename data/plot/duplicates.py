#!/usr/bin/env python3
"""Plots how many clusters of duplicates have how many documents.

    duplicates.py OUT.h5 PICTURE.png       (job neardup; needs h5py, numpy and matplotlib)
"""

import sys

import h5py
import matplotlib
import numpy

matplotlib.use("Agg")  # no display is needed
from matplotlib import pyplot  # noqa: E402

if len(sys.argv) != 3:
    sys.exit(__doc__)
with h5py.File(sys.argv[1]) as file:
    cluster, size = file["obs/dup_cluster"][:], file["obs/dup_size"][:]

first = cluster == numpy.arange(len(cluster))  # a cluster is named by the row of its first document
sizes, clusters = numpy.unique(size[first], return_counts=True)
figure, axes = pyplot.subplots(figsize=(7, 4), layout="constrained")
axes.bar(numpy.arange(len(sizes)), clusters)
axes.set_xticks(numpy.arange(len(sizes)), sizes)
axes.set_xlabel("documents of a cluster")
axes.set_ylabel("clusters")
axes.set_title(f"{first.sum()} clusters with {(cluster >= 0).sum()} of {len(cluster)} documents")
figure.savefig(sys.argv[2], dpi=120)
print(f"{sys.argv[2]}: {first.sum()} clusters of {len(sizes)} sizes")
