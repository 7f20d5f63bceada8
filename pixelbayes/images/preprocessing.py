"""Converts image files to uint8 levels (C, H, W) and back. Every image that a network sees is decoded here."""

import importlib
import io
import threading
import warnings
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from pixelbayes.images.pixels import requantise
from pixelbayes.images.shape import ImageShape
from pixelbayes.utils.config_docs import documented
from pixelbayes.utils.errors import InputError, check_fields
from pixelbayes.utils.files import replacing

Resize = Literal["crop", "squash"]

with suppress(ImportError):  # the extra "heic"
    importlib.import_module("pillow_heif").register_heif_opener()
Image.init()

FORMATS = tuple(  # not EPS, because decoding it executes Ghostscript
    name for name in ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM", "AVIF", "HEIF") if name in Image.OPEN
)

_opening = threading.Lock()  # warnings.catch_warnings is not thread-safe before Python 3.14


@documented
@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """Converts an image to the pixels that a network takes. It is stored with the weights.

    The resize is bilinear and antialiased (Pillow). Its result is rounded to 8 bits and then to the levels, so that the
    bits per dimension of the pixels are a code length. An image of the right size is not resampled.

    Raises:
        InputError: If a value is out of its range.
    """

    image_shape: ImageShape
    """shape of the result; 1 channel is grey (ITU-R 601 luma)"""
    resize: Resize = "crop"
    """crop scales the shorter side and cuts the centre; squash changes the aspect ratio"""

    def __post_init__(self) -> None:
        check_fields(self, ("resize",), get_args(Resize).__contains__, "'crop' or 'squash'")

    def __call__(self, image: Image.Image) -> Tensor:
        """An image of any size and mode to uint8 (C, H, W), values 0 .. levels-1."""
        height, width = self.image_shape.size
        image = plain_image(image).convert("L" if self.image_shape.channels == 1 else "RGB")
        if image.size == (width, height):
            pixels = torch.from_numpy(np.array(image)).view(height, width, -1).movedim(2, 0).contiguous()  # (C, H, W)
        else:
            resize = ImageOps.fit if self.resize == "crop" else Image.Image.resize
            # in float mode, because in 8-bit modes Pillow also rounds after the horizontal pass
            floats = [band.convert("F") for band in image.split()]
            bands = [np.array(resize(band, (width, height), Image.Resampling.BILINEAR)) for band in floats]
            pixels = torch.from_numpy(np.stack(bands)).round().to(torch.uint8)  # (C, H, W)
        return requantise(pixels, 256, self.image_shape.levels)


def plain_image(image: Image.Image) -> Image.Image:
    """Converts a decoded image to 8-bit "L" if it is grey, otherwise to "RGB".

    It is rotated as its EXIF orientation says, and composed with a white background if it is transparent.

    Raises:
        InputError: If the range of its pixels is not known (floats, 32-bit integers).
    """
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith(("I", "F")):
        image = _from_16_bits(image)
    grey = image.mode in ("1", "L", "LA")
    if image.has_transparency_data:
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
    return image.convert("L" if grey else "RGB")


def _from_16_bits(image: Image.Image) -> Image.Image:
    values = np.asarray(image)
    # older versions of Pillow open a 16-bit PNG in mode "I", which has 32 bits
    if image.mode == "F" or values.min() < 0 or values.max() > 65535:
        raise InputError("has float or 32-bit pixels, whose range is unknown; save it with 8 or 16 bits per channel")
    return Image.fromarray(((values.astype(np.int64) + 128) // 257).astype(np.uint8))  # 65535 = 257 * 255


def open_image(path: str | Path, name: str | None = None) -> Image.Image:
    """Decodes an image file, as `plain_image` describes.

    Args:
        path: The file.
        name: Its name in messages; the path by default.

    Raises:
        InputError: If the file is missing, empty, damaged or not an image; the message is one line with the remedy.
    """
    name = name or str(path)
    try:
        data = Path(path).read_bytes()
    except FileNotFoundError:
        raise InputError(f"{name}: no such file; correct the path or remove the entry") from None
    except (OSError, ValueError) as error:  # ValueError: a null byte in the path
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{name}: cannot be opened ({reason}); correct the path or the permissions") from None
    return decode_image(data, name)


def decode_image(data: bytes, name: str) -> Image.Image:
    """Decodes the bytes of an image file; else as `open_image`."""
    if not data:
        raise InputError(f"{name}: the file is empty; replace it or remove it")
    try:
        with _opening, warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(data), formats=FORMATS)
        return plain_image(image)
    except InputError as error:
        raise InputError(f"{name}: {error}") from None
    except UnidentifiedImageError:
        if data[4:12] in (b"ftypheic", b"ftypheix", b"ftypmif1") and "HEIF" not in FORMATS:
            raise InputError(f"{name}: HEIC is read after pip install 'pixelbayes[heic]'") from None
        raise InputError(f"{name}: not one of {', '.join(FORMATS)}; convert it or remove it") from None
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        raise InputError(f"{name}: over {Image.MAX_IMAGE_PIXELS} pixels; make it smaller or remove it") from None
    except Exception as error:  # the kind of error depends on the decoder and the damage
        reason = " ".join(str(error).split())
        raise InputError(f"{name}: cannot be decoded ({reason}); replace it or remove it") from error


def to_image(pixels: Tensor, levels: int) -> Image.Image:
    """uint8 (C, H, W), C 1 or 3, values 0 .. levels-1, to an 8-bit image."""
    array = requantise(pixels.cpu(), levels, 256).permute(1, 2, 0).numpy()  # (H, W, C)
    return Image.fromarray(array.squeeze(2) if array.shape[2] == 1 else array)


def save_image(path: str | Path, pixels: Tensor, levels: int) -> None:
    """Writes uint8 (C, H, W), values 0 .. levels-1, to an 8-bit PNG file."""
    with replacing(path) as temporary:
        to_image(pixels, levels).save(temporary, format="PNG")
