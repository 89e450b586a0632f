"""Tables, batches and streams; rows that cannot be featurized; errors."""

import pickle

import numpy as np
import pyarrow as pa
import pytest

import pixelfeat


@pytest.fixture
def table(images, labels):
    return pa.table({"image": pa.FixedSizeListArray.from_arrays(images.ravel(), 784), "label": labels})


def values(table):
    return np.asarray(table["features"].combine_chunks().flatten()).reshape(table.num_rows, -1)


def test_a_table_and_a_batch_keep_their_other_columns(table, expected, labels):
    stream = pixelfeat.featurize(table)
    assert type(stream) is pixelfeat.Stream
    result = pa.table(stream)
    assert result.column_names == ["label", "pixel_mean", "pixel_std", "features"] == stream.column_names
    np.testing.assert_array_equal(values(result), expected)
    np.testing.assert_array_equal(result["label"], labels)
    assert result.schema.metadata[b"pixelfeat.feature_names"].startswith(b"row_sum_0,")
    assert stream.report["rows"] == stream.report["featurized"] == 1000 and stream.report["backend"] == "cpu"
    batch = pixelfeat.featurize(table.to_batches()[0])
    assert type(batch) is pixelfeat.Batch and len(batch) == 1000
    assert pa.record_batch(batch) == result.combine_chunks().to_batches()[0]
    assert pa.table(batch) == result


def test_a_stream_of_python_batches_is_read_as_it_is_asked_for(table, expected):
    asked = []

    def batches():
        for at in range(0, 1000, 100):
            asked.append(at)
            yield from table.slice(at, 100).to_batches()

    reader = pa.RecordBatchReader.from_batches(table.schema, batches())
    stream = pixelfeat.featurize(reader, shape="28x28", pixel_type="u8", order="hw", encoding="raw")
    first = next(stream)
    assert len(first) == 100 and len(asked) < 10
    rest = [pa.record_batch(batch) for batch in stream]
    result = pa.Table.from_batches([pa.record_batch(first), *rest])
    np.testing.assert_array_equal(values(result), expected)


def test_an_exception_in_a_python_batch_comes_out(table):
    def batches():
        yield from table.to_batches()
        raise RuntimeError("the source broke")

    reader = pa.RecordBatchReader.from_batches(table.schema, batches())
    with pytest.raises(pixelfeat.Error, match="the source broke"):
        list(pixelfeat.featurize(reader))


def test_a_stream_is_read_once(table):
    stream = pixelfeat.featurize(table)
    pa.table(stream)
    assert list(stream) == []
    with pytest.raises(pixelfeat.Error, match="can be read once"):
        pa.table(stream)


@pytest.fixture
def odd(images):
    """Images of which four are none: null, too short, with a null pixel, with a value of 16 bits."""
    rows = images[:8].reshape(8, 784).astype(np.int64).tolist()
    rows[1], rows[2], rows[4][3], rows[6][5] = None, rows[2][:700], None, 256
    return pa.array(rows, pa.list_(pa.int64()))


REASONS = {1: "null_image", 2: "wrong_length", 4: "null_pixel", 6: "out_of_range"}


@pytest.mark.parametrize("chunks", [None, 3])
def test_bad_rows_are_null_with_a_reason(odd, expected, chunks):
    data = odd if chunks is None else pa.chunked_array([odd[at : at + chunks] for at in range(0, 8, chunks)])
    features = pixelfeat.featurize(data, shape="28x28")
    assert {row["row"]: row["reason"] for row in features.invalid} == REASONS
    assert features.invalid[1]["detail"].startswith("700 values")
    good = [row for row in range(8) if row not in REASONS]
    assert pa.array(features).is_valid().to_pylist() == [row in good for row in range(8)]
    seen = np.asarray(features)
    np.testing.assert_array_equal(seen[good], expected[good])
    assert np.isnan(seen[list(REASONS)]).all()
    assert pa.array(features.column("pixel_mean")).null_count == features.null_count == 4


def test_a_table_drops_them_or_keeps_their_place(odd, expected):
    table = pa.table({"image": odd, "id": range(8)})
    kept = pa.table(pixelfeat.featurize(table, shape="28x28"))
    assert kept["features"].is_null().to_pylist() == [row in REASONS for row in range(8)]
    stream = pixelfeat.featurize(table, shape="28x28", on_invalid="drop")
    dropped = pa.table(stream)
    assert dropped["id"].to_pylist() == [0, 3, 5, 7]
    np.testing.assert_array_equal(values(dropped), expected[[0, 3, 5, 7]])
    assert stream.report["invalid"] == {reason: 1 for reason in REASONS.values()}


def test_the_first_bad_row_is_an_error_with_its_place(odd):
    with pytest.raises(pixelfeat.Error) as caught:
        pixelfeat.featurize(odd, shape="28x28", on_invalid="error")
    error = caught.value
    assert (error.kind, error.row, error.column, error.reason) == ("invalid_row", 1, "image", "null_image")
    assert isinstance(error, ValueError)
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), again.row) == (pixelfeat.Error, str(error), 1)
    table = pa.table({"pixels": odd})
    with pytest.raises(pixelfeat.Error) as caught:
        list(pixelfeat.featurize(table, column="pixels", shape="28x28", on_invalid="error"))
    assert (caught.value.row, caught.value.column) == (1, "pixels")


def test_rows_that_are_all_bad_fail_a_stream_and_not_a_batch():
    table = pa.table({"image": pa.array([None, None], pa.list_(pa.uint8(), 4))})
    assert pa.record_batch(pixelfeat.featurize(table.to_batches()[0])).num_rows == 2
    with pytest.raises(pixelfeat.Error) as caught:
        list(pixelfeat.featurize(table))
    assert caught.value.kind == "too_many_invalid"
    assert pa.table(pixelfeat.featurize(table, max_invalid="100%")).num_rows == 2
    with pytest.raises(pixelfeat.Error):
        list(pixelfeat.featurize(table, max_invalid=1))


@pytest.mark.parametrize(
    ("options", "option", "text"),
    [
        ({"features": "hog"}, "features", "`hog` is none of profiles"),
        ({"features": ""}, "features", "name at least one"),
        ({"shape": "28"}, "shape", "is not HxW"),
        ({"shape": "27x28"}, "shape", "holds no images of 27x28"),
        ({"pixel_type": "int"}, "pixel_type", "is not u8, u16 or f32"),
        ({"encoding": "png"}, "encoding", "is not raw or encoded"),
        ({"order": "xyz"}, "order", "is not hw"),
        ({"stages": "hflip(2)"}, "stages", "hflip"),
        ({"resize": "28"}, "resize", "is not HxW"),
        ({"gray": True, "stages": "hflip"}, "stages", "one or the other"),
        ({"on_invalid": "skip"}, "on_invalid", "is not null, drop or error"),
        ({"on_invalid": "drop"}, "on_invalid", "row for row"),
        ({"layout": "columns"}, "layout", "row for row"),
        ({"keep_image": "tensor"}, "keep_image", "row for row"),
        ({"scale": 0.0}, "scale", "is not within"),
        ({"max_invalid": "many"}, "max_invalid", "many"),
        ({"backend": "tpu"}, "backend", "is not auto"),
    ],
)
def test_wrong_options_are_errors_that_name_them(images, options, option, text):
    with pytest.raises(pixelfeat.Error, match=text) as caught:
        pixelfeat.featurize(images, **options)
    assert (caught.value.kind, caught.value.option) == ("invalid_option", option)


def test_what_is_no_image_is_an_error(images, table):
    for options in [{"nope": 1}, {"shape": 28.5}, {"threads": -1}, {"gray": "yes"}]:
        with pytest.raises(TypeError, match=next(iter(options))):
            pixelfeat.featurize(images, **options)
    for data in [[1, 2], 7, None, images.astype(bool), images.astype(">u2"), np.array([["a"]])]:
        with pytest.raises(TypeError):
            pixelfeat.featurize(data)
    for data in [images[0, 0], np.empty((2, 0), np.uint8), images.reshape(10, 10, 10, 28, 28)]:
        with pytest.raises(pixelfeat.Error):
            pixelfeat.featurize(data)
    with pytest.raises(pixelfeat.Error, match="Int64") as caught:
        pixelfeat.featurize(pa.array([1, 2]))
    assert caught.value.kind == "unsupported_column"
    with pytest.raises(pixelfeat.Error, match="`image`, `label`") as caught:
        pixelfeat.featurize(table, column="picture")
    assert (caught.value.kind, caught.value.column) == ("no_such_column", "picture")
    with pytest.raises(pixelfeat.Error, match="give the shape") as caught:
        pixelfeat.featurize(np.zeros((3, 783), np.uint8))
    assert caught.value.kind == "unknown_shape"
    with pytest.raises(TypeError, match="no columns"):
        pixelfeat.write(images, "x.parquet")


def test_none_is_the_default(images, expected):
    nothing = dict.fromkeys(["shape", "stages", "pixel_type", "order", "scale", "max_invalid", "threads", "features"])
    np.testing.assert_array_equal(np.asarray(pixelfeat.featurize(images, **nothing)), expected)


def test_layouts_and_kept_images(table, images):
    columns = pa.table(pixelfeat.featurize(table, layout="columns"))
    assert columns.column_names[3:] == pixelfeat.feature_names("profiles", "28x28")
    kept = pa.table(pixelfeat.featurize(table, keep_image="tensor", layout="tensor"))
    np.testing.assert_array_equal(kept["image"].combine_chunks().to_numpy_ndarray(), images)
    assert kept["features"].type.shape == [60]
