"""Random changes of training images that leave their class what it was; whole batches at a time, on their device."""

from dataclasses import dataclass

import torch
from torch import Tensor

from pixelbayes.images.pixels import to_pixels, to_x
from pixelbayes.utils.errors import InputError
from pixelbayes.utils.randomness import Key

# each draws from its own stream
FLIP, ROTATION, CROP, BRIGHTNESS, CONTRAST, SATURATION, HUE, NOISE, CUTOUT, SHARE = range(10)

LIMITS = {
    "flip": 1, "rotation_degrees": 180, "brightness": 1, "contrast": 1, "saturation": 1, "hue": 0.5, "noise": 2,
    "cutout": 1, "share": 1,
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class AugmentationConfig:
    """What may happen to a training image, in this order; all off unless given.

    Whatever a turn or a move brings in from outside is the image reflected at its edges.
    """

    flip: float = 0.0  # probability of swapping left and right
    rotation_degrees: float = 0.0  # the angle is uniform in +- this
    crop: int = 0  # pixels: the image moves by a whole number of them, uniform in +- this, along each axis
    brightness: float = 0.0  # light is multiplied by a factor uniform in 1 +- this
    contrast: float = 0.0  # so is the difference to the mean grey of the image
    saturation: float = 0.0  # so is the difference to the grey of the pixel; RGB only
    hue: float = 0.0  # turns of the colour circle, uniform in +- this; RGB only
    noise: float = 0.0  # standard deviation of Gaussian noise on x, which lies in [-1, 1]
    cutout: float = 0.0  # probability of painting a rectangle mid-grey
    cutout_area: tuple[float, float] = (0.02, 0.2)  # its share of the image, uniform between these; sides 1:2 to 2:1

    share: float = 1.0  # of the images anything may happen to; the others stay as they are

    def __post_init__(self) -> None:
        for name, most in LIMITS.items():
            if not 0 <= getattr(self, name) <= most:
                raise InputError(f"{name} is {getattr(self, name)}, expected 0 to {most}")
        if self.crop < 0:
            raise InputError(f"crop is {self.crop}, expected 0 or more")
        if len(self.cutout_area) != 2 or not 0 <= self.cutout_area[0] <= self.cutout_area[1] <= 1:
            raise InputError(f"cutout_area is {self.cutout_area}, expected the least and the largest share, 0 to 1")

    @property
    def moves(self) -> bool:
        return bool(self.flip or self.rotation_degrees or self.crop)

    @property
    def jitters(self) -> bool:
        return bool(self.brightness or self.contrast or self.saturation or self.hue)

    @property
    def active(self) -> bool:
        """Whether anything may happen to an image at all."""
        return bool((self.moves or self.jitters or self.noise or self.cutout) and self.share)


def augment(pixels: Tensor, levels: int, config: AugmentationConfig, key: Key) -> Tensor:
    """Images changed at random, rounded back to their levels; what happens to one does not depend on its batch.

    Args:
        pixels: uint8 (B, C, H, W), values 0 .. levels-1, C 1 or 3.
        levels: L.
        config: What may happen.
        key: A stream for each image.

    Returns:
        uint8 (B, C, H, W); the very same tensor if nothing may happen.

    Raises:
        InputError: If the image is too small to move by `crop` pixels.
    """
    if not config.active:
        return pixels
    if config.crop >= min(pixels.shape[2:]):
        height, width = pixels.shape[2:]
        raise InputError(f"crop is {config.crop}, expected less than the sides of an image of {height}x{width}")
    # float64: in a larger batch a sum may come out otherwise in its last bit, which must not tip a rounding
    dtype = torch.float32 if pixels.device.type == "mps" else torch.float64
    x = to_x(pixels, levels, dtype)
    if config.moves:
        x = _moved(x, config, key)
    if config.jitters:
        x = _jittered(x, config, key)
    if config.noise:
        x = x + config.noise * key.fold(NOISE).normal(*x.shape[1:], dtype=dtype)
    if config.cutout:
        x = x.masked_fill(_rectangles(x, config, key), 0.0)
    return torch.where(changes(config, key)[:, None, None, None], to_pixels(x, levels), pixels)


def changes(config: AugmentationConfig, key: Key) -> Tensor:
    """Which images anything may happen to, bool (B,): a share of them."""
    return key.fold(SHARE).uniform() < (config.share if config.active else 0.0)


def _symmetric(key: Key, word: int, spread: float, *shape: int, dtype: torch.dtype) -> Tensor:
    """Uniform in +- spread, (B, *shape)."""
    return spread * (2 * key.fold(word).uniform(*shape, dtype=dtype) - 1)


def _moved(x: Tensor, config: AugmentationConfig, key: Key) -> Tensor:
    """Flip, turn and shift as one affine map, so that pixels are interpolated once: exactly, where none is turned."""
    from kornia.geometry.transform import get_affine_matrix2d, warp_affine  # kornia takes a second to import

    count, _, height, width = x.shape
    scale = torch.ones(count, 2, dtype=x.dtype, device=x.device)
    scale[:, 0] -= 2 * (key.fold(FLIP).uniform(dtype=x.dtype) < config.flip)
    angle = _symmetric(key, ROTATION, config.rotation_degrees, dtype=x.dtype)
    steps = (key.fold(CROP).uniform(2, dtype=x.dtype) * (2 * config.crop + 1)).floor() - config.crop  # (B, 2)
    centre = torch.ones(count, 2, dtype=x.dtype, device=x.device)
    centre[:, 0] *= (width - 1) / 2
    centre[:, 1] *= (height - 1) / 2
    matrix = get_affine_matrix2d(steps, centre, scale, angle)  # (B, 3, 3)
    return warp_affine(x, matrix[:, :2], (height, width), padding_mode="reflection")


def _jittered(x: Tensor, config: AugmentationConfig, key: Key) -> Tensor:
    """Brightness, contrast, saturation and hue, as torchvision's ColorJitter means them, in this order."""
    from kornia import enhance

    light = (x + 1) / 2  # in [0, 1], as kornia wants it
    for word, spread, adjust in (
        (BRIGHTNESS, config.brightness, enhance.adjust_brightness_accumulative),
        (CONTRAST, config.contrast, enhance.adjust_contrast_with_mean_subtraction),
        (SATURATION, config.saturation, enhance.adjust_saturation_with_gray_subtraction),
    ):
        if spread:
            light = adjust(light, 1 + _symmetric(key, word, spread, dtype=x.dtype)).clamp(0, 1)
    if config.hue and x.shape[1] == 3:
        light = enhance.adjust_hue(light, _symmetric(key, HUE, 2 * torch.pi * config.hue, dtype=x.dtype))
    return 2 * light - 1


def _rectangles(x: Tensor, config: AugmentationConfig, key: Key) -> Tensor:
    """Where a rectangle covers an image, bool (B, 1, H, W); it may reach over the edge."""
    height, width = x.shape[2:]
    u = key.fold(CUTOUT).uniform(5, 1, 1, 1, dtype=x.dtype)  # (B, 5, 1, 1, 1)
    happens, place, row, column, shape = u.unbind(1)  # (B, 1, 1, 1) each
    low, high = config.cutout_area
    area = (low + (high - low) * place) * height * width
    aspect = torch.exp2(2 * shape - 1)  # height over width
    rows = torch.arange(height, dtype=x.dtype, device=x.device)[:, None]
    columns = torch.arange(width, dtype=x.dtype, device=x.device)
    near = ((rows + 0.5 - row * height).abs() <= (area * aspect).sqrt() / 2) & (
        (columns + 0.5 - column * width).abs() <= (area / aspect).sqrt() / 2
    )
    return near & (happens < config.cutout)
