"""Features in Ray Data: pip install ray; python ray_data.py"""

import numpy as np
import pyarrow as pa
import ray

import pixelfeat

DECLARED = {"shape": "28x28", "pixel_type": "u8", "order": "hw"}
images = np.random.default_rng(0).integers(0, 256, (1000, 784), dtype=np.uint8)
table = pa.table({"id": range(1000), "image": pa.FixedSizeListArray.from_arrays(images.ravel(), 784)})


def pixel_features(rows: pa.Table) -> pa.Table:
    return pa.table(pixelfeat.featurize(rows, threads=1, **DECLARED))


dataset = ray.data.from_arrow(table).map_batches(pixel_features, batch_format="pyarrow", batch_size=256)
rows = sorted(dataset.take_all(), key=lambda row: row["id"])
expected = np.asarray(pixelfeat.featurize(images, **DECLARED))
assert (np.stack([row["features"] for row in rows]) == expected).all()
print(len(rows), "rows")
