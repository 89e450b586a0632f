"""The interpreter, its lock and its processes; the package itself."""

import inspect
import multiprocessing
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import pixelfeat


def test_the_lock_is_free_while_features_are_computed():
    images = np.random.default_rng(0).integers(0, 256, (20_000, 28, 28), dtype=np.uint8)
    pixelfeat.featurize(images[:10])
    ticks, done = [], threading.Event()

    def tick():
        while not done.is_set():
            ticks.append(time.perf_counter())
            time.sleep(0.0005)

    thread = threading.Thread(target=tick)
    thread.start()
    start = time.perf_counter()
    pixelfeat.featurize(images, features="profiles,gradients,texture,moments")
    end = time.perf_counter()
    done.set()
    thread.join()
    between = [at for at in ticks if start + 0.1 * (end - start) < at < end - 0.1 * (end - start)]
    assert len(between) >= 3, (end - start, len(ticks))


@pytest.mark.skipif(sys.platform == "win32", reason="has no fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_process_has_threads_of_its_own(images, expected):
    pixelfeat.featurize(images)
    results, sender = multiprocessing.get_context("fork").Pipe(duplex=False)

    def child():
        sender.send(np.array_equal(np.asarray(pixelfeat.featurize(images)), expected))

    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    assert results.poll(60) and results.recv()
    process.join(10)
    assert process.exitcode == 0


def test_numpy_and_pyarrow_are_not_imported():
    code = "import pixelfeat, sys; print([name for name in ('numpy', 'pyarrow', 'pandas') if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_memory_is_given_back(images):
    resource = pytest.importorskip("resource")
    many = np.concatenate([images] * 20)

    def run():
        for _ in range(10):
            np.asarray(pixelfeat.featurize(many)).sum()
            np.asarray(pixelfeat.augment(images, "hflip(0.5)")).sum()

    run()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(5):
        run()
    # 50 times 4.8 MB of features and 0.8 MB of images.
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 60_000


def test_the_types_name_what_there_is():
    stub = (Path(pixelfeat.__file__).parent / "_pixelfeat.pyi").read_text()
    keys = set(re.findall(r"^    (\w+):", re.search(r"class _Run.*?(?=\nclass)", stub, re.S)[0], re.M)) | {"features"}
    with pytest.raises(TypeError) as caught:
        pixelfeat.featurize(np.zeros((1, 4), np.uint8), nope=1)
    assert set(str(caught.value).split("there are ")[1].split(", ")) == keys
    assert keys == set(inspect.signature(pixelfeat.featurize).parameters) - {"data"}
    for name in pixelfeat.__all__:
        thing = getattr(pixelfeat, name)
        assert name == "__version__" or thing.__doc__, name
        if inspect.isclass(thing) and thing.__module__ == "pixelfeat" and name != "Error":
            for member in (m for m in vars(thing) if not m.startswith("__")):
                assert f"def {member}(" in stub, (name, member)
    assert (Path(pixelfeat.__file__).parent / "py.typed").exists()
