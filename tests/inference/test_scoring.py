import dataclasses
import math
import warnings
import weakref
from pathlib import Path

import pytest
import torch
from networks import EVERY_FUSION, random_images, randomised, tiny_model
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from pixelbayes.checkpoints import checkpoint
from pixelbayes.checkpoints.course_import import import_course_network
from pixelbayes.data import DataConfig, load_data
from pixelbayes.images.pixels import to_x
from pixelbayes.inference import BayesClassifier, OneByOne, Scorer, score
from pixelbayes.inference.scoring import COMPILE_FROM_ROWS, bytes_of_row
from pixelbayes.models.context_dropout import fixed_masks
from pixelbayes.models.likelihood import bits_per_dim

SHARED = Path(__file__).parents[3] / "shared"
LABEL = torch.tensor([0, 2, 1, 1, 0])


def images(model, batch=5):
    return to_x(random_images(batch, model.config), model.config.levels, torch.float64)


def plain(model, x):
    """Every class, (B, Y), by the network itself, a pass for each."""
    with torch.no_grad():
        return torch.stack(
            [model.log_prob(x, torch.full((len(x),), c)) for c in range(model.config.num_classes)], dim=1
        )


@pytest.mark.parametrize("learning", [False, True])
@pytest.mark.parametrize("fusion", EVERY_FUSION)
def test_a_scorer_gives_the_log_probabilities_of_the_network(fusion, learning):
    model = randomised(tiny_model(fusion))
    x, scorer = images(model), Scorer(model, learning=learning)
    expected = plain(model, x)
    torch.testing.assert_close(scorer.class_log_prob(x, 3), expected, rtol=1e-12, atol=1e-10)
    own = expected.gather(1, LABEL[:, None]).squeeze(1)
    torch.testing.assert_close(scorer.log_prob(x, LABEL), own, rtol=1e-12, atol=1e-10)


@pytest.mark.parametrize("rows", [1, 2, 4, 7, 100])
def test_scores_do_not_depend_on_how_many_rows_memory_holds(rows):
    model = randomised(tiny_model("film+bottleneck"))
    x = images(model)
    scorer = Scorer(model, memory=rows * bytes_of_row(model))
    assert scorer.rows_within_memory == rows
    torch.testing.assert_close(scorer.class_log_prob(x, 3), plain(model, x), rtol=1e-12, atol=1e-10)
    own = plain(model, x).gather(1, LABEL[:, None]).squeeze(1)
    torch.testing.assert_close(scorer.log_prob(x, LABEL), own, rtol=1e-12, atol=1e-10)


def test_a_thousand_classes_are_scored_a_few_rows_at_a_time():
    model = randomised(tiny_model("film", num_classes=1000, image_size=(4, 8)))
    x = images(model, 2)
    scorer = Scorer(model, memory=20 * bytes_of_row(model))
    rows = []
    each = scorer._each
    scorer._each = lambda x, classes: rows.append(len(x) * len(classes)) or each(x, classes)
    torch.testing.assert_close(scorer.class_log_prob(x, 1000), plain(model, x), rtol=1e-12, atol=1e-10)
    assert sum(rows) == 2000
    assert max(rows) == 20


@pytest.mark.parametrize("num_classes", [1, 3, 4, 5, 31, 32, 33, 1000])
def test_a_chunk_holds_no_more_rows_than_it_may(num_classes):
    model = tiny_model()
    for limit in (1, 3, 8, 32):
        scorer = Scorer(model, memory=limit * bytes_of_row(model))
        images_, classes = scorer.chunk(torch.device("cpu"), num_classes)
        assert images_ >= 1
        assert classes >= 1
        assert images_ * classes <= limit


class LiveBytes(TorchDispatchMode):
    """Counts the bytes of storages made under it that are still in use, and the most there ever were."""

    def __init__(self):
        super().__init__()
        self.live = self.peak = 0
        self.known = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        found = func(*args, **(kwargs or {}))
        taken = {
            part.untyped_storage()._cdata for part in tree_leaves((args, kwargs)) if isinstance(part, torch.Tensor)
        }
        for tensor in tree_leaves(found):
            if not isinstance(tensor, torch.Tensor):
                continue
            storage = tensor.untyped_storage()
            if storage._cdata in self.known or storage._cdata in taken:
                continue
            self.known.add(storage._cdata)
            self.live += storage.nbytes()
            self.peak = max(self.peak, self.live)
            weakref.finalize(storage, self.gone, storage._cdata, storage.nbytes())
        return found

    def gone(self, key, count):
        self.known.discard(key)
        self.live -= count


SIZES = [
    {"num_filters": 8},
    {"num_filters": 2, "num_mixtures": 20},
    {"num_filters": 8, "num_blocks": 3},
    {"num_filters": 4, "likelihood": "categorical", "levels": 64},
    {"num_filters": 8, "channels": 1},
]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    "fusion", ["film", "adaln", "cross-attention", "one-hot-map+film+bottleneck+output-add", "none"]
)
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_no_more_memory_is_used_than_was_said_for_the_rows(sizes, fusion, dtype):
    model = tiny_model(fusion, image_size=(16, 24), **sizes).to(dtype)
    x, scorer = images(model, 8).to(dtype), Scorer(model)
    with LiveBytes() as memory:
        scorer.class_log_prob(x, 3)
    rows = math.prod(scorer.chunk(x.device, 3))
    assert rows == 24
    assert memory.peak <= rows * bytes_of_row(scorer.network)


@pytest.fixture
def recorded_only(monkeypatch):
    """Stands for the compiler: what is recorded runs as it is, for one shape, and every call of it is counted."""
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


@pytest.mark.parametrize("fusion", ["none", "input-add", "film", "cross-attention", "one-hot-map+after-block"])
def test_a_recorded_pass_scores_new_images_and_labels_and_is_made_once_for_one_shape(fusion, recorded_only):
    model = randomised(tiny_model(fusion))
    scorer = Scorer(model, compiled=True, memory=6 * bytes_of_row(model))
    for batch in (2, 5, 1):  # 2 images at a time: the last chunk is filled up
        x = images(model, 5)[-batch:]
        expected = plain(model, x)
        torch.testing.assert_close(scorer.class_log_prob(x, 3), expected, rtol=1e-12, atol=1e-10)
        own = expected.gather(1, LABEL[:batch, None]).squeeze(1)
        torch.testing.assert_close(scorer.log_prob(x, LABEL[:batch]), own, rtol=1e-12, atol=1e-10)
    assert [len(shapes) for shapes in recorded_only] == [1 + 3 + 1, 3]


def test_classes_that_do_not_fit_at_once_are_filled_up_too(recorded_only):
    model = randomised(tiny_model())
    scorer = Scorer(model, compiled=True, memory=2 * bytes_of_row(model))
    x = images(model)
    torch.testing.assert_close(scorer.class_log_prob(x, 3), plain(model, x), rtol=1e-12, atol=1e-10)
    assert len(recorded_only[0]) == 10


def test_where_compiling_fails_one_warning_tells_and_the_scores_are_right(monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("no compiler\nsecond line")

    monkeypatch.setattr(torch, "compile", fail)
    model = randomised(tiny_model())
    scorer, x = Scorer(model, compiled=True, memory=3 * bytes_of_row(model)), images(model)
    with pytest.warns(RuntimeWarning, match=r"without compiling, more slowly \(no compiler second line\)") as caught:
        found = scorer.class_log_prob(x, 3)
    assert len(caught) == 1
    torch.testing.assert_close(found, plain(model, x), rtol=1e-12, atol=1e-10)


@pytest.mark.slow
@pytest.mark.parametrize(("dtype", "near"), [(torch.float64, 1e-9), (torch.float32, 1e-4)])
def test_compiled_scores_are_those_of_the_network(dtype, near):
    model = randomised(tiny_model("film")).to(dtype)
    scorer, x = Scorer(model, compiled=True), images(model).to(dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # PyTorch's compiler calls what PyTorch deprecates
        found = scorer.class_log_prob(x, 3)
        mask = fixed_masks(1, 0.5, 2, *x.shape[2:])[0]
        masked = scorer.class_log_prob(x, 3, 0, mask)
    torch.testing.assert_close(found, plain(model, x), rtol=near, atol=near)
    torch.testing.assert_close(masked, OneByOne(model).class_log_prob(x, 3, 0, mask), rtol=near, atol=near)
    for function in (scorer._each, scorer._each_shown):
        assert scorer.functions[function].ready is not function  # no falling back


def test_compiling_is_for_many_rows_alone_unless_it_is_asked_for():
    model = tiny_model()
    assert not Scorer(model).compiled
    assert not Scorer(model, rows=COMPILE_FROM_ROWS - 1).compiled
    assert Scorer(model, rows=COMPILE_FROM_ROWS).compiled
    assert not Scorer(model, rows=COMPILE_FROM_ROWS, compiled=False).compiled
    assert Scorer(model, compiled=True).compiled
    assert not Scorer(model, rows=COMPILE_FROM_ROWS, learning=True).compiled


def test_a_scorer_of_a_network_that_learns_follows_it_and_another_does_not():
    model = randomised(tiny_model())
    x, following, fixed = images(model), Scorer(model, learning=True), Scorer(model)
    before = plain(model, x)
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(1.1)
    after = plain(model, x)
    assert (after - before).abs().min() > 0.01
    torch.testing.assert_close(following.class_log_prob(x, 3), after, rtol=1e-12, atol=1e-10)
    torch.testing.assert_close(fixed.class_log_prob(x, 3), before, rtol=1e-12, atol=1e-10)
    assert all(weight.requires_grad for weight in model.parameters())


def test_half_precision_is_the_networks_alone_and_near():
    model = randomised(tiny_model()).float()
    x = images(model).float()
    half, whole = Scorer(model, precision="bf16"), Scorer(model)
    found, expected = half.class_log_prob(x, 3), whole.class_log_prob(x, 3)
    assert {weight.dtype for weight in half.network.parameters()} == {torch.bfloat16}
    assert found.dtype == torch.float32
    assert not torch.equal(found, expected)
    torch.testing.assert_close(found, expected, rtol=0.05, atol=0)
    torch.testing.assert_close(found, found.bfloat16().float(), rtol=2**-8, atol=0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"precision": "float16"}, "precision is 'float16', expected float32 or bf16"),
        ({"precision": "bf16", "learning": True}, "expected float32 for a network whose weights still change"),
        ({"compiled": True, "learning": True}, "expected False for a network whose weights still change"),
    ],
)
def test_what_a_scorer_cannot_be_is_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        Scorer(tiny_model(), **settings)


def test_no_images_have_no_scores():
    model = tiny_model()
    nothing = images(model, 1)[:0]
    assert Scorer(model).class_log_prob(nothing, 3).shape == (0, 3)
    assert Scorer(model).log_prob(nothing, LABEL[:0]).shape == (0,)


def test_a_classifier_asks_a_scorer_for_all_classes_at_once_and_any_density_one_by_one():
    model = randomised(tiny_model())
    x, scorer, asked = images(model), Scorer(model), []
    all_at_once = scorer.class_log_prob
    scorer.class_log_prob = lambda x, num_classes: asked.append(num_classes) or all_at_once(x, num_classes)
    fast, slow = (BayesClassifier(density, torch.zeros(3)).log_prob(x) for density in (scorer, model))
    torch.testing.assert_close(fast, slow, rtol=1e-12, atol=1e-10)
    assert asked == [3]


def test_scores_of_a_reference_network_are_the_plain_ones_by_its_bar(tmp_path):
    if not (SHARED / "reference").is_dir():
        pytest.skip("the reference network is not beside this repository, in ../shared")
    path = tmp_path / "best.safetensors"
    course = SHARED / "reference/input_add_conditional_pixelcnn.pth"
    checkpoint.save(import_course_network(course, image_size=None, class_names=()), path)
    trained = checkpoint.load(path)
    preprocessing = dataclasses.asdict(trained.preprocessing)
    source = DataConfig(source=f"csv:{SHARED / 'data/cpen455'}", class_names=trained.class_names, **preprocessing)
    split = load_data(source).split("validation")
    classifiers = (
        BayesClassifier(density, trained.log_prior) for density in (Scorer(trained.network), trained.network)
    )
    fast, slow = (score(classifier.log_prob, split.pixels[:24], 256) for classifier in classifiers)  # (24, 4)
    between = [scores[:, :, None] - scores[:, None, :] for scores in (fast, slow)]
    assert (between[0] - between[1]).abs().quantile(0.99) < 0.5  # nat
    bits = [bits_per_dim(-scores, trained.network.config.dims).mean() for scores in (fast, slow)]
    assert abs(bits[0] - bits[1]) < 0.002
