"""Several networks taken as one: what they must agree in, an ensemble of them, and the mean of their weights."""

import copy
import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from pixelbayes.checkpoints.checkpoint import Checkpoint, Trained
from pixelbayes.utils.config_diff import differences
from pixelbayes.utils.errors import InputError

CUT = ("validation_fraction", "test_fraction", "split_seed")  # of DataConfig: how a source without splits is divided


@dataclass(frozen=True, kw_only=True)
class EnsembleCheckpoint(Trained):
    """Networks that are measured as one; `network` is that of the first, and no temperature is theirs together."""

    kind = "ensemble"
    called = "an ensemble"

    members: tuple[Checkpoint, ...]

    @classmethod
    def of(cls, checkpoints: Sequence[Checkpoint], names: Sequence[str] = ()) -> "EnsembleCheckpoint":
        """The networks as one.

        Raises:
            InputError: As `check_alike` does.
        """
        check_alike(checkpoints, names)
        first = checkpoints[0]
        return cls(
            network=first.network,
            class_names=first.class_names,
            preprocessing=first.preprocessing,
            prior=first.prior,
            about=_about_data(checkpoints),
            members=tuple(checkpoints),
        )

    @property
    def parameters(self) -> int:
        return sum(each.parameters for each in self.members)

    @property
    def description(self) -> str:
        return f"An ensemble of {len(self.members)} PixelCNN++, of {self.parameters:,} parameters in all"

    @property
    def digest(self) -> str:
        """The names of all weights."""
        return ", ".join(each.digest for each in self.members)


@torch.no_grad()
def average_weights(checkpoints: Sequence[Checkpoint], names: Sequence[str] = ()) -> Checkpoint:
    """The network whose weights are the mean of those of several: one network's cost, and often better than each.

    That holds of networks that lie in one basin of the loss: of runs that began from the same trained weights (model
    soups; Wortsman et al., 2022, https://arxiv.org/abs/2203.05482), or of epochs of one run (Izmailov et al., 2018,
    https://arxiv.org/abs/1803.05407). Of networks trained apart the mean knows nothing. What is averaged is what is
    learnt, gains and directions each by themselves, as the moving average of training does.

    Args:
        checkpoints: Two or more; their dropout may differ, and that of the first is kept.
        names: What messages call them; "network 1" and so on if not given.

    Returns:
        A network without a temperature, on the device of the first; `about` names what was averaged.

    Raises:
        InputError: If there are fewer than two, or their networks, classes, pixels or priors differ.
    """
    if len(checkpoints) < 2:
        raise InputError(f"an average is of two networks or more, and {len(checkpoints)} came")
    check_alike(checkpoints, names, weights=True)
    first = checkpoints[0]
    network = copy.deepcopy(first.network)
    each = [checkpoint.network.state_dict() for checkpoint in checkpoints]
    for name, weight in network.state_dict().items():
        total = torch.zeros_like(weight, dtype=torch.float64, device="cpu")
        for weights in each:
            total += weights[name].cpu()
        weight.copy_(total / len(each))
    averaged = [{"weights": one.digest, "command": one.about.get("command")} for one in checkpoints]
    return Checkpoint(
        network=network.requires_grad_(False).eval(),
        class_names=first.class_names,
        preprocessing=first.preprocessing,
        prior=first.prior,
        about={"averaged": averaged, **_about_data(checkpoints)},
    )


def check_alike(checkpoints: Sequence[Checkpoint], names: Sequence[str] = (), *, weights: bool = False) -> None:
    """Sees to it that networks can be taken as one: that they know the same classes, of the same pixels.

    Args:
        checkpoints: The networks.
        names: What messages call them; "network 1" and so on if not given.
        weights: Their weights must stand for the same too.

    Raises:
        InputError: If one is named twice, or differs from the first; the message names it and the fields.
    """
    names = names or [f"network {number}" for number in range(1, len(checkpoints) + 1)]
    for name in names:
        if list(names).count(name) > 1:
            raise InputError(f"{name} is named twice; name each network once")
    first, *others = checkpoints
    faults = []
    for name, other in zip(names[1:], others, strict=True):
        if fields := _differences(first, other, weights=weights):
            faults.append(f"{name}: differs from {names[0]} in {', '.join(fields)}, and the two cannot be taken as one")
    if faults:
        raise InputError.listing(faults)


def _differences(one: Checkpoint, other: Checkpoint, *, weights: bool) -> list[str]:
    facts = [_facts(each) for each in (one, other)]
    if weights:
        for of, each in zip(facts, (one, other), strict=True):
            of["model"] = dataclasses.asdict(dataclasses.replace(each.network.config, dropout=0.0))
    cuts = [_cut(each) for each in (one, other)]
    if all(cuts):  # divided otherwise, one has learnt from what is held out for the other
        for of, cut in zip(facts, cuts, strict=True):
            of["data"] = cut
    return differences(*facts)


def _facts(checkpoint: Checkpoint) -> dict[str, Any]:
    return {
        "class_names": checkpoint.class_names,
        "preprocessing": dataclasses.asdict(checkpoint.preprocessing),
        "prior": checkpoint.prior,
    }


def _cut(checkpoint: Checkpoint) -> dict[str, Any]:
    own = checkpoint.about.get("experiment", {}).get("data", {})
    return {name: own[name] for name in CUT if name in own}


def _about_data(checkpoints: Sequence[Checkpoint]) -> dict[str, Any]:
    """Of `about` what says which images were trained on, from the first that knows it."""
    known = (each.about.get("experiment", {}).get("data") for each in checkpoints)
    data = next((each for each in known if each), None)
    return {"experiment": {"data": data}} if data else {}
