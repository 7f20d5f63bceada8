"""Features of the FID Inception network: after its first or second pooling, 64 or 192 dimensions, or its last, 2048."""

from collections import OrderedDict
from importlib import import_module
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pixelbayes.features.base import in_batches
from pixelbayes.features.inception_weights import URL, load_weights
from pixelbayes.images.pixels import requantise, to_x
from pixelbayes.utils.errors import InputError
from pixelbayes.utils.progress import Tracker, no_progress

SIDE = 299  # pixels, of the images that the network was trained on
BATCH = 32  # the activations take half a gigabyte


class InceptionFeatures:
    """Mean over positions of the features after the first or second pooling, an `Extractor`.

    Images are resized bilinearly to 299 x 299 without antialiasing, as in pytorch-fid. FID is comparable with that of
    pytorch-fid at the same number of dimensions.

    Args:
        dims: D, 64 or 192.
        weights: File of the weights; None as in `load_weights`.
        device: Where to compute.

    Raises:
        InputError: If the weights are missing, damaged or of another network.
    """

    def __init__(self, dims: int, weights: Path | None = None, device: torch.device | str = "cpu"):
        self.name = f"inception-{dims}"
        self.dims = dims
        self.device = device
        self.stem = load_stem(dims, weights).to(device)

    def __call__(self, pixels: Tensor, levels: int, track: Tracker = no_progress) -> Tensor:
        return in_batches(
            lambda batch: self._embed(to_rgb(batch, levels)),
            pixels,
            batch_size=BATCH,
            device=self.device,
            track=track,
        )

    def _embed(self, pixels: Tensor) -> Tensor:
        x = F.interpolate(to_x(pixels, 256), size=(SIDE, SIDE), mode="bilinear", align_corners=False)
        return torch.mean(self.stem(x), dim=(2, 3))


class TorchFidelityFeatures:
    """The features after the last pooling, 2048 dimensions, as in published FIDs; an `Extractor`.

    torch-fidelity resizes like TensorFlow, pytorch-fid does not, so their FIDs differ slightly.

    Args:
        weights: File of the weights; None as in `load_weights`.
        device: Where to compute.

    Raises:
        InputError: If torch-fidelity is not installed, or the weights are missing, damaged or of another network.
    """

    name = "inception-2048"
    dims = 2048

    def __init__(self, weights: Path | None = None, device: torch.device | str = "cpu"):
        try:
            module = import_module("torch_fidelity.feature_extractor_inceptionv3")
        except ImportError:
            raise InputError(
                "features `inception-2048` need torch-fidelity; run `pip install torch-fidelity`, or use other features"
            ) from None
        path, _ = load_weights(weights)
        try:
            network = module.FeatureExtractorInceptionV3(self.name, ["2048"], feature_extractor_weights_path=str(path))
        except RuntimeError as error:
            raise InputError(f"{path}: not the FID Inception network ({str(error).splitlines()[0]})") from None
        self.device = device
        self.network = network.to(device)

    def __call__(self, pixels: Tensor, levels: int, track: Tracker = no_progress) -> Tensor:
        return in_batches(
            lambda batch: self.network(to_rgb(batch, levels))[0],
            pixels,
            batch_size=BATCH,
            device=self.device,
            track=track,
        )


def to_rgb(pixels: Tensor, levels: int) -> Tensor:
    """Converts uint8 levels (N, 1 or 3, H, W) to 8-bit RGB, uint8 (N, 3, H, W).

    Raises:
        InputError: If the images have another number of channels.
    """
    if pixels.shape[1] not in (1, 3):
        raise InputError(f"images have {pixels.shape[1]} channels, the Inception network takes 1 (grey) or 3 (RGB)")
    return requantise(pixels, levels, 256).expand(-1, 3, -1, -1)


def inception_stem(dims: int) -> nn.Sequential:
    """The first layers of the network: images (B, 3, 299, 299) in [-1, 1] to (B, 64, 73, 73) or (B, 192, 35, 35).

    Szegedy et al. (2016), https://arxiv.org/abs/1512.00567, Table 1, up to the first or second pooling, in the version
    of 2015-12-05 that defines FID. The names of the layers are those of the public weights.
    """
    layers: OrderedDict[str, nn.Module] = OrderedDict(
        Conv2d_1a_3x3=_layer(3, 32, 3, stride=2),  # (B, 32, 149, 149)
        Conv2d_2a_3x3=_layer(32, 32, 3),  # (B, 32, 147, 147)
        Conv2d_2b_3x3=_layer(32, 64, 3, padding=1),
        pool_1=nn.MaxPool2d(3, stride=2),  # (B, 64, 73, 73)
    )
    if dims == 192:
        layers.update(
            Conv2d_3b_1x1=_layer(64, 80, 1),
            Conv2d_4a_3x3=_layer(80, 192, 3),  # (B, 192, 71, 71)
            pool_2=nn.MaxPool2d(3, stride=2),  # (B, 192, 35, 35)
        )
    elif dims != 64:
        raise ValueError(f"dims is {dims}, expected 64 or 192")
    return nn.Sequential(layers).requires_grad_(False).eval()


def _layer(channels_in: int, channels: int, size: int, stride: int = 1, padding: int = 0) -> nn.Module:
    return nn.Sequential(
        OrderedDict(
            conv=nn.Conv2d(channels_in, channels, size, stride, padding, bias=False),
            bn=nn.BatchNorm2d(channels, eps=0.001),
            relu=nn.ReLU(inplace=True),
        )
    )


def load_stem(dims: int, weights: Path | None = None) -> nn.Sequential:
    """The stem with public weights; the files of pytorch-fid and of torch-fidelity have the same names.

    Args:
        dims: 64 or 192.
        weights: File of the weights; None as in `load_weights`.

    Raises:
        InputError: If the weights are missing, damaged or of another network; the message names the missing tensor.
    """
    path, tensors = load_weights(weights)
    stem = inception_stem(dims)
    # num_batches_tracked is not in the files and not used in evaluation
    needed = {name: tensor for name, tensor in stem.state_dict().items() if not name.endswith("num_batches_tracked")}
    for name, tensor in needed.items():
        if name not in tensors:
            raise InputError(f"{path}: not the FID Inception network, it has no {name}; use {URL}")
        if tensors[name].shape != tensor.shape:
            shape, expected = tuple(tensors[name].shape), tuple(tensor.shape)
            raise InputError(f"{path}: {name} has shape {shape}, expected {expected}; use {URL}")
    stem.load_state_dict({name: tensors[name] for name in needed}, strict=False)
    return stem
