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

from pixelbayes import checkpoint
from pixelbayes.course import import_course_network
from pixelbayes.data import DataConfig, load_data
from pixelbayes.inference import BayesClassifier, Scorer, score
from pixelbayes.inference import scoring as scoring_module
from pixelbayes.inference.scoring import COMPILE_FROM_ROWS, bytes_of_row
from pixelbayes.likelihood import bits_per_dim
from pixelbayes.pixels import to_x

SHARED = Path(__file__).parents[3] / "shared"
LABEL = torch.tensor([0, 2, 1, 1, 0])


def images(model, batch=5):
    return to_x(random_images(batch, model.config), model.config.levels, torch.float64)


def plain(model, x):
    """Every class, (B, Y), by the network itself, a pass for each."""
    with torch.no_grad():
        return torch.stack([model.log_prob(x, torch.full((len(x),), c)) for c in range(model.config.num_classes)], dim=1)


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
        taken = {part.untyped_storage()._cdata for part in tree_leaves((args, kwargs)) if isinstance(part, torch.Tensor)}
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
@pytest.mark.parametrize("fusion", ["film", "adaln", "cross-attention", "one-hot-map+film+bottleneck+output-add", "none"])
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_no_more_memory_is_used_than_was_said_for_the_rows(sizes, fusion, dtype):
    model = tiny_model(fusion, image_size=(16, 24), **sizes).to(dtype)
    x, scorer = images(model, 8).to(dtype), Scorer(model)
    with LiveBytes() as memory:
        scorer.class_log_prob(x, 3)
    rows = math.prod(scorer.chunk(x.device, 3))
    assert rows == 24
    assert memory.peak <= rows * bytes_of_row(scorer.network)
