"""Fusions by name: parses `film`, `film:at=shortcut,bounded` and `one-hot-map+after-block`."""

import difflib
import inspect
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Literal, cast, get_args, get_origin

from pixelbayes.models.fusion.base import Fusion, FusionShape, NoFusion
from pixelbayes.models.fusion.block import AdaLN, AfterBlock, BeforeBlock, CrossAttention, FiLM, GateAdd
from pixelbayes.models.fusion.composition import Composition
from pixelbayes.models.fusion.input import ChannelConcat, InputAdd, InputConcat, OneHotMap
from pixelbayes.models.fusion.single_site import Bottleneck, ClassHead, OutputAdd, OutputConcat, StemAdd
from pixelbayes.utils.errors import InputError

FUSIONS: dict[str, type[Fusion]] = {
    "none": NoFusion,
    "input-add": InputAdd,
    "input-concat": InputConcat,
    "channel-concat": ChannelConcat,
    "one-hot-map": OneHotMap,
    "stem-add": StemAdd,
    "before-block": BeforeBlock,
    "after-block": AfterBlock,
    "gate-add": GateAdd,
    "film": FiLM,
    "adaln": AdaLN,
    "cross-attention": CrossAttention,
    "bottleneck": Bottleneck,
    "output-add": OutputAdd,
    "output-concat": OutputConcat,
    "class-head": ClassHead,
}

Maker = Callable[[FusionShape], Fusion]


def fusion_maker(names: str | Sequence[str], *more: Maker) -> Maker:
    """Returns a function that builds the fusion of a config.

    Args:
        names: A key of FUSIONS, optionally with options of its class, `name:option=value,flag`; or several, as a list
            or joined by "+", which are composed in that order.
        more: Further makers of fusions, which act after those.

    Raises:
        InputError: If a name or an option is unknown; the message suggests the closest known one.
    """
    parts = _part_makers(names)
    if not parts:
        raise InputError(f"fusion is empty, expected one or more of: {', '.join(FUSIONS)}")
    if any(part.func is ClassHead for part in parts[:-1]):
        raise InputError(
            f"fusion is {names!r}, but class-head produces the input of the last layer; name it once, last"
        )
    makers: list[Maker] = [*parts, *more]
    return makers[0] if len(makers) == 1 else partial(Composition, makers=makers)


def is_late(names: str | Sequence[str]) -> bool:
    """Whether a fusion acts at OUTPUT and HEAD only; arguments and errors as in `fusion_maker`."""
    return all(cast(type[Fusion], part.func).is_late for part in _part_makers(names))


def _part_makers(names: str | Sequence[str]) -> list[partial[Fusion]]:
    parts = [part for name in ([names] if isinstance(names, str) else names) for part in name.split("+")]
    return [_part_maker(part.strip()) for part in parts]


def _part_maker(part: str) -> partial[Fusion]:
    name, _, text = part.partition(":")
    if name not in FUSIONS:
        raise InputError(f"fusion is {name!r}; {_nearest(name, FUSIONS)}")
    parameters = inspect.signature(FUSIONS[name], eval_str=True).parameters
    types = {option: parameters[option].annotation for option in parameters if option != "shape"}
    options = {}
    for setting in filter(None, text.split(",")):
        option, equals, value = setting.strip().partition("=")
        if option not in types:
            raise InputError(f"fusion {name} has no option {option!r}; {_nearest(option, types)}")
        options[option] = _value(f"option {option} of fusion {name}", types[option], value if equals else "true")
    return partial(FUSIONS[name], **options)


def _value(what: str, kind: Any, text: str) -> Any:
    """Parses an option by the type that the class declares for it."""
    if get_origin(kind) is Literal:
        choices: dict[str, Any] = {str(choice): choice for choice in get_args(kind)}
    else:
        choices = {"true": True, "false": False} if kind is bool else {}
    if text in choices:
        return choices[text]
    if kind in (int, float):
        with suppress(ValueError):
            if (number := kind(text)) > 0:
                return number
    positive = "a whole number above 0" if kind is int else "a number above 0"
    raise InputError(f"{what} is {text!r}, expected {' or '.join(choices) or positive}")


def _nearest(name: str, known: Any) -> str:
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"did you mean {close[0]}?" if close else f"expected one of: {', '.join(known) or 'none'}"
