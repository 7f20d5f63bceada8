"""Small networks for proofs, and the receptive field of each of their pixels."""

import itertools
from functools import cache

import torch

from pixelbayes.images.pixels import to_x
from pixelbayes.images.shape import ImageShape
from pixelbayes.models.fusion import FUSIONS
from pixelbayes.models.pixelcnn import PixelCNN, PixelCNNConfig

# A property of all fusions is tested once for each conditioning point and mechanism, not once for each option.
OPTIONS = [
    "film:at=shortcut,bounded,mlp=one-hot",  # acts at SHORTCUT; a bounded factor; an MLP on the one-hot label
    "adaln:gate=false,mlp=embedding",  # acts at BEFORE_BRANCH only; an MLP on an embedding
]
COMBINED = [
    "one-hot-map+film+bottleneck+output-add",  # the preset best-public
    ("film:at=shortcut", "film:bounded", "film"),  # the same class several times
    "output-concat+output-add+output-concat:width=3+adaln",  # appends before and after it adds
    "channel-concat+input-add+input-concat",  # all at INPUT
    "output-concat+film+class-head:hidden=5",
]
EVERY_FUSION = [*FUSIONS, *OPTIONS, *COMBINED]

AT_INPUT = {"input-add", "input-concat", "channel-concat", "one-hot-map"}
WHOLE_IMAGE = {"input-add", "input-concat"}  # they require one image size


def names_of(fusion):
    """The keys of FUSIONS that a config names."""
    return {part.partition(":")[0] for part in (fusion.split("+") if isinstance(fusion, str) else fusion)}


def tiny_model(fusion="film", *, image_size=(8, 12), channels=3, levels=5, **changes):
    """A network with few filters, in float64, with the same weights every time."""
    height, width = image_size
    shape = ImageShape(height=height, width=width, channels=channels, levels=levels)
    settings = {"num_classes": 3, "num_filters": 4, "num_mixtures": 2, "image_shape": shape, "auxiliary_head": False}
    settings |= {"evidence_channels": 3 if "class-head" in names_of(fusion) else 0, **changes}
    torch.manual_seed(0)
    return PixelCNN(PixelCNNConfig(fusion=fusion, **settings)).double()


def randomised(model):
    """The model with every weight changed, because a weight that starts at zero would hide a leak or a blind spot."""
    generator = torch.Generator().manual_seed(1)
    inputs = {layer.weight: layer.in_features for layer in model.modules() if isinstance(layer, torch.nn.Linear)}
    with torch.no_grad():
        for weight in model.parameters():
            deviation = 0.5 / inputs.get(weight, 1) ** 0.5  # a saturated gate would hide them too
            weight.add_(torch.randn(weight.shape, generator=generator, dtype=weight.dtype), alpha=deviation)
    return model


def normal(*shape, seed=3):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def random_images(batch, config, seed=2):
    """uint8 levels, (B, C, H, W)."""
    generator = torch.Generator().manual_seed(seed)
    shape = config.image_shape
    return torch.randint(shape.levels, (batch, *shape.chw), generator=generator, dtype=torch.uint8)


def random_x(model, batch=3):
    """Images in [-1, 1], float64 (B, C, H, W)."""
    return to_x(random_images(batch, model.config), model.config.image_shape.levels, torch.float64)


def every_image(config):
    """All images of a shape, (N, C, H, W) in [-1, 1]."""
    shape = config.image_shape
    values = itertools.product(range(shape.levels), repeat=shape.dims)
    return to_x(torch.tensor(list(values)).view(-1, *shape.chw), shape.levels, torch.float64)


# Offsets (rows, columns) of the inputs of a position, from the paper's figure and the authors' kernels, not from the
# package. A field is bool (h, w, H, W): the pixels of the image on which each position of a feature map depends.

VERTICAL = [(row, column) for row in (-1, 0) for column in (-1, 0, 1)]
HORIZONTAL = [(row, column) for row in (-1, 0) for column in (-1, 0)]
STEM_VERTICAL = [(row, column) for row in (-2, -1) for column in (-1, 0, 1)]  # shifted down: only the rows above
STEM_HORIZONTAL = [(-1, -1), (-1, 0), (-1, 1), (0, -1)]  # the row above and the pixel to the left


def _conv(field, offsets, stride=1):
    height, width = field.shape[0] // stride, field.shape[1] // stride
    output = torch.zeros(height, width, *field.shape[2:], dtype=torch.bool)
    for i in range(height):
        for j in range(width):
            for row, column in offsets:
                if 0 <= stride * i + row < field.shape[0] and 0 <= stride * j + column < field.shape[1]:
                    output[i, j] |= field[stride * i + row, stride * j + column]
    return output


def _upsample(field, offsets):
    """Doubles height and width: position (i, j) contributes to (2i, 2j) minus each offset."""
    output = torch.zeros(2 * field.shape[0], 2 * field.shape[1], *field.shape[2:], dtype=torch.bool)
    for i in range(field.shape[0]):
        for j in range(field.shape[1]):
            for row, column in offsets:
                if 0 <= 2 * i - row < len(output) and 0 <= 2 * j - column < output.shape[1]:
                    output[2 * i - row, 2 * j - column] |= field[i, j]
    return output


def _block(field, offsets, shortcut):
    return field | _conv(_conv(field, offsets) | shortcut, offsets)


@cache
def receptive_fields(num_blocks, height, width, block=_block):
    """Pixels on which the parameters of each pixel may depend, bool (H, W, H, W): [i, j] is the field of (i, j)."""
    padded_height, padded_width = height + -height % 4, width + -width % 4
    image = torch.zeros(padded_height, padded_width, height, width, dtype=torch.bool)
    for i in range(height):
        for j in range(width):
            image[i, j, i, j] = True

    vertical, horizontal = _conv(image, STEM_VERTICAL), _conv(image, STEM_HORIZONTAL)
    skips = [(vertical, horizontal)]
    for resolution in range(3):
        for _ in range(num_blocks):
            vertical = block(vertical, VERTICAL, torch.zeros_like(vertical))
            horizontal = block(horizontal, HORIZONTAL, vertical)
            skips.append((vertical, horizontal))
        if resolution < 2:
            vertical, horizontal = _conv(vertical, VERTICAL, stride=2), _conv(horizontal, HORIZONTAL, stride=2)
            skips.append((vertical, horizontal))
    skips.pop()
    for resolution in (2, 1, 0):
        for _ in range(num_blocks + (resolution < 2)):
            vertical_skip, horizontal_skip = skips.pop()
            vertical = block(vertical, VERTICAL, vertical_skip)
            horizontal = block(horizontal, HORIZONTAL, vertical | horizontal_skip)
        if resolution > 0:
            vertical, horizontal = _upsample(vertical, VERTICAL), _upsample(horizontal, HORIZONTAL)
    return horizontal[:height, :width]


def dependence(model, label):
    """Pixels of an image on which the parameters of each pixel depend, bool (H, W, H, W), by gradients.

    The batch holds one copy of the image per position, so that one backward pass gives the gradients of all.
    """
    height, width = model.config.image_shape.size
    positions = torch.arange(height * width)
    x = random_x(model, 1).repeat(len(positions), 1, 1, 1).requires_grad_()
    params = model(x, label.expand(len(positions))).flatten(2)[positions, :, positions]  # (H W, P)
    size = torch.zeros(len(positions), height, width, dtype=torch.float64)
    generator = torch.Generator().manual_seed(4)
    for _ in range(3):  # random projections of the parameters, so that contributions do not cancel
        projection = torch.randn(params.shape, generator=generator, dtype=torch.float64)
        (gradient,) = torch.autograd.grad((params * projection).sum(), x, retain_graph=True)
        size += gradient.abs().sum(dim=1)
    return (size > 0).view(height, width, height, width)
