"""PyArrow's readers and writer around vectorised NumPy: pyarrow_numpy.py IN.(json.gz|parquet) OUT.parquet"""

import json
import sys
import time

import numpy as np
import pyarrow as pa
import pyarrow.json
import pyarrow.parquet

from vectorised import features

source, target = sys.argv[1:]
start = time.perf_counter()
read = pa.parquet.read_table if source.endswith(".parquet") else pa.json.read_json
table = read(source)
column = table["image"].combine_chunks()
if pa.types.is_binary(column.type):
    pixels = np.frombuffer(column.buffers()[2], np.uint8)
else:
    pixels = column.flatten().to_numpy(zero_copy_only=False)
values, means, stds = features(pixels.reshape(-1, 28, 28, 1), 255)
lists = pa.FixedSizeListArray.from_arrays(values.ravel(), values.shape[1])
out = pa.table({"label": table["label"], "pixel_mean": means, "pixel_std": stds, "features": lists})
pa.parquet.write_table(out, target)
print(json.dumps({"seconds": time.perf_counter() - start}))
