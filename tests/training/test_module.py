from dataclasses import replace

import pytest
import torch
from networks import tiny_model
from runs import tiny_images, tiny_module
from torch.optim.optimizer import register_optimizer_step_post_hook

from pixelbayes.checkpoints import checkpoint
from pixelbayes.training.finite_check import EVERY, Watch
from pixelbayes.training.fit import fit
from pixelbayes.training.module import class_prior
from pixelbayes.training.objectives import generative
from pixelbayes.utils.errors import DivergedError


def spoilt(step, value):
    """The objective, with its loss multiplied at one step by `value`."""
    calls = []

    def objective(network, batch, key):
        calls.append(1)
        return generative(network, batch, key) * (value if len(calls) == step else 1.0)

    return objective


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_stops_the_run_at_its_step_and_leaves_the_last_good_weights(value, tmp_path):
    with pytest.raises(DivergedError, match=f"the loss became {value} at step 5; the last good weights are kept"):
        fit(tiny_module(spoilt(5, value), checkpoint_minutes=0.0), tmp_path, {})
    for name in (checkpoint.BEST, checkpoint.LAST):
        kept = checkpoint.load(tmp_path / name)
        assert kept.about["epoch"] == 1
        assert all(weight.isfinite().all() for weight in kept.network.parameters())
    (_, row) = fit(tiny_module(checkpoint_minutes=0.0), tmp_path, {})  # the state is good too: the run can go on
    assert row["step"] == 6


def test_a_gradient_that_is_not_finite_stops_the_run_before_it_reaches_the_weights(tmp_path):
    def objective(network, batch, key):
        loss = generative(network, batch, key)
        first = next(network.parameters())
        return loss + (first * 0).sum().sqrt()  # 0 with an infinite slope

    module = tiny_module(objective)
    with pytest.raises(DivergedError, match=r"the gradient's norm became (nan|inf) at step 1"):
        fit(module, tmp_path, {})
    assert all(weight.isfinite().all() for weight in module.network.parameters())


def test_a_validation_that_is_not_finite_stops_the_run_and_keeps_the_weights_before_it(tmp_path, monkeypatch):
    module = tiny_module()
    validate, calls = module.validation_step, []

    def spoil(*inputs):
        validate(*inputs)
        calls.append(1)
        if len(calls) == 4:  # the second epoch's last batch of two
            module.validation_measure.update(torch.tensor(torch.inf))

    monkeypatch.setattr(module, "validation_step", spoil)
    with pytest.raises(DivergedError, match="the loss on validation became inf at step 6"):
        fit(module, tmp_path, {})
    assert checkpoint.load(tmp_path / checkpoint.LAST).about["epoch"] == 1


@pytest.mark.parametrize(("limit", "clipped"), [(0.5, True), (0.0, False)])
def test_the_gradient_is_clipped_to_the_limit(limit, clipped, tmp_path):
    norms = []

    def note(optimizer, *_):
        gradients = [weight.grad for weight in optimizer.param_groups[0]["params"] if weight.grad is not None]
        norms.append(torch.nn.utils.get_total_norm(gradients).item())

    hook = register_optimizer_step_post_hook(note)
    fit(tiny_module(lambda *inputs: 1e3 * generative(*inputs), gradient_clip=limit, epochs=1), tmp_path, {})
    hook.remove()
    assert len(norms) == 3
    assert all((norm == pytest.approx(0.5, rel=1e-4)) == clipped and (norm > 1) != clipped for norm in norms)


def test_in_bf16_the_network_computes_in_bf16_and_the_likelihood_in_float32(tmp_path):
    dtypes = []

    def objective(network, batch, key):
        x = torch.zeros(2, 3, 8, 12)
        params = network(x)
        dtypes.append((next(network.parameters()).dtype, params.dtype, network.likelihood(params).log_prob(x).dtype))
        return generative(network, batch, key)

    module = tiny_module(objective, precision="bf16", epochs=1)
    module.float()
    (row,) = fit(module, tmp_path, {})
    assert set(dtypes) == {(torch.float32, torch.bfloat16, torch.float32)}
    assert 0 < row["val/bits_per_dim"] < 10


def test_float64_trains_in_float64_and_saves_float32(tmp_path):
    losses = []
    fit(tiny_module(lambda *inputs: losses.append(generative(*inputs)) or losses[-1], epochs=1), tmp_path, {})
    assert {loss.dtype for loss in losses} == {torch.float64}
    assert next(checkpoint.load(tmp_path).network.parameters()).dtype == torch.float32


@pytest.mark.parametrize("weight_norm", [True, False])
def test_weights_are_initialised_from_the_first_batch_where_they_are_normalised(weight_norm, tmp_path):
    starts = []

    def objective(network, batch, key):
        starts.append({name: weight.detach().clone() for name, weight in network.named_parameters()})
        return generative(network, batch, key)

    module = tiny_module(objective, network=tiny_model(weight_norm=weight_norm), epochs=1)
    built = {name: weight.detach().clone() for name, weight in module.network.named_parameters()}
    fit(module, tmp_path, {})
    moved = [name for name in built if not torch.equal(built[name], starts[0][name])]
    assert bool(moved) == weight_norm


def test_an_epochs_figures_are_means_over_images_and_not_over_batches(tmp_path):
    losses = []
    module = tiny_module(lambda *inputs: losses.append(generative(*inputs)) or losses[-1], epochs=1)
    (row,) = fit(module, tmp_path, {})
    expected = (4 * losses[0] + 4 * losses[1] + 2 * losses[2]).item() / 10
    assert row["train/bits_per_dim"] == pytest.approx(expected, rel=1e-6)


def test_accuracy_is_not_a_number_where_no_validation_image_is_labelled(tmp_path):
    data = tiny_images()
    validation = data.split("validation")
    unknown = replace(validation, labels=torch.full_like(validation.labels, -1))
    module = tiny_module(data=replace(data, splits=data.splits | {"validation": unknown}), epochs=1)
    (row,) = fit(module, tmp_path, {})
    assert row["val/accuracy"] != row["val/accuracy"]
    assert 0 < row["val/bits_per_dim"] < 10
    assert checkpoint.load(tmp_path / checkpoint.BEST).about["epoch"] == 1


def test_the_prior_is_uniform_or_the_share_of_each_class_in_training():
    data = tiny_images(train=10)  # labels 0, 1, 2, 0, ..., 0
    assert class_prior(data, "uniform") == (1 / 3, 1 / 3, 1 / 3)
    assert class_prior(data, "train") == (0.4, 0.3, 0.3)


@pytest.mark.parametrize("optimizer", ["adam", "adamw"])
def test_weight_decay_is_decoupled_and_adamws_alone(optimizer, tmp_path):
    decay = 0.1 if optimizer == "adamw" else 0.0
    module = tiny_module(optimizer=optimizer, weight_decay=decay)
    kind = module.configure_optimizers()["optimizer"]
    assert type(kind) is {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[optimizer]
    assert kind.param_groups[0]["weight_decay"] == decay


@pytest.mark.parametrize(("batch_size", "accumulate"), [(2, 2), (1, 4), (3, 2)])
def test_batches_that_add_up_are_one_batch_of_all_their_images(batch_size, accumulate, tmp_path):
    sizes = []

    def objective(network, batch, key):
        sizes.append(len(batch.pixels))
        return generative(network, batch, key)

    runs = {}
    for name, settings in (
        ("whole", {"batch_size": batch_size * accumulate}),
        ("parts", {"batch_size": batch_size, "accumulate": accumulate}),
    ):
        sizes.clear()
        module = tiny_module(objective, **settings)
        rows = fit(module, tmp_path / name, {})
        runs[name] = torch.cat([weight.flatten() for weight in module.parameters()]), rows[-1]["train/bits_per_dim"]
    assert max(sizes) == batch_size
    torch.testing.assert_close(runs["parts"], runs["whole"])
    assert rows[-1]["step"] == 2 * -(-10 // (batch_size * accumulate))


def test_elsewhere_than_on_a_cpu_a_number_that_is_not_finite_is_found_before_anything_is_saved():
    watch = Watch("None may help")
    device = torch.device("meta")
    for step in range(EVERY - 1):
        watch.note("loss", torch.zeros((), device=device), step)  # to look would raise: a meta tensor has no value
    watch.noted = [("loss", 1, torch.tensor(1.0)), ("loss", 2, torch.tensor(torch.inf)), ("loss", 3, torch.tensor(1.0))]
    with pytest.raises(DivergedError, match=r"the loss became inf at step 2; .* None may help"):
        watch.check()
    watch.check()  # told once
