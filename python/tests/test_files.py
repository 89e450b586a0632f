"""Files in and out, augmentation, and what a file holds."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import pixelfeat


def features_of(table):
    return np.asarray(table["features"].combine_chunks().flatten()).reshape(table.num_rows, -1)


@pytest.mark.parametrize("ending", ["parquet", "arrow"])
def test_round_trips_keep_every_bit(ndjson, tmp_path, expected, labels, ending):
    target = tmp_path / f"features.{ending}"
    written = pixelfeat.write(pixelfeat.open(ndjson, features="profiles"), target)
    assert written == {"rows": 1000, "bytes": target.stat().st_size}
    table = pa.table(pixelfeat.open(str(target)))
    np.testing.assert_array_equal(features_of(table), expected)
    np.testing.assert_array_equal(table["label"], labels)
    # Rows as they are in the file, featurized later.
    rows = tmp_path / f"rows.{ending}"
    pixelfeat.write(pixelfeat.open(ndjson), rows)
    np.testing.assert_array_equal(features_of(pa.table(pixelfeat.featurize(pixelfeat.open(rows)))), expected)


def test_numpy_files(tmp_path, images, expected):
    np.save(tmp_path / "images.npy", images)
    np.save(tmp_path / "labels.npy", np.arange(1000))
    stream = pixelfeat.open(tmp_path / "images.npy", labels=tmp_path / "labels.npy", features="profiles")
    pixelfeat.write(stream, tmp_path / "features.npy")
    np.testing.assert_array_equal(np.load(tmp_path / "features.npy"), expected)
    np.testing.assert_array_equal(np.load(tmp_path / "features.label.npy"), np.arange(1000))


def test_some_rows_and_columns(ndjson, expected, labels):
    stream = pixelfeat.open(ndjson, features="profiles", limit=10, columns=[], batch_rows=4)
    assert stream.column_names == ["pixel_mean", "pixel_std", "features"]
    assert [len(batch) for batch in stream] == [4, 4, 2]
    one, other = (pa.table(pixelfeat.open(ndjson, sample=50, seed=seed)) for seed in (1, 2))
    assert one.num_rows == 50 and one != other
    assert one == pa.table(pixelfeat.open(ndjson, sample=50, seed=1))


def test_any_table_can_be_written(tmp_path, labels):
    table = pa.table({"label": labels, "id": range(1000)})
    pixelfeat.write(table, tmp_path / "parts.parquet", partition_by="label", compression="snappy")
    assert sorted(path.name for path in (tmp_path / "parts.parquet").iterdir()) == [f"label={i}" for i in range(10)]
    pixelfeat.write(table.to_batches()[0], tmp_path / "labels.csv")
    assert (tmp_path / "labels.csv").read_text().splitlines() == ["label,id", *(f"{label},{i}" for i, label in enumerate(labels))]


def test_a_failed_run_leaves_the_old_file(ndjson, tmp_path):
    target = tmp_path / "features.parquet"
    target.write_text("old")
    bad = tmp_path / "bad.ndjson"
    bad.write_text(json.dumps({"image": [0] * 4}) + "\n" + json.dumps({"image": [0, 1, 2, 300]}) + "\n")
    with pytest.raises(pixelfeat.Error) as caught:
        pixelfeat.write(pixelfeat.open(bad, features="profiles", on_invalid="error"), target)
    error = caught.value
    assert (error.file, error.row, error.line, error.reason) == (str(bad), 1, 2, "out_of_range")
    assert target.read_text() == "old" and not list(tmp_path.glob(".features*"))
    # The file is also named if the rows are featurized later.
    with pytest.raises(pixelfeat.Error) as caught:
        list(pixelfeat.featurize(pixelfeat.open(bad), on_invalid="error"))
    assert (caught.value.file, caught.value.line) == (str(bad), 2)


def test_files_that_cannot_be_used(tmp_path, ndjson):
    with pytest.raises(FileNotFoundError) as caught:
        pixelfeat.open(tmp_path / "none.json")
    assert caught.value.filename == str(tmp_path / "none.json")
    broken = tmp_path / "broken.ndjson"
    broken.write_text('{"image": [0, 1, 2, 3]}\n{"image"\n')
    with pytest.raises(pixelfeat.Error) as caught:
        list(pixelfeat.open(broken))
    assert (caught.value.kind, caught.value.file, caught.value.line) == ("syntax", str(broken), 2)
    with pytest.raises(pixelfeat.Error, match="must end in"):
        pixelfeat.write(pixelfeat.open(ndjson), tmp_path / "rows.txt")
    with pytest.raises(pixelfeat.Error, match="name the features"):
        pixelfeat.open(ndjson, resize="14x14")
    with pytest.raises(pixelfeat.Error, match="limit or sample"):
        pixelfeat.open(ndjson, limit=1, sample=1)
    with pytest.raises(TypeError):
        pixelfeat.open(7)


def test_versions_depend_on_seed_epoch_and_sample_alone(images):
    chain = "crop(pad=4),hflip(0.5)"
    versions = np.asarray(pixelfeat.augment(images, chain, seed=7, epoch=3))
    assert versions.shape == images.shape and versions.dtype == np.uint8
    some = [900, 3, 41]
    for ids in [some, np.array(some, np.int32), pa.array(some)]:
        again = pixelfeat.augment(images[some], chain, seed=7, epoch=3, ids=ids)
        np.testing.assert_array_equal(np.asarray(again), versions[some])
    assert (np.asarray(pixelfeat.augment(images, chain, seed=7, epoch=4)) != versions).any()
    assert (np.asarray(pixelfeat.augment(images, chain, seed=8, epoch=3)) != versions).any()
    np.testing.assert_array_equal(np.asarray(pixelfeat.augment(images, "hflip")), images[:, :, ::-1])


def test_versions_of_rows(images, labels, expected):
    table = pa.table({"image": pa.FixedSizeListArray.from_arrays(images.ravel(), 784), "label": labels})
    result = pa.table(pixelfeat.augment(table, "hflip", epoch=2))
    assert result.column_names == ["image", "label", "sample_id", "epoch"]
    np.testing.assert_array_equal(result["image"].combine_chunks().to_numpy_ndarray(), images[:, :, ::-1])
    assert result["sample_id"].to_pylist() == list(range(1000)) and set(result["epoch"].to_pylist()) == {2}
    batch = pa.record_batch(pixelfeat.augment(table.to_batches()[0], "hflip", ids=np.arange(1000) + 5, features="profiles"))
    assert batch["sample_id"][0].as_py() == 5
    # Row sums stay where they are.
    rows = np.asarray(batch["features"].flatten()).reshape(1000, 60)[:, :28]
    np.testing.assert_array_equal(rows, expected[:, :28])
    mixed = pa.table(pixelfeat.augment(table, "hflip(0.5)", mixup=0.4, log=True))
    assert {"label_b", "lambda", "sample_id_b", "augment_log"} <= set(mixed.column_names)
    soft = pa.table(pixelfeat.augment(table, [], cutmix=1.0, soft_labels=10))
    np.testing.assert_allclose(np.asarray(soft["soft_label"].combine_chunks().flatten()).reshape(1000, 10).sum(axis=1), 1)


def test_colours_floats_and_missing_images():
    images = np.random.default_rng(4).integers(0, 256, (6, 5, 7, 3), dtype=np.uint8)
    np.testing.assert_array_equal(np.asarray(pixelfeat.augment(images, "vflip")), images[:, ::-1])
    floats = np.asarray(pixelfeat.augment(images, "normalize(mean=0.5,std=0.25)"))
    np.testing.assert_allclose(floats, (images / 255 - 0.5) / 0.25, atol=1e-5)
    rows = pa.array([[1, 2, 3, 4], None], pa.list_(pa.uint8(), 4))
    missing = pixelfeat.augment(rows, "hflip")
    assert pa.array(missing).to_pylist() == [[2, 1, 4, 3], None]
    with pytest.raises(BufferError, match="null"):
        memoryview(missing)


def test_wrong_augmentations(images):
    for options, text in [
        ({"pipeline": "fly(1)"}, "fly"),
        ({"pipeline": "crop(40x40)"}, "crop"),
        ({"pipeline": "hflip", "ids": [1, 2]}, "2 numbers for 1000 rows"),
        ({"pipeline": "hflip", "ids": ["a"]}, "integers"),
        ({"pipeline": "hflip", "mixup": 0.2}, "other columns"),
        ({"pipeline": "hflip", "epoch": 2**32 - 1}, "below"),
    ]:
        with pytest.raises(pixelfeat.Error, match=text):
            pixelfeat.augment(images, **options)


def test_an_inspection_tells_and_shows(tmp_path, ndjson):
    with ndjson.open("a") as file:
        file.write('\n{"image": [1, 2], "label": 3}\n{"image": null, "label": null}')
    found = pixelfeat.inspect(ndjson, features="profiles,histogram:4")
    assert (found["shape"], found["pixel_type"], found["rows"], found["valid"]) == ("28x28", "u8", 1002, 1000)
    assert found["range"] == (0.0, 255.0) and found["column"] == "image"
    assert found["invalid"]["wrong_length"]["rows"] == 1 and found["invalid"]["null_image"]["rows"] == 1
    assert found["invalid"]["wrong_length"]["first"][0].startswith("row 1000: 2 values")
    assert [(c["name"], c["nulls"]) for c in found["columns"]] == [("image", 1), ("label", 1)]
    block = found["features"][-1]
    assert (block["name"], block["start"], block["stop"], block["last"]) == ("histogram", 60, 64, "histogram_3")
    # Of the white image.
    assert block["range"] == (0.0, 1.0)
    assert found._repr_png_().startswith(b"\x89PNG") and found.picture == found._repr_png_()
    html = found._repr_html_()
    assert "<td>wrong_length" not in html and "invalid: wrong_length" in html and "data:image/png;base64," in html
    plain = pixelfeat.inspect(ndjson, picture=False, limit=5)
    assert plain.picture is None and plain["rows"] == 5 and "<img" not in plain._repr_html_()
    assert json.loads(json.dumps(plain))["rows"] == 5


def test_an_inspection_escapes_what_a_file_says(tmp_path):
    path = tmp_path / "rows.ndjson"
    path.write_text('{"image": [0, 1, 2, 3], "<script>": 1}\n')
    html = pixelfeat.inspect(path)._repr_html_()
    assert "<script>" not in html and "&lt;script&gt;" in html


def test_parquet_of_others(tmp_path, images, expected):
    table = pa.table({"pixels": pa.array(images.reshape(1000, 784).tolist(), pa.list_(pa.int64()))})
    pq.write_table(table, tmp_path / "rows.parquet")
    result = pa.table(pixelfeat.open([tmp_path / "rows.parquet"], column="pixels", features="profiles"))
    np.testing.assert_array_equal(features_of(result), expected)
