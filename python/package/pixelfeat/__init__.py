"""Columns of pixel arrays into model-ready features: exactly, and from anything that speaks Arrow.

``featurize`` takes a NumPy array, an Arrow array, a table or a stream, from whatever library, and gives features that any such
library takes. ``open`` and ``write`` are for files, ``augment`` makes other versions of images, ``inspect`` tells what a file
holds, and ``feature_names`` what the values are called. ``pixelfeat.sklearn`` has a transformer for scikit-learn.
"""

from pixelfeat._inspection import Inspection, inspect
from pixelfeat._pixelfeat import (
    Array,
    Batch,
    Error,
    Features,
    Stream,
    __version__,
    augment,
    feature_names,
    featurize,
    open,
    write,
)

__all__ = [
    "Array",
    "Batch",
    "Error",
    "Features",
    "Inspection",
    "Stream",
    "__version__",
    "augment",
    "feature_names",
    "featurize",
    "inspect",
    "open",
    "write",
]
