"""The README's code, as it stands there, and the examples."""

import importlib
import re
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import profiles

FOLDER = Path(__file__).parents[1]


def blocks():
    """The blocks of Python in the README, by their headings."""
    found, heading = {}, None
    for part in re.finditer(r"^#+ ([^\n]+)$|^```python\n(.*?)^```", (FOLDER / "README.md").read_text(), re.M | re.S):
        if part[1]:
            heading = part[1]
        else:
            found[heading] = part[2]
    return found


BLOCKS = blocks()
FIRST = "pixelfeat for Python"


def of_lists(lists):
    return np.array([np.asarray(values) for values in lists], dtype=np.float32)


# For each recipe what must be true of what it leaves behind; `expected` are the features of all images.
CHECKS = {
    FIRST: lambda left, expected: np.array_equal(left["values"], expected) and len(left["means"]) == 1000,
    "Files": lambda left, expected: Path("features.parquet").exists() and left["found"]["rows"] == 1000,
    "Augmentation": lambda left, expected: left["versions"].shape == (1000, 28, 28),
    "PyArrow": lambda left, expected: np.array_equal(of_lists(left["result"]["features"].to_pylist()), expected),
    "pandas": lambda left, expected: np.array_equal(of_lists(left["result"]["features"]), expected),
    "Polars": lambda left, expected: np.array_equal(left["result"]["features"].to_numpy(), expected),
    "DuckDB": lambda left, expected: [label for label, _ in left["result"]] == list(range(10)),
    "Daft": lambda left, expected: np.array_equal(of_lists(left["result"]["features"].to_pylist()), expected),
    "Hugging Face datasets": lambda left, expected: np.array_equal(
        of_lists(left["result"].with_format(None)["features"]), expected
    ),
    "scikit-learn": lambda left, expected: len(left["names"]) == left["model"][-1].coef_.shape[1] == 188,
    "PyTorch": lambda left, expected: np.array_equal(left["tensor"].numpy(), expected)
    and left["tensor"].data_ptr() == np.asarray(left["features"]).__array_interface__["data"][0],
}


def test_every_block_has_a_check():
    assert set(BLOCKS) == set(CHECKS)


@pytest.mark.filterwarnings("ignore:The given NumPy array is not writable")
@pytest.mark.parametrize("heading", CHECKS)
def test_recipe(heading, tmp_path, monkeypatch):
    for package in re.findall(r"^(?:import|from) (\w+)", BLOCKS[heading], re.M):
        if package == "torch":
            pytest.importorskip(package)
        importlib.import_module(package)
    monkeypatch.chdir(tmp_path)
    left = {}
    exec(BLOCKS[FIRST], left)
    rows = zip(left["images"].reshape(1000, 784).tolist(), left["labels"].tolist())
    lines = [f'{{"image": {image}, "label": {label}}}' for image, label in rows]
    Path("digits.ndjson").write_text("\n".join(lines))
    if heading != FIRST:
        exec(BLOCKS[heading], left)
    assert CHECKS[heading](left, profiles(left["images"])[0])


def test_the_tutorial_gives_the_same_with_either_function(tmp_path, images, labels, ndjson, monkeypatch, capsys):
    with ndjson.open("a") as file:
        file.write('\n{"image": [1, 2, 3], "label": 4}\n')
    monkeypatch.setattr(sys, "argv", ["daft_tutorial.py", str(ndjson), str(tmp_path / "out"), "--compare"])
    runpy.run_path(str(FOLDER / "examples/daft_tutorial.py"), run_name="__main__")
    assert "1001 rows" in capsys.readouterr().out
