import math
import warnings
import weakref
from pathlib import Path

import numpy as np
import pytest
import torch
from networks import COMBINED, random_x, randomised, tiny_model
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from pixelbayes.images.shape import ImageShape
from pixelbayes.inference import BayesClassifier, ReferenceScorer, Scorer, ScoringConfig, score
from pixelbayes.inference.scoring import COMPILE_FROM_ROWS, bytes_of_row
from pixelbayes.models.context_dropout import fixed_masks
from pixelbayes.models.likelihood import bits_per_dim
from pixelbayes.models.pixelcnn import Outputs, PixelCNN, PixelCNNConfig
from pixelbayes.utils.errors import InputError

VECTORS = Path(__file__).parents[1] / "vectors"
LABEL = torch.tensor([0, 2, 1, 1, 0])
CLOSE = {"rtol": 1e-12, "atol": 1e-10}


def images(model, batch=5):
    return random_x(model, batch)


def of_network(model, x):
    """log p(x | c) under every class, (B, Y), by one pass of the network per class."""
    return ReferenceScorer(model).class_log_prob(x, model.config.num_classes)


def of_labels(log_prob, label=LABEL):
    return log_prob.gather(1, label[:, None]).squeeze(1)


@pytest.mark.parametrize("fusion", ["none", "input-add", "adaln", "cross-attention", *COMBINED[:2]])
@pytest.mark.parametrize("training", [False, True])
def test_a_scorer_gives_the_log_probabilities_of_the_network(fusion, training):
    model = randomised(tiny_model(fusion))
    x, scorer = images(model), Scorer(model, training=training)
    expected = of_network(model, x)
    torch.testing.assert_close(scorer.class_log_prob(x, 3), expected, **CLOSE)
    torch.testing.assert_close(scorer.log_prob(x, LABEL), of_labels(expected), **CLOSE)


class RecordedNetwork(PixelCNN):
    """A network whose output is recorded in tests/vectors, with the nll of the authors' formula."""

    def outputs(self, x, condition=None, key=None, visible=None):
        return Outputs(self.recorded, None)


def test_from_pixels_to_scores_the_nll_is_that_of_the_authors_formula():
    with np.load(VECTORS / "original_nll.npz") as vectors:
        pixels, params, nll = (torch.from_numpy(vectors[name]) for name in ("pixels", "params", "nll"))
    shape = ImageShape(height=pixels.shape[2], width=pixels.shape[3])
    network = RecordedNetwork(PixelCNNConfig(num_classes=3, image_shape=shape, num_filters=2, num_mixtures=3))
    network.recorded = params
    expected = -nll[:, None].expand(2, 3)  # under every class, because the recorded output does not depend on it
    for density in (network, ReferenceScorer(network), Scorer(network), Scorer(network, training=True)):
        scores = score(BayesClassifier(density, torch.zeros(3)).log_prob, pixels, 256)
        torch.testing.assert_close(scores, expected, rtol=1e-5, atol=0)
        bits = bits_per_dim(-scores[:, 0], shape.dims)
        torch.testing.assert_close(bits, nll / (3 * 4 * 6) / math.log(2), rtol=1e-5, atol=0)


@pytest.mark.parametrize("rows", [1, 2, 4, 7, 100])
def test_scores_do_not_depend_on_the_number_of_rows_that_fit_into_memory(rows):
    model = randomised(tiny_model("film+bottleneck"))
    x = images(model)
    scorer = Scorer(model, memory=rows * bytes_of_row(model))
    assert scorer.rows_within_memory == rows
    expected = of_network(model, x)
    torch.testing.assert_close(scorer.class_log_prob(x, 3), expected, **CLOSE)
    torch.testing.assert_close(scorer.log_prob(x, LABEL), of_labels(expected), **CLOSE)


def test_two_hundred_classes_are_scored_a_few_rows_at_a_time():
    model = randomised(tiny_model("film", num_classes=200, image_size=(4, 8)))
    x = images(model, 2)
    scorer = Scorer(model, memory=20 * bytes_of_row(model))
    rows = []
    each = scorer._each
    scorer._each = lambda x, classes: rows.append(len(x) * len(classes)) or each(x, classes)
    torch.testing.assert_close(scorer.class_log_prob(x, 200), of_network(model, x), **CLOSE)
    assert sum(rows) == 400
    assert max(rows) == 20


def test_a_chunk_has_at_most_the_number_of_rows_per_chunk():
    model = tiny_model()
    for limit in (1, 3, 8, 32):
        scorer = Scorer(model, memory=limit * bytes_of_row(model))
        for num_classes in (1, 3, 4, 5, 31, 32, 33, 1000):
            of_images, of_classes = scorer.chunk(torch.device("cpu"), num_classes)
            assert of_images >= 1
            assert of_classes >= 1
            assert of_images * of_classes <= limit
    assert scorer.chunk(torch.device("cpu"), 3) == (8, 3)  # a power of two, and all classes


class LiveBytes(TorchDispatchMode):
    """Counts the bytes of the storages that are created under it and still in use, and their maximum."""

    def __init__(self):
        super().__init__()
        self.live = self.peak = 0
        self.counted = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        found = func(*args, **(kwargs or {}))
        inputs = {
            part.untyped_storage()._cdata for part in tree_leaves((args, kwargs)) if isinstance(part, torch.Tensor)
        }
        for tensor in tree_leaves(found):
            if not isinstance(tensor, torch.Tensor):
                continue
            storage = tensor.untyped_storage()
            if storage._cdata in self.counted or storage._cdata in inputs:
                continue
            self.counted.add(storage._cdata)
            self.live += storage.nbytes()
            self.peak = max(self.peak, self.live)
            weakref.finalize(storage, self.free, storage._cdata, storage.nbytes())
        return found

    def free(self, key, count):
        self.counted.discard(key)
        self.live -= count


@pytest.mark.parametrize(
    ("fusion", "settings", "dtype"),
    [
        ("film", {"num_filters": 8}, torch.float32),
        ("film", {"num_filters": 8}, torch.float64),
        ("film", {"num_filters": 2, "num_mixtures": 20}, torch.float32),
        ("film", {"num_filters": 8, "num_blocks": 3}, torch.float32),
        ("film", {"num_filters": 4, "likelihood": "categorical", "levels": 64}, torch.float32),
        ("film", {"num_filters": 8, "channels": 1}, torch.float32),
        ("none", {"num_filters": 2, "num_mixtures": 20}, torch.float32),
        ("adaln", {"num_filters": 8}, torch.float32),
        ("cross-attention", {"num_filters": 8}, torch.float32),
        ("one-hot-map+film+bottleneck+output-add", {"num_filters": 4}, torch.float64),
    ],
)
def test_a_chunk_uses_no_more_memory_than_the_bound_on_its_rows(fusion, settings, dtype):
    model = tiny_model(fusion, image_size=(16, 24), **settings).to(dtype)
    x, scorer = images(model, 8).to(dtype), Scorer(model)
    with LiveBytes() as memory:
        scorer.class_log_prob(x, 3)
    rows = math.prod(scorer.chunk(x.device, 3))
    assert rows == 24
    assert memory.peak <= rows * bytes_of_row(scorer.network)


# Compiling


@pytest.fixture
def recorded(monkeypatch):
    """Replaces the compiler: recorded operations run uncompiled, for one shape. Lists the calls of each function."""
    calls = []

    def compile_(function, **_):
        shapes = []

        def run(x, label):
            shapes.append((tuple(x.shape), x.stride(), tuple(label.shape)))
            assert len(set(shapes)) == 1
            return function(x, label)

        calls.append(shapes)
        return run

    monkeypatch.setattr(torch, "compile", compile_)
    return calls


@pytest.mark.parametrize("fusion", ["none", "input-add+cross-attention"])
def test_a_recorded_pass_scores_other_images_and_labels_and_is_recorded_once_for_one_shape(fusion, recorded):
    model = randomised(tiny_model(fusion))
    scorer = Scorer(model, compiled=True, memory=6 * bytes_of_row(model))
    for batch in (2, 5, 1):  # chunks of 2 images; the last chunk is filled up
        x = images(model)[-batch:]
        expected = of_network(model, x)
        torch.testing.assert_close(scorer.class_log_prob(x, 3), expected, **CLOSE)
        torch.testing.assert_close(scorer.log_prob(x, LABEL[:batch]), of_labels(expected, LABEL[:batch]), **CLOSE)
    assert [len(shapes) for shapes in recorded] == [1 + 3 + 1, 3]


def test_classes_that_do_not_fit_into_one_chunk_are_filled_up_too(recorded):
    model = randomised(tiny_model())
    scorer = Scorer(model, compiled=True, memory=2 * bytes_of_row(model))
    x = images(model)
    torch.testing.assert_close(scorer.class_log_prob(x, 3), of_network(model, x), **CLOSE)
    assert len(recorded[0]) == 10


def test_if_compiling_fails_one_warning_is_issued_and_the_scores_are_correct(monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("no compiler\nsecond line")

    monkeypatch.setattr(torch, "compile", fail)
    model = randomised(tiny_model())
    scorer, x = Scorer(model, compiled=True, memory=3 * bytes_of_row(model)), images(model)
    with pytest.warns(RuntimeWarning, match=r"without compiling, more slowly \(no compiler second line\)") as caught:
        found = scorer.class_log_prob(x, 3)
    assert len(caught) == 1
    torch.testing.assert_close(found, of_network(model, x), **CLOSE)


@pytest.mark.slow
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-9), (torch.float32, 1e-4)])
def test_compiled_scores_are_those_of_the_network(dtype, tolerance, masked):
    model = randomised(tiny_model("film")).to(dtype)
    scorer, x = Scorer(model, compiled=True), images(model).to(dtype)
    mask = fixed_masks(1, 0.5, 2, *x.shape[2:])[0] if masked else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # raised by torch itself
        found = scorer.class_log_prob(x, 3, 0, mask)
    expected = ReferenceScorer(model).class_log_prob(x, 3, 0, mask)
    torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance)
    function = scorer._each_masked if masked else scorer._each
    assert scorer.functions[function].ready is not function  # otherwise it fell back


def test_a_scorer_compiles_for_many_rows_or_on_request():
    model = tiny_model()
    assert not Scorer(model).compiled
    assert not Scorer(model, rows=COMPILE_FROM_ROWS - 1).compiled
    assert Scorer(model, rows=COMPILE_FROM_ROWS).compiled
    assert not Scorer(model, rows=COMPILE_FROM_ROWS, compiled=False).compiled
    assert Scorer(model, compiled=True).compiled
    assert not Scorer(model, rows=COMPILE_FROM_ROWS, training=True).compiled


# Options


def test_a_scorer_of_a_network_in_training_follows_its_weights_and_another_scorer_does_not():
    model = randomised(tiny_model())
    x, following, fixed = images(model), Scorer(model, training=True), Scorer(model)
    before = of_network(model, x)
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(1.1)
    after = of_network(model, x)
    assert (after - before).abs().min() > 0.01
    torch.testing.assert_close(following.class_log_prob(x, 3), after, **CLOSE)
    torch.testing.assert_close(fixed.class_log_prob(x, 3), before, **CLOSE)
    assert all(weight.requires_grad for weight in model.parameters())


def test_half_precision_applies_to_the_network_only_and_stays_close():
    model = randomised(tiny_model()).float()
    x = images(model).float()
    half, single = Scorer(model, precision="bf16"), Scorer(model)
    found, expected = half.class_log_prob(x, 3), single.class_log_prob(x, 3)
    assert {weight.dtype for weight in half.network.parameters()} == {torch.bfloat16}
    assert found.dtype == torch.float32
    assert not torch.equal(found, expected)
    torch.testing.assert_close(found, expected, rtol=0.05, atol=0)
    assert not torch.equal(found, found.bfloat16().float())  # the likelihood has more digits than bf16


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"precision": "float16"}, "precision is 'float16', expected float32 or bf16"),
        ({"precision": "bf16", "training": True}, "expected float32 for a network in training"),
        ({"compiled": True, "training": True}, "expected False for a network in training"),
    ],
)
def test_contradictory_options_are_rejected(settings, message):
    with pytest.raises(ValueError, match=message):
        Scorer(tiny_model(), **settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"views": 3}, "views is 3, expected one of 1, 2, 4, 8"),
        ({"masks": -1}, "masks is -1, expected 0 or more"),
        ({"batch_size": 0}, "batch_size is 0, expected at least 1"),
    ],
)
def test_a_scoring_config_out_of_bounds_is_rejected(settings, message):
    with pytest.raises(InputError, match=message):
        ScoringConfig(**settings)


def test_no_images_have_no_scores():
    model = tiny_model()
    nothing = images(model, 1)[:0]
    assert Scorer(model).class_log_prob(nothing, 3).shape == (0, 3)
    assert Scorer(model).log_prob(nothing, LABEL[:0]).shape == (0,)


def test_a_classifier_scores_all_classes_at_once_with_a_scorer_and_one_by_one_with_any_density():
    model = randomised(tiny_model())
    x, scorer, calls = images(model), Scorer(model), []
    class_log_prob = scorer.class_log_prob
    scorer.class_log_prob = lambda x, num_classes: calls.append(num_classes) or class_log_prob(x, num_classes)
    fast, slow = (BayesClassifier(density, torch.zeros(3)).log_prob(x) for density in (scorer, model))
    torch.testing.assert_close(fast, slow, **CLOSE)
    assert calls == [3]
