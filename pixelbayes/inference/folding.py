"""Weight normalisation, done once."""

import copy

from pixelbayes.layers import Conv2d
from pixelbayes.model import PixelCNN


def folded(network: PixelCNN) -> PixelCNN:
    """A copy of the network for use alone: every weight as it convolves, nothing to be learnt any more."""
    network = copy.deepcopy(network).requires_grad_(False).eval()
    for module in network.modules():
        if isinstance(module, Conv2d):
            module.fold()
    return network
