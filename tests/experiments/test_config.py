"""The config of a run, and the network that it starts from."""

from dataclasses import replace

import pytest
import torch
from networks import random_images, randomised, tiny_model
from runs import CLASSES, tiny_images

from pixelbayes.checkpoints import checkpoint
from pixelbayes.checkpoints.trained import TrainedPixelCNN
from pixelbayes.data import AugmentationConfig
from pixelbayes.experiments import ExperimentConfig, build_network
from pixelbayes.images.pixels import to_x
from pixelbayes.images.preprocessing import Preprocessing
from pixelbayes.models.fusion import Condition
from pixelbayes.models.pixelcnn import Architecture
from pixelbayes.training import TrainingConfig
from pixelbayes.utils.errors import InputError

PREPROCESSING = Preprocessing(image_shape=tiny_model().config.image_shape)


def save(network, class_names, folder):
    trained = TrainedPixelCNN(network=network, class_names=class_names, preprocessing=PREPROCESSING, prior=(1 / 3,) * 3)
    checkpoint.save(trained, folder / "before.safetensors")


def save_randomised(folder, fusion="film", **changes):
    network = randomised(tiny_model(fusion, **changes))
    save(network, CLASSES, folder)
    return network


def initial_network(folder, fusion="film", **changes):
    model = Architecture(fusion=fusion, num_filters=4, num_mixtures=2)
    config = ExperimentConfig(
        augmentation=AugmentationConfig(flip=0.5, share=0.5),
        model=replace(model, **changes),
        training=TrainingConfig(init_from=str(folder / "before.safetensors")),
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
        {"views": 2, "condition_on_augmentation": True},
    ],
)
def test_a_run_can_start_with_the_density_of_another(fusion, changes, tmp_path):
    before = save_randomised(tmp_path, fusion)
    after = initial_network(tmp_path, fusion, **changes).double()
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
        ({"views": 4}, {"views": 2}, "views"),  # the numbers of the views would have another meaning
        ({"views": 2}, {}, "views"),
        ({"views": 2}, {"views": 2, "condition_on_augmentation": True}, "condition_on_augmentation"),
    ],
)
def test_a_network_of_another_architecture_is_rejected(before, after, changed, tmp_path):
    save_randomised(tmp_path, **before)
    with pytest.raises(InputError, match=rf"before.safetensors: its network has other values of {changed}$"):
        initial_network(tmp_path, **after)


def test_a_network_of_other_classes_is_rejected(tmp_path):
    save(tiny_model(), ("a", "b", "c"), tmp_path)
    with pytest.raises(InputError, match="its classes are a, b, c, not those of tiny"):
        initial_network(tmp_path)


def test_conditioning_on_augmentation_needs_augmented_and_clean_images():
    model = Architecture(condition_on_augmentation=True)
    for augmentation, share in ((AugmentationConfig(), "no"), (AugmentationConfig(flip=0.5), "all")):
        with pytest.raises(InputError, match=f"condition_on_augmentation is true, but {share} images are augmented"):
            ExperimentConfig(model=model, augmentation=augmentation)
    ExperimentConfig(model=model, augmentation=AugmentationConfig(flip=0.5, share=0.5))


def test_context_dropout_needs_epochs_on_the_likelihood_only():
    model = Architecture(context_dropout=0.5)
    with pytest.raises(InputError, match="context_dropout needs epochs that train on the likelihood only"):
        ExperimentConfig(model=model, training=TrainingConfig(classification_weight=1.0))
    ExperimentConfig(model=model, training=TrainingConfig(classification_weight=1.0, classification_start=0.5))


def test_a_teacher_needs_a_term_of_the_loss_that_uses_it():
    with pytest.raises(InputError, match="teacher is given, but no term of the loss uses it"):
        ExperimentConfig(training=TrainingConfig(teacher=("runs/cnn",)))
    ExperimentConfig(training=TrainingConfig(teacher=("runs/cnn",), classification_weight=1.0))
    late = Architecture(fusion="class-head", evidence_channels=8, auxiliary_head=True)
    ExperimentConfig(model=late, training=TrainingConfig(teacher=("runs/cnn",)))


def test_the_initial_weights_are_a_function_of_the_seed():
    data = tiny_images()
    first, same, other = (build_network(ExperimentConfig(seed=seed), data).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(first[name], same[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)
