#!/usr/bin/env python3
"""Plots how often the commonest terms occur, against their rank. By Zipf's law that is close to a line of slope -1.

    vocabulary.py OUT.h5 PICTURE.png       (job vocab; needs h5py, numpy and matplotlib)
"""

import sys

import h5py
import matplotlib
import numpy

matplotlib.use("Agg")  # no display is needed
from matplotlib import pyplot  # noqa: E402

NAMED = (1, 2, 3, 5, 10, 20, 50)  # ranks whose terms are written beside their points

if len(sys.argv) != 3:
    sys.exit(__doc__)
with h5py.File(sys.argv[1]) as file:
    frequency = file["uns/dhatu/vocab/frequency"][:]
    terms = file["uns/dhatu/vocab/term"].asstr()[:]
    different, occurrences = file["uns/dhatu/vocab/totals"][:]

rank = numpy.arange(1, len(frequency) + 1)
slope, height = numpy.polyfit(numpy.log(rank), numpy.log(frequency), 1)
figure, axes = pyplot.subplots(figsize=(7, 5), layout="constrained")
axes.loglog(rank, frequency, ".", label=f"the {len(frequency)} commonest of {different} terms, {occurrences} occurrences")
axes.loglog(rank, numpy.exp(height) * rank**slope, label=f"slope {slope:.2f}")
for number in NAMED:
    if number <= len(terms):
        axes.annotate(terms[number - 1], (number, frequency[number - 1]), xytext=(4, 4), textcoords="offset points")
axes.set_xlabel("rank")
axes.set_ylabel("occurrences")
axes.legend()
figure.savefig(sys.argv[2], dpi=120)
print(f"{sys.argv[2]}: {len(frequency)} terms, slope {slope:.2f}")
