"""The tutorial's pipeline on Daft, Python functions called row by row: daft_udfs.py IN.json.gz OUT_DIRECTORY"""

import json
import os
import sys
import time
import warnings

os.environ["DAFT_PROGRESS_BAR"] = "0"
warnings.simplefilter("ignore")

import daft
import numpy as np
from daft import DataType, col

source, target = sys.argv[1:]


def image(pixels):
    array = np.array(pixels, dtype=np.float32)
    return array.reshape(28, 28) if array.size == 784 else None


def mean(image):
    return None if image is None else float(image.mean())


def std(image):
    return None if image is None else float(image.std())


@daft.udf(return_dtype=DataType.list(DataType.float32()), batch_size=512)
def features(images):
    return [None if image is None else vector(image) for image in images.to_pylist()]


def vector(image):
    height, width = image.shape
    total = image.sum() + 1e-6
    y, x = np.indices(image.shape)
    centre = [(y * image).sum() / total / height, (x * image).sum() / total / width]
    spread = [image.mean() / 255, image.std() / 255]
    return np.concatenate([image.sum(axis=1) / 255, image.sum(axis=0) / 255, centre, spread]).astype(np.float32).tolist()


start = time.perf_counter()
frame = daft.read_json(source).with_column("image", col("image").apply(image, return_dtype=DataType.python()))
frame = frame.with_columns(
    {
        "pixel_mean": col("image").apply(mean, return_dtype=DataType.float32()),
        "pixel_std": col("image").apply(std, return_dtype=DataType.float32()),
        "features": features(col("image")),
    }
)
frame.select("label", "pixel_mean", "pixel_std", "features").write_parquet(target)
print(json.dumps({"seconds": time.perf_counter() - start}))
