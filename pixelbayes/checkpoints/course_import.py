"""Imports networks of the course's code: pclucas14's port of PixelCNN++ with a whole-image embedding."""

import re
from pathlib import Path

import torch
from torch import Tensor

from pixelbayes.checkpoints.provenance import Provenance
from pixelbayes.checkpoints.trained import TrainedPixelCNN
from pixelbayes.images.preprocessing import Preprocessing
from pixelbayes.images.shape import ImageShape
from pixelbayes.models.layers import Conv2d
from pixelbayes.models.likelihood import MixtureOfLogistics
from pixelbayes.models.pixelcnn import PixelCNN, PixelCNNConfig
from pixelbayes.utils.errors import InputError


def import_course_network(
    path: str | Path,
    *,
    image_size: tuple[int, int] | None = None,
    class_names: tuple[str, ...] = (),
    dtype: torch.dtype = torch.float32,
) -> TrainedPixelCNN:
    """Converts a state dict of the course's code to a network, without executing pickled code.

    The state dict may be an entry of a saved dictionary, as training loops write it, the names may begin with those of
    `DataParallel` and `torch.compile`, and weight normalisation may have its new names.

    The course's transposed convolutions are normalised per input channel, those here per output channel. The effective
    weight is copied, so both compute the same function. The images have 256 levels.

    Args:
        path: The file written by `torch.save(model.state_dict(), path)`.
        image_size: Height and width; None for square images, whose size follows from the embedding.
        class_names: Name of each class; numbers by default.
        dtype: Type of the weights. In float32 the effective weights are rounded, which changes outputs by about 1e-7.

    Raises:
        InputError: If the file is not such a state dict; the message names what is missing.
    """
    state = _read(path)
    embedding = state.pop("embedding.weight")  # (Y, C H W)
    width = state["u_init.conv.weight_v"].shape[0]
    channels = state["u_init.conv.weight_v"].shape[1] - 1  # without the ones channel
    if image_size is None:
        side = round((embedding.shape[1] / channels) ** 0.5)
        image_size = (side, side)
    if channels * image_size[0] * image_size[1] != embedding.shape[1]:
        raise InputError(
            f"{path}: an embedding of {embedding.shape[1]} numbers is not an image of {channels} x {image_size}"
        )
    if class_names and len(class_names) != len(embedding):
        raise InputError(
            f"{path}: the network has {len(embedding)} classes, but there are {len(class_names)} class names"
        )
    shape = ImageShape(height=image_size[0], width=image_size[1], channels=channels)
    config = PixelCNNConfig(
        fusion="input-add",
        num_filters=width,
        num_blocks=1 + max(int(name.split(".")[3]) for name in state if name.startswith("up_layers.0.u_stream.")),
        num_mixtures=state["nin_out.lin_a.bias"].numel() // MixtureOfLogistics.numbers_per_mixture(channels),
        num_classes=len(embedding),
        image_shape=shape,
    )
    network = PixelCNN(config).to(dtype).requires_grad_(False)
    table = network.get_parameter("fusion.vectors.by_label.embedding.weight")
    table[1:] = embedding  # the first row, no label, stays zero
    for name, conv in network.named_modules():
        if isinstance(conv, Conv2d):
            weight, bias = _pop_effective(state, _course_name(name), conv, path)
            conv.set_weight(weight)
            conv.bias.copy_(bias)
    if state:
        unknown = ", ".join(sorted(state)[:3])
        raise InputError(f"{path}: not a network of the course's code with an embedding only; it also holds {unknown}")
    return TrainedPixelCNN(
        network=network,
        class_names=class_names or tuple(map(str, range(len(embedding)))),
        preprocessing=Preprocessing(image_shape=shape),
        prior=(1 / len(embedding),) * len(embedding),
        provenance=Provenance(imported_from=Path(path).name),
    )


def _read(path: str | Path) -> dict[str, Tensor]:
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise InputError(f"{path}: there is no such file") from error
    except Exception as error:  # the kind of error depends on the damage, or on the code in the file
        raise InputError(
            f"{path}: not a state dict that can be read without executing code; save `model.state_dict()`"
        ) from error
    state = _unwrapped(state)
    needed = (
        "embedding.weight",
        "u_init.conv.weight_v",
        "nin_out.lin_a.bias",
        "up_layers.0.u_stream.0.conv_out.conv.bias",
    )
    missing = [name for name in needed if name not in state]
    if missing:
        raise InputError(
            f"{path}: not a network of the course's code with a whole-image embedding; it lacks {', '.join(missing)}"
        )
    return state


def _unwrapped(saved: object) -> dict[str, Tensor]:
    """The tensors of a state dict, or of the first one in a dictionary, by their names in the course's code."""
    if not isinstance(saved, dict):
        return {}
    tensors = {str(name): value for name, value in saved.items() if isinstance(value, Tensor)}
    if not tensors:
        return next(filter(None, map(_unwrapped, saved.values())), {})
    return {_plain_name(name): value for name, value in tensors.items()}


def _plain_name(name: str) -> str:
    """A name without the prefixes of wrappers, and with the old names of weight normalisation.

    >>> _plain_name("module._orig_mod.u_init.conv.parametrizations.weight.original0")
    'u_init.conv.weight_g'
    """
    name = re.sub(r"^((module|_orig_mod)\.)+", "", name)
    for new, old in (("original0", "weight_g"), ("original1", "weight_v")):
        name = name.replace(f"parametrizations.weight.{new}", old)
    return name


def _course_name(name: str) -> str:
    """The course's name of a convolution; the course calls the down path up, and the up path down."""
    fixed = {
        "stem_vertical": "u_init.conv",
        "stem_above": "ul_init.0.conv",
        "stem_left": "ul_init.1.conv",
        "to_params": "nin_out.lin_a",
    }
    if name in fixed:
        return fixed[name]
    part, *indices, last = name.split(".")
    if part in ("downsample", "upsample"):
        stream = {"vertical": "u", "horizontal": "ul"}[last]
        if part == "downsample":
            return f"downsize_{stream}_stream.{indices[0]}.conv"
        return (
            f"upsize_{stream}_stream.{1 - int(indices[0])}.deconv"  # the course counts in the order of the computation
        )
    resolution, index, stack = indices
    stream = {"vertical": "u_stream", "horizontal": "ul_stream"}[stack]
    layer = {"conv_in": "conv_input.conv", "conv_shortcut": "nin_skip.lin_a", "conv_out": "conv_out.conv"}[last]
    if part == "down":
        return f"up_layers.{resolution}.{stream}.{index}.{layer}"
    return f"down_layers.{2 - int(resolution)}.{stream}.{index}.{layer}"


def _pop_effective(state: dict[str, Tensor], name: str, conv: Conv2d, path: str | Path) -> tuple[Tensor, Tensor]:
    """Removes and returns the effective weight, g v / ||v|| with the norm over all axes but the first, and the bias."""
    parts = []
    for part, shape in {"weight_g": (len(conv.v), 1, 1, 1), "weight_v": conv.v.shape, "bias": conv.bias.shape}.items():
        tensor = state.pop(f"{name}.{part}", None)
        if tensor is None:
            raise InputError(f"{path}: the state dict lacks {name}.{part}")
        # the course's 1 x 1 convolutions are linear layers
        tensor = tensor[(...,) + (None,) * (len(shape) - tensor.ndim)]
        if tensor.shape != shape:
            raise InputError(f"{path}: {name}.{part} has shape {tuple(tensor.shape)}, expected {tuple(shape)}")
        parts.append(tensor.double())
    g, v, bias = parts
    return g * v / torch.linalg.vector_norm(v, dim=(1, 2, 3), keepdim=True), bias
