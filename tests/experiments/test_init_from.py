"""Training that goes on from another run's network."""

from dataclasses import replace

import pytest
import torch
from networks import random_images, randomised, tiny_model
from runs import CLASSES, tiny_images

from pixelbayes.checkpoints import checkpoint
from pixelbayes.checkpoints.checkpoint import Checkpoint
from pixelbayes.data import AugmentationConfig
from pixelbayes.experiments import ExperimentConfig, build_network
from pixelbayes.images.pixels import to_x
from pixelbayes.images.preprocessing import Preprocessing
from pixelbayes.models.fusion import Condition
from pixelbayes.models.pixelcnn import Architecture
from pixelbayes.training import TrainingConfig
from pixelbayes.utils.errors import InputError

PREPROCESSING = Preprocessing(image_size=(8, 12), levels=5)


def save(network, class_names, folder):
    kept = Checkpoint(network=network, class_names=class_names, preprocessing=PREPROCESSING, prior=(1 / 3,) * 3)
    checkpoint.save(kept, folder / "before.safetensors")


def trained(folder, fusion="film", **changes):
    network = randomised(tiny_model(fusion, **changes))
    save(network, CLASSES, folder)
    return network


def started(folder, fusion="film", **changes):
    model = Architecture(fusion=fusion, num_filters=4, num_mixtures=2)
    config = ExperimentConfig(
        augmentation=AugmentationConfig(flip=0.5, share=0.5),
        model=replace(model, **changes),
        training=TrainingConfig(start=str(folder / "before.safetensors")),
    )
    return build_network(config, tiny_images())


@pytest.mark.parametrize("fusion", ["film", "film+bottleneck"])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"dropout": 0.2},
        {"context_dropout": 0.5, "context_patch": 2},
        {"views": 4},
        {"views": 2, "tell_changed": True},
    ],
)
def test_a_run_starts_with_the_density_of_another(fusion, changes, tmp_path):
    before = trained(tmp_path, fusion)
    after = started(tmp_path, fusion, **changes).double()
    for name, unchanged in {"dropout": 0.5, "context_dropout": 0.0, "context_patch": 1}.items():
        assert getattr(after.config, name) == changes.get(name, unchanged)
    x = to_x(random_images(4, before.config), 5, torch.float64)
    labels = torch.tensor([0, 1, 2, 0])
    view = torch.arange(4) if "views" in changes else None
    torch.testing.assert_close(after.log_prob(x, Condition(labels, view)), before.log_prob(x, labels))


@pytest.mark.parametrize(
    ("before", "after", "changed"),
    [
        ({}, {"num_filters": 6, "num_mixtures": 3}, "num_filters, num_mixtures"),
        ({"views": 4}, {"views": 2}, "views"),  # a view would change its meaning
        ({"views": 2}, {}, "views"),
        ({"views": 2}, {"views": 2, "tell_changed": True}, "tell_changed"),
    ],
)
def test_a_network_of_another_shape_is_refused(before, after, changed, tmp_path):
    trained(tmp_path, **before)
    with pytest.raises(InputError, match=rf"before.safetensors: its network differs from what was asked in {changed}$"):
        started(tmp_path, **after)


def test_a_network_of_other_classes_is_refused(tmp_path):
    save(tiny_model(), ("a", "b", "c"), tmp_path)
    with pytest.raises(InputError, match="its classes are a, b, c, not those of tiny"):
        started(tmp_path)
