"""Random changes of training images that do not change their class, for whole batches on their device."""

from dataclasses import dataclass

import torch
from torch import Tensor

from pixelbayes.images.pixels import to_pixels, to_x
from pixelbayes.utils.config_docs import documented
from pixelbayes.utils.errors import InputError, check_fields
from pixelbayes.utils.randomness import Key

# words of the random key: each change has a stream of its own
FLIP, ROTATION, CROP, BRIGHTNESS, CONTRAST, SATURATION, HUE, NOISE, CUTOUT, SHARE = range(10)


@documented
@dataclass(frozen=True, kw_only=True)
class AugmentationConfig:
    """Random changes of the training images, applied in this order; all are off by default.

    Flip, rotation and crop fill pixels from outside the image with its reflection.

    Raises:
        InputError: If a value is out of its range.
    """

    flip: float = 0.0
    """probability of a horizontal flip, 0 to 1"""
    rotation_degrees: float = 0.0
    """largest rotation in either direction, 0 to 180 degrees"""
    crop: int = 0
    """largest shift in each direction, in pixels"""
    brightness: float = 0.0
    """b of the brightness factor, which is uniform in 1 - b to 1 + b, 0 to 1"""
    contrast: float = 0.0
    """likewise for contrast, the difference from the mean grey of the image, 0 to 1"""
    saturation: float = 0.0
    """likewise for saturation, the difference from the grey of the pixel, 0 to 1; RGB only"""
    hue: float = 0.0
    """largest rotation of the hue in either direction, 0 to 0.5 turns of the colour circle; RGB only"""
    noise: float = 0.0
    """standard deviation of Gaussian noise, 0 to 2, where colours run from -1 to 1"""
    cutout: float = 0.0
    """probability of covering a rectangle with mid-grey, 0 to 1"""
    cutout_area: tuple[float, float] = (0.02, 0.2)
    """smallest and largest area of the rectangle, as fractions of the image; its sides are 1:2 to 2:1"""
    share: float = 1.0
    """fraction of the images that are augmented, 0 to 1; the others stay unchanged"""

    def __post_init__(self) -> None:
        fractions = ("flip", "brightness", "contrast", "saturation", "cutout", "share")
        check_fields(self, fractions, lambda value: 0 <= value <= 1, "0 to 1")
        check_fields(self, ("rotation_degrees",), lambda value: 0 <= value <= 180, "0 to 180")
        check_fields(self, ("hue",), lambda value: 0 <= value <= 0.5, "0 to 0.5")
        check_fields(self, ("noise",), lambda value: 0 <= value <= 2, "0 to 2")
        check_fields(self, ("crop",), lambda value: value >= 0, "0 or more")
        check_fields(
            self,
            ("cutout_area",),
            lambda area: len(area) == 2 and 0 <= area[0] <= area[1] <= 1,
            "the smallest and the largest fraction of the image, 0 to 1",
        )

    @property
    def moves(self) -> bool:
        """Whether it flips, rotates or shifts images."""
        return bool(self.flip or self.rotation_degrees or self.crop)

    @property
    def jitters(self) -> bool:
        """Whether it changes colours."""
        return bool(self.brightness or self.contrast or self.saturation or self.hue)

    @property
    def active(self) -> bool:
        """Whether it changes any image."""
        return bool((self.moves or self.jitters or self.noise or self.cutout) and self.share)


def augment(pixels: Tensor, levels: int, config: AugmentationConfig, key: Key) -> Tensor:
    """Changes images at random and rounds them to their levels. An image does not depend on its batch.

    Args:
        pixels: uint8 (B, C, H, W), values 0 .. levels-1, C 1 or 3.
        levels: L, number of values a colour can take.
        config: The changes.
        key: Random key, one stream per image.

    Returns:
        uint8 (B, C, H, W); `pixels` itself if the config is not active.

    Raises:
        InputError: If the images are not larger than the shift by `crop` pixels.
    """
    if not config.active:
        return pixels
    if config.crop >= min(pixels.shape[2:]):
        height, width = pixels.shape[2:]
        raise InputError(f"crop is {config.crop}, expected less than the sides of an image of {height}x{width}")
    # float64, because the last bit of a float32 sum depends on the batch size and could change the rounding
    dtype = torch.float32 if pixels.device.type == "mps" else torch.float64
    x = to_x(pixels, levels, dtype)
    if config.moves:
        x = _move(x, config, key)
    if config.jitters:
        x = _jitter(x, config, key)
    if config.noise:
        x = x + config.noise * key.fold(NOISE).normal(*x.shape[1:], dtype=dtype)
    if config.cutout:
        x = x.masked_fill(_cutout_mask(x, config, key), 0.0)
    return torch.where(is_augmented(config, key)[:, None, None, None], to_pixels(x, levels), pixels)


def is_augmented(config: AugmentationConfig, key: Key) -> Tensor:
    """Whether each image is augmented, bool (B,); true with probability `config.share`, for the key of `augment`."""
    return key.fold(SHARE).uniform() < (config.share if config.active else 0.0)


def _symmetric(key: Key, word: int, largest: float, *shape: int, dtype: torch.dtype) -> Tensor:
    """Uniform numbers in -largest to largest, (B, *shape)."""
    return largest * (2 * key.fold(word).uniform(*shape, dtype=dtype) - 1)


def _move(x: Tensor, config: AugmentationConfig, key: Key) -> Tensor:
    """Flip, rotation and shift as one affine map, so that pixels are interpolated once, and not at all if unrotated."""
    from kornia.geometry.transform import get_affine_matrix2d, warp_affine  # kornia takes a second to import

    count, _, height, width = x.shape
    scale = torch.ones(count, 2, dtype=x.dtype, device=x.device)
    scale[:, 0] -= 2 * (key.fold(FLIP).uniform(dtype=x.dtype) < config.flip)
    angle = _symmetric(key, ROTATION, config.rotation_degrees, dtype=x.dtype)
    shift = (key.fold(CROP).uniform(2, dtype=x.dtype) * (2 * config.crop + 1)).floor() - config.crop  # (B, 2)
    centre = torch.ones(count, 2, dtype=x.dtype, device=x.device)
    centre[:, 0] *= (width - 1) / 2
    centre[:, 1] *= (height - 1) / 2
    matrix = get_affine_matrix2d(shift, centre, scale, angle)  # (B, 3, 3)
    return warp_affine(x, matrix[:, :2], (height, width), padding_mode="reflection")


def _jitter(x: Tensor, config: AugmentationConfig, key: Key) -> Tensor:
    """Brightness, contrast, saturation and hue, in this order, as torchvision's ColorJitter defines them."""
    from kornia import enhance

    light = (x + 1) / 2  # kornia expects [0, 1]
    for word, largest, adjust in (
        (BRIGHTNESS, config.brightness, enhance.adjust_brightness_accumulative),
        (CONTRAST, config.contrast, enhance.adjust_contrast_with_mean_subtraction),
        (SATURATION, config.saturation, enhance.adjust_saturation_with_gray_subtraction),
    ):
        if largest:
            light = adjust(light, 1 + _symmetric(key, word, largest, dtype=x.dtype)).clamp(0, 1)
    if config.hue and x.shape[1] == 3:
        light = enhance.adjust_hue(light, _symmetric(key, HUE, 2 * torch.pi * config.hue, dtype=x.dtype))
    return 2 * light - 1


def _cutout_mask(x: Tensor, config: AugmentationConfig, key: Key) -> Tensor:
    """True where the rectangle covers the image, bool (B, 1, H, W). It may extend beyond the edge."""
    height, width = x.shape[2:]
    u = key.fold(CUTOUT).uniform(5, 1, 1, 1, dtype=x.dtype)  # (B, 5, 1, 1, 1)
    happens, size, row, column, shape = u.unbind(1)  # (B, 1, 1, 1) each
    low, high = config.cutout_area
    area = (low + (high - low) * size) * height * width
    aspect = torch.exp2(2 * shape - 1)  # height / width, 1/2 to 2
    rows = torch.arange(height, dtype=x.dtype, device=x.device)[:, None]
    columns = torch.arange(width, dtype=x.dtype, device=x.device)
    inside = ((rows + 0.5 - row * height).abs() <= (area * aspect).sqrt() / 2) & (
        (columns + 0.5 - column * width).abs() <= (area / aspect).sqrt() / 2
    )
    return inside & (happens < config.cutout)
