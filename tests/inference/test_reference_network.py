"""The bar for fast scores on a trained network. `test_scoring.py` holds the proofs that need no such network."""

from pathlib import Path

import pytest

from pixelbayes.checkpoints.course_import import import_course_network
from pixelbayes.data import DataConfig, load_data
from pixelbayes.inference import BayesClassifier, Scorer, score
from pixelbayes.models.likelihood import bits_per_dim

SHARED = Path(__file__).parents[3] / "shared"
WEIGHTS = SHARED / "reference" / "input_add_conditional_pixelcnn.pth"
PHOTOGRAPHS = SHARED / "data" / "cpen455"


@pytest.mark.skipif(
    not (WEIGHTS.is_file() and PHOTOGRAPHS.is_dir()),
    reason="the course's trained network and photographs are not in ../shared",
)
def test_fast_scores_of_a_trained_network_stay_within_half_a_nat_and_two_thousandths_of_a_bit():
    trained = import_course_network(WEIGHTS)
    config = DataConfig(source=f"csv:{PHOTOGRAPHS}", class_names=trained.class_names)
    pixels = load_data(config.matching(trained.preprocessing)).split("validation").pixels[:16]
    fast, slow = (
        score(BayesClassifier(density, trained.log_prior).log_prob, pixels, 256)  # (16, 4)
        for density in (Scorer(trained.network), trained.network)
    )
    differences = [scores[:, :, None] - scores[:, None, :] for scores in (fast, slow)]  # between classes
    assert (differences[0] - differences[1]).abs().quantile(0.99) < 0.5  # nat
    bits = [bits_per_dim(-scores, trained.image_shape.dims).mean() for scores in (fast, slow)]
    assert abs(bits[0] - bits[1]) < 0.002
