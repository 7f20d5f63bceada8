"""Networks of the course's code (pclucas14's port of PixelCNN++, a whole-image embedding added to the input)."""

from pathlib import Path

import torch
from torch import Tensor

from pixelbayes.checkpoints.checkpoint import Checkpoint
from pixelbayes.images.preprocessing import Preprocessing
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
) -> Checkpoint:
    """Reads a state dict of the course's code, without executing pickled code, into a network of ours.

    Where the course's convolutions are transposed, their weights are normalised per input channel, ours per output
    channel; what is taken over is the effective weight, so both compute the same function. Its images have 256 levels.

    Args:
        path: The file that `torch.save(model.state_dict(), path)` wrote.
        image_size: Height and width; None for a square, which the size of the embedding tells.
        class_names: A name for each class; numbers if none are given.
        dtype: Of the weights. In float32 the effective weights are rounded anew, which moves outputs by 1e-7 or so.

    Raises:
        InputError: If the file is not such a state dict; the message says what is missing.
    """
    state = _read(path)
    embedding = state.pop("embedding.weight")  # (Y, C H W)
    width = state["u_init.conv.weight_v"].shape[0]
    channels = state["u_init.conv.weight_v"].shape[1] - 1  # less the ones channel
    if image_size is None:
        side = round((embedding.shape[1] / channels) ** 0.5)
        image_size = (side, side)
    if channels * image_size[0] * image_size[1] != embedding.shape[1]:
        raise InputError(f"{path}: an embedding of {embedding.shape[1]} numbers is no {channels} x {image_size} image")
    if class_names and len(class_names) != len(embedding):
        raise InputError(f"{path}: the network has {len(embedding)} classes, but {len(class_names)} names were given")
    config = PixelCNNConfig(
        fusion="input-add",
        num_filters=width,
        num_blocks=1 + max(int(name.split(".")[3]) for name in state if name.startswith("up_layers.0.u_stream.")),
        num_mixtures=state["nin_out.lin_a.bias"].numel() // MixtureOfLogistics.numbers_per_mixture(channels),
        num_classes=len(embedding),
        channels=channels,
        image_size=image_size,
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
        raise InputError(f"{path}: not a network of the course's code with an embedding alone; it also holds {unknown}")
    return Checkpoint(
        network=network,
        class_names=class_names or tuple(map(str, range(len(embedding)))),
        preprocessing=Preprocessing(image_size=image_size, channels=channels),
        prior=(1 / len(embedding),) * len(embedding),
        about={"imported_from": Path(path).name},
    )


def _read(path: str | Path) -> dict[str, Tensor]:
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise InputError(f"{path}: there is no such file") from error
    except Exception as error:  # torch raises many kinds for files that are damaged or hold code
        raise InputError(
            f"{path}: not a state dict that can be read without executing code; save `model.state_dict()`"
        ) from error
    state = (
        {name: value for name, value in state.items() if isinstance(value, Tensor)} if isinstance(state, dict) else {}
    )
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


def _course_name(name: str) -> str:
    """The course's name for one of our convolutions; what it calls up is our way down."""
    fixed = {
        "stem_vertical": "u_init.conv",
        "stem_above": "ul_init.0.conv",
        "stem_left": "ul_init.1.conv",
        "to_params": "nin_out.lin_a",
    }
    if name in fixed:
        return fixed[name]
    part, *indices, last = name.split(".")
    if part in ("shrink", "grow"):
        stream = {"vertical": "u", "horizontal": "ul"}[last]
        if part == "shrink":
            return f"downsize_{stream}_stream.{indices[0]}.conv"
        return f"upsize_{stream}_stream.{1 - int(indices[0])}.deconv"  # the course counts in the order of use
    resolution, index, stack = indices
    stream = {"vertical": "u_stream", "horizontal": "ul_stream"}[stack]
    layer = {"conv_in": "conv_input.conv", "conv_shortcut": "nin_skip.lin_a", "conv_out": "conv_out.conv"}[last]
    if part == "down":
        return f"up_layers.{resolution}.{stream}.{index}.{layer}"
    return f"down_layers.{2 - int(resolution)}.{stream}.{index}.{layer}"


def _pop_effective(state: dict[str, Tensor], name: str, conv: Conv2d, path: str | Path) -> tuple[Tensor, Tensor]:
    """Takes out weight w = g v / ||v||, the norm over all axes but the first (old-style weight norm), and bias."""
    parts = []
    for part, shape in {"weight_g": (len(conv.v), 1, 1, 1), "weight_v": conv.v.shape, "bias": conv.bias.shape}.items():
        tensor = state.pop(f"{name}.{part}", None)
        if tensor is None:
            raise InputError(f"{path}: the state dict lacks {name}.{part}")
        tensor = tensor[
            (...,) + (None,) * (len(shape) - tensor.ndim)
        ]  # the course's 1x1 convolutions are linear layers
        if tensor.shape != shape:
            raise InputError(f"{path}: {name}.{part} has shape {tuple(tensor.shape)}, expected {tuple(shape)}")
        parts.append(tensor.double())
    g, v, bias = parts
    return g * v / torch.linalg.vector_norm(v, dim=(1, 2, 3), keepdim=True), bias
