"""The first blocks of the network behind FID, all that its features of 64 and 192 dimensions need."""

from collections import OrderedDict
from importlib import import_module
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pixelbayes.features.base import in_batches
from pixelbayes.features.inception_weights import URL, find_weights, read_weights
from pixelbayes.images.pixels import requantise, to_x
from pixelbayes.utils.errors import InputError
from pixelbayes.utils.progress import Tracker, no_progress

SIDE = 299  # pixels, of the images that the network was trained on
BATCH = 32  # half a gigabyte of activations


def _layer(channels_in: int, channels: int, size: int, stride: int = 1, padding: int = 0) -> nn.Module:
    return nn.Sequential(
        OrderedDict(
            conv=nn.Conv2d(channels_in, channels, size, stride, padding, bias=False),
            bn=nn.BatchNorm2d(channels, eps=0.001),
            relu=nn.ReLU(inplace=True),
        )
    )


def inception_stem(dims: int) -> nn.Sequential:
    """Images (B, 3, 299, 299) in [-1, 1] to (B, 64, 73, 73) or (B, 192, 35, 35).

    Szegedy et al. (2016), https://arxiv.org/abs/1512.00567, Table 1, up to its first or second pooling, as it stands in
    the network of 2015-12-05 that FID is defined by. Names are those of the public weights.
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


def load_stem(dims: int, path: Path) -> nn.Sequential:
    """The stem with the weights of a file, that of pytorch-fid or of torch-fidelity: both use the same names.

    Raises:
        InputError: If the file is damaged or of another network; the message says what is missing.
    """
    weights = read_weights(path)
    stem = inception_stem(dims)
    needed = {name: tensor for name, tensor in stem.state_dict().items() if not name.endswith("num_batches_tracked")}
    missing = [name for name in needed if name not in weights]
    if missing:
        raise InputError(f"{path}: not the FID Inception network, it lacks {missing[0]}; take {URL}")
    for name, tensor in needed.items():
        if weights[name].shape != tensor.shape:
            shape, expected = tuple(weights[name].shape), tuple(tensor.shape)
            raise InputError(f"{path}: {name} has shape {shape}, expected {expected}; take {URL}")
    stem.load_state_dict({name: weights[name] for name in needed}, strict=False)
    return stem


class InceptionFeatures:
    """Features of the FID Inception network after its first or second pooling, their mean over positions.

    Images are resized bilinearly to 299 x 299 without antialiasing, as in pytorch-fid, to whose figures at the same
    dimensions these compare.

    Args:
        dims: D, 64 or 192.
        path: The weights.
        device: Where to compute.

    Raises:
        InputError: As in `load_stem`.
    """

    def __init__(self, dims: int, path: Path, device: torch.device | str = "cpu"):
        self.name = f"inception-{dims}"
        self.dims = dims
        self.device = device
        self.stem = load_stem(dims, path).to(device)

    def __call__(self, pixels: Tensor, levels: int, track: Tracker = no_progress) -> Tensor:
        return in_batches(
            lambda batch: self._embed(as_colour(batch, levels)),
            pixels,
            batch_size=BATCH,
            device=self.device,
            track=track,
        )

    def _embed(self, pixels: Tensor) -> Tensor:
        x = F.interpolate(to_x(pixels, 256), size=(SIDE, SIDE), mode="bilinear", align_corners=False)
        return self.stem(x).mean(dim=(2, 3))


def as_colour(pixels: Tensor, levels: int) -> Tensor:
    """uint8 levels (N, 1 or 3, H, W) as 8-bit RGB, uint8 (N, 3, H, W)."""
    if pixels.shape[1] not in (1, 3):
        raise InputError(f"images have {pixels.shape[1]} channels, the Inception network takes 1 (grey) or 3 (RGB)")
    return requantise(pixels, levels, 256).expand(-1, 3, -1, -1)


class FidelityFeatures:
    """The last pooling of the FID Inception network, of 2048 dimensions: what published FIDs are of.

    torch-fidelity resizes as TensorFlow did, which pytorch-fid does not: their figures differ a little.

    Args:
        weights: As in `find_weights`.
        device: Where to compute.

    Raises:
        InputError: If torch-fidelity is not installed, or the weights are missing or of another network.
    """

    name, dims = "inception-2048", 2048

    def __init__(self, weights: Path | None = None, device: torch.device | str = "cpu"):
        try:
            module = import_module("torch_fidelity.feature_extractor_inceptionv3")
        except ImportError:
            raise InputError(
                "extractor inception-2048 needs torch-fidelity; `pip install torch-fidelity`, or take another extractor"
            ) from None
        path = find_weights(weights)
        read_weights(path)
        try:
            network = module.FeatureExtractorInceptionV3(self.name, ["2048"], feature_extractor_weights_path=str(path))
        except RuntimeError as error:
            raise InputError(f"{path}: not the FID Inception network ({str(error).splitlines()[0]})") from None
        self.device = device
        self.network = network.to(device)

    def __call__(self, pixels: Tensor, levels: int, track: Tracker = no_progress) -> Tensor:
        return in_batches(
            lambda batch: self.network(as_colour(batch, levels))[0],
            pixels,
            batch_size=BATCH,
            device=self.device,
            track=track,
        )
