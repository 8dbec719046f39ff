#!/usr/bin/env python3
"""Plots the profile of each language that has a lexicon: the mean share of each category, as bars.

    languages.py OUT.h5 PICTURE.png       (job profile; needs h5py, numpy and matplotlib)
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
    categories = file["uns/dhatu/profile/categories"].asstr()[:]
    languages = file["obs/lang/categories"].asstr()[:]
    codes = file["obs/lang/codes"][:]
    matched = file["obs/matched"][:] > 0  # documents with a word of the lexicon
    profile = file["obsm/dhatu"][:]

shown = [code for code in range(len(languages)) if (matched & (codes == code)).any()]
if not shown:
    sys.exit("no document has a word of a lexicon")
place = numpy.arange(len(categories))
width = 0.8 / len(shown)
figure, axes = pyplot.subplots(figsize=(8, 4), layout="constrained")
for number, code in enumerate(shown):
    rows = matched & (codes == code)
    axes.bar(place + (number - (len(shown) - 1) / 2) * width, profile[rows].mean(axis=0), width,
             label=f"{languages[code]} ({rows.sum()} documents)")
axes.set_xticks(place, categories)
axes.set_ylabel("mean share of a document")
axes.legend()
figure.savefig(sys.argv[2], dpi=120)
print(f"{sys.argv[2]}: {len(shown)} languages, {len(categories)} categories")
