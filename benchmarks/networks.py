"""The network that is timed, and its number of floating point operations."""

import torch
from torch.utils.flop_counter import FlopCounterMode

from pixelbayes.images.shape import ImageShape
from pixelbayes.models.pixelcnn import PixelCNN, PixelCNNConfig


def network(size: int, device: torch.device, fusion: str = "film", classes: int = 4) -> PixelCNN:
    """The network of the reports: F 40, one block per resolution, K 5, 256 levels."""
    torch.manual_seed(0)
    shape = ImageShape(height=size, width=size)
    config = PixelCNNConfig(fusion=fusion, num_classes=classes, image_shape=shape, num_filters=40)
    return PixelCNN(config).to(device).eval().requires_grad_(False)


def forward_flops(net: PixelCNN) -> float:
    """Floating point operations of one pass over one image."""
    device = next(net.parameters()).device
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        net(torch.zeros(1, *net.config.image_shape.chw, device=device))
    return float(counter.get_total_flops())
