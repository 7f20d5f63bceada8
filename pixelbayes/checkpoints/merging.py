"""Combines several networks: checks that they are compatible, makes an ensemble, or averages their weights."""

import copy
import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

import torch

from pixelbayes.checkpoints.provenance import AveragedNetwork, Provenance
from pixelbayes.checkpoints.trained import Ensemble, TrainedPixelCNN
from pixelbayes.utils.config_diff import config_differences
from pixelbayes.utils.errors import InputError

AnyPixelCNN = TypeVar("AnyPixelCNN", bound=TrainedPixelCNN)

SPLIT_FIELDS = ("validation_fraction", "test_fraction", "split_seed")  # how a source without splits is divided


def make_ensemble(networks: Sequence[TrainedPixelCNN], names: Sequence[str] = ()) -> Ensemble:
    """An ensemble of compatible networks.

    Args:
        networks: The networks.
        names: Their names in messages; "network 1" and so on by default.

    Raises:
        InputError: As `check_compatible`.
    """
    check_compatible(networks, names)
    first = networks[0]
    return Ensemble(
        class_names=first.class_names,
        preprocessing=first.preprocessing,
        prior=first.prior,
        provenance=Provenance(config=_data_config(networks)),
        members=tuple(networks),
    )


@torch.no_grad()
def average_weights(networks: Sequence[AnyPixelCNN], names: Sequence[str] = ()) -> AnyPixelCNN:
    """A network whose weights are the mean of those of several networks.

    It costs as much as one network, and is often better than each. This holds for networks in one basin of the loss:
    runs that started from the same trained weights (model soups; Wortsman et al., 2022,
    https://arxiv.org/abs/2203.05482), or epochs of one run (Izmailov et al., 2018, https://arxiv.org/abs/1803.05407).
    Averaging independently trained networks does not work. Gains and directions of the weight normalisation are
    averaged separately, as in the moving average during training.

    Args:
        networks: Two or more. Their dropout may differ; the result has that of the first.
        names: Their names in messages; "network 1" and so on by default.

    Returns:
        A network without calibration, on the device of the first; its provenance lists the averaged networks.

    Raises:
        InputError: If there are fewer than two, or they are not compatible.
    """
    if len(networks) < 2:
        raise InputError(f"averaging needs two or more networks, but there is {len(networks)}")
    check_compatible(networks, names, weights=True)
    first = networks[0]
    network = copy.deepcopy(first.network)
    states = [each.network.state_dict() for each in networks]
    for name, weight in network.state_dict().items():
        total = torch.zeros_like(weight, dtype=torch.float64, device="cpu")
        for state in states:
            total += state[name].cpu()
        weight.copy_(total / len(states))
    return dataclasses.replace(
        first,
        network=network.requires_grad_(False).eval(),
        calibration=None,
        stale_calibration=False,
        provenance=Provenance(
            config=_data_config(networks),
            averaged=tuple(AveragedNetwork(weights=each.digest, command=each.provenance.command) for each in networks),
            without_labels=_if_all(each.provenance.knows_unconditional for each in networks),
        ),
    )


def check_compatible(networks: Sequence[TrainedPixelCNN], names: Sequence[str] = (), *, weights: bool = False) -> None:
    """Checks that networks have the same classes, preprocessing, prior and division of the data.

    Args:
        networks: The networks.
        names: Their names in messages; "network 1" and so on by default.
        weights: Whether their architectures must be the same, too.

    Raises:
        InputError: If a network is named twice or differs from the first; the message names it and the fields.
    """
    names = names or [f"network {number}" for number in range(1, len(networks) + 1)]
    for name in names:
        if list(names).count(name) > 1:
            raise InputError(f"{name} is named twice; name each network once")
    first, *others = networks
    faults = [
        f"{name}: differs from {names[0]} in {', '.join(fields)}, so the two cannot be combined"
        for name, other in zip(names[1:], others, strict=True)
        if (fields := _differences(first, other, weights=weights))
    ]
    if faults:
        raise InputError.listing(faults)


def _differences(one: TrainedPixelCNN, other: TrainedPixelCNN, *, weights: bool) -> list[str]:
    properties = [_properties(each) for each in (one, other)]
    if weights:
        for of, each in zip(properties, (one, other), strict=True):
            of["model"] = dataclasses.asdict(dataclasses.replace(each.network.config, dropout=0.0))
    splits = [_split_settings(each) for each in (one, other)]
    if all(splits):  # with other settings one network has been trained on images held out from the other
        for of, split in zip(properties, splits, strict=True):
            of["data"] = split
    return config_differences(*properties)


def _properties(trained: TrainedPixelCNN) -> dict[str, Any]:
    return {
        "class_names": trained.class_names,
        "preprocessing": dataclasses.asdict(trained.preprocessing),
        "prior": trained.prior,
    }


def _split_settings(trained: TrainedPixelCNN) -> dict[str, Any]:
    data = trained.provenance.data
    return {name: getattr(data, name) for name in SPLIT_FIELDS} if data else {}


def _if_all(known: Iterable[bool | None]) -> bool | None:
    """Whether all are true; None if none is false, but some are not known."""
    values = set(known)
    return False if False in values else None if None in values else True


def _data_config(networks: Sequence[TrainedPixelCNN]) -> dict[str, Any]:
    """The part of the config that names the training data, of the first network for which it is known."""
    configs = (each.provenance.config.get("data") for each in networks)
    data = next((config for config in configs if config), None)
    return {"data": data} if data else {}
