"""What the tests share: images, and what their features must be."""

import json

import numpy as np
import pytest


@pytest.fixture(scope="session")
def images():
    """1,000 random images of 28×28, of which the first is black and the second white."""
    images = np.random.default_rng(0).integers(0, 256, (1000, 28, 28), dtype=np.uint8)
    images[0], images[1] = 0, 255
    return images


@pytest.fixture(scope="session")
def labels():
    return np.random.default_rng(1).integers(0, 10, 1000)


@pytest.fixture
def ndjson(tmp_path, images, labels):
    """A file of the images."""
    path = tmp_path / "digits.ndjson"
    rows = (json.dumps({"image": i.ravel().tolist(), "label": int(label)}) for i, label in zip(images, labels))
    path.write_text("\n".join(rows))
    return path


@pytest.fixture(scope="session")
def expected(images):
    """The features of the images."""
    return profiles(images)[0]


def profiles(images, scale=255):
    """Profiles of N×H×W integer images by NumPy: the list, the means and the deviations. Exact integers, rounded once."""
    n, height, width = images.shape
    pixels = images.astype(np.int64)
    rows, columns = pixels.sum(axis=2), pixels.sum(axis=1)
    total, squares = rows.sum(axis=1), (pixels**2).sum(axis=(1, 2))
    centre = [
        (rows * np.arange(height)).sum(axis=1) / (total + 1e-6) / height,
        (columns * np.arange(width)).sum(axis=1) / (total + 1e-6) / width,
    ]
    count = height * width
    mean, std = total / count, np.sqrt(count * squares - total**2) / count
    spread = [mean / scale, std / scale]
    values = np.concatenate([rows / scale, columns / scale, np.stack(centre + spread, axis=1)], axis=1)
    return values.astype(np.float32), mean.astype(np.float32), std.astype(np.float32)


def histograms(images, bins):
    """Shares of the pixels of N×H×W u8 images in equal parts of the range."""
    counts = np.stack([np.bincount(image.ravel() // (256 // bins), minlength=bins) for image in images])
    return (counts / images[0].size).astype(np.float32)
