"""Prepares a network for inference: folds weight normalisation, and replaces transposed convolutions."""

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pixelbayes.models.layers import Conv2d, DownShiftedTransposedConv2d, TransposedConv2d
from pixelbayes.models.pixelcnn import PixelCNN


def folded(network: PixelCNN) -> PixelCNN:
    """A copy of the network for inference only, in which every convolution stores its effective weight."""
    network = copy.deepcopy(network).requires_grad_(False).eval()
    for module in network.modules():
        if isinstance(module, Conv2d):
            module.fold()
    return network


class SubpixelConv2d(nn.Module):
    """A transposed convolution of stride 2, computed as a convolution with four times the channels and a pixel shuffle.

    Shi et al. (2016), https://arxiv.org/abs/1609.05158, section 3.2. Each output position depends on the same one or
    two input positions, so both compute the same function. On a CPU PyTorch has no fast transposed convolution in
    bfloat16.

    Args:
        layer: The layer to replace; its weight is copied.
    """

    def __init__(self, layer: TransposedConv2d):
        super().__init__()
        weight = layer.weight.detach()  # (in, out, 2, k)
        if isinstance(layer, DownShiftedTransposedConv2d):  # k is 3, and the output begins at the middle column
            left, middle, right = weight.unbind(dim=3)
            taps = torch.stack((middle, torch.zeros_like(middle), right, left), dim=-1)
        else:
            taps = weight
        taps = torch.unflatten(taps, 3, (2, -1))  # (in, out, rows, columns, input positions: one, the one to its right)
        self.reach = taps.shape[-1] - 1
        kernel = taps.permute(1, 2, 3, 0, 4).flatten(0, 2).unsqueeze(2)  # (4 out, in, 1, reach + 1)
        self.weight = nn.Parameter(kernel.contiguous(), requires_grad=False)
        self.bias = nn.Parameter(layer.bias.detach().repeat_interleave(4), requires_grad=False)

    def forward(self, h: Tensor) -> Tensor:
        return F.pixel_shuffle(F.conv2d(F.pad(h, (0, self.reach)), self.weight, self.bias), 2)


def with_subpixels(network: nn.Module) -> nn.Module:
    """Replaces every transposed convolution of a network by a `SubpixelConv2d`, in place; for inference only."""
    for module in list(network.modules()):
        for name, child in module.named_children():
            if isinstance(child, TransposedConv2d):
                setattr(module, name, SubpixelConv2d(child))
    return network
