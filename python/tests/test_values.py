"""Values, against NumPy: for integer pixels to the last bit, whatever the input's form."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa
import pytest
from conftest import histograms, profiles

import pixelfeat


def test_profiles_are_numpys_to_the_last_bit(images):
    features = pixelfeat.featurize(images)
    values, means, stds = profiles(images)
    np.testing.assert_array_equal(np.asarray(features), values)
    np.testing.assert_array_equal(np.asarray(features.column("pixel_mean")), means)
    np.testing.assert_array_equal(np.asarray(features.column("pixel_std")), stds)
    assert features.columns == ["pixel_mean", "pixel_std"]


@pytest.mark.parametrize("dtype", ["u2", "i2", "u4", "i4", "u8", "i8"])
def test_every_integer_type_gives_the_same_bits(images, expected, dtype):
    wider = images.astype(dtype)
    np.testing.assert_array_equal(np.asarray(pixelfeat.featurize(wider, pixel_type="u8")), expected)


def test_16_bit_pixels_and_other_shapes_are_exact():
    images = np.random.default_rng(2).integers(0, 1 << 16, (50, 7, 13), dtype=np.uint16)
    np.testing.assert_array_equal(np.asarray(pixelfeat.featurize(images)), profiles(images, 65535)[0])


def test_floats_are_within_the_rounding_of_float32(images):
    floats = images[:100] / np.float64(255)
    values = np.asarray(pixelfeat.featurize(floats.astype(np.float32)))
    np.testing.assert_allclose(values, profiles(images[:100])[0], rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(np.asarray(pixelfeat.featurize(floats)), values, rtol=1e-6)


def test_sets_stand_side_by_side(images, expected):
    features = pixelfeat.featurize(images, features=["profiles", "histogram:16"])
    values = np.asarray(features)
    np.testing.assert_array_equal(values[:, :60], expected)
    np.testing.assert_array_equal(values[:, 60:], histograms(images, 16))
    assert features.names == pixelfeat.feature_names("profiles,histogram:16", (28, 28))


def test_channels_are_those_of_either_order():
    images = np.random.default_rng(3).integers(0, 256, (20, 6, 9, 3), dtype=np.uint8)
    values = np.asarray(pixelfeat.featurize(images))
    by_channel = [profiles(images[..., channel])[0] for channel in range(3)]
    np.testing.assert_array_equal(values, np.concatenate(by_channel, axis=1))
    planes = np.ascontiguousarray(images.transpose(0, 3, 1, 2))
    np.testing.assert_array_equal(np.asarray(pixelfeat.featurize(planes)), values)
    np.testing.assert_array_equal(np.asarray(pixelfeat.featurize(planes, order="chw")), values)


@pytest.mark.parametrize(
    "form",
    [
        lambda images: images.reshape(len(images), -1),
        np.asfortranarray,
        lambda images: np.repeat(images, 2, axis=0)[::2],
        lambda images: memoryview(images),
        lambda images: pa.FixedSizeListArray.from_arrays(images.ravel(), 784),
        lambda images: pa.FixedShapeTensorArray.from_numpy_ndarray(images),
        lambda images: pa.array(images.reshape(len(images), -1).tolist(), pa.large_list(pa.int64())),
        lambda images: pa.array([image.tobytes() for image in images], pa.binary_view()),
        lambda images: pa.chunked_array([pa.array([i.tobytes() for i in images[at : at + 7]]) for at in range(0, 1000, 7)]),
        lambda images: pa.StructArray.from_arrays(
            [
                pa.array(images.reshape(len(images), -1).tolist(), pa.list_(pa.uint8())),
                pa.array([28] * len(images), pa.uint32()),
                pa.array([28] * len(images), pa.uint32()),
                pa.array([1] * len(images), pa.uint16()),
            ],
            ["data", "height", "width", "channel"],
        ),
    ],
)
def test_every_form_of_the_images_gives_the_same_bits(images, expected, form):
    features = pixelfeat.featurize(form(images), shape="28x28", pixel_type="u8")
    assert type(features) is pixelfeat.Features
    np.testing.assert_array_equal(np.asarray(features), expected)


def test_values_do_not_depend_on_threads(images, expected):
    for threads in [1, 2, 3]:
        np.testing.assert_array_equal(np.asarray(pixelfeat.featurize(images, threads=threads)), expected)
    with ThreadPoolExecutor(8) as pool:
        for features in pool.map(lambda _: pixelfeat.featurize(images), range(32)):
            np.testing.assert_array_equal(np.asarray(features), expected)


def test_any_backend_gives_the_same_bits(images, expected):
    # Without an adapter the CPU computes; with one these are its bits.
    for backend in ["cpu", "gpu", "hybrid", "auto"]:
        np.testing.assert_array_equal(np.asarray(pixelfeat.featurize(images, backend=backend)), expected)


def test_stages_run_before(images):
    flipped = pixelfeat.featurize(images, stages="hflip")
    np.testing.assert_array_equal(np.asarray(flipped), profiles(images[:, :, ::-1])[0])
    area = images.reshape(1000, 14, 2, 14, 2).astype(np.int64).sum(axis=(2, 4))
    halved = ((area + 2) // 4).astype(np.uint8)
    resized = np.asarray(pixelfeat.featurize(images, resize="14x14:area"))
    np.testing.assert_allclose(resized, profiles(halved)[0], atol=14 / 255)


def test_numpy_sees_the_features_without_a_copy(images):
    features = pixelfeat.featurize(images)
    seen = np.asarray(features)
    assert not seen.flags.owndata and not seen.flags.writeable
    arrow = pa.array(features)
    assert arrow.type == pa.list_(pa.field("item", pa.float32(), nullable=False), 60)
    assert arrow.values.to_numpy().__array_interface__["data"][0] == seen.__array_interface__["data"][0]
    del features, arrow
    np.testing.assert_array_equal(seen, profiles(images)[0])


def test_pixels_are_not_copied(images):
    # A view into the middle of an array: what lies before and behind must not count.
    part = images[100:200]
    np.testing.assert_array_equal(np.asarray(pixelfeat.featurize(part)), profiles(part)[0])
    readonly = part.copy()
    readonly.setflags(write=False)
    np.testing.assert_array_equal(np.asarray(pixelfeat.featurize(readonly)), profiles(part)[0])


def test_nothing_in_nothing_out():
    for empty in [np.empty((0, 28, 28), np.uint8), pa.array([], pa.list_(pa.uint8(), 784))]:
        features = pixelfeat.featurize(empty)
        assert len(features) == 0 and np.asarray(features).shape == (0, 60)
