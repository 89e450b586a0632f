"""Photographs in files, and OpenCV's way to bring them to one size.

photos.py make DIR              1,000 images of 520×320 as JPEG in DIR/jpeg and as PNG in DIR/png
photos.py gray|colour DIR OUT   reads all files of DIR in threads, 224×224 by area; means of the images into OUT
photos.py check FILE MEANS      compares the means of the features of the same files with these
"""

import concurrent.futures
import json
import os
import pathlib
import sys
import time

import cv2
import numpy as np
import pyarrow.parquet

COUNT, WIDTH, HEIGHT, SIDE = 1000, 520, 320, 224


def draw(random):
    """Smooth colours, some edges and the noise of a sensor: what a JPEG of a photograph is made of."""
    image = np.zeros((HEIGHT, WIDTH, 3), np.float32)
    for cells, weight in [((4, 6), 120), ((13, 20), 60), ((50, 80), 25)]:
        coarse = random.random((*cells, 3), np.float32)
        image += weight * cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    for _ in range(6):
        centre = (int(random.integers(WIDTH)), int(random.integers(HEIGHT)))
        axes = (int(random.integers(10, 120)), int(random.integers(10, 80)))
        colour = tuple(float(c) for c in random.integers(0, 255, 3))
        cv2.ellipse(image, centre, axes, float(random.integers(180)), 0, 360, colour, -1)
    image += random.normal(0, 4, image.shape).astype(np.float32)
    return np.clip(image, 0, 255).astype(np.uint8)


def make(folder):
    random = np.random.default_rng(1)
    for kind in ["jpeg", "png"]:
        (folder / kind).mkdir(exist_ok=True)
    for number in range(COUNT):
        image = draw(random)
        cv2.imwrite(str(folder / f"jpeg/{number:04}.jpg"), image, [cv2.IMWRITE_JPEG_QUALITY, 90])
        cv2.imwrite(str(folder / f"png/{number:04}.png"), image)


def read(kind, folder, target):
    flag = cv2.IMREAD_GRAYSCALE if kind == "gray" else cv2.IMREAD_COLOR
    # The threads are ours, each with an image of its own.
    cv2.setNumThreads(1)
    start = time.perf_counter()
    paths = sorted(folder.iterdir())
    images = np.empty((len(paths), SIDE, SIDE, *([] if kind == "gray" else [3])), np.uint8)

    def one(at):
        cv2.resize(cv2.imread(str(paths[at]), flag), (SIDE, SIDE), images[at], interpolation=cv2.INTER_AREA)

    with concurrent.futures.ThreadPoolExecutor(len(os.sched_getaffinity(0))) as threads:
        list(threads.map(one, range(len(paths))))
    seconds = time.perf_counter() - start
    np.save(target, images.reshape(len(images), -1).mean(axis=1))
    print(json.dumps({"seconds": seconds}))


def check(path, means):
    table = pyarrow.parquet.read_table(path, columns=["path", "pixel_mean"])
    ours = table.sort_by("path")["pixel_mean"].to_numpy()
    worst = np.abs(ours - np.load(means)).max()
    # JPEG decoders may differ by a level or so, and round differently.
    assert len(ours) == COUNT and worst < 0.6, f"means of {len(ours)} images differ by {worst:.2f}"


if __name__ == "__main__":
    command, path, *rest = sys.argv[1:]
    match command:
        case "make":
            make(pathlib.Path(path))
        case "check":
            check(path, *rest)
        case kind:
            read(kind, pathlib.Path(path), *rest)
