"""The layers of PixelCNN++. They make the network causal; none of them knows about labels.

In a *down-shifted* convolution information never flows up. In a *down-right-shifted* convolution it never flows up or
left. The output of a layer may depend on the input at the same position. `down_shift` and `right_shift`, applied once
after the first convolutions, keep a pixel from seeing itself. Van den Oord et al. (2016),
https://arxiv.org/abs/1606.05328, section 2.2; Salimans et al. (2017), https://arxiv.org/abs/1701.05517, section 2 and
the authors' code.
"""

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pixelbayes.models.conditioning import Conditioning, ConditioningPoint, unconditioned
from pixelbayes.utils.randomness import Key


def down_shift(h: Tensor) -> Tensor:
    """Moves every row down by one, (i, j) -> (i + 1, j), and fills the top row with zeros."""
    return F.pad(h, (0, 0, 1, 0))[:, :, :-1]


def right_shift(h: Tensor) -> Tensor:
    """Moves every column right by one, (i, j) -> (i, j + 1), and fills the left column with zeros."""
    return F.pad(h, (1, 0))[:, :, :, :-1]


def concat_elu(h: Tensor) -> Tensor:
    """ELU of h and of -h, (B, F, H, W) -> (B, 2F, H, W); Shang et al. (2016), https://arxiv.org/abs/1603.05201."""
    return torch.cat((F.elu(h), F.elu(-h)), dim=1)  # in this order a compiler writes both halves in place


class Conv2d(nn.Module):
    """A convolution with optional weight normalisation: w = gain * v / ||v||, one gain per output channel.

    Salimans and Kingma (2016), https://arxiv.org/abs/1602.07868, Eq. 2. The norm is taken per output channel, also in
    the transposed convolution. `initialise` sets gain and bias from the first batch (their Eq. 6).

    Args:
        in_channels: Input channels.
        out_channels: Output channels.
        kernel_size: Height and width of the kernel.
        stride: 2 halves height and width; in a transposed convolution it doubles them.
        weight_norm: False stores w itself instead of gain and v.
        init_scale: Initial standard deviation of the outputs, for inputs of unit variance.
    """

    input_axis: ClassVar[int] = 1
    """axis of the weight over the input channels; the other one of axes 0 and 1 is over the output channels"""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: tuple[int, int] = (1, 1),
        *,
        stride: int = 1,
        weight_norm: bool = True,
        init_scale: float = 1.0,
    ):
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = stride
        self.init_scale = init_scale
        channels = (out_channels, in_channels) if self.input_axis == 1 else (in_channels, out_channels)
        self.v = nn.Parameter(torch.empty(*channels, *kernel_size).normal_(std=0.05))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        self.gain = nn.Parameter(torch.full((out_channels,), init_scale)) if weight_norm else None
        if not weight_norm:
            with torch.no_grad():  # so that both parametrisations start from the same function
                self.v.mul_(init_scale / self._norm())

    def _norm(self) -> Tensor:
        norm: Tensor = torch.linalg.vector_norm(self.v, dim=(self.input_axis, 2, 3), keepdim=True)
        return norm

    @property
    def weight(self) -> Tensor:
        """The effective weight, with the shape of `v`."""
        if self.gain is None:
            return self.v
        norm = self._norm()
        return self.v * (self.gain.view_as(norm) / norm)

    def set_weight(self, weight: Tensor) -> None:
        """Sets the effective weight; it has the shape of `v`."""
        with torch.no_grad():
            self.v.copy_(weight)
            if self.gain is not None:
                self.gain.copy_(self._norm().flatten())

    def fold(self) -> None:
        """Replaces gain and v by the effective weight, because inference needs the normalisation only once."""
        self.v = nn.Parameter(self.weight.detach(), requires_grad=False)
        self.gain = None

    def initialise(self, outputs: Tensor) -> Tensor:
        """Sets gain and bias such that these outputs have mean 0 and standard deviation `init_scale`.

        Args:
            outputs: Outputs of this layer, (B, out_channels, h, w).

        Returns:
            The outputs of the layer after the change.
        """
        with torch.no_grad():
            deviation, mean = torch.std_mean(outputs, dim=(0, 2, 3), correction=0)
            factor = self.init_scale / (deviation + 1e-5)  # keeps a channel that is constant on the batch finite
            rescaled = self.v if self.gain is None else self.gain
            rescaled.mul_(factor.view_as(self._norm()) if self.gain is None else factor)
            self.bias.sub_(mean).mul_(factor)
            return (outputs - mean.view(-1, 1, 1)) * factor.view(-1, 1, 1)

    def pad(self, h: Tensor) -> Tensor:
        return h

    def forward(self, h: Tensor) -> Tensor:
        return F.conv2d(self.pad(h), self.weight, self.bias, self.stride)


class DownShiftedConv2d(Conv2d):
    """Row i of the output depends on rows up to i of the input, and on columns to both sides (vertical stack)."""

    def pad(self, h: Tensor) -> Tensor:
        rows, columns = self.kernel_size
        return F.pad(h, ((columns - 1) // 2, (columns - 1) // 2, rows - 1, 0))


class DownRightShiftedConv2d(Conv2d):
    """Position (i, j) of the output depends on rows up to i and columns up to j (horizontal stack)."""

    def pad(self, h: Tensor) -> Tensor:
        rows, columns = self.kernel_size
        return F.pad(h, (columns - 1, 0, rows - 1, 0))


class TransposedConv2d(Conv2d):
    """Doubles height and width. Each input position reaches downwards only, which keeps the layer causal."""

    input_axis = 0

    @property
    def left(self) -> int:
        """Number of columns that the kernel reaches to the left."""
        return 0

    def forward(self, h: Tensor) -> Tensor:
        rows, columns = self.kernel_size
        # this padding crops the edges inside the convolution; cropping afterwards makes bf16 twenty times slower
        missing = (self.stride - rows, self.stride - columns + 2 * self.left)
        return F.conv_transpose2d(h, self.weight, self.bias, self.stride, (0, self.left), missing)


class DownShiftedTransposedConv2d(TransposedConv2d):
    """The vertical stack's: information flows down, and to both sides."""

    @property
    def left(self) -> int:
        return (self.kernel_size[1] - 1) // 2


class DownRightShiftedTransposedConv2d(TransposedConv2d):
    """The horizontal stack's: information flows down and right only."""


def initialise_from_data(model: nn.Module, *inputs: object) -> None:
    """Data-dependent initialisation: runs `model(*inputs)` once and initialises each convolution from its outputs.

    Each layer receives inputs from layers that are already initialised; Salimans and Kingma (2016), section 3.
    """
    hooks = [
        module.register_forward_hook(lambda module, _, outputs: module.initialise(outputs))
        for module in model.modules()
        if isinstance(module, Conv2d)
    ]
    try:
        with torch.no_grad():
            model(*inputs)
    finally:
        for hook in hooks:
            hook.remove()


class EvidencePooling(nn.Module):
    """The causal running mean of features: at each pixel a summary of all features up to it in raster order.

        run_i = 4 / i sum over j <= i of SiLU(W h)_j,  i = 1 .. H W

    Because h_j depends on the pixels before j only, run_i depends on the pixels before i only. The last pixel's value
    summarises the whole image. The factor keeps the mean on the scale of the features that it summarises.

    Args:
        num_filters: F.
        channels: R, channels of the result.
        weight_norm: As in `Conv2d`.
    """

    scale: ClassVar[float] = 4.0

    def __init__(self, num_filters: int, channels: int, *, weight_norm: bool = True):
        super().__init__()
        self.project = Conv2d(num_filters, channels, weight_norm=weight_norm)

    def forward(self, h: Tensor) -> Tensor:
        """(B, F, H, W) -> (B, R, H, W)."""
        terms = F.silu(self.project(h))
        flat = terms.flatten(2)
        flat = flat.to(torch.promote_types(flat.dtype, torch.float32))  # half precision cannot add a thousand terms
        count = torch.arange(1, flat.shape[2] + 1, device=h.device, dtype=flat.dtype)
        return (flat.cumsum(dim=2) * (self.scale / count)).to(terms.dtype).view(terms.shape)


class GatedResNet(nn.Module):
    """Gated residual block: h + a * sigmoid(b), with (a, b) computed from h and from a short-cut.

    Salimans et al. (2017), section 2.2 and the authors' `gated_resnet`.

    Args:
        conv: The shifted convolution. It decides the causality of the block.
        kernel_size: Height and width of its kernel.
        num_filters: F.
        shortcut_channels: Channels of the short-cut input; 0 for a block without a short-cut.
        dropout: Probability of dropping each activation between the two convolutions, element by element.
        weight_norm: As in `Conv2d`.
    """

    def __init__(
        self,
        conv: type[Conv2d],
        kernel_size: tuple[int, int],
        num_filters: int,
        *,
        shortcut_channels: int = 0,
        dropout: float = 0.5,
        weight_norm: bool = True,
    ):
        super().__init__()
        self.conv_in = conv(2 * num_filters, num_filters, kernel_size, weight_norm=weight_norm)
        self.conv_shortcut = (
            Conv2d(2 * shortcut_channels, num_filters, weight_norm=weight_norm) if shortcut_channels else None
        )
        # init_scale 0.1 as in the authors' code: a block starts close to the identity
        self.conv_out = conv(2 * num_filters, 2 * num_filters, kernel_size, weight_norm=weight_norm, init_scale=0.1)
        self.dropout = dropout

    def forward(
        self,
        h: Tensor,
        shortcut: Tensor | None = None,
        condition: Conditioning = unconditioned,
        key: Key | None = None,
    ) -> Tensor:
        """The features after the block.

        Args:
            h: (B, F, h, w).
            shortcut: (B, shortcut_channels, h, w), for a block with a short-cut.
            condition: Called with each conditioning point and the features there; returns the conditioned features.
            key: Random key of dropout; None disables dropout.
        """
        h = condition(ConditioningPoint.BEFORE_BLOCK, h)
        inner = self.conv_in(concat_elu(condition(ConditioningPoint.BEFORE_BRANCH, h)))
        if self.conv_shortcut is not None and shortcut is not None:
            inner = inner + self.conv_shortcut(concat_elu(condition(ConditioningPoint.SHORTCUT, shortcut)))
        inner = self.drop(inner, key) if key is not None and self.dropout > 0 else concat_elu(inner)  # (B, 2F, h, w)
        gated = F.glu(condition(ConditioningPoint.BEFORE_GATE, self.conv_out(inner)), dim=1)  # a * sigmoid(b)
        return condition(ConditioningPoint.AFTER_BLOCK, h + condition(ConditioningPoint.RESIDUAL, gated))

    def drop(self, h: Tensor, key: Key) -> Tensor:
        """Dropout after concat_elu: (B, F, h, w) -> (B, 2F, h, w)."""
        _, channels, height, width = h.shape
        masks = key.keep(1 - self.dropout, height, width, channels)  # channels last, as in memory
        # dropping each half before the concatenation lets a compiler fuse everything into one loop
        halves = (F.elu(half) * mask.movedim(-1, 1) for half, mask in zip((h, -h), masks, strict=True))
        return torch.cat([half / (1 - self.dropout) for half in halves], dim=1)
