import math

import pytest
import torch
from networks import random_images, randomised, tiny_model
from runs import tiny_module

from pixelbayes.fusion import FUSIONS
from pixelbayes.pixels import to_x
from pixelbayes.randomness import Key
from pixelbayes.training.batches import ShuffledBatches
from pixelbayes.training.fitting import fit
from pixelbayes.training.objectives import Batch, generative


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
