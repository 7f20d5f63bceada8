"""Networks small enough to prove things about, and what a pixel of theirs may see."""

import inspect
import itertools
from typing import Literal, get_args, get_origin

import torch

from pixelbayes.images.pixels import to_x
from pixelbayes.models.fusion import FUSIONS
from pixelbayes.models.pixelcnn import PixelCNN, PixelCNNConfig


def options():
    """Each option of each fusion at a value that is not its default, `name:option=value`: read off the classes."""
    for name, fusion in FUSIONS.items():
        for option, parameter in inspect.signature(fusion, eval_str=True).parameters.items():
            if get_origin(parameter.annotation) is Literal:
                values = [value for value in get_args(parameter.annotation) if value != parameter.default]
            elif parameter.annotation is bool:
                values = [str(not parameter.default).lower()]
            else:
                values = [2] if parameter.annotation is int else []
            yield from (f"{name}:{option}={value}" for value in values)


OPTIONS = list(options())
COMBINED = [
    "film:at=shortcut,bounded,mlp=one-hot",
    "adaln:gate=false,mlp=embedding",
    "one-hot-map+after-block",  # report 002
    "one-hot-map+film+bottleneck+output-add",  # best-public
    ("film:at=shortcut", "film:bounded", "film"),  # two of a kind
    "output-concat+output-add+output-concat:width=3+adaln",
    "channel-concat+input-add+input-concat",  # all with the image
]
EVERY_FUSION = [*FUSIONS, *OPTIONS, *COMBINED]

WITH_THE_IMAGE = {"input-add", "input-concat", "channel-concat", "one-hot-map"}
WHOLE_IMAGE = {"input-add", "input-concat"}  # tied to one size


def names_of(fusion):
    """The keys of FUSIONS in what a config says."""
    return {part.partition(":")[0] for part in (fusion.split("+") if isinstance(fusion, str) else fusion)}


def tiny_model(fusion="film", **changes):
    """A network of a few filters, in float64, the same every time."""
    settings = {"num_classes": 3, "levels": 5, "image_size": (8, 12), "num_filters": 4, "num_mixtures": 2} | changes
    torch.manual_seed(0)
    return PixelCNN(PixelCNNConfig(fusion=fusion, **settings)).double()


def randomised(model):
    """The model with every weight moved, those that start at zero too: a zero would hide a leak or a blind spot."""
    generator = torch.Generator().manual_seed(1)
    wide = {layer.weight: layer.in_features for layer in model.modules() if isinstance(layer, torch.nn.Linear)}
    with torch.no_grad():
        for weight in model.parameters():
            spread = 0.5 / wide.get(weight, 1) ** 0.5  # so that no gate saturates, which would hide them as well
            weight.add_(torch.randn(weight.shape, generator=generator, dtype=weight.dtype), alpha=spread)
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


def receptive_fields(num_blocks, height, width, block=_block):
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
            vertical = block(vertical, VERTICAL, torch.zeros_like(vertical))
            horizontal = block(horizontal, HORIZONTAL, vertical)
            kept.append((vertical, horizontal))
        if resolution < 2:
            vertical, horizontal = _conv(vertical, VERTICAL, stride=2), _conv(horizontal, HORIZONTAL, stride=2)
            kept.append((vertical, horizontal))
    kept.pop()
    for resolution in (2, 1, 0):
        for _ in range(num_blocks + (resolution < 2)):
            vertical_kept, horizontal_kept = kept.pop()
            vertical = block(vertical, VERTICAL, vertical_kept)
            horizontal = block(horizontal, HORIZONTAL, vertical | horizontal_kept)
        if resolution > 0:
            vertical, horizontal = _grow(vertical, VERTICAL), _grow(horizontal, HORIZONTAL)
    return horizontal[:height, :width]


def dependence(model, label):
    """Which pixels of an image each pixel's parameters depend on, bool (H, W, H, W), by gradients.

    Every position is asked of its own copy of the image, so that one backward pass answers for all.
    """
    height, width = model.config.image_size
    positions = torch.arange(height * width)
    x = to_x(random_images(1, model.config), model.config.levels, torch.float64).repeat(len(positions), 1, 1, 1)
    x.requires_grad_()
    params = model(x, label.expand(len(positions))).flatten(2)[positions, :, positions]  # (H W, P)
    seen = torch.zeros(len(positions), height, width, dtype=torch.float64)
    generator = torch.Generator().manual_seed(4)
    for _ in range(3):  # random projections of the parameters: no sum cancels thrice
        projection = torch.randn(params.shape, generator=generator, dtype=torch.float64)
        (gradient,) = torch.autograd.grad((params * projection).sum(), x, retain_graph=True)
        seen += gradient.abs().sum(dim=1)
    return (seen > 0).view(height, width, height, width)


def every_image(config):
    """All images of a size and number of levels, (N, C, H, W)."""
    values = itertools.product(range(config.levels), repeat=config.dims)
    return to_x(torch.tensor(list(values)).view(-1, config.channels, *config.image_size), config.levels, torch.float64)
