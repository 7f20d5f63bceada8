"""A classifier in scikit-learn's form, which trains, classifies, scores and generates images in arrays and files."""

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self, TypeGuard

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import check_consistent_length, column_or_1d
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted
from torch.utils.data import Dataset

from pixelbayes.checkpoints.hub import save_pretrained
from pixelbayes.data import DataConfig, ImageData
from pixelbayes.data.decoding import decode
from pixelbayes.data.listing import Listing, Record
from pixelbayes.data.splitting import cut_missing_splits
from pixelbayes.evaluation.measure import Measurement
from pixelbayes.experiments.budget import Budget, parse_duration
from pixelbayes.experiments.config import ExperimentConfig
from pixelbayes.experiments.plan import with_fields
from pixelbayes.experiments.predict import load, measure_images
from pixelbayes.experiments.presets import PRESETS
from pixelbayes.experiments.train import train
from pixelbayes.images.datasets import labels
from pixelbayes.images.reading import AnyImages, as_image, list_images
from pixelbayes.inference import SamplingConfig, sample_class
from pixelbayes.utils.devices import pick_device
from pixelbayes.utils.errors import InputError, check_fields

SOURCE = "the images given to fit"  # in messages and reports


class PixelBayesClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """A class-conditional PixelCNN++ that classifies by Bayes' rule, as an estimator of scikit-learn.

    It works in `cross_val_score`, `GridSearchCV` and a `Pipeline`. Its pickle holds the files of `save_pretrained`.
    X is a uint8 array (N, H, W) or (N, H, W, C), a flattened one (N, H W C) with `image_size`, or whatever else
    `images.reading.read_images` takes, such as a list of image files, or a PyTorch data set. Arrays and tensors of the
    network's own size hold levels.

    Args:
        preset: A name of `PRESETS`, or an `ExperimentConfig`, whose data are replaced.
        image_size: H, W that images are resized to; None for their common size.
        levels: L, number of values that a colour can take, 2 to 256.
        epochs: Epochs of training; None for those of the preset.
        budget: The time that `fit` may take, such as "10m"; it decides width, and epochs if there are none.
        seed: Random seed of the validation images, of training and of `sample`.
        device: "auto", "cpu", "cuda" or "mps".
        validation_fraction: Fraction of each class that selects the epoch and fits the temperature, above 0.
        out: The run folder of `fit`, which must not hold a run; None for a temporary one.

    Attributes:
        classes_: The classes, sorted, (Y,).
        trained_: The trained network, as `pixelbayes.load` returns it.
        n_features_in_: H W C, if X was flattened.
    """

    def __init__(
        self,
        preset: str | ExperimentConfig = "best",
        *,
        image_size: tuple[int, int] | None = None,
        levels: int = 256,
        epochs: int | None = None,
        budget: str | None = None,
        seed: int = 0,
        device: str = "auto",
        validation_fraction: float = 0.15,
        out: str | Path | None = None,
    ):
        self.preset = preset
        self.image_size = image_size
        self.levels = levels
        self.epochs = epochs
        self.budget = budget
        self.seed = seed
        self.device = device
        self.validation_fraction = validation_fraction
        self.out = out

    def fit(self, X: AnyImages, y: ArrayLike | None = None) -> Self:  # noqa: N803
        """Trains a network, as `pixelbayes train` does.

        Args:
            X: Images.
            y: Their classes, numbers or text, (N,); None if X is a PyTorch data set of pairs of an image and a label,
                whose `classes` are used if it has them, as those of torchvision.

        Raises:
            InputError: If a parameter is out of its range, or images cannot be read.
            ValueError: If y is not one class for each image.
        """
        config = self._config()
        if isinstance(X, Dataset):
            if y is not None:
                raise InputError("X is a data set, which has labels itself; leave out y")
            y = np.array(labels(X))
        budget = None
        if self.budget is not None:
            budget = Budget(parse_duration(self.budget), () if self.epochs is None else ("training.epochs",))
        data = self._data(config.data, X, y)
        with self._run_folder() as run:
            train(config, run, data=data, budget=budget)
            self.trained_ = load(run, pick_device(self.device))
        return self

    def predict(self, X: AnyImages) -> NDArray[Any]:  # noqa: N803
        """The most probable class of each image, (N,)."""
        labels = self._measure(X).predicted.numpy()
        predicted: NDArray[Any] = self.classes_[labels]
        return predicted

    def predict_proba(self, X: AnyImages) -> NDArray[np.float64]:  # noqa: N803
        """p(c | x), calibrated, (N, Y), in the order of `classes_`."""
        return self._measure(X).posterior.numpy()

    def score_samples(self, X: AnyImages) -> NDArray[np.float64]:  # noqa: N803
        """log p(x) of each image, (N,), in nats."""
        log_marginal: Any = self._measure(X).log_marginal
        return log_marginal.numpy()  # type: ignore[no-any-return]

    def sample(self, label: Any, n: int = 1) -> NDArray[np.uint8]:
        """Draws images of a class; the same seed gives the same images.

        Args:
            label: One of `classes_`.
            n: How many.

        Returns:
            Levels, (n, H, W, C).

        Raises:
            InputError: If there is no such class.
        """
        check_is_fitted(self)
        if label not in self.classes_:
            raise InputError(f"class {label!r} is unknown; the classes are {', '.join(map(str, self.classes_))}")
        index = int(np.flatnonzero(self.classes_ == label)[0])
        pixels = sample_class(self.trained_.network, index, SamplingConfig(count=n, seed=self.seed))
        return pixels.movedim(1, -1).numpy()

    def _config(self) -> ExperimentConfig:
        check_fields(self, ("epochs",), lambda n: n is None or n >= 1, "at least 1")
        check_fields(self, ("validation_fraction",), lambda part: part > 0, "above 0")
        if isinstance(self.preset, ExperimentConfig):
            config = self.preset
        elif self.preset in PRESETS:
            config = PRESETS[self.preset]
        else:
            raise InputError(f"preset is {self.preset!r}, expected an ExperimentConfig or one of {', '.join(PRESETS)}")
        data = DataConfig(
            source=SOURCE,
            image_size=self.image_size,
            levels=self.levels,
            validation_fraction=self.validation_fraction,
            test_fraction=0.0,
            split_seed=self.seed,
        )
        epochs = config.training.epochs if self.epochs is None else self.epochs
        config = dataclasses.replace(config, data=data, seed=self.seed)
        return with_fields(config, {"training.epochs": epochs, "training.device": self.device})

    def _data(self, config: DataConfig, X: AnyImages, y: ArrayLike | None) -> ImageData:  # noqa: N803
        """Reads the images, and cuts the validation images from them."""
        if y is None:
            raise ValueError("PixelBayesClassifier requires y to be passed, but the target y is None")
        classes = column_or_1d(y, warn=True)
        check_classification_targets(classes)
        self.classes_: NDArray[Any]
        self.classes_, positions = np.unique(classes, return_inverse=True)
        if _is_flattened(X):
            self.n_features_in_ = X.shape[1]
        images = list_images(self._batch(X))
        check_consistent_length(images, classes)
        records = [
            Record(name, label, partial(as_image, image, name, levels=self.levels, size=self.image_size))
            for (name, image), label in zip(images, positions.tolist(), strict=True)
        ]
        listing = Listing(splits={"train": records}, class_names=tuple(map(str, self.classes_)), levels=self.levels)
        listing = cut_missing_splits(listing, config.validation_fraction, config.test_fraction, config.split_seed)
        if not listing.cut_from_train:
            raise InputError(f"{SOURCE}: no class has three or more, so none is left for validation; give more images")
        splits, preprocessing = decode(
            listing,
            image_size=config.image_size,
            channels=config.channels,
            resize=config.resize,
            levels=self.levels,
        )
        return ImageData(splits, listing.class_names, preprocessing, SOURCE, listing.cut_from_train)

    @contextmanager
    def _run_folder(self) -> Iterator[Path]:
        if self.out is not None:
            yield Path(self.out)
            return
        with TemporaryDirectory() as folder:
            yield Path(folder) / "run"

    def _measure(self, X: AnyImages) -> Measurement:  # noqa: N803
        check_is_fitted(self)
        return measure_images(self.trained_, self._batch(X))

    def _batch(self, X: AnyImages) -> AnyImages:  # noqa: N803
        """An array (N, H W C) or (N, H, W) as (N, H, W, C); other images as they are."""
        if isinstance(X, np.ndarray) and X.ndim == 3:
            return X[..., None]
        if not _is_flattened(X):
            return X
        if self.image_size is None:
            raise InputError(f"X has shape {X.shape}; set image_size to the H, W of the flattened images")
        expected = getattr(self, "n_features_in_", X.shape[1])
        height, width = self.image_size
        channels = X.shape[1] / (height * width)
        if X.shape[1] != expected or channels not in (1, 3):
            raise InputError(
                f"X has {X.shape[1]} features, but PixelBayesClassifier is expecting {expected} features as input, "
                f"H W or 3 H W of image_size {self.image_size}"
            )
        return X.reshape(-1, height, width, int(channels))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = self.image_size is not None  # flattened images
        tags.input_tags.three_d_array = True
        return tags

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        if "trained_" in state:
            with TemporaryDirectory() as folder:
                save_pretrained(self.trained_, folder)
                state["trained_"] = {path.name: path.read_bytes() for path in Path(folder).iterdir()}
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if "trained_" in state:
            with TemporaryDirectory() as folder:
                for name, content in state["trained_"].items():
                    (Path(folder) / name).write_bytes(content)
                self.trained_ = load(folder, pick_device(self.device))


def _is_flattened(images: AnyImages) -> TypeGuard[NDArray[Any]]:
    return isinstance(images, np.ndarray) and images.ndim == 2 and images.dtype.kind not in "OUST"
