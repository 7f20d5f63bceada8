"""Networks small enough to prove things about, and what a pixel of theirs may see."""

import torch

from pixelbayes.model import PixelCNN, PixelCNNConfig


def tiny_model(fusion="film", **changes):
    """A network of a few filters, in float64, the same every time."""
    settings = {"num_classes": 3, "levels": 5, "image_size": (8, 12), "num_filters": 4, "num_mixtures": 2} | changes
    torch.manual_seed(0)
    return PixelCNN(PixelCNNConfig(fusion=fusion, **settings)).double()


def randomised(model):
    """The model with every weight moved, those that start at zero too: a zero would hide a leak or a blind spot."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn(weight.shape, generator=generator, dtype=weight.dtype), alpha=0.5)
    return model


def random_images(batch, config, seed=2):
    """uint8 levels, (B, C, H, W)."""
    generator = torch.Generator().manual_seed(seed)
    shape = (batch, config.channels, *config.image_size)
    return torch.randint(config.levels, shape, generator=generator, dtype=torch.uint8)


# Which (rows, columns) before it a position reads, drawn from the paper's figure and the authors' kernels; none of the
# package's layers is used. A field is bool (h, w, H, W): what each position of a feature map sees of the image.

VERTICAL = [(row, column) for row in (-1, 0) for column in (-1, 0, 1)]
HORIZONTAL = [(row, column) for row in (-1, 0) for column in (-1, 0)]
STEM_VERTICAL = [(row, column) for row in (-2, -1) for column in (-1, 0, 1)]  # moved down: the rows above alone
STEM_HORIZONTAL = [(-1, -1), (-1, 0), (-1, 1), (0, -1)]  # the row above and, of its own row, the pixel to the left


def _conv(field, offsets, stride=1):
    height, width = field.shape[0] // stride, field.shape[1] // stride
    seen = torch.zeros(height, width, *field.shape[2:], dtype=torch.bool)
    for i in range(height):
        for j in range(width):
            for row, column in offsets:
                if 0 <= stride * i + row < field.shape[0] and 0 <= stride * j + column < field.shape[1]:
                    seen[i, j] |= field[stride * i + row, stride * j + column]
    return seen


def _grow(field, offsets):
    """Doubles height and width: position (i, j) writes at (2i, 2j), moved the other way round than it was read."""
    seen = torch.zeros(2 * field.shape[0], 2 * field.shape[1], *field.shape[2:], dtype=torch.bool)
    for i in range(field.shape[0]):
        for j in range(field.shape[1]):
            for row, column in offsets:
                if 0 <= 2 * i - row < len(seen) and 0 <= 2 * j - column < seen.shape[1]:
                    seen[2 * i - row, 2 * j - column] |= field[i, j]
    return seen


def _block(field, offsets, shortcut):
    return field | _conv(_conv(field, offsets) | shortcut, offsets)


def receptive_fields(num_blocks, height, width):
    """Which pixels the parameters of each pixel may depend on, bool (H, W, H, W): [i, j] is the field of (i, j)."""
    padded_height, padded_width = height + -height % 4, width + -width % 4
    image = torch.zeros(padded_height, padded_width, height, width, dtype=torch.bool)
    for i in range(height):
        for j in range(width):
            image[i, j, i, j] = True

    vertical, horizontal = _conv(image, STEM_VERTICAL), _conv(image, STEM_HORIZONTAL)
    kept = [(vertical, horizontal)]
    for resolution in range(3):
        for _ in range(num_blocks):
            vertical = _block(vertical, VERTICAL, torch.zeros_like(vertical))
            horizontal = _block(horizontal, HORIZONTAL, vertical)
            kept.append((vertical, horizontal))
        if resolution < 2:
            vertical, horizontal = _conv(vertical, VERTICAL, stride=2), _conv(horizontal, HORIZONTAL, stride=2)
            kept.append((vertical, horizontal))
    kept.pop()
    for resolution in (2, 1, 0):
        for _ in range(num_blocks + (resolution < 2)):
            vertical_kept, horizontal_kept = kept.pop()
            vertical = _block(vertical, VERTICAL, vertical_kept)
            horizontal = _block(horizontal, HORIZONTAL, vertical | horizontal_kept)
        if resolution > 0:
            vertical, horizontal = _grow(vertical, VERTICAL), _grow(horizontal, HORIZONTAL)
    return horizontal[:height, :width]
