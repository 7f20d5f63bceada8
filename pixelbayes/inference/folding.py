"""Weight normalisation, done once."""

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pixelbayes.models.layers import Conv2d, DownShiftedTransposedConv2d, TransposedConv2d
from pixelbayes.models.pixelcnn import PixelCNN


def folded(network: PixelCNN) -> PixelCNN:
    """A copy of the network for use alone: every weight as it convolves, nothing to be learnt any more."""
    network = copy.deepcopy(network).requires_grad_(False).eval()
    for module in network.modules():
        if isinstance(module, Conv2d):
            module.fold()
    return network


class SubpixelConv2d(nn.Module):
    """What a transposed convolution of stride 2 computes, by a convolution to four times the channels.

    Shi et al. (2016), https://arxiv.org/abs/1609.05158, section 3.2. Each position of the output reads the same one or
    two positions of the input, so that it is the same function; on a CPU PyTorch has no fast transposed convolution in
    bfloat16.

    Args:
        layer: The layer to compute; its weight is taken as it stands.
    """

    def __init__(self, layer: TransposedConv2d):
        super().__init__()
        weight = layer.weight.detach()  # (in, out, 2, k)
        if isinstance(layer, DownShiftedTransposedConv2d):  # k is 3, and the output begins at the middle column
            left, middle, right = weight.unbind(dim=3)
            taps = torch.stack((middle, torch.zeros_like(middle), right, left), dim=-1)
        else:
            taps = weight
        taps = taps.unflatten(3, (2, -1))  # (in, out, rows, columns, what they read: a position and that to its right)
        self.reach = taps.shape[-1] - 1
        kernel = taps.permute(1, 2, 3, 0, 4).flatten(0, 2).unsqueeze(2)  # (4 out, in, 1, reach + 1)
        self.weight = nn.Parameter(kernel.contiguous(), requires_grad=False)
        self.bias = nn.Parameter(layer.bias.detach().repeat_interleave(4), requires_grad=False)

    def forward(self, h: Tensor) -> Tensor:
        return F.pixel_shuffle(F.conv2d(F.pad(h, (0, self.reach)), self.weight, self.bias), 2)


def with_subpixels(network: nn.Module) -> nn.Module:
    """Replaces, in place, every transposed convolution of a network that learns no more."""
    for module in list(network.modules()):
        for name, child in module.named_children():
            if isinstance(child, TransposedConv2d):
                setattr(module, name, SubpixelConv2d(child))
    return network
