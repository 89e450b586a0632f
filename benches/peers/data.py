"""The inputs of the comparison and the reference that every contestant's output is held against.

data.py make DIR CASE…    from DIR/digits.json.gz, 10,000 images: Parquet files and raw pixels
data.py check DIR FILE…   compares outputs, Parquet or raw, with the reference
"""

import pathlib
import sys

import numpy as np
import pyarrow as pa
import pyarrow.json
import pyarrow.parquet

COPIES = 20  # of the 10,000 images, in the files with 200,000
HUNDRED = 100  # of the 10,000 images, in the file with 1,000,000
MILLIONS = 10  # copies of those, in the file with 2,000,000
GROUPS = 20  # row groups in the file that has several
CASE_BYTES = COPIES * 10_000 * 784
CHECKED = 500  # images of a case, which are random; of the digits all
TYPES = {"u8": (np.uint8, 255), "u16": (np.uint16, 65535), "f32": (np.float32, 1)}
UNORDERED = ["daft", "package", "sql"]  # outputs of engines that do not keep the order of the rows
LIMIT = 1e-6  # of the value's own size, or of 1 for values below


def reference(image, scale):
    """The tutorial's arithmetic: float32 NumPy, image by image."""
    image = image.astype(np.float32)
    height, width, channels = image.shape
    y, x = np.indices((height, width))
    parts = []
    for plane in np.moveaxis(image, 2, 0):
        total = plane.sum() + 1e-6
        centre = [(y * plane).sum() / total / height, (x * plane).sum() / total / width]
        spread = [plane.mean() / scale, plane.std() / scale]
        parts += [plane.sum(axis=1) / scale, plane.sum(axis=0) / scale, centre, spread]
    return np.concatenate([*parts, [image.mean(), image.std()]]).astype(np.float32)


def layout(case):
    shape, kind = case.split("-")
    height, width, channels = (*map(int, shape.split("x")), 1)[:3]
    return (height, width, channels), *TYPES[kind]


def load(folder, case):
    shape, dtype, scale = layout(case)
    return np.fromfile(f"{folder}/{case}.pixels", dtype).reshape(-1, *shape), scale


def digits(folder):
    """(10,000, 784) pixels, and their labels."""
    table = pa.json.read_json(folder / "digits.json.gz")
    images = table["image"].combine_chunks().flatten().to_numpy().astype(np.uint8).reshape(-1, 784)
    assert len(images) == 10_000
    return images, table["label"].to_numpy()


def fixed(images, labels):
    """COPIES of the digits, with their pixels as lists of one length."""
    pixels = pa.FixedSizeListArray.from_arrays(np.tile(images, (COPIES, 1)).ravel(), 784)
    return pa.table({"image": pixels, "label": np.tile(labels, COPIES)})


def write_again_and_again(path, table, rows):
    """A file of the same row group again and again, which differs from another one by its length alone."""
    with pa.parquet.ParquetWriter(path, table.schema) as writer:
        for _ in range(rows // len(table)):
            writer.write_table(table)


def concatenate_again_and_again(path, source, copies):
    """Members of a gzip file may follow one another."""
    member = source.read_bytes()
    with open(path, "wb") as file:
        for _ in range(copies):
            file.write(member)


def make(folder, *cases):
    images, labels = digits(folder)
    many = np.tile(images, (COPIES, 1))
    table = fixed(images, labels)
    offsets = pa.array(np.arange(len(many) + 1, dtype=np.int32) * 784)
    raw = pa.Array.from_buffers(pa.binary(), len(many), [None, offsets.buffers()[1], pa.py_buffer(many)])
    columns = {
        "fixed": table["image"],
        "list": pa.ListArray.from_arrays(offsets, many.ravel().astype(np.int64)),
        "binary": raw,
    }
    for name, column in columns.items():
        pa.parquet.write_table(pa.table({"image": column, "label": table["label"]}), folder / f"{name}.parquet")
    # PyArrow reads row groups in parallel, and one alone by one thread.
    pa.parquet.write_table(table, folder / "fixed-groups.parquet", row_group_size=len(table) // GROUPS)
    write_again_and_again(folder / "fixed-2m.parquet", table, len(table) * MILLIONS)
    for name, copies in [("digits-200k", COPIES), ("digits-1m", HUNDRED), ("digits-2m", COPIES * MILLIONS)]:
        concatenate_again_and_again(folder / f"{name}.json.gz", folder / "digits.json.gz", copies)
    np.save(folder / "labels.npy", labels)
    random = np.random.default_rng(1)
    for case in cases:
        shape, dtype, scale = layout(case)
        if case == "28x28-u8":
            drawn, checked = many.reshape(-1, *shape), len(images)
        else:
            count = CASE_BYTES // (int(np.prod(shape)) * np.dtype(dtype).itemsize)
            size, checked = (count, *shape), min(count, CHECKED)
            is_float = dtype == np.float32
            drawn = random.random(size, dtype) if is_float else random.integers(0, scale, size, dtype, endpoint=True)
        drawn.tofile(folder / f"{case}.pixels")
        np.save(folder / f"{case}.npy", [reference(image, scale) for image in drawn[:checked]])


def read(path):
    """(n, features + 2) values, and labels where there are some."""
    if path.suffix in (".parquet", ".daft"):
        table = pa.parquet.read_table(path)
        values = table["features"].combine_chunks().flatten().to_numpy().reshape(len(table), -1)
        columns = [table[name] for name in ["pixel_mean", "pixel_std"] if name in table.column_names]
        return np.column_stack([values, *columns]), table["label"].to_numpy()
    (height, width, channels), *_ = layout(path.stem)
    size = channels * (height + width + 4)
    values = np.fromfile(path, np.float32)
    n = len(values) // (size + 2)
    features, means, stds = np.split(values, [n * size, n * size + n])
    return np.column_stack([features.reshape(n, size), means, stds]), None


def in_order(values, labels):
    """Sorted by the sums of rows and columns, which are whole numbers."""
    order = np.lexsort(np.rint(values[:, :56] * 255).T)
    return values[order], labels[order]


def check(folder, *paths):
    for path in map(pathlib.Path, paths):
        got, labels = read(path)
        digits = labels is not None or path.stem == "28x28-u8"
        want = np.load(folder / f"{'28x28-u8' if digits else path.stem}.npy")
        if digits:  # the same images again and again
            assert len(got) in [len(want) * copies for copies in (1, COPIES, HUNDRED)], f"{path.name}: {len(got)} rows"
        else:
            got = got[: len(want)]
        if labels is not None:
            known, want = np.load(folder / "labels.npy"), want[:, : got.shape[1]]
            if path.stem in UNORDERED:
                copies = len(got) // len(want)
                (got, labels), (want, known) = in_order(got, labels), in_order(want.repeat(copies, 0), known.repeat(copies))
            assert (labels.reshape(-1, len(known)) == known).all(), f"{path.name}: other labels"
        worst = np.max(np.abs(got.reshape(-1, *want.shape) - want) / np.maximum(np.abs(want), 1))
        assert worst <= LIMIT, f"{path.name}: differs from the reference by {worst:.1e}"
        print(f"{path.name}: within {worst:.1e} of the reference", file=sys.stderr)


if __name__ == "__main__":
    command, folder, *rest = sys.argv[1:]
    {"make": make, "check": check}[command](pathlib.Path(folder), *rest)
