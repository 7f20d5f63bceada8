from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from networks import tiny_model
from runs import tiny_images, tiny_module
from torch.optim.optimizer import register_optimizer_step_post_hook

from pixelbayes.checkpoints import checkpoint
from pixelbayes.training.fit import fit
from pixelbayes.training.module import class_prior
from pixelbayes.training.objectives import likelihood_loss
from pixelbayes.utils.errors import DivergedError
from pixelbayes.utils.run_folder import RunFolder


def test_a_loss_that_is_not_finite_stops_training_and_the_run_can_be_resumed_from_before(tmp_path):
    calls, folder = [], RunFolder(tmp_path)

    def objective(network, batch, key):
        calls.append(1)
        return likelihood_loss(network, batch, key) * (torch.nan if len(calls) == 5 else 1.0)

    with pytest.raises(DivergedError, match="the loss became nan at step 5; the saved weights are from before"):
        fit(tiny_module(objective, checkpoint_minutes=0.0), tmp_path)
    for path in (folder.best, folder.last):
        trained = checkpoint.load(path)
        assert trained.provenance.epoch == 1
        assert all(weight.isfinite().all() for weight in trained.network.parameters())
    (_, row) = fit(tiny_module(checkpoint_minutes=0.0), tmp_path)
    assert row["step"] == 6


def test_a_gradient_that_is_not_finite_stops_training_before_it_changes_the_weights(tmp_path):
    def objective(network, batch, key):
        zero = (next(network.parameters()) * 0).sum()
        return likelihood_loss(network, batch, key) + zero.sqrt()  # adds 0 with an infinite slope

    module = tiny_module(objective)
    with pytest.raises(DivergedError, match=r"the gradient norm became (nan|inf) at step 1"):
        fit(module, tmp_path)
    assert all(weight.isfinite().all() for weight in module.network.parameters())


def test_a_validation_loss_that_is_not_finite_stops_training_before_the_weights_are_saved(tmp_path, monkeypatch):
    module = tiny_module()
    validation_step, calls = module.validation_step, []

    def diverging(*inputs):
        validation_step(*inputs)
        calls.append(1)
        if len(calls) == 4:  # the second of two batches, in the second epoch
            module.validation_metric.update(torch.tensor(torch.inf))

    monkeypatch.setattr(module, "validation_step", diverging)
    with pytest.raises(DivergedError, match="the validation loss became inf at step 6"):
        fit(module, tmp_path)
    assert checkpoint.load(RunFolder(tmp_path).last).provenance.epoch == 1


@pytest.mark.parametrize(("limit", "clipped"), [(0.5, True), (0.0, False)])
def test_the_gradient_is_clipped_to_the_limit(limit, clipped, tmp_path):
    norms = []

    def record(optimizer, *_):
        gradients = [weight.grad for weight in optimizer.param_groups[0]["params"] if weight.grad is not None]
        norms.append(torch.nn.utils.get_total_norm(gradients).item())

    hook = register_optimizer_step_post_hook(record)
    fit(tiny_module(lambda *inputs: 1e3 * likelihood_loss(*inputs), gradient_clip=limit, epochs=1), tmp_path)
    hook.remove()
    assert len(norms) == 3
    if clipped:
        assert norms == pytest.approx([0.5] * 3, rel=1e-4)
    else:
        assert min(norms) > 1


def test_in_bf16_the_network_computes_in_bf16_and_the_likelihood_in_float32(tmp_path):
    dtypes = []

    def objective(network, batch, key):
        x = torch.zeros(2, 3, 8, 12)
        params = network(x)
        dtypes.append((next(network.parameters()).dtype, params.dtype, network.likelihood(params).log_prob(x).dtype))
        return likelihood_loss(network, batch, key)

    module = tiny_module(objective, precision="bf16", epochs=1)
    module.float()
    (row,) = fit(module, tmp_path)
    assert set(dtypes) == {(torch.float32, torch.bfloat16, torch.float32)}
    assert 0 < row["val/bits_per_dim"] < 10


@pytest.fixture(scope="module")
def one_epoch(tmp_path_factory):
    """A run of one epoch in float64: its losses, weights before the first step, history and folder."""
    run = tmp_path_factory.mktemp("one-epoch")
    losses, first = [], []

    def objective(network, batch, key):
        first.append({name: weight.detach().clone() for name, weight in network.named_parameters()})
        losses.append(likelihood_loss(network, batch, key))
        return losses[-1]

    (row,) = fit(tiny_module(objective, epochs=1), run)
    return SimpleNamespace(losses=losses, weights=first[0], row=row, run=run)


def test_float64_trains_in_float64_and_saves_float32(one_epoch):
    assert {loss.dtype for loss in one_epoch.losses} == {torch.float64}
    assert next(checkpoint.load(one_epoch.run).network.parameters()).dtype == torch.float32


def test_the_metrics_of_an_epoch_are_means_over_images_not_over_batches(one_epoch):
    full, also_full, small = one_epoch.losses  # of 4, 4 and 2 images
    expected = (4 * full + 4 * also_full + 2 * small).item() / 10
    assert one_epoch.row["train/bits_per_dim"] == pytest.approx(expected, rel=1e-6)


def test_normalised_weights_are_initialised_from_the_first_batch(one_epoch):
    built = dict(tiny_model().named_parameters())
    assert any(not torch.equal(built[name], weight) for name, weight in one_epoch.weights.items())


def test_weights_without_normalisation_are_not_initialised_from_data(tmp_path):
    built = {name: weight.detach().clone() for name, weight in tiny_model(weight_norm=False).named_parameters()}

    def objective(network, batch, key):
        if module.global_step == 0:
            assert all(torch.equal(built[name], weight) for name, weight in network.named_parameters())
        return likelihood_loss(network, batch, key)

    module = tiny_module(objective, network=tiny_model(weight_norm=False), epochs=1)
    fit(module, tmp_path)


def test_accuracy_is_nan_and_the_best_epoch_has_the_fewest_bits_if_no_validation_image_has_a_label(tmp_path):
    data = tiny_images()
    validation = data.split("validation").unlabelled()
    module = tiny_module(data=replace(data, splits=data.splits | {"validation": validation}), epochs=1)
    (row,) = fit(module, tmp_path)
    assert row["val/accuracy"] != row["val/accuracy"]
    assert 0 < row["val/bits_per_dim"] < 10
    assert checkpoint.load(RunFolder(tmp_path).best).provenance.epoch == 1


def test_the_prior_is_uniform_or_the_class_frequencies_of_the_training_images():
    data = tiny_images(train=10)  # labels 0, 1, 2, 0, ..., 0
    assert class_prior(data, "uniform") == (1 / 3, 1 / 3, 1 / 3)
    assert class_prior(data, "train") == (0.4, 0.3, 0.3)


@pytest.mark.parametrize(("batch_size", "accumulate_grad_batches"), [(1, 4), (3, 2)])
def test_accumulated_batches_train_as_one_batch_of_all_their_images(batch_size, accumulate_grad_batches, tmp_path):
    sizes = []

    def objective(network, batch, key):
        sizes.append(len(batch.pixels))
        return likelihood_loss(network, batch, key)

    outcomes = {}
    for name, settings in (
        ("whole", {"batch_size": batch_size * accumulate_grad_batches}),
        ("parts", {"batch_size": batch_size, "accumulate_grad_batches": accumulate_grad_batches}),
    ):
        sizes.clear()
        module = tiny_module(objective, **settings)
        rows = fit(module, tmp_path / name)
        weights = torch.cat([weight.flatten() for weight in module.parameters()])
        outcomes[name] = weights, rows[-1]["train/bits_per_dim"]
    assert max(sizes) == batch_size
    torch.testing.assert_close(outcomes["parts"], outcomes["whole"])
    assert rows[-1]["step"] == 2 * -(-10 // (batch_size * accumulate_grad_batches))
