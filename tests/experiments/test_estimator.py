"""The estimator in scikit-learn's form."""

# ruff: noqa: N803, N806 -- X is scikit-learn's name

import pickle

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.estimator_checks import check_estimator
from sklearn.utils.validation import check_is_fitted, validate_data
from torch.utils.data import TensorDataset

import pixelbayes
from pixelbayes.experiments import ExperimentConfig
from pixelbayes.experiments.estimator import PixelBayesClassifier
from pixelbayes.models.pixelcnn import Architecture
from pixelbayes.training import TrainingConfig
from pixelbayes.utils.errors import InputError
from pixelbayes.utils.run_folder import RunFolder

TINY = ExperimentConfig(
    model=Architecture(num_filters=4, num_mixtures=2),
    training=TrainingConfig(
        epochs=4, batch_size=8, learning_rate=0.02, ema_decay=0.5, warmup_steps=3, sample_every=0, samples_per_class=1
    ),
)


def images(count=24, shape=(4, 6)):
    """Dark images of the class "night" and bright ones of the class "day"; uint8 (N, *shape), text (N,)."""
    bright = np.arange(count) % 2
    noise = np.random.default_rng(0).integers(0, 60, (count, *shape))
    return (noise + 150 * bright.reshape(-1, *[1] * len(shape))).astype(np.uint8), np.array(["night", "day"])[bright]


X, Y = images()


def tiny(**settings):
    return PixelBayesClassifier(TINY, device="cpu", **settings)


@pytest.fixture(autouse=True)
def _without_plots(without_plots):
    """Makes every fit faster."""


@pytest.fixture(scope="module")
def fitted():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pixelbayes.report.results.plots_of", lambda _: {})
        return tiny().fit(X, Y)


def test_a_pytorch_data_set_is_fitted_like_the_arrays_in_it(fitted):
    names = ["day", "night"]
    pixels = torch.from_numpy(X)[:, None]  # (N, 1, H, W)
    dataset = TensorDataset(pixels, torch.tensor([names.index(name) for name in Y]))
    dataset.classes = names
    found = tiny().fit(dataset)
    assert found.classes_.tolist() == fitted.classes_.tolist() == names
    assert np.array_equal(found.predict_proba(dataset), fitted.predict_proba(X))
    with pytest.raises(InputError, match="X is a data set, which has labels itself; leave out y"):
        tiny().fit(dataset, Y)


def test_classes_are_recognised_and_probabilities_are_normalised(fitted):
    assert fitted.classes_.tolist() == ["day", "night"]
    assert fitted.score(X, Y) == 1
    proba = fitted.predict_proba(X)
    assert proba.dtype == np.float64
    np.testing.assert_allclose(proba.sum(axis=1), 1)
    assert (fitted.classes_[proba.argmax(axis=1)] == fitted.predict(X)).all()


def test_it_is_the_network_of_the_command_line_and_kept_where_out_says(tmp_path):
    fitted = tiny(out=tmp_path / "run").fit(X, Y)
    assert RunFolder(tmp_path / "run").page.is_file()
    trained = pixelbayes.load(tmp_path / "run")
    assert trained.digest == fitted.trained_.digest
    assert torch.equal(trained.predict_proba(X), torch.from_numpy(fitted.predict_proba(X)))
    with pytest.raises(InputError, match="holds a run already"):
        fitted.fit(X, Y)


def test_the_scores_are_the_density_of_images(fitted):
    log_prob = fitted.trained_.log_prob(X) + fitted.trained_.log_prior
    np.testing.assert_allclose(fitted.score_samples(X), log_prob.logsumexp(dim=1).numpy())


def test_samples_are_images_of_their_class_and_the_same_every_time(fitted):
    samples = fitted.sample("day", 5)
    assert (samples.shape, samples.dtype) == ((5, 4, 6, 1), np.uint8)
    assert (samples == fitted.sample("day", 5)).all()
    assert samples.mean() > fitted.sample("night", 5).mean()
    with pytest.raises(InputError, match="class 'dusk' is unknown; the classes are day, night"):
        fitted.sample("dusk")


def test_the_form_of_the_images_does_not_matter(fitted, tmp_path):
    for number, array in enumerate(X):
        Image.fromarray(array).save(tmp_path / f"{number:02}.png")
    files = sorted(map(str, tmp_path.iterdir()))
    forms = [X[..., None], list(X), files, np.array(files)]
    flat = tiny(image_size=(4, 6)).fit(X.reshape(len(X), -1), Y)
    assert flat.n_features_in_ == 24
    for other in (flat, tiny().fit(files, Y)):
        assert other.trained_.digest == fitted.trained_.digest
    for form in forms:
        np.testing.assert_array_equal(fitted.predict_proba(form), fitted.predict_proba(X))
    np.testing.assert_array_equal(flat.predict_proba(X.reshape(len(X), -1)), fitted.predict_proba(X))


def test_colour_size_levels_and_numeric_classes_follow_the_parameters():
    x, _ = images(12, (8, 12, 3))
    fitted = tiny(image_size=(4, 6), levels=8, epochs=1).fit(x, [7, 10] * 6)
    assert fitted.trained_.image_shape.chw == (3, 4, 6)
    assert fitted.trained_.image_shape.levels == 8
    assert fitted.predict(x).dtype.kind == "i"
    assert set(fitted.predict(x)) <= {7, 10}
    samples = fitted.sample(10, 2)
    assert samples.max() < 8
    assert fitted.predict(samples).shape == (2,)


def test_it_works_in_the_tools_of_scikit_learn():
    assert cross_val_score(tiny(), X, Y, cv=2).mean() > 0.8
    search = GridSearchCV(tiny(), {"epochs": [1, 4]}, cv=2).fit(X, Y)
    assert search.best_params_["epochs"] in (1, 4)
    halves = make_pipeline(FunctionTransformer(lambda x: x // 2), tiny(image_size=(4, 6))).fit(X.reshape(24, -1), Y)
    assert halves.score(X.reshape(24, -1), Y) > 0.8


def test_a_pickle_predicts_the_same_and_holds_the_files_of_the_weights(fitted):
    again = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(again.predict_proba(X), fitted.predict_proba(X))
    np.testing.assert_array_equal(again.sample("day"), fitted.sample("day"))
    assert again.trained_.digest == fitted.trained_.digest
    assert fitted.__getstate__()["trained_"]["model.safetensors"][8:9] == b"{"
    assert pickle.loads(pickle.dumps(tiny(epochs=3))).epochs == 3
    assert not hasattr(clone(fitted), "trained_")


@pytest.mark.parametrize(
    ("settings", "x", "y", "message"),
    [
        ({}, X / 255, Y, r"images are float64, expected uint8; `\(255"),
        ({}, X.reshape(24, -1), Y, r"X has shape \(24, 24\); set image_size to the H, W of the flattened images"),
        ({"image_size": (5, 5)}, X.reshape(24, -1), Y, r"X has 24 features, .* image_size \(5, 5\)"),
        ({}, X, Y[:-1], "inconsistent numbers of samples"),
        ({}, X, None, "requires y to be passed"),
        ({}, X, np.linspace(0, 1, 24), "Unknown label type: continuous"),
        ({"levels": 8}, X, Y, r"image 0: has the value \d+, but at this size the values are levels 0 .. 7"),
        ({"preset": "bets"}, X, Y, "preset is 'bets', expected an ExperimentConfig or one of best, "),
        ({"epochs": 0}, X, Y, "epochs is 0, expected at least 1"),
        ({"budget": "soon"}, X, Y, "budget is 'soon', expected a duration such as 45m"),
        ({"validation_fraction": 0.0}, X, Y, "validation_fraction is 0.0, expected above 0"),
        ({}, X[:2], Y[:2], "the images given to fit: no class has three or more, so none is left for validation"),
    ],
)
def test_what_cannot_be_trained_on_is_refused_with_the_remedy(settings, x, y, message):
    estimator = PixelBayesClassifier(**{"preset": TINY, **settings})
    with pytest.raises(ValueError, match=message):
        estimator.fit(x, y)


@pytest.mark.slow
def test_a_budget_decides_the_epochs_unless_they_are_given():
    fitted = tiny(budget="40s", epochs=2).fit(X, Y)
    training = fitted.trained_.provenance.config["training"]
    assert training["epochs"] == 2
    assert training["max_seconds"] < 40


class OfFeatures(PixelBayesClassifier):
    """The estimator for the features that scikit-learn's checks draw: each becomes a grey pixel of a row."""

    def fit(self, X, y):
        if y is not None:
            X, y = validate_data(self, X, y, ensure_min_samples=2)
        self.low_, self.high_ = X.min(axis=0), X.max(axis=0)
        return super().fit(self._pixels(X), y)

    def _measure(self, X):
        check_is_fitted(self)
        return super()._measure(self._pixels(validate_data(self, X, reset=False)))

    def _pixels(self, X):
        scaled = (X - self.low_) / np.maximum(self.high_ - self.low_, 1e-9)
        return (255 * scaled.clip(0, 1)).round().astype(np.uint8)[:, None]

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = True
        return tags


EXEMPTED = {
    "check_classifiers_train": "expects an accuracy that this tiny network does not reach in its few steps",
    "check_methods_sample_order_invariance": "expects 1e-7; a float32 network rounds by an image's place in its batch",
}


@pytest.mark.filterwarnings("ignore:Can't test estimator")  # the rest needs features
def test_the_checks_of_scikit_learn_that_need_no_features():
    check_estimator(tiny())


@pytest.mark.slow
def test_the_checks_of_scikit_learn():
    results = check_estimator(
        OfFeatures(TINY, device="cpu", epochs=1), expected_failed_checks=EXEMPTED, on_skip=None, on_fail=None
    )
    assert not [result["check_name"] for result in results if result["status"] == "failed"]
