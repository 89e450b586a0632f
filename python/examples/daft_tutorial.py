"""A pipeline on Daft: JSON of digits in, Parquet of features out, with the formulas in NumPy or with pixelfeat.

    python daft_tutorial.py digits.json.gz FOLDER                      with pixelfeat
    python daft_tutorial.py digits.json.gz FOLDER --functions numpy    with NumPy, image by image
    python daft_tutorial.py digits.json.gz FOLDER --compare            both, and how far they differ

Both write the columns label, pixel_mean, pixel_std and features; an image with another number of pixels is null. The last line of
what is printed is a JSON object of the seconds.
"""

import argparse
import json
import os
import time
from pathlib import Path

os.environ.setdefault("DAFT_PROGRESS_BAR", "0")

import daft
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from daft import DataType, col

import pixelfeat

HEIGHT, WIDTH = 28, 28
COLUMNS = {
    "pixel_mean": DataType.float32(),
    "pixel_std": DataType.float32(),
    "features": DataType.list(DataType.float32()),
}


@daft.func.batch(return_dtype=DataType.struct(COLUMNS))
def with_pixelfeat(image: daft.Series):
    features = pixelfeat.featurize(image, shape=(HEIGHT, WIDTH), pixel_type="u8", order="hw")
    means, stds = pa.array(features.column("pixel_mean")), pa.array(features.column("pixel_std"))
    # Lists of any length, as Python's are: PyArrow does not read null lists of one length from Parquet.
    lists = pa.array(features, pa.list_(pa.float32()))
    return pa.StructArray.from_arrays([means, stds, lists], list(COLUMNS))


@daft.func.batch(return_dtype=DataType.struct(COLUMNS))
def with_numpy(image: daft.Series):
    return [dict(zip(COLUMNS, of_image(pixels))) for pixels in image.to_pylist()]


def of_image(pixels):
    """Mean, deviation and features of one image, as lists and numbers."""
    if pixels is None or len(pixels) != HEIGHT * WIDTH:
        return None, None, None
    image = np.array(pixels, np.float32).reshape(HEIGHT, WIDTH)
    mean, std = image.mean(), image.std()
    weight = image.sum() + 1e-6
    y, x = np.indices(image.shape)
    centre = [(y * image).sum() / weight / HEIGHT, (x * image).sum() / weight / WIDTH]
    parts = [image.sum(axis=1) / 255, image.sum(axis=0) / 255, centre, [mean / 255, std / 255]]
    return float(mean), float(std), np.concatenate(parts).astype(np.float32).tolist()


def run(source, target, function):
    """Seconds from reading to what is written."""
    start = time.perf_counter()
    frame = daft.read_json(str(source)).select("label", function(col("image")).alias("found"))
    frame = frame.select("label", *(col("found")[name].alias(name) for name in COLUMNS))
    frame.write_parquet(str(target), write_mode="overwrite")
    return time.perf_counter() - start


def compare(one, other):
    """Rows, and the largest difference of a value."""
    tables = [pq.read_table(folder).to_pylist() for folder in (one, other)]
    order = [sorted(rows, key=lambda row: (row["features"] is None, row["features"] and row["features"][:56])) for rows in tables]
    worst = 0.0
    for mine, theirs in zip(*order, strict=True):
        assert mine.keys() == theirs.keys() and mine["label"] == theirs["label"]
        if mine["features"] is None:
            assert theirs["features"] is theirs["pixel_mean"] is mine["pixel_mean"] is None
            continue
        values = [np.array([*row["features"], row["pixel_mean"], row["pixel_std"]]) for row in (mine, theirs)]
        worst = max(worst, np.max(np.abs(values[0] - values[1]) / np.maximum(np.abs(values[1]), 1)))
    return len(order[0]), worst


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source")
    parser.add_argument("target", type=Path)
    parser.add_argument("--functions", choices=["pixelfeat", "numpy"], default="pixelfeat")
    parser.add_argument("--compare", action="store_true")
    args = parser.parse_args()
    functions = {"pixelfeat": with_pixelfeat, "numpy": with_numpy}
    if not args.compare:
        print(json.dumps({"seconds": run(args.source, args.target, functions[args.functions])}))
        return
    seconds = {name: run(args.source, args.target / name, function) for name, function in functions.items()}
    rows, worst = compare(*(args.target / name for name in functions))
    print(f"{rows} rows, the largest difference is {worst:.1e} of the value or of 1")
    assert worst <= 1e-6
    print(json.dumps(seconds))


if __name__ == "__main__":
    main()
