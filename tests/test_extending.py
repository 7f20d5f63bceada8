import re
from pathlib import Path
from unittest.mock import patch

import pytest
import test_fusion
import test_model
import torch
from networks import random_images, tiny_model

from pixelbayes.models.fusion import FUSIONS
from pixelbayes.training.objectives import Batch, generative

PAGE = Path(__file__).parents[1] / "docs" / "extending.md"
CLASS, LINE, TRAINING = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
FORMS = ["echo", "echo:mlp=one-hot", "one-hot-map+echo+output-concat"]


@pytest.fixture(autouse=True)
def page():
    """What stands on the page, run as it is; its line holds for the test alone."""
    namespace = {}
    with patch.dict(FUSIONS):
        exec(CLASS + LINE, namespace)
        yield namespace


def test_it_is_one_class_and_one_line_and_not_in_the_package(page):
    assert len(re.findall("^class ", CLASS, re.MULTILINE)) == 1
    assert LINE.strip().splitlines()[-1] == 'FUSIONS["echo"] = Echo'
    assert FUSIONS.pop("echo") is page["Echo"]
    assert page["Echo"] not in FUSIONS.values()


@pytest.mark.parametrize("fusion", FORMS)
@pytest.mark.parametrize(
    "check",
    [
        test_fusion.test_a_door_on_a_crop_gives_the_crop_of_the_whole,
        test_fusion.test_what_depends_on_the_label_alone_is_computed_once_for_each_image,
        test_fusion.test_the_features_of_a_label_do_not_depend_on_the_rest_of_the_batch,
        test_fusion.test_every_weight_of_the_fusion_moves_the_likelihood_and_a_labels_row_that_of_its_label_alone,
        test_fusion.test_no_label_is_a_value_that_can_be_told_or_left_out,
        test_fusion.test_a_network_without_classes_takes_images_without_labels,
        test_model.test_no_image_depends_on_another_of_its_batch,
        test_model.test_an_image_cut_below_keeps_its_parameters,
    ],
)
def test_it_passes_the_checks_of_every_fusion(check, fusion):
    check(fusion)


@pytest.mark.parametrize("fusion", FORMS)
def test_it_is_causal_without_a_blind_spot_and_reads_its_own_label(fusion):
    for size, num_blocks in (((7, 10), 1), ((8, 12), 2)):
        test_model.test_a_pixel_depends_on_all_of_its_past_and_nothing_else(fusion, size, num_blocks)
    for other in (1, -1):
        test_fusion.test_a_pixels_parameters_depend_on_its_own_label_and_no_other_images(fusion, other)
    test_model.test_all_images_have_total_probability_one_under_every_label(fusion, test_model.COUNTABLE[0])


@pytest.mark.parametrize("fusion", ["echo", "echo:mlp=one-hot", "film+echo"])
def test_it_starts_exactly_as_the_unconditional_network(fusion):
    test_fusion.test_training_starts_exactly_as_the_unconditional_network(fusion)


def test_a_few_steps_teach_it_what_the_labels_tell():
    model = tiny_model("echo", dropout=0.0).float()
    label = torch.arange(12) % 3
    pixels = random_images(12, model.config) % 3 + label.view(-1, 1, 1, 1).to(torch.uint8)  # a shade for each class
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    losses = []
    for _ in range(40):
        loss = generative(model, Batch(pixels, label), None)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]
    with torch.no_grad():
        told, mistaken = (generative(model, Batch(pixels, one), None) for one in (label, (label + 1) % 3))
    assert told < mistaken


def test_the_pages_training_call_learns(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(TRAINING, page)
    history = (tmp_path / "runs" / "echo" / "history.csv").read_text(encoding="utf-8").splitlines()
    column = history[0].split(",").index("val/bits_per_dim")
    first, last = (float(row.split(",")[column]) for row in (history[1], history[-1]))
    assert len(history) == 3
    assert last < first
    assert page["figures"]["accuracy"] > 0.2  # well above chance, 0.1
