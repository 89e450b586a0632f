"""Measures augmentation with the libraries that people use, for the cases of `cargo bench --bench augment`.

    benches/peers/setup augment
    target/augment-venv/bin/python benches/peers/augment.py [--seconds 0.2] [--repeats 5] [--only hflip] [--processes 2]

What of `requirements-augment.txt` cannot be imported is left out. Each line: library, shape, case, processes, ns an image:
CPU time, the least of a few repeats. Several processes work at the same time, each on one thread, as the workers of a
DataLoader do, and their rates are added up. Every case draws its parameters for every image, as in training; MixUp and
CutMix also mix the labels. Kornia takes batches of floats, and bringing pixels to floats is left out.
"""

import argparse
import importlib
import math
import multiprocessing
import os
import random
import time

for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[name] = "1"
os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"
import numpy as np


def smooth(shape, count):
    """Waves and a little noise."""
    rng = np.random.default_rng(7)
    height, width, channels = shape
    y, x, c = np.meshgrid(np.arange(height) / height, np.arange(width) / width, np.arange(channels), indexing="ij")
    images = []
    for _ in range(count):
        a, b, phase = rng.uniform(1, 6, 3)
        wave = 127 + 90 * np.sin(3 * (a * x + b * y) + phase + c) + rng.uniform(-20, 20, shape)
        images.append(wave.astype(np.uint8))
    return images


def window(height, width):
    """torchvision's rule for RandomResizedCrop."""
    for _ in range(10):
        area, ratio = height * width * random.uniform(0.08, 1), math.exp(random.uniform(math.log(3 / 4), math.log(4 / 3)))
        w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < w <= width and 0 < h <= height:
            return random.randint(0, height - h), random.randint(0, width - w), h, w
    return 0, 0, height, width


def opencv(cv2, shape, images):
    cv2.setNumThreads(1)
    height, width, channels = shape

    def crop(a):
        y, x = random.randint(0, 8), random.randint(0, 8)
        padded = cv2.copyMakeBorder(a, 4, 4, 4, 4, cv2.BORDER_CONSTANT)
        return padded[y : y + height, x : x + width].copy()

    def resized_crop(a):
        y, x, h, w = window(height, width)
        return cv2.resize(a[y : y + h, x : x + w], (width, height), interpolation=cv2.INTER_LINEAR)

    def jitter(a):
        factors, order = [random.uniform(0.6, 1.4) for _ in range(3)], [0, 1, 2][: channels if channels == 3 else 2]
        random.shuffle(order)
        for kind in order:
            if kind == 0:
                a = cv2.convertScaleAbs(a, alpha=factors[0])
            else:
                gray = a if channels == 1 else cv2.cvtColor(a, cv2.COLOR_RGB2GRAY)
                if kind == 1:
                    a = cv2.addWeighted(a, factors[1], a, 0, (1 - factors[1]) * round(cv2.mean(gray)[0]))
                else:
                    a = cv2.addWeighted(a, factors[2], cv2.cvtColor(gray, cv2.COLOR_GRAY2RGB), 1 - factors[2], 0)
        return a

    def erase(a):
        a, (y, x) = a.copy(), (random.randint(0, height // 2), random.randint(0, width // 2))
        a[y : y + height // 2, x : x + width // 2] = 0
        return a

    def mixup():
        share = random.betavariate(0.2, 0.2)
        return [(cv2.addWeighted(a, share, b, 1 - share, 0), share) for a, b in zip(images, images[1:] + images[:1])]

    def cutmix():
        return [pasted(a, b, shape) for a, b in zip(images, images[1:] + images[:1])]

    yield "copy", each(np.copy, images)
    yield "hflip", each(lambda a: cv2.flip(a, 1), images)
    yield ("crop", each(crop, images)) if height < 100 else ("resized_crop", each(resized_crop, images))
    yield from [("jitter", each(jitter, images)), ("erase", each(erase, images)), ("mixup", mixup), ("cutmix", cutmix)]


def pasted(a, b, shape):
    height, width, _ = shape
    half = 0.5 * math.sqrt(1 - random.betavariate(1, 1))
    y, x = random.randrange(height), random.randrange(width)
    rows = slice(max(0, y - int(half * height)), y + int(half * height))
    columns = slice(max(0, x - int(half * width)), x + int(half * width))
    a = a.copy()
    a[rows, columns] = b[rows, columns]
    return a, 1 - a[rows, columns].size / a.size


def pillow(_, shape, arrays):
    from PIL import Image, ImageEnhance, ImageOps

    height, width, channels = shape
    images = [Image.fromarray(a[..., 0] if channels == 1 else a) for a in arrays]

    def crop(a):
        y, x = random.randint(0, 8), random.randint(0, 8)
        return ImageOps.expand(a, 4).crop((x, y, x + width, y + height))

    def resized_crop(a):
        y, x, h, w = window(height, width)
        return a.resize((width, height), Image.BILINEAR, box=(x, y, x + w, y + h))

    kinds = [ImageEnhance.Brightness, ImageEnhance.Contrast] + [ImageEnhance.Color] * (channels == 3)

    def jitter(a):
        for kind in random.sample(kinds, len(kinds)):
            a = kind(a).enhance(random.uniform(0.6, 1.4))
        return a

    def erase(a):
        a, (y, x) = a.copy(), (random.randint(0, height // 2), random.randint(0, width // 2))
        a.paste(0 if channels == 1 else (0, 0, 0), (x, y, x + width // 2, y + height // 2))
        return a

    yield "hflip", each(lambda a: a.transpose(Image.FLIP_LEFT_RIGHT), images)
    yield ("crop", each(crop, images)) if height < 100 else ("resized_crop", each(resized_crop, images))
    yield from [("jitter", each(jitter, images)), ("erase", each(erase, images))]
    try:
        from torchvision.transforms import v2
    except ImportError:
        return
    yield "randaugment", each(v2.RandAugment(2, 9), images)


def albumentations(A, shape, images):
    import cv2

    cv2.setNumThreads(1)
    height, width, channels = shape
    saturation = 0.4 if channels == 3 else 0
    cases = {
        "hflip": [A.HorizontalFlip(p=1)],
        "jitter": [A.ColorJitter((0.6, 1.4), (0.6, 1.4), (1 - saturation, 1 + saturation), (0, 0), p=1)],
        "erase": [A.CoarseDropout((1, 1), (0.5, 0.5), (0.5, 0.5), p=1)],
    }
    if height < 100:
        cases["crop"] = [A.Pad(4), A.RandomCrop(height, width)]
    else:
        cases["resized_crop"] = [A.RandomResizedCrop((height, width), p=1)]
    for case, transforms in cases.items():
        composed = A.Compose(transforms)
        yield case, each(lambda a, composed=composed: composed(image=a), images)


def torchvision(_, shape, arrays):
    import torch
    from torchvision.transforms import v2

    torch.set_num_threads(1)
    height, width, channels = shape
    images = [torch.from_numpy(a).permute(2, 0, 1).contiguous() for a in arrays]
    cases = {
        "hflip": v2.RandomHorizontalFlip(1),
        "jitter": v2.ColorJitter(0.4, 0.4, 0.4 if channels == 3 else 0),
        "erase": v2.RandomErasing(1, scale=(0.25, 0.25), ratio=(1, 1)),
        "randaugment": v2.RandAugment(2, 9),
    }
    if height < 100:
        cases["crop"] = v2.RandomCrop((height, width), padding=4)
    else:
        cases["resized_crop"] = v2.RandomResizedCrop((height, width), antialias=True)
    for case, transform in cases.items():
        yield case, each(transform, images)
    batch, labels = torch.stack(images), torch.arange(len(images)) % 10
    mixup, cutmix = v2.MixUp(alpha=0.2, num_classes=10), v2.CutMix(num_classes=10)
    # It mixes floats only.
    floats = batch.float()
    yield from [("mixup", lambda: mixup(floats, labels)), ("cutmix", lambda: cutmix(batch, labels))]


def kornia(_, shape, arrays):
    import kornia.augmentation as K
    import torch
    from kornia.augmentation.auto import RandAugment

    torch.set_num_threads(1)
    height, width, channels = shape
    batch = torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2).contiguous().float() / 255
    labels = torch.arange(len(arrays)) % 10
    cases = {
        "hflip": (K.RandomHorizontalFlip(p=1),),
        "jitter": (K.ColorJitter(0.4, 0.4, 0.4 if channels == 3 else 0, 0, p=1),),
        "erase": (K.RandomErasing(scale=(0.25, 0.25), ratio=(1, 1), p=1),),
        "mixup": (K.RandomMixUpV2(p=1), labels),
        "cutmix": (K.RandomCutMixV2(p=1, use_correct_lambda=True), labels),
    }
    if height < 100:
        cases["crop"] = (K.RandomCrop((height, width), padding=4),)
    else:
        cases["resized_crop"] = (K.RandomResizedCrop((height, width)),)
        # It takes colours only.
        cases["randaugment"] = (RandAugment(2, 9),)
    for case, (transform, *more) in cases.items():
        yield case, torch.no_grad()(lambda transform=transform, more=more: transform(batch, *more))


def each(function, images):
    return lambda: [function(image) for image in images]


def least(run, count, seconds, repeats):
    run()
    best = math.inf
    for _ in range(repeats):
        start, done = time.process_time_ns(), 0
        while time.process_time_ns() < start + seconds * 1e9:
            run()
            done += count
        best = min(best, (time.process_time_ns() - start) / done)
    return best


def together(processes, *measured):
    """As `least`, by some processes at the same time."""
    if processes == 1:
        return least(*measured)
    context = multiprocessing.get_context("fork")
    barrier, found = context.Barrier(processes), context.Queue()

    def work():
        barrier.wait()
        found.put(least(*measured))

    workers = [context.Process(target=work) for _ in range(processes)]
    for worker in workers:
        worker.start()
    rates = sum(1 / found.get() for _ in workers)
    for worker in workers:
        worker.join()
    return 1 / rates


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=0.2)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only")
    parser.add_argument("--processes", type=int, default=1)
    args = parser.parse_args()
    libraries = {
        "cv2": opencv,
        "PIL": pillow,
        "albumentations": albumentations,
        "torchvision": torchvision,
        "kornia": kornia,
    }
    for name, cases in libraries.items():
        try:
            module = importlib.import_module(name)
        except ImportError:
            print(f"# {name} is not there")
            continue
        print(f"# {name} {module.__version__}")
        for shape, count in (((28, 28, 1), 256), ((224, 224, 3), 32)):
            for case, run in cases(module, shape, smooth(shape, count)):
                if args.only in (None, case):
                    ns = together(args.processes, run, count, args.seconds, args.repeats)
                    text = "x".join(map(str, shape[: 2 if shape[2] == 1 else 3]))
                    print(f"{name:16} {text:10} {case:12} {args.processes}  {ns:12.0f} ns", flush=True)


main()
