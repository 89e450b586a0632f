"""Features of pixels in memory, on all cores: kernels.py DIR CASE…, with CASE as in 28x28-u8.

Reads DIR/CASE.pixels and leaves its results in DIR/CASE.numpy and so on, to be checked. Prints seconds by peer and case.
"""

import json
import math
import statistics
import sys
import time

import numba
import numpy as np

import vectorised
from data import load

try:
    import torch
except ImportError:
    torch = None


def numba_kernel(height, width, channels, dtype, scale):
    """A kernel with the shape compiled in. It fills memory that is there, as pixelfeat's does."""
    exact = dtype != np.float32
    # Sums of a row or column of bytes, and of a row's squares, fit 32 bits, which vectorises best.
    narrow = {"uint8": np.int32, "uint16": np.int64, "float32": np.float32}[np.dtype(dtype).name]
    wide = np.int64 if exact else np.float64
    size = height + width + 4
    n = height * width

    @numba.njit(parallel=True, fastmath=True)
    def kernel(images, features, means, stds):
        parts = min(len(images), 8 * numba.get_num_threads())
        for part in numba.prange(parts):
            columns = np.empty(width, narrow)
            for i in range(part * len(images) // parts, (part + 1) * len(images) // parts):
                all_sum, all_squares = wide(0), wide(0)
                for c in range(channels):
                    out = features[i, c * size : (c + 1) * size]
                    total, squares, moment_y = wide(0), wide(0), wide(0)
                    columns[:] = 0
                    for y in range(height):
                        row_sum, row_squares = narrow(0), narrow(0)
                        for x in range(width):
                            p = narrow(images[i, y, x, c])
                            row_sum += p
                            row_squares += p * p
                            columns[x] += p
                        out[y] = row_sum / scale
                        total += row_sum
                        squares += row_squares
                        moment_y += y * row_sum
                    moment_x = wide(0)
                    for x in range(width):
                        out[height + x] = columns[x] / scale
                        moment_x += x * columns[x]
                    mean = total / n
                    out[height + width] = moment_y / (total + 1e-6) / height
                    out[height + width + 1] = moment_x / (total + 1e-6) / width
                    out[height + width + 2] = mean / scale
                    out[height + width + 3] = math.sqrt(max(squares / n - mean * mean, 0.0)) / scale
                    all_sum += total
                    all_squares += squares
                mean = all_sum / (n * channels)
                means[i] = mean
                stds[i] = math.sqrt(max(all_squares / (n * channels) - mean * mean, 0.0))

    return kernel


def torch_kernel(height, width, scale):
    rows_at, columns_at = torch.arange(height).float(), torch.arange(width).float()

    def kernel(images):
        pixels = images.float().view(-1, height, width)
        rows, columns = pixels.sum(2), pixels.sum(1)
        total = rows.sum(1) + 1e-6
        std, mean = torch.std_mean(pixels.flatten(1), 1, unbiased=False)
        y, x = (rows @ rows_at) / total / height, (columns @ columns_at) / total / width
        last = torch.stack([y, x, mean / scale, std / scale], 1)
        return torch.cat([rows / scale, columns / scale, last], 1), mean, std

    return torch.compile(kernel, dynamic=True)


def median(run, times):
    """The middle one of several runs, after one that compiles and warms up."""
    result, seconds = run(), []
    for _ in range(times):
        start = time.perf_counter()
        result = run()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds), result


def contestants(images, scale):
    n, height, width, channels = images.shape
    size = channels * (height + width + 4)
    kernel = numba_kernel(height, width, channels, images.dtype, scale)
    out = [np.full(shape, np.nan, np.float32) for shape in [(n, size), n, n]]

    def run_numba():
        kernel(images, *out)
        return out

    yield "numpy", lambda: vectorised.features(images, scale), 3
    yield "numba", run_numba, 11
    if torch and images.dtype == np.uint8 and channels == 1:
        compiled, tensor = torch_kernel(height, width, scale), torch.from_numpy(images)
        step = max(1, 4096 * 784 // images[0].nbytes)

        def run_torch():
            pieces = [compiled(tensor[start : start + step]) for start in range(0, n, step)]
            return [torch.cat(parts) for parts in zip(*pieces)]

        yield "torch.compile", run_torch, 11


folder, *cases = sys.argv[1:]
found = {}
for case in cases:
    images, scale = load(folder, case)
    for peer, run, times in contestants(images, scale):
        found.setdefault(peer, {})[case], results = median(run, times)
        with open(f"{folder}/{case}.{peer}", "wb") as file:
            for result in results:
                np.asarray(result).tofile(file)
print(json.dumps(found))
