from copy import deepcopy
from dataclasses import replace
from functools import cache

import pytest
import torch
from networks import random_images, randomised, tiny_model

from pixelbayes.checkpoints.calibration_record import CalibrationRecord
from pixelbayes.checkpoints.checkpoint import load, save
from pixelbayes.checkpoints.merging import average_weights, check_compatible, make_ensemble
from pixelbayes.checkpoints.provenance import AveragedNetwork, Provenance
from pixelbayes.checkpoints.trained import Ensemble, TrainedPixelCNN
from pixelbayes.images.pixels import to_x
from pixelbayes.images.preprocessing import Preprocessing
from pixelbayes.utils.errors import InputError


def moved(network, seed):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in network.parameters():
            weight.add_(torch.randn(weight.shape, generator=generator).to(weight), alpha=0.1)
    return network


@cache
def trained(seed=0, fusion="film", **changes):
    """A network with random weights, which differ between seeds; it must not be changed."""
    network = moved(randomised(tiny_model(fusion, **changes)), seed).float().requires_grad_(False).eval()
    return TrainedPixelCNN(
        network=network,
        class_names=("ant", "bee", "cow"),
        preprocessing=Preprocessing(image_shape=network.config.image_shape),
        prior=(0.5, 0.25, 0.25),
        provenance=Provenance(
            command=f"pixelbayes train --seed {seed}", epoch=3, config={"data": {"split_seed": 4}, "seed": seed}
        ),
    )


def record_for(trained):
    return CalibrationRecord(
        temperature=2.0, weights=trained.digest, source="zoo", split="test", data="", n=1, nll_before=2.0, nll_after=1.0
    )


# Averages


@pytest.mark.parametrize("fusion", ["film", "cross-attention", "one-hot-map+film+bottleneck+output-add"])
def test_every_weight_is_the_mean_of_the_corresponding_weights(fusion):
    networks = [trained(seed, fusion) for seed in range(3)]
    mean = average_weights(networks).network.state_dict()
    assert mean.keys() == networks[0].network.state_dict().keys()
    for name, weight in mean.items():
        one, two, three = (each.network.state_dict()[name].double() for each in networks)
        assert torch.equal(weight, ((one + two + three) / 3).float())


def test_the_mean_is_computed_in_double_precision():
    networks = [deepcopy(trained()) for _ in range(3)]
    with torch.no_grad():
        for each, value in zip(networks, (1e8, 1.0, -1e8), strict=True):
            each.network.to_params.bias.fill_(value)
    bias = average_weights(networks).network.to_params.bias
    torch.testing.assert_close(bias, torch.full_like(bias, 1 / 3))


def test_the_mean_of_a_network_with_itself_is_that_network():
    one = trained()
    mean = average_weights([one, one, one])
    x, label = to_x(random_images(3, one.network.config), 5), torch.tensor([0, 1, 2])
    assert torch.equal(mean.network.log_prob(x, label), one.network.log_prob(x, label))
    assert mean.digest == one.digest


def test_averaging_does_not_change_its_inputs():
    networks = [trained(0), trained(1)]
    before = [each.digest for each in networks]
    average_weights(networks)
    assert [each.digest for each in networks] == before


def test_an_average_has_the_provenance_of_its_networks_and_no_calibration(tmp_path):
    one, other = trained(0), trained(1)
    one = replace(one, calibration=record_for(one))
    save(average_weights([one, other]), tmp_path / "mean.safetensors")
    mean = load(tmp_path / "mean.safetensors")
    assert mean.calibration is None
    assert mean.provenance == Provenance(
        averaged=(
            AveragedNetwork(weights=one.digest, command="pixelbayes train --seed 0"),
            AveragedNetwork(weights=other.digest, command="pixelbayes train --seed 1"),
        ),
        config={"data": {"split_seed": 4}},  # images held out from training are held out from evaluation
    )
    assert (mean.class_names, mean.preprocessing, mean.prior) == (one.class_names, one.preprocessing, one.prior)
    assert not mean.network.training


@pytest.mark.parametrize(("known", "of_mean"), [((True, True), True), ((True, False), False), ((True, None), None)])
def test_an_average_knows_the_unconditional_density_if_all_its_networks_do(known, of_mean):
    networks = [replace(trained(seed), provenance=Provenance(without_labels=each)) for seed, each in enumerate(known)]
    assert average_weights(networks).provenance.without_labels is of_mean


def test_networks_with_different_dropout_can_be_averaged():
    mean = average_weights([trained(0, dropout=0.1), trained(1, dropout=0.4)])
    assert mean.network.config.dropout == 0.1


def test_an_imported_network_without_a_config_can_be_averaged_with_a_run():
    run = trained(1)
    mean = average_weights([replace(trained(0), provenance=Provenance(imported_from="course.pth")), run])
    assert mean.provenance.averaged[0].command == ""
    assert mean.provenance.data == run.provenance.data


@pytest.mark.parametrize("count", [0, 1])
def test_an_average_needs_two_networks(count):
    with pytest.raises(InputError, match=f"averaging needs two or more networks, but there is {count}"):
        average_weights([trained()] * count)


# Compatibility


DIFFERENT = {
    "class_names": {"class_names": ("ant", "bee", "cat")},
    "preprocessing.resize": {
        "preprocessing": Preprocessing(image_shape=tiny_model().config.image_shape, resize="squash")
    },
    "prior": {"prior": (0.25, 0.5, 0.25)},
    "data.split_seed": {"provenance": Provenance(config={"data": {"split_seed": 5}})},
}


@pytest.mark.parametrize("field", DIFFERENT)
@pytest.mark.parametrize("function", [average_weights, make_ensemble, check_compatible])
def test_networks_that_differ_are_rejected_with_their_names_and_the_field(function, field):
    networks = [trained(), replace(trained(), **DIFFERENT[field])]
    with pytest.raises(InputError, match=rf"^runs/b: differs from runs/a in {field}, so the two cannot be combined$"):
        function(networks, ["runs/a", "runs/b"])
    with pytest.raises(InputError, match=rf"^network 2: differs from network 1 in {field}, so the two"):
        function(networks)


def test_networks_of_different_architecture_make_an_ensemble_but_no_average():
    networks = [trained(), trained(fusion="adaln"), trained(num_filters=6)]
    with pytest.raises(InputError) as error:
        average_weights(networks, ["a", "b", "c"])
    first, second = str(error.value).splitlines()
    assert first.startswith("b: differs from a in model.fusion, ")
    assert second.startswith("c: differs from a in model.num_filters, ")
    ensemble = make_ensemble(networks)
    assert isinstance(ensemble, Ensemble)
    assert ensemble.densities == tuple(networks)
    assert ensemble.num_parameters == sum(each.num_parameters for each in networks)
    assert ensemble.digest.split(", ") == [each.digest for each in networks]
    assert ensemble.provenance.data == networks[0].provenance.data


def test_a_network_that_is_named_twice_is_rejected():
    with pytest.raises(InputError, match=r"^a is named twice; name each network once"):
        average_weights([trained(0), trained(1), trained(0)], ["a", "b", "a"])
