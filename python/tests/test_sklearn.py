"""The transformer, by scikit-learn's own checks and in a pipeline."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import check_estimator

import pixelfeat
from pixelfeat.sklearn import PixelFeatures


def test_scikit_learns_checks():
    """None fails. Their data are rows of a few numbers, so that here a row is an image of one row. What is skipped is about arrays
    of other libraries, which only an environment variable switches on."""
    checks = check_estimator(PixelFeatures(shape="row", threads=1), on_fail=None, on_skip=None)
    others = [(check["check_name"], check["status"]) for check in checks if check["status"] != "passed"]
    assert len(checks) > 40
    assert others in ([], [("check_array_api_input", "skipped")])


def test_every_form_of_images_gives_the_features(images, expected):
    rows = images.reshape(1000, 784)
    for X in [rows, images, rows.astype(np.int64), images[..., None]]:
        transformer = PixelFeatures()
        np.testing.assert_array_equal(transformer.fit_transform(X), expected)
    assert transformer.shape_ == "28x28x1" and transformer.n_features_in_ == 784
    frame = pd.DataFrame(rows)
    np.testing.assert_array_equal(PixelFeatures().fit_transform(frame), expected)
    floats = PixelFeatures().fit_transform(rows / 255)
    np.testing.assert_allclose(floats, expected, atol=1e-5)


def test_names_and_frames(images):
    transformer = PixelFeatures(features="profiles,zones:4x4", stages="resize(14x14)").set_output(transform="pandas")
    frame = transformer.fit_transform(images)
    assert list(frame.columns) == list(transformer.get_feature_names_out())
    assert list(frame.columns) == pixelfeat.feature_names("profiles,zones:4x4", "14x14")
    again = clone(transformer).set_output(transform="default").fit(images)
    np.testing.assert_array_equal(again.transform(images), frame)


def test_what_a_fit_has_not_seen_is_an_error(images):
    with pytest.raises(ValueError, match="no squares"):
        PixelFeatures().fit(np.zeros((3, 783), np.uint8))
    with pytest.raises(ValueError, match="is none of"):
        PixelFeatures(features="hog").fit(images)
    with pytest.raises(ValueError, match="27x28"):
        PixelFeatures(shape=(27, 28)).fit(images.reshape(1000, 784))
    transformer = PixelFeatures().fit(images)
    with pytest.raises(ValueError, match="14x56"):
        transformer.transform(images.reshape(1000, 14, 56))
    with pytest.raises(ValueError, match="row 1"):
        transformer.transform(np.array([images[0], images[1].astype(np.int64) + 1]))
    with pytest.raises(ValueError, match="NaN"):
        PixelFeatures().fit(np.full((2, 4, 4), np.nan))


def test_a_pipeline_learns_from_them():
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, 300)
    # A bright bar, lying or standing.
    images = random.integers(0, 60, (300, 16, 16), dtype=np.uint8)
    for image, label, place in zip(images, labels, random.integers(0, 15, 300)):
        image[(slice(place, place + 2), slice(None)) if label else (slice(None), slice(place, place + 2))] = 250
    model = make_pipeline(PixelFeatures(features="gradients"), LogisticRegression())
    assert model.fit(images[:200], labels[:200]).score(images[200:], labels[200:]) > 0.95
