"""A transformer for scikit-learn: images in, features out."""

import math

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

import pixelfeat


class PixelFeatures(TransformerMixin, BaseEstimator):
    """Turns images into the values of features, in float32.

    X is N×L (each row the pixels of an image, as scikit-learn's data sets have them), N×H×W or N×H×W×C; numbers of any type. All
    images of a fit and of what is transformed later have one shape. Floats are computed as floats and divided by 1; integers are
    8-bit pixels unless pixel_type says otherwise.

    Parameters
    ----------
    shape : str or tuple, default=None
        The shape of images that are rows of pixels: ``"28x28"``, ``"64x64x3"``. None: that of X, or a square. ``"row"``: an image
        of one row, however long it is, such as a spectrum.
    features : str, default="profiles"
        The features, such as ``"profiles,gradients"``.
    stages : str, default=None
        What is done to each image before, such as ``"resize(14x14)"``.
    pixel_type : str, default=None
        ``"u8"``, ``"u16"`` or ``"f32"``.
    threads : int, default=0
        How many; 0 for one a core.

    Attributes
    ----------
    shape_ : str
        The shape of the images.
    n_features_in_ : int
        Values of an image that comes in.
    """

    def __init__(self, shape=None, features="profiles", stages=None, pixel_type=None, threads=0):
        self.shape = shape
        self.features = features
        self.stages = stages
        self.pixel_type = pixel_type
        self.threads = threads

    def fit(self, X, y=None):
        """Takes note of the shape of the images. ``ValueError`` if X does not tell it, or an option is out of its range."""
        X = self._images(X, reset=True)
        self.shape_ = self._shape_of(X)
        self.pixel_type_ = self.pixel_type or ("f32" if X.dtype.kind == "f" else "u8")
        # One image tells how many values there will be, and whether the options suit.
        names = self._featurize(X[:1]).names
        self._names = np.asarray(names, dtype=object)
        return self

    def transform(self, X):
        """Features of each image: N×F, float32. ``ValueError`` if an image has another shape or a value that does not fit."""
        check_is_fitted(self)
        X = self._images(X, reset=False)
        if X.ndim > 2 and self._shape_of(X) != self.shape_:
            raise ValueError(f"images of {self._shape_of(X)} where those of the fit were {self.shape_}")
        return np.array(self._featurize(X))

    def get_feature_names_out(self, input_features=None):
        """The names of the values, such as ``row_sum_0``."""
        check_is_fitted(self)
        return self._names

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        # Values are float32 whatever comes in.
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags

    def _featurize(self, X):
        return pixelfeat.featurize(
            X.reshape(len(X), -1),
            shape=self.shape_,
            features=self.features,
            stages=self.stages,
            pixel_type=self.pixel_type_,
            order="hwc" if self.shape_.count("x") > 1 else "hw",
            on_invalid="error",
            threads=self.threads,
        )

    def _images(self, X, reset):
        if getattr(X, "ndim", 2) in (3, 4):
            X = np.asarray(X)
            if reset:
                self.n_features_in_ = math.prod(X.shape[1:])
            if np.issubdtype(X.dtype, np.floating) and not np.isfinite(X).all():
                raise ValueError("X contains NaN or infinity")
            return np.ascontiguousarray(X)
        return validate_data(self, X, reset=reset, dtype="numeric", order="C")

    def _shape_of(self, X):
        if X.ndim > 2:
            return "x".join(str(side) for side in X.shape[1:])
        if self.shape == "row":
            return f"1x{X.shape[1]}"
        if self.shape is not None:
            return self.shape if isinstance(self.shape, str) else "x".join(str(side) for side in self.shape)
        side = math.isqrt(X.shape[1])
        if side * side != X.shape[1]:
            raise ValueError(f"rows of {X.shape[1]} values are no squares: give the shape, as in 28x28, or 'row'")
        return f"{side}x{side}"
