"""Gradients of digits in memory, on one thread: gradients.py DIR

Reads DIR/28x28-u8.pixels, and DIR/28x28-u8.gradients with what pixelfeat gives for the first images, which Numba's must
equal. Histograms of oriented gradients are other numbers than lattice gradients: of them only the form is checked. Prints
seconds an image by peer.
"""

import json
import sys
import time

import cv2
import numba
import numpy as np
from skimage.feature import hog

from data import load

IMAGES = 10_000
SLOW_IMAGES = 500  # of scikit-image, which takes a thousand times as long
VALUES = 128


@numba.njit
def lattice(images, out):
    """The definition of the feature `gradients`, written for one pass over each image."""
    height, width = images.shape[1:]
    rows = np.array([10 * y // height for y in range(height)])
    columns = np.array([10 * x // width for x in range(width)])
    weights = np.array([1, 3, 3, 1])
    high, wide = np.zeros(4, np.int64), np.zeros(4, np.int64)
    for i in range(4):
        for y in range(height):
            if 0 <= rows[y] - 2 * i < 4:
                high[i] += weights[rows[y] - 2 * i]
        for x in range(width):
            if 0 <= columns[x] - 2 * i < 4:
                wide[i] += weights[columns[x] - 2 * i]
    cells = np.empty((10, 10, 8), np.uint32)
    for n in range(len(images)):
        image = images[n]
        cells[:] = 0
        for y in range(height):
            for x in range(width):
                right = np.int32(image[y, min(x + 1, width - 1)]) - np.int32(image[y, max(x - 1, 0)])
                down = np.int32(image[min(y + 1, height - 1), x]) - np.int32(image[max(y - 1, 0), x])
                a, b = abs(right), abs(down)
                cell = cells[rows[y], columns[x]]
                if a > b:
                    straight = 0 if right > 0 else 4
                else:
                    straight = 2 if down > 0 else 6
                if down > 0:
                    diagonal = 1 if right > 0 else 3
                else:
                    diagonal = 7 if right > 0 else 5
                cell[straight] += np.uint32(abs(a - b))
                cell[diagonal] += np.uint32(min(a, b))
        for i in range(4):
            for j in range(4):
                for k in range(8):
                    total = np.uint64(0)
                    for u in range(4):
                        for v in range(4):
                            total += np.uint64(weights[u] * weights[v] * cells[2 * i + u, 2 * j + v, k])
                    out[n, (4 * i + j) * 8 + k] = np.sqrt(np.float64(total) / np.float64(255 * high[i] * wide[j]))


def seconds(run, images, times):
    """An image takes in the middle one of several runs, after one that compiles and warms up."""
    result, found = run(), []
    for _ in range(times):
        start = time.perf_counter()
        result = run()
        found.append((time.perf_counter() - start) / images)
    return sorted(found)[times // 2], result


folder = sys.argv[1]
cv2.setNumThreads(1)
images = np.ascontiguousarray(load(folder, "28x28-u8")[0][:IMAGES, :, :, 0])
out = np.full((len(images), VALUES), np.nan, np.float32)
found = {}
found["numba"], _ = seconds(lambda: lattice(images, out), len(images), 5)
ours = np.fromfile(f"{folder}/28x28-u8.gradients", np.float32).reshape(-1, VALUES)
assert ours.tobytes() == out[: len(ours)].tobytes() and len(ours) > 0, "Numba and pixelfeat differ"

signed = cv2.HOGDescriptor((28, 28), (14, 14), (7, 7), (7, 7), 9, 1, -1.0, 0, 0.2, True, 64, True)
found["opencv"], result = seconds(lambda: [signed.compute(image) for image in images], len(images), 5)
assert all(values.size == 324 and np.isfinite(values).all() for values in result)

few = images[:SLOW_IMAGES]
run = lambda: [hog(image, orientations=9, pixels_per_cell=(4, 4), cells_per_block=(2, 2)) for image in few]
found["skimage"], result = seconds(run, len(few), 3)
assert all(values.size == 1296 and np.isfinite(values).all() for values in result)
print(json.dumps(found))
