"""The layers of PixelCNN++: causality is made here, with no label in sight.

A *down-shifted* convolution never lets information flow up; a *down-right-shifted* one never up nor left. A layer may
see the position it stands at; that a pixel does not see itself is the work of `down_shift` and `right_shift`, used
once, after the first convolutions. Van den Oord et al. (2016), https://arxiv.org/abs/1606.05328, section 2.2; Salimans
et al. (2017), https://arxiv.org/abs/1701.05517, section 2 and the authors' code.
"""

from collections.abc import Callable
from typing import ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pixelbayes.utils.randomness import Key


def down_shift(h: Tensor) -> Tensor:
    """Moves every row down by one: what stood at (i, j) stands at (i + 1, j); zeros come in at the top."""
    return F.pad(h, (0, 0, 1, 0))[:, :, :-1]


def right_shift(h: Tensor) -> Tensor:
    """Moves every column right by one: what stood at (i, j) stands at (i, j + 1); zeros come in at the left."""
    return F.pad(h, (1, 0))[:, :, :, :-1]


def concat_elu(h: Tensor) -> Tensor:
    """ELU of h and of -h, (B, F, H, W) -> (B, 2F, H, W); Shang et al. (2016), https://arxiv.org/abs/1603.05201."""
    return torch.cat((F.elu(h), F.elu(-h)), dim=1)  # in this order a compiler writes both halves where they belong


class Conv2d(nn.Module):
    """A convolution whose weight is, by choice, normalised: w = gain * v / ||v||, one gain for each output channel.

    Salimans and Kingma (2016), https://arxiv.org/abs/1602.07868, Eq. 2. The norm is taken per output channel, in the
    transposed convolution too. `initialise` sets gain and bias from the first batch (their Eq. 6).

    Args:
        in_channels: Channels read.
        out_channels: Channels written.
        kernel_size: Height and width of the kernel.
        stride: 2 halves (or, transposed, doubles) height and width.
        weight_norm: False stores w itself.
        init_scale: Standard deviation of the outputs at the start, for inputs of unit variance.
    """

    input_axis: ClassVar[int] = 1  # of the weight; its other leading axis is the output's

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
            with torch.no_grad():  # so that both kinds start from the same function
                self.v.mul_(init_scale / self._norm())

    def _norm(self) -> Tensor:
        return torch.linalg.vector_norm(self.v, dim=(self.input_axis, 2, 3), keepdim=True)

    @property
    def weight(self) -> Tensor:
        """The weight that convolves, normalised where it should be; the shape of `v`."""
        if self.gain is None:
            return self.v
        norm = self._norm()
        return self.v * (self.gain.view_as(norm) / norm)

    def set_weight(self, weight: Tensor) -> None:
        """Takes over an effective weight, of the shape of `v`."""
        with torch.no_grad():
            self.v.copy_(weight)
            if self.gain is not None:
                self.gain.copy_(self._norm().flatten())

    def fold(self) -> None:
        """Stores the weight as it convolves, and gives the normalisation up: a network in use needs it once."""
        self.v = nn.Parameter(self.weight.detach(), requires_grad=False)
        self.gain = None

    def initialise(self, outputs: Tensor) -> Tensor:
        """Rescales and shifts so that these outputs get mean 0 and deviation `init_scale`; returns them so changed."""
        with torch.no_grad():
            deviation, mean = torch.std_mean(outputs, dim=(0, 2, 3), correction=0)
            factor = self.init_scale / (deviation + 1e-5)  # a channel that is constant on the batch stays finite
            rescaled = self.v if self.gain is None else self.gain
            rescaled.mul_(factor.view_as(self._norm()) if self.gain is None else factor)
            self.bias.sub_(mean).mul_(factor)
            return (outputs - mean.view(-1, 1, 1)) * factor.view(-1, 1, 1)

    def pad(self, h: Tensor) -> Tensor:
        return h

    def forward(self, h: Tensor) -> Tensor:
        return F.conv2d(self.pad(h), self.weight, self.bias, self.stride)


class DownShiftedConv2d(Conv2d):
    """Row i of the output sees rows up to i of the input, columns to both sides (the vertical stack)."""

    def pad(self, h: Tensor) -> Tensor:
        rows, columns = self.kernel_size
        return F.pad(h, ((columns - 1) // 2, (columns - 1) // 2, rows - 1, 0))


class DownRightShiftedConv2d(Conv2d):
    """Position (i, j) of the output sees rows up to i and columns up to j of the input (the horizontal stack)."""

    def pad(self, h: Tensor) -> Tensor:
        rows, columns = self.kernel_size
        return F.pad(h, (columns - 1, 0, rows - 1, 0))


class TransposedConv2d(Conv2d):
    """Doubles height and width; the kernel reaches down from each position of the input, as causality asks."""

    input_axis = 0

    @property
    def left(self) -> int:
        """Columns by which the kernel reaches to the left."""
        return 0

    def forward(self, h: Tensor) -> Tensor:
        rows, columns = self.kernel_size
        # padding that cuts what reaches over the edges while convolving: cut off later, bf16 is twenty times slower
        missing = (self.stride - rows, self.stride - columns + 2 * self.left)
        return F.conv_transpose2d(h, self.weight, self.bias, self.stride, (0, self.left), missing)


class DownShiftedTransposedConv2d(TransposedConv2d):
    """The vertical stack's: rows flow down only, columns to both sides."""

    @property
    def left(self) -> int:
        return (self.kernel_size[1] - 1) // 2


class DownRightShiftedTransposedConv2d(TransposedConv2d):
    """The horizontal stack's: rows flow down only, columns right only."""


def initialise_from_data(model: nn.Module, *inputs: object) -> None:
    """Data-dependent initialisation: runs `model(*inputs)` once and sets each convolution as its outputs are made.

    Each layer sees inputs that come from layers already initialised; Salimans and Kingma (2016), section 3.
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


def unchanged(h: Tensor) -> Tensor:
    return h


class Doors(NamedTuple):
    """Places where a condition may enter a GatedResNet: functions of the features that pass there, shape kept."""

    before_block: Callable[[Tensor], Tensor] = unchanged  # what block and residual connection both read, (B, F, h, w)
    before_branch: Callable[[Tensor], Tensor] = unchanged  # what the block's convolutions alone read, (B, F, h, w)
    at_shortcut: Callable[[Tensor], Tensor] = unchanged  # what its short-cut reads, (B, shortcut_channels, h, w)
    before_gate: Callable[[Tensor], Tensor] = unchanged  # (B, 2F, h, w)
    scale_residual: Callable[[Tensor], Tensor] = unchanged  # what the block adds, (B, F, h, w)
    after_block: Callable[[Tensor], Tensor] = unchanged  # (B, F, h, w)


CLOSED = Doors()


class GatedResNet(nn.Module):
    """Gated residual block: h + a * sigmoid(b), with (a, b) computed from h and from a short-cut.

    Salimans et al. (2017), section 2.2 and the authors' `gated_resnet`.

    Args:
        conv: The shifted convolution whose causality the block inherits.
        num_filters: F.
        shortcut_channels: Channels of the short-cut input; 0 for a block without one.
        dropout: Probability of dropping an activation between the two convolutions, element by element.
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
        # init_scale 0.1 as the authors: a block starts near the identity
        self.conv_out = conv(2 * num_filters, 2 * num_filters, kernel_size, weight_norm=weight_norm, init_scale=0.1)
        self.dropout = dropout

    def forward(
        self, h: Tensor, shortcut: Tensor | None = None, doors: Doors = CLOSED, key: Key | None = None
    ) -> Tensor:
        """The features after the block.

        Args:
            h: (B, F, h, w).
            shortcut: (B, shortcut_channels, h, w), for a block that has a short-cut.
            doors: Where the condition enters.
            key: Randomness of dropout; None switches dropout off.
        """
        h = doors.before_block(h)
        inner = self.conv_in(concat_elu(doors.before_branch(h)))
        if self.conv_shortcut is not None and shortcut is not None:
            inner = inner + self.conv_shortcut(concat_elu(doors.at_shortcut(shortcut)))
        inner = self.drop(inner, key) if key is not None and self.dropout > 0 else concat_elu(inner)  # (B, 2F, h, w)
        gated = F.glu(doors.before_gate(self.conv_out(inner)), dim=1)  # a * sigmoid(b)
        return doors.after_block(h + doors.scale_residual(gated))

    def drop(self, h: Tensor, key: Key) -> Tensor:
        """Dropout of concat_elu: (B, F, h, w) -> (B, 2F, h, w)."""
        _, channels, height, width = h.shape
        masks = key.keep(1 - self.dropout, height, width, channels)  # channels last, as they lie in memory
        # each half before they are joined: so a compiler makes all of this one loop
        halves = (F.elu(half) * kept.movedim(-1, 1) for half, kept in zip((h, -h), masks, strict=True))
        return torch.cat([half / (1 - self.dropout) for half in halves], dim=1)
