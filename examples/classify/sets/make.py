"""Writes two more sets that `classify` can learn from: digits.npz and patches.npz, in the folder that is given.

    pip install -r examples/classify/sets/requirements.txt
    python examples/classify/sets/make.py FOLDER

- digits: the 1,797 handwritten digits of 8 by 8 pixels that scikit-learn has. Their 17 levels become 0, 15, …, 240.
- patches: squares of 32 by 32 pixels from 16 photographs that scikit-image has, 60 from each; the label is the photograph.
  Photographs become gray (Pillow's BT.601). Places are drawn with NumPy's default_rng(0), each photograph in its turn.

`examples/classify/sets/run` makes the sets, computes features and prints the accuracies.
"""

import sys
from pathlib import Path

import numpy as np
import skimage
import sklearn
from PIL import Image
from skimage import data
from sklearn.datasets import load_digits

PHOTOGRAPHS = [
    "astronaut",
    "brick",
    "camera",
    "cat",
    "cell",
    "clock",
    "coffee",
    "coins",
    "grass",
    "gravel",
    "hubble_deep_field",
    "immunohistochemistry",
    "moon",
    "page",
    "rocket",
    "text",
]
PATCHES = 60
SIDE = 32


def digits():
    found = load_digits()
    return (found.images * 15).astype(np.uint8), found.target.astype(np.int64)


def patches():
    random = np.random.default_rng(0)
    images, labels = [], []
    for label, name in enumerate(PHOTOGRAPHS):
        photograph = np.asarray(Image.fromarray(getattr(data, name)()).convert("L"))
        for _ in range(PATCHES):
            y = random.integers(0, photograph.shape[0] - SIDE + 1)
            x = random.integers(0, photograph.shape[1] - SIDE + 1)
            images.append(photograph[y : y + SIDE, x : x + SIDE])
            labels.append(label)
    return np.stack(images), np.array(labels, dtype=np.int64)


def main():
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name, (images, labels) in {"digits": digits(), "patches": patches()}.items():
        np.savez(folder / f"{name}.npz", image=images, label=labels)
        print(f"{folder / name}.npz: {len(images)} images of {images.shape[1]}x{images.shape[2]}")
    print(f"scikit-learn {sklearn.__version__}, scikit-image {skimage.__version__}, NumPy {np.__version__}")


if __name__ == "__main__":
    main()
