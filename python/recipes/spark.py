"""Features in Spark: pip install pyspark; python spark.py. It needs Java 17 or later."""

import os
import sys

os.environ.setdefault("PYSPARK_PYTHON", sys.executable)

import numpy as np
import pyarrow as pa
from pyspark.sql import SparkSession

import pixelfeat

# Spark has no unsigned bytes: pixels come as wider integers, and are checked to be 0 to 255.
DECLARED = {"shape": "28x28", "pixel_type": "u8", "order": "hw"}
SCHEMA = "id bigint, pixel_mean float, pixel_std float, features array<float>"
images = np.random.default_rng(0).integers(0, 256, (200, 784), dtype=np.uint8)


def pixel_features(batches):
    for batch in batches:
        rows = pa.record_batch(pixelfeat.featurize(batch, threads=1, **DECLARED))
        # Spark has no lists of one length either.
        lists = rows["features"].cast(pa.list_(pa.float32()))
        yield rows.set_column(rows.schema.get_field_index("features"), "features", lists)


spark = SparkSession.builder.master("local[2]").getOrCreate()
rows = [(i, image.tolist()) for i, image in enumerate(images)]
frame = spark.createDataFrame(rows, "id bigint, image array<smallint>")
result = frame.mapInArrow(pixel_features, SCHEMA).orderBy("id").collect()
expected = np.asarray(pixelfeat.featurize(images, **DECLARED))
assert (np.array([row.features for row in result], dtype=np.float32) == expected).all()
print(len(result), "rows")
spark.stop()
