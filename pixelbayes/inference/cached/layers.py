"""Layers that receive an image row by row and pixel by pixel, and compute each position once.

Each layer returns the output of the convolution that it replaces at the current position, computed from the inputs
received so far. A `GatedResNet` whose convolutions are replaced by these layers runs on a single row or pixel.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pixelbayes.models.layers import Conv2d, EvidencePooling


class RowConv(nn.Module):
    """A down-shifted convolution that receives one row at a time and stores the row above.

    Args:
        conv: The convolution; its kernel has one row or two.
    """

    def __init__(self, conv: Conv2d):
        super().__init__()
        self.conv = conv
        self.above: Tensor | None = None

    def reset(self) -> None:
        """Clears the stored row: above an image there is padding."""
        self.above = None

    def push(self, row: Tensor) -> None:
        """Receives a row, (B, C, 1, w), without computing an output."""
        self.above = row

    def forward(self, row: Tensor) -> Tensor:
        """The output at this row, (B, C, 1, w) -> (B, C', 1, w / stride)."""
        rows, columns = self.conv.kernel_size
        above = torch.zeros_like(row) if self.above is None else self.above
        self.push(row)
        seen = torch.cat((above, row), dim=2) if rows == 2 else row
        side = (columns - 1) // 2
        return F.conv2d(F.pad(seen, (side, side)), self.conv.weight, self.conv.bias, self.conv.stride)


class PixelConv(nn.Module):
    """A down-right-shifted convolution that receives one pixel at a time: a product with it and its left neighbour.

    The inputs of the kernel's upper row are complete before a row begins, so `begin_row` computes their part for all
    columns at once.

    Args:
        conv: The convolution; its kernel has two rows and one column or two.
        batch: B.
        width: w, of the input rows.
        column: The column of the current pixel, int64 (1,), shared.
    """

    def __init__(self, conv: Conv2d, batch: int, width: int, column: Tensor):
        super().__init__()
        weight = conv.weight  # (C', C, 2, columns)
        filters, channels, _, columns = weight.shape
        self.stride = conv.stride
        self.bias = conv.bias
        self.kernel = weight[:, :, 1].permute(2, 1, 0).flatten(0, 1).contiguous()  # (columns C, C')
        self.kernel_above = weight[:, :, 0].permute(2, 1, 0).flatten(0, 1).contiguous()
        self.column = column
        self.taps = torch.arange(columns, device=weight.device)
        # the current row; to the right of the current pixel it still holds the row above; in front, the padding
        self.row = weight.new_zeros(batch, columns - 1 + width, channels)
        self.above = weight.new_zeros(batch, width // self.stride, filters)

    def reset(self) -> None:
        """Clears the stored row."""
        self.row.zero_()

    def begin_row(self) -> None:
        """Computes the contribution of the row that has just ended to the next one."""
        columns = len(self.taps)
        seen = self.row.unfold(1, columns, self.stride)  # (B, w / stride, C, columns)
        seen = seen.transpose(2, 3).flatten(2).flatten(0, 1)  # (B w / stride, columns C)
        torch.addmm(self.bias, seen, self.kernel_above, out=self.above.flatten(0, 1))

    def push(self, h: Tensor) -> None:
        """Receives a pixel, (B, C, 1, 1), without computing an output."""
        self.row.index_copy_(1, self.column + (len(self.taps) - 1), h.flatten(1)[:, None])

    def forward(self, h: Tensor) -> Tensor:
        """The output at this pixel, (B, C, 1, 1) -> (B, C', 1, 1)."""
        self.push(h)
        seen = h.flatten(1) if len(self.taps) == 1 else self.row.index_select(1, self.column + self.taps).flatten(1)
        above = self.above.index_select(1, self.column // self.stride).transpose(1, 2)[..., None]
        return (seen @ self.kernel)[..., None, None] + above


class PointConv(nn.Module):
    """A 1 x 1 convolution of a single pixel, (B, C, 1, 1) -> (B, C', 1, 1)."""

    def __init__(self, conv: Conv2d):
        super().__init__()
        self.weight = conv.weight.flatten(1)
        self.bias = conv.bias

    def forward(self, h: Tensor) -> Tensor:
        return F.linear(h.flatten(1), self.weight, self.bias)[..., None, None]


class PixelUpsample(nn.Module):
    """The horizontal stack's transposed convolution: each input pixel yields four output pixels, which are stored.

    Args:
        conv: The convolution, kernel 2 x 2, stride 2: the outputs of two pixels never overlap.
        batch: B.
        width: w, of the output rows.
        column: The column of the current output pixel, int64 (1,), shared.
    """

    def __init__(self, conv: Conv2d, batch: int, width: int, column: Tensor):
        super().__init__()
        weight = conv.weight  # (C, C', 2, 2)
        self.kernel = weight.permute(0, 2, 3, 1).flatten(1).contiguous()  # (C, 4 C')
        self.bias = conv.bias
        self.column = column
        self.ahead = torch.arange(2, device=weight.device)
        self.rows = weight.new_zeros(2, batch, width, weight.shape[1])

    def push(self, h: Tensor) -> None:
        """Receives a pixel, (B, C, 1, 1); the current output pixel is the upper left of its four."""
        outputs = torch.unflatten(h.flatten(1) @ self.kernel, 1, (2, 2, -1)) + self.bias  # (B, row, column, C')
        self.rows.index_copy_(2, self.column + self.ahead, outputs.transpose(0, 1))

    def begin_row(self, lower: int) -> None:
        """Moves to the upper (0) or the lower (1) of the two output rows."""
        if lower:
            self.rows[0].copy_(self.rows[1])

    def forward(self) -> Tensor:
        """The output at the current pixel, (B, C', 1, 1)."""
        return self.rows[0].index_select(1, self.column)[:, 0, :, None, None]


class RunningEvidence(nn.Module):
    """Evidence pooling that receives one pixel at a time and stores one sum per image.

    Args:
        pooling: The pooling.
        batch: B.
    """

    def __init__(self, pooling: EvidencePooling, batch: int):
        super().__init__()
        self.project = PointConv(pooling.project)
        self.scale = pooling.scale
        self.total = pooling.project.bias.new_zeros(batch, len(pooling.project.bias), 1, 1)
        self.count = self.total.new_zeros(1)

    def reset(self) -> None:
        """Clears the sum."""
        self.total.zero_()
        self.count.zero_()

    def forward(self, h: Tensor) -> Tensor:
        """The pooled evidence at this pixel, (B, F, 1, 1) -> (B, R, 1, 1); every pixel is passed once, in order."""
        self.total.add_(F.silu(self.project(h)))
        self.count.add_(1)
        return self.total * (self.scale / self.count)
