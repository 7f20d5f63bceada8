from dataclasses import replace

import pytest
import torch
from networks import EVERY_FUSION, random_images, randomised, tiny_model

import pixelbayes
from pixelbayes.checkpoints import checkpoint
from pixelbayes.checkpoints.calibration_record import FittedTemperature
from pixelbayes.checkpoints.checkpoint import Checkpoint
from pixelbayes.checkpoints.merging import EnsembleCheckpoint, average_weights, check_alike
from pixelbayes.images.pixels import to_x
from pixelbayes.images.preprocessing import Preprocessing
from pixelbayes.utils.errors import InputError


def moved(network, seed, spread=0.1):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in network.parameters():
            weight.add_(torch.randn(weight.shape, generator=generator).to(weight), alpha=spread)
    return network


def trained(seed=0, fusion="film", **changes):
    network = moved(randomised(tiny_model(fusion, **changes)), seed).float().requires_grad_(False).eval()
    return Checkpoint(
        network=network,
        class_names=("ant", "bee", "cow"),
        preprocessing=Preprocessing(image_size=(8, 12), levels=5),
        prior=(0.5, 0.25, 0.25),
        about={"command": f"pixelbayes train --seed {seed}", "epoch": 3, "experiment": {"data": {"split_seed": 4}}},
    )


def fitted(to):
    return FittedTemperature(
        temperature=2.0, weights=to.digest, source="zoo", split="test", data="", n=1, nll_before=2.0, nll_after=1.0
    )


# weights


@pytest.mark.parametrize("fusion", EVERY_FUSION)
def test_every_weight_is_the_mean_of_its_own(fusion):
    some = [trained(seed, fusion) for seed in range(3)]
    found = average_weights(some).network.state_dict()
    assert found.keys() == some[0].network.state_dict().keys()
    for name, weight in found.items():
        one, two, three = (each.network.state_dict()[name].double() for each in some)
        assert torch.equal(weight, ((one + two + three) / 3).float())


def test_the_mean_is_taken_in_double_precision():
    some = [trained() for _ in range(3)]
    with torch.no_grad():
        for each, value in zip(some, (1e8, 1.0, -1e8), strict=True):
            each.network.to_params.bias.fill_(value)
    bias = average_weights(some).network.to_params.bias
    torch.testing.assert_close(bias, torch.full_like(bias, 1 / 3))


def test_the_mean_of_one_network_with_itself_is_that_network():
    one = trained()
    found = average_weights([one, one, one])
    x, label = to_x(random_images(3, one.network.config), 5), torch.tensor([0, 1, 2])
    assert torch.equal(found.network.log_prob(x, label), one.network.log_prob(x, label))
    assert found.digest == one.digest


def test_what_is_averaged_stays_as_it_was():
    some = [trained(0), trained(1)]
    before = [each.digest for each in some]
    average_weights(some)
    assert [each.digest for each in some] == before


def test_an_average_tells_of_what_it_is_and_has_no_temperature(tmp_path):
    one, other = trained(0), trained(1)
    one = replace(one, calibration=fitted(one))
    checkpoint.save(pixelbayes.average_weights([one, other]), tmp_path / "mean.safetensors")
    found = checkpoint.load(tmp_path / "mean.safetensors")
    assert found.calibration is None
    assert found.about == {
        "averaged": [
            {"weights": one.digest, "command": "pixelbayes train --seed 0"},
            {"weights": other.digest, "command": "pixelbayes train --seed 1"},
        ],
        "experiment": {"data": {"split_seed": 4}},  # what was held out of training is held out of measuring
    }
    assert (found.class_names, found.preprocessing, found.prior) == (one.class_names, one.preprocessing, one.prior)
    assert not found.network.training


def test_networks_of_another_dropout_can_be_averaged():
    found = average_weights([trained(0, dropout=0.1), trained(1, dropout=0.4)])
    assert found.network.config.dropout == 0.1


def test_a_network_of_the_course_which_knows_of_no_split_can_be_averaged_with_a_run():
    run = trained(1)
    found = average_weights([replace(trained(0), about={}), run])
    assert found.about["averaged"][0]["command"] is None
    assert found.about["experiment"] == run.about["experiment"]


@pytest.mark.parametrize("count", [0, 1])
def test_an_average_is_of_two_at_least(count):
    with pytest.raises(InputError, match=f"an average is of two networks or more, and {count} came"):
        average_weights([trained()] * count)


# agreement


def other_split():
    return replace(trained(), about={"experiment": {"data": {"split_seed": 5}}})


DIFFERENT = {
    "class_names": lambda: replace(trained(), class_names=("ant", "bee", "cat")),
    "preprocessing.resize": lambda: replace(
        trained(), preprocessing=Preprocessing(image_size=(8, 12), levels=5, resize="squash")
    ),
    "prior": lambda: replace(trained(), prior=(0.25, 0.5, 0.25)),
    "data.split_seed": other_split,
}


@pytest.mark.parametrize("field", DIFFERENT)
@pytest.mark.parametrize("function", [average_weights, EnsembleCheckpoint.of, check_alike])
def test_networks_that_differ_are_refused_by_name_and_field(function, field):
    with pytest.raises(InputError, match=rf"^runs/b: differs from runs/a in {field}, and the two"):
        function([trained(), DIFFERENT[field]()], ["runs/a", "runs/b"])
    with pytest.raises(InputError, match=rf"^network 2: differs from network 1 in {field}, and the two"):
        function([trained(), DIFFERENT[field]()])


def test_weights_of_another_network_are_refused_and_in_an_ensemble_welcome():
    some = [trained(), trained(fusion="adaln"), trained(num_filters=6)]
    with pytest.raises(InputError) as refused:
        average_weights(some, ["a", "b", "c"])
    first, second = str(refused.value).splitlines()  # a line each
    assert first.startswith("b: differs from a in model.fusion, ")
    assert second.startswith("c: differs from a in model.num_filters, ")
    ensemble = EnsembleCheckpoint.of(some)
    assert ensemble.parameters == sum(each.parameters for each in some)
    assert ensemble.digest.split(", ") == [each.digest for each in some]


def test_a_network_that_is_named_twice_is_refused():
    with pytest.raises(InputError, match=r"^a is named twice; name each network once"):
        average_weights([trained(0), trained(1), trained(0)], ["a", "b", "a"])
