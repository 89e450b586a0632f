"""Features of 200,000 digits in a NumPy array: python_array.py DIR. Prints seconds, and leaves its results to be checked."""

import json
import pathlib
import statistics
import sys
import time

import numpy as np

import pixelfeat

folder = pathlib.Path(sys.argv[1])
images = np.fromfile(folder / "28x28-u8.pixels", np.uint8).reshape(-1, 28, 28)


def timed():
    start = time.perf_counter()
    found = pixelfeat.featurize(images, shape="28x28")
    return time.perf_counter() - start, found


seconds = []
for _ in range(12):
    # As in the Rust call, a result is gone before the next one is made: fresh memory costs time.
    features = None
    taken, features = timed()
    seconds.append(taken)
columns = [np.asarray(features).ravel(), np.asarray(features.column("pixel_mean")), np.asarray(features.column("pixel_std"))]
np.concatenate(columns).tofile(folder / "28x28-u8.python")
print(json.dumps({"seconds": statistics.median(seconds[1:])}))
