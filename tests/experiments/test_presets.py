from dataclasses import replace
from pathlib import Path

import pytest
import torch

from pixelbayes.data import DataConfig, ImageData, Split, augment, load_data
from pixelbayes.experiments import build_network
from pixelbayes.experiments.presets import PRESETS
from pixelbayes.images.pixels import to_x
from pixelbayes.images.preprocessing import Preprocessing
from pixelbayes.images.shape import ImageShape
from pixelbayes.models.layers import initialise_from_data
from pixelbayes.training.objectives import Batch, likelihood_loss
from pixelbayes.utils.randomness import Key

REPORTED = {  # REFERENCE: F, nr, K, batch size, epochs
    "report-000": (40, 1, 5, 8, 100),
    "report-001-1": (90, 3, 5, 64, 60),
    "report-001-2": (30, 2, 4, 64, 20),
    "report-001-3": (120, 3, 6, 32, 40),
    "report-001-4": (40, 4, 6, 64, 60),
    "report-001-5": (80, 3, 5, 64, 40),
    "report-001-6": (90, 3, 5, 128, 60),
    "report-001-concat": (90, 3, 5, 64, 60),
    "report-002": (80, 2, 10, 16, 200),
    "report-002-middle": (80, 2, 10, 16, 200),
    "report-003": (40, 1, 5, 16, 100),
    "best-public": (160, 1, 5, 16, 130),
}


@pytest.mark.parametrize("name", REPORTED)
def test_the_preset_of_a_report_has_its_settings(name):
    model, training = PRESETS[name].model, PRESETS[name].training
    found = (model.num_filters, model.num_blocks, model.num_mixtures, training.batch_size, training.epochs)
    assert found == REPORTED[name]


def test_the_presets_are_all_different():
    assert len({repr(config) for config in PRESETS.values()}) == len(PRESETS)


@pytest.mark.parametrize("name", PRESETS)
def test_the_network_of_a_preset_computes_finite_likelihoods_of_photographs(name):
    pixels = torch.randint(256, (8, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    split = Split(pixels, torch.arange(8) % 4, tuple(map(str, range(8))))
    data = ImageData(
        {"train": split}, tuple("abcd"), Preprocessing(image_shape=ImageShape(height=32, width=32)), "random"
    )
    config = PRESETS[name]
    slim = replace(config, model=replace(config.model, num_filters=4, num_mixtures=2))
    network = build_network(slim, data)
    x = pixels.float() / 127.5 - 1
    assert network.log_prob(x, split.labels).isfinite().all()


IMAGES = Path(__file__).parents[3] / "shared" / "data" / "cpen455"


@pytest.fixture(scope="module")
def photographs():
    return load_data(DataConfig(source=f"csv:{IMAGES}", image_size=(32, 32)))


@pytest.mark.slow
@pytest.mark.skipif(not IMAGES.is_dir(), reason=f"needs {IMAGES}")
@pytest.mark.parametrize("name", ["report-000", "report-001-2", "report-003", "report-004", "best"])
def test_the_loss_of_a_preset_falls_on_photographs(name, photographs):
    config = PRESETS[name]
    network = build_network(config, photographs)
    index = torch.arange(4)
    batch = Batch(photographs.split("train").pixels[index], photographs.split("train").labels[index])
    x = to_x(batch.pixels, 256)
    initialise_from_data(network, x, batch.label)
    optimizer = torch.optim.Adam(network.parameters(), lr=config.training.learning_rate)

    def loss_without_dropout():
        with torch.no_grad():
            return -network.log_prob(x, batch.label).mean()

    before = loss_without_dropout()
    for step in range(5):
        key = Key.of(0, "training", step, index)
        pixels = augment(batch.pixels, 256, config.augmentation, key.fold(1))
        optimizer.zero_grad()
        likelihood_loss(network, batch._replace(pixels=pixels), key).reshape(-1)[0].backward()
        optimizer.step()
    assert loss_without_dropout() < before
