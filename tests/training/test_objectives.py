import math

import pytest
import torch
from networks import random_images, randomised, tiny_model
from runs import tiny_images, tiny_module

from pixelbayes.data import AugmentationConfig
from pixelbayes.images.pixels import to_x
from pixelbayes.images.views import apply_view
from pixelbayes.models.fusion import FUSIONS
from pixelbayes.training.batches import ShuffledBatches
from pixelbayes.training.fit import fit
from pixelbayes.training.objectives import Batch, HybridLoss, classification_loss, likelihood_loss
from pixelbayes.utils.randomness import Key

DIMS = 3 * 8 * 12
PRIOR = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64).log()


def key_of(index, step=0):
    return Key.of(0, "training", step, torch.tensor(index))


def random_batch(label, seed=2):
    return Batch(random_images(len(label), tiny_model().config, seed=seed), torch.tensor(label))


def hybrid_loss(weight=0.3, temperature=7.0):
    return HybridLoss(weight, temperature, PRIOR).double()


# likelihood


def loss_and_gradient(network, index, step=0):
    """The likelihood loss of some of four images, with dropout, and its gradient."""
    batch = random_batch([0, 1, 2, -1])
    loss = likelihood_loss(network, Batch(batch.pixels[index], batch.label[index]), key_of(index, step))
    gradient = torch.autograd.grad(loss, list(network.parameters()), materialize_grads=True)
    return loss.detach(), torch.cat([part.flatten() for part in gradient])


@pytest.mark.parametrize("fusion", FUSIONS)
def test_the_gradient_of_an_image_does_not_depend_on_its_batch(fusion):
    network = randomised(tiny_model(fusion))
    _, together = loss_and_gradient(network, [2, 0, 3])
    alone = [loss_and_gradient(network, [index])[1] for index in (0, 2, 3)]
    torch.testing.assert_close(together, sum(alone) / 3)


def test_dropout_changes_with_the_step():
    network = randomised(tiny_model())
    first, again, later = (loss_and_gradient(network, [0, 1], step)[0] for step in (0, 0, 1))
    assert first == again
    assert first != later


def test_the_likelihood_loss_without_dropout_is_the_mean_nll_in_bits_per_dimension():
    network = randomised(tiny_model(dropout=0.0))
    batch = random_batch([0, 1, 2, -1])
    nll = -network.log_prob(to_x(batch.pixels, 5, torch.float64), batch.label).mean()
    loss, _ = loss_and_gradient(network, [0, 1, 2, 3])
    torch.testing.assert_close(loss, nll.detach() / (DIMS * math.log(2)))


# training batches


def test_each_step_of_a_run_has_its_own_images_and_a_key_of_seed_step_and_image(tmp_path):
    seen = []

    def objective(network, batch, key):
        seen.append((batch, key))
        return likelihood_loss(network, batch, key)

    module = tiny_module(objective)
    fit(module, tmp_path)
    train = module.data.split("train")
    assert len(seen) == 6
    for step, (batch, key) in enumerate(seen):
        index = next(iter(ShuffledBatches(10, 4, seed=0, step=lambda step=step: step)))
        assert torch.equal(batch.pixels, train.pixels[index])
        assert torch.equal(batch.label, train.labels[index])
        assert torch.equal(key.state, key_of(index.tolist(), step).state)


def training_batch(network, augmentation=None, **settings):
    """A batch of 40 training images, and the same images without augmentation."""
    module = tiny_module(network=network, data=tiny_images(train=40), **settings)
    module.augmentation = augmentation or module.augmentation
    index = torch.arange(40)
    return module.training_batch(index), module.train_pixels[index]


def test_each_image_has_a_random_view_and_the_network_is_conditioned_on_it():
    batch, pixels = training_batch(tiny_model(views=4))
    assert torch.equal(batch.pixels, apply_view(pixels, batch.view))
    assert set(batch.view.tolist()) == {0, 1, 2, 3}


def test_a_network_can_be_conditioned_on_whether_an_image_was_augmented():
    noise = AugmentationConfig(noise=0.5, share=0.5)
    batch, pixels = training_batch(tiny_model(views=2, condition_on_augmentation=True), noise)
    unchanged = (batch.pixels == apply_view(pixels, batch.view % 2)).flatten(1).all(dim=1)
    assert torch.equal(unchanged, batch.view < 2)
    assert set(batch.view.tolist()) == {0, 1, 2, 3}


def test_with_clean_likelihood_a_batch_has_the_images_without_augmentation_in_the_same_view():
    hybrid = {"classification_weight": 1.0, "clean_likelihood": True}
    batch, pixels = training_batch(tiny_model(views=2), AugmentationConfig(noise=0.5), **hybrid)
    assert torch.equal(batch.clean.pixels, apply_view(pixels, batch.view))
    assert torch.equal(batch.clean.view, batch.view)
    assert torch.equal(batch.clean.label, batch.label)
    assert not torch.equal(batch.clean.pixels, batch.pixels)


def test_label_dropout_hides_the_labels_of_a_fraction_of_the_images():
    batch, _ = training_batch(tiny_model(), label_dropout=0.5)
    hidden = batch.label == -1
    assert 10 < hidden.sum() < 30
    assert torch.equal(batch.label[~hidden], (torch.arange(40) % 3)[~hidden])


# hybrid objective


def test_the_hybrid_loss_is_bits_per_dimension_plus_the_weighted_cross_entropy_of_the_posterior():
    network, batch = randomised(tiny_model(dropout=0.0)), random_batch([2, 0])
    x = to_x(batch.pixels, 5, torch.float64)
    log_prob = torch.stack([network.log_prob(x, torch.full((2,), label)) for label in range(3)], dim=1)
    own = log_prob[[0, 1], batch.label].mean()
    cross_entropy = -(log_prob / 7 + PRIOR).log_softmax(dim=1)[[0, 1], batch.label].mean()
    loss, bits = hybrid_loss(weight=0.3, temperature=7.0)(network, batch, key_of([0, 1]))
    torch.testing.assert_close(bits, -own / (DIMS * math.log(2)))
    torch.testing.assert_close(loss, bits + 0.3 * cross_entropy)


def test_an_image_without_a_label_contributes_its_marginal_likelihood_only():
    network, batch = randomised(tiny_model(dropout=0.0)), random_batch([-1])
    x = to_x(batch.pixels, 5, torch.float64)
    log_prob = torch.stack([network.log_prob(x, torch.tensor([label])) for label in range(3)], dim=1)
    loss, bits = hybrid_loss()(network, batch, key_of([0]))
    torch.testing.assert_close(bits, -(log_prob + PRIOR).logsumexp(1).mean() / (DIMS * math.log(2)))
    assert loss == bits


def test_the_auxiliary_head_adds_its_weighted_cross_entropy_to_both_objectives():
    network = randomised(tiny_model("class-head", dropout=0.0, auxiliary_head=True))
    batch = random_batch([2, 0, -1])
    x = to_x(batch.pixels, 5, torch.float64)
    logits = network.outputs(x, batch.label).class_logits
    expected = -logits.log_softmax(dim=1)[[0, 1], [2, 0]].sum() / 3  # an image without a label contributes 0
    loss, bits = likelihood_loss(network, batch, key_of([0, 1, 2]), auxiliary_weight=0.4)
    torch.testing.assert_close(bits, -network.log_prob(x, batch.label).mean() / (DIMS * math.log(2)))
    torch.testing.assert_close(loss, bits + 0.4 * expected)
    with_head, without = (
        HybridLoss(0.3, 7.0, PRIOR, weight).double()(network, batch, key_of([0, 1, 2]))[0] for weight in (0.4, 0.0)
    )
    torch.testing.assert_close(with_head - without, 0.4 * expected)


def test_soft_targets_take_the_place_of_the_labels_in_the_classification_terms():
    logits, target = torch.tensor([[1.0, 0.0, -1.0]]), torch.tensor([[0.2, 0.5, 0.3]])
    batch = random_batch([0])
    torch.testing.assert_close(classification_loss(logits, batch), -logits.log_softmax(dim=1)[0, 0])
    expected = -(target * logits.log_softmax(dim=1)).sum()
    torch.testing.assert_close(classification_loss(logits, batch._replace(target=target)), expected)


def test_the_hybrid_loss_disables_context_dropout():
    batch, key = random_batch([0, 1]), key_of([0, 1])
    whole, masked = (randomised(tiny_model(dropout=0.3, context_dropout=p)) for p in (0.0, 0.5))
    for clean in (None, random_batch([0, 1], seed=3)):
        assert torch.equal(*(hybrid_loss()(network, batch._replace(clean=clean), key) for network in (whole, masked)))
    assert not torch.equal(*(likelihood_loss(network, batch, key) for network in (whole, masked)))


def test_the_hybrid_loss_takes_the_likelihood_from_clean_images_and_the_posterior_from_augmented_ones():
    network, key = randomised(tiny_model(dropout=0.0)), key_of([0, 1])
    augmented, clean = random_batch([2, 0], seed=3), random_batch([2, 0], seed=4)
    both = augmented._replace(clean=clean)
    loss, bits = hybrid_loss()(network, both, key)
    (augmented_loss, augmented_bits), (_, clean_bits) = (
        hybrid_loss()(network, each, key) for each in (augmented, clean)
    )
    torch.testing.assert_close(bits, clean_bits)
    torch.testing.assert_close(loss - bits, augmented_loss - augmented_bits)
    torch.testing.assert_close(hybrid_loss().likelihood_only(network, both, key), likelihood_loss(network, clean, key))


def test_the_temperature_is_learned_saved_with_the_state_and_recorded_in_the_history(tmp_path):
    hybrid = {"classification_weight": 1.0, "classification_temperature": 5.0}
    module, gradients = tiny_module(**hybrid), []
    module.objective.register_forward_pre_hook(lambda objective, _: gradients.append(objective.log_temperature.grad))
    recorded = [row["train/temperature"] for row in fit(module, tmp_path)]
    assert len({5.0, *recorded}) == 3
    assert recorded[-1] == module.objective.temperature
    assert gradients == [None] * 6  # reset after each of 6 steps
    resumed = tiny_module(**hybrid)
    resumed.load_state_dict(torch.load(tmp_path / "resume.ckpt", weights_only=False)["state_dict"])
    assert resumed.objective.temperature == pytest.approx(recorded[-1], rel=1e-6)  # read in float32


def test_the_history_of_a_hybrid_run_has_bits_per_dimension_not_the_loss(tmp_path):
    settings = {"learning_rate": 1e-12, "epochs": 1}
    (likelihood,) = fit(tiny_module(**settings), tmp_path / "likelihood")
    (hybrid,) = fit(tiny_module(**settings, classification_weight=3.0), tmp_path / "hybrid")
    assert hybrid["train/bits_per_dim"] == pytest.approx(likelihood["train/bits_per_dim"], rel=1e-9)


def test_epochs_before_classification_start_train_on_the_likelihood_only(tmp_path):
    (likelihood,) = fit(tiny_module(epochs=1, schedule="constant"), tmp_path / "likelihood")
    hybrid = {"classification_weight": 5.0, "classification_start": 0.5}
    first, second = fit(tiny_module(schedule="constant", **hybrid), tmp_path / "hybrid")
    same = ("train/bits_per_dim", "val/bits_per_dim", "val/accuracy")
    assert [first[name] for name in same] == [likelihood[name] for name in same]
    assert first["train/temperature"] == pytest.approx(tiny_model().config.image_shape.dims / 40)
    assert second["train/temperature"] != first["train/temperature"]
