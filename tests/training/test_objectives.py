import math
from dataclasses import replace

import pytest
import torch
from networks import random_images, randomised, tiny_model
from runs import tiny_module

from pixelbayes.data import AugmentationConfig
from pixelbayes.experiments import ExperimentConfig
from pixelbayes.images.pixels import to_x
from pixelbayes.images.views import turned
from pixelbayes.models.fusion import FUSIONS
from pixelbayes.models.pixelcnn import Architecture
from pixelbayes.training import TrainingConfig
from pixelbayes.training.batches import ShuffledBatches
from pixelbayes.training.fit import fit
from pixelbayes.training.objectives import Batch, Hybrid, class_log_prob, generative, own_log_prob
from pixelbayes.utils.errors import InputError
from pixelbayes.utils.randomness import Key


def loss_and_gradient(network, index, step=0):
    """Of the objective on some of four images, dropout included."""
    pixels, label = random_images(4, network.config), torch.tensor([0, 1, 2, -1])
    loss = generative(network, Batch(pixels[index], label[index]), Key.of(0, "training", step, index))
    gradient = torch.autograd.grad(loss, list(network.parameters()), materialize_grads=True)
    return loss.detach(), torch.cat([part.flatten() for part in gradient])


@pytest.mark.parametrize("fusion", FUSIONS)
def test_an_image_has_the_same_gradient_in_whatever_batch_it_is(fusion):
    network = randomised(tiny_model(fusion))
    _, together = loss_and_gradient(network, torch.tensor([2, 0, 3]))
    alone = [loss_and_gradient(network, torch.tensor([index]))[1] for index in (0, 2, 3)]
    torch.testing.assert_close(together, sum(alone) / 3)


def test_dropout_changes_with_the_step():
    network, index = randomised(tiny_model()), torch.tensor([0, 1])
    assert loss_and_gradient(network, index, step=0)[0] == loss_and_gradient(network, index, step=0)[0]
    assert loss_and_gradient(network, index, step=0)[0] != loss_and_gradient(network, index, step=1)[0]


def test_without_dropout_it_is_the_mean_nll_in_bits_per_dimension():
    network, index = randomised(tiny_model(dropout=0.0)), torch.arange(4)
    x = to_x(random_images(4, network.config), 5, torch.float64)
    nll = -network.log_prob(x, torch.tensor([0, 1, 2, -1])).mean()
    loss, _ = loss_and_gradient(network, index)
    torch.testing.assert_close(loss, nll.detach() / (3 * 8 * 12 * math.log(2)))


def test_training_gives_each_step_its_own_images_and_a_key_of_seed_step_and_image(tmp_path):
    seen = []

    def objective(network, batch, key):
        seen.append((batch, key))
        return generative(network, batch, key)

    module = tiny_module(objective)
    fit(module, tmp_path, {})
    train = module.data.split("train")
    assert len(seen) == 6
    for step, (batch, key) in enumerate(seen):
        index = next(iter(ShuffledBatches(10, 4, seed=0, step=lambda step=step: step)))
        assert torch.equal(batch.pixels, train.pixels[index])
        assert torch.equal(batch.label, train.labels[index])
        assert torch.equal(key.state, Key.of(0, "training", step, index).state)


# views and changes that the network is told of


def batches_of(tmp_path, network, augmentation=AugmentationConfig(), **changes):  # noqa: B008 (it is frozen)
    """Every batch of a run of two epochs, with the training images it was made of."""
    seen = []

    def objective(network, batch, key):
        seen.append(batch)
        return own_log_prob(network, batch, key).mean() * 0

    module = tiny_module(objective, network=network, **changes)
    module.augmentation = augmentation
    fit(module, tmp_path, {})
    pixels = module.data.split("train").pixels
    indices = [next(iter(ShuffledBatches(10, 4, seed=0, step=lambda step=step: step))) for step in range(6)]
    return [(batch, pixels[index]) for batch, index in zip(seen, indices, strict=True)]


def test_a_network_of_views_is_told_how_each_image_was_turned(tmp_path):
    views = []
    for batch, pixels in batches_of(tmp_path, tiny_model(views=4)):
        assert torch.equal(batch.pixels, turned(pixels, batch.view))
        views += batch.view.tolist()
    assert set(views) == {0, 1, 2, 3}


def test_a_network_that_is_told_of_changes_knows_the_images_that_stayed_clean(tmp_path):
    noise = AugmentationConfig(noise=0.5, share=0.5)
    told = []
    for batch, pixels in batches_of(tmp_path, tiny_model(views=2, tell_changed=True), noise):
        same = (batch.pixels == turned(pixels, batch.view % 2)).flatten(1).all(dim=1)
        assert torch.equal(same, batch.view < 2)
        told += batch.view.tolist()
    assert set(told) == {0, 1, 2, 3}


def test_the_likelihood_may_be_of_clean_images_and_the_posterior_of_changed_ones(tmp_path):
    config = {"posterior_weight": 1.0, "clean_likelihood": True}
    for batch, pixels in batches_of(tmp_path, tiny_model(views=2), AugmentationConfig(noise=0.5), **config):
        assert torch.equal(batch.clean.pixels, turned(pixels, batch.view))
        assert torch.equal(batch.clean.view, batch.view)
        assert not torch.equal(batch.clean.pixels, batch.pixels)
    network, key = randomised(tiny_model(dropout=0.0)), key_of([0, 1])
    changed, clean = (Batch(random_images(2, network.config, seed=seed), torch.tensor([2, 0])) for seed in (3, 4))
    loss, bits = Hybrid(0.3, 7.0, PRIOR).double()(network, changed._replace(clean=clean), key)
    (other, own), (_, expected) = (Hybrid(0.3, 7.0, PRIOR).double()(network, batch, key) for batch in (changed, clean))
    torch.testing.assert_close(bits, expected)
    torch.testing.assert_close(loss - bits, other - own)


# the hybrid objective

PRIOR = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64).log()


def test_the_hybrid_is_bits_per_dimension_plus_the_weighted_surprise_of_the_posterior():
    network, pixels = randomised(tiny_model(dropout=0.0)), random_images(2, tiny_model().config)
    label = torch.tensor([2, 0])
    x = to_x(pixels, 5, torch.float64)
    log_prob = torch.stack([network.log_prob(x, torch.full((2,), c)) for c in range(3)], dim=1)
    own = log_prob[[0, 1], label].mean()
    surprise = -(log_prob / 7 + PRIOR).log_softmax(dim=1)[[0, 1], label].mean()
    loss, bits = Hybrid(0.3, 7.0, PRIOR).double()(network, Batch(pixels, label), key_of([0, 1]))
    torch.testing.assert_close(bits, -own / (3 * 8 * 12 * math.log(2)))
    torch.testing.assert_close(loss, bits + 0.3 * surprise)


def test_an_image_without_a_label_counts_by_its_mixture_alone():
    network, pixels = randomised(tiny_model(dropout=0.0)), random_images(1, tiny_model().config)
    log_prob = class_log_prob(network, Batch(pixels, torch.tensor([-1])), 3, key_of([0]))
    loss, bits = Hybrid(0.3, 7.0, PRIOR).double()(network, Batch(pixels, torch.tensor([-1])), key_of([0]))
    torch.testing.assert_close(bits, -(log_prob + PRIOR).logsumexp(1).mean() / (3 * 8 * 12 * math.log(2)))
    assert loss == bits


def test_all_classes_of_an_image_meet_the_same_dropout_masks():
    network = randomised(tiny_model("none", dropout=0.5))  # whom no label reaches: only masks could differ
    batch = Batch(random_images(2, network.config), torch.tensor([0, 1]))
    log_prob = class_log_prob(network, batch, 3, key_of([0, 1]))
    torch.testing.assert_close(log_prob, log_prob[:, :1].expand(-1, 3))
    assert not torch.equal(log_prob, class_log_prob(network, batch, 3, key_of([2, 3])))


def test_the_posterior_is_learnt_of_whole_images():
    batch = Batch(random_images(2, tiny_model().config), torch.tensor([0, 1]))
    whole, hiding = (randomised(tiny_model(dropout=0.3, context_dropout=rate)) for rate in (0.0, 0.5))
    for clean in (None, Batch(random_images(2, whole.config, seed=3), batch.label)):
        seen = batch._replace(clean=clean)
        assert torch.equal(*(Hybrid(0.3, 7.0, PRIOR).double()(each, seen, key_of([0, 1])) for each in (whole, hiding)))
    assert not torch.equal(*(generative(each, batch, key_of([0, 1])) for each in (whole, hiding)))


def test_context_dropout_wants_epochs_of_likelihood_alone():
    hiding, training = Architecture(context_dropout=0.5), TrainingConfig(posterior_weight=1.0, epochs=4)
    with pytest.raises(InputError, match=r"context_dropout is for epochs of likelihood alone.*posterior_from"):
        ExperimentConfig(model=hiding, training=training)
    ExperimentConfig(model=hiding, training=replace(training, posterior_from=0.5))
    ExperimentConfig(model=hiding)


def test_the_temperature_is_learnt_kept_with_the_state_and_told_in_the_history(tmp_path):
    module = tiny_module(posterior_weight=1.0, posterior_temperature=5.0)
    rows = fit(module, tmp_path, {})
    told = [row["train/temperature"] for row in rows]
    assert len({5.0, *told}) == 3
    assert told[-1] == module.objective.temperature
    assert module.objective.log_temperature.grad is None  # no step adds to the gradient of the one before
    again = tiny_module(posterior_weight=1.0, posterior_temperature=5.0, epochs=3)
    again.load_state_dict(torch.load(tmp_path / "resume.ckpt", weights_only=False)["state_dict"])
    assert again.objective.temperature == pytest.approx(told[-1], rel=1e-6)  # read in float32


def test_the_history_of_a_hybrid_run_tells_bits_per_dimension_and_not_the_loss(tmp_path):
    plain = fit(tiny_module(learning_rate=1e-12), tmp_path / "plain", {})
    hybrid = fit(tiny_module(learning_rate=1e-12, posterior_weight=3.0), tmp_path / "hybrid", {})
    assert hybrid[0]["train/bits_per_dim"] == pytest.approx(plain[0]["train/bits_per_dim"], rel=1e-9)


def test_the_posterior_may_count_after_epochs_of_likelihood_alone(tmp_path):
    (plain, _), (hybrid, later) = (
        fit(tiny_module(**settings), tmp_path / str(len(settings)), {})
        for settings in ({}, {"posterior_weight": 5.0, "posterior_from": 0.5})
    )
    same = ("train/bits_per_dim", "val/bits_per_dim", "val/accuracy")
    assert [hybrid[name] for name in same] == [plain[name] for name in same]
    assert hybrid["train/temperature"] == pytest.approx(60.0)
    assert later["train/temperature"] != hybrid["train/temperature"]


def test_epochs_of_likelihood_alone_see_clean_images_where_the_likelihood_does():
    network = randomised(tiny_model(dropout=0.0))
    changed, clean = (Batch(random_images(2, network.config, seed=seed), torch.tensor([2, 0])) for seed in (3, 4))
    found = Hybrid(0.3, 7.0, PRIOR).double().generative(network, changed._replace(clean=clean), key_of([0, 1]))
    torch.testing.assert_close(found, generative(network, clean, key_of([0, 1])))


@pytest.mark.parametrize(
    "settings",
    [
        {"posterior_weight": -1},
        {"posterior_from": 0.5},
        {"posterior_weight": 1, "posterior_from": 1.0},
        {"posterior_temperature": 0},
        {"posterior_weight": 1, "label_dropout": 0.1},
    ],
)
def test_a_hybrid_that_makes_no_sense_is_refused(settings):
    with pytest.raises(InputError, match="posterior"):
        TrainingConfig(**settings)


def key_of(index):
    return Key.of(0, "training", 0, torch.tensor(index))


def test_being_told_of_changes_wants_images_of_both_kinds():
    told = Architecture(tell_changed=True)
    for augmentation in (AugmentationConfig(), AugmentationConfig(flip=0.5)):
        with pytest.raises(InputError, match=r"tell_changed is true, but augmentation changes (no|all) images"):
            ExperimentConfig(model=told, augmentation=augmentation)
    ExperimentConfig(model=told, augmentation=AugmentationConfig(flip=0.5, share=0.5))
