"""Image files to uint8 levels (C, H, W) and back; every picture that enters a model comes through here."""

import io
import threading
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from pixelbayes.images.pixels import requantise
from pixelbayes.utils.errors import InputError
from pixelbayes.utils.files import replacing

Resize = Literal["crop", "squash"]

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM")  # not EPS: to decode it is to run Ghostscript

_opening = threading.Lock()  # warnings.catch_warnings is not thread-safe before Python 3.14


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """From a picture to the levels a model is trained on; kept with the weights, so later images meet the same.

    The resize is bilinear and antialiased (Pillow), rounded once to 8 bits and then to the levels: what a model sees
    lies on its grid, so that its bits per dimension are a code length. A picture of that size is not resampled.
    """

    image_size: tuple[int, int]  # H, W
    channels: int = 3  # C: 1 is grey (ITU-R 601 luma), 3 is RGB
    levels: int = 256  # values a colour can take, 2 .. 256
    resize: Resize = "crop"  # "crop": scale the shorter side, cut the centre; "squash": change the aspect

    def __post_init__(self) -> None:
        if len(self.image_size) != 2 or min(self.image_size) < 1:
            raise InputError(f"image_size is {self.image_size}, expected height and width, each 1 or more, as [32, 32]")
        if self.channels not in (1, 3):
            raise InputError(f"channels is {self.channels}, expected 1 (grey) or 3 (RGB)")
        if not 2 <= self.levels <= 256:
            raise InputError(f"levels is {self.levels}, expected 2 to 256")
        if self.resize not in get_args(Resize):
            raise InputError(f"resize is {self.resize!r}, expected 'crop' or 'squash'")

    def __call__(self, image: Image.Image) -> Tensor:
        """Any picture to uint8 (C, H, W), values 0 .. levels-1."""
        image = plain_image(image).convert("L" if self.channels == 1 else "RGB")
        # as floats: Pillow would round 8-bit bands after the horizontal pass too
        bands = [np.array(self._resized(band.convert("F"))) for band in image.split()]
        pixels = torch.from_numpy(np.stack(bands)).round().to(torch.uint8)  # (C, H, W)
        return requantise(pixels, 256, self.levels)

    def _resized(self, band: Image.Image) -> Image.Image:
        height, width = self.image_size
        resize = ImageOps.fit if self.resize == "crop" else Image.Image.resize
        return resize(band, (width, height), Image.Resampling.BILINEAR)


def plain_image(image: Image.Image) -> Image.Image:
    """Any decoded picture as 8-bit "L" (if it is grey) or "RGB": upright, opaque on white.

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
    # mode "I" is 32 bits wide, but is how older Pillows open a 16-bit PNG
    if image.mode == "F" or values.min() < 0 or values.max() > 65535:
        raise InputError("has float or 32-bit pixels, whose range is unknown; save it with 8 or 16 bits a channel")
    return Image.fromarray(((values.astype(np.int64) + 128) // 257).astype(np.uint8))  # 65535 = 257 * 255


def open_image(path: str | Path, name: str | None = None) -> Image.Image:
    """The picture in a file, as `plain_image` gives it; `name` is what a message calls the file.

    Raises:
        InputError: If the file is missing, empty, damaged or not a picture; one line with the remedy.
    """
    name = name or str(path)
    try:
        data = Path(path).read_bytes()
    except FileNotFoundError:
        raise InputError(f"{name}: no such file; correct the path or remove the entry") from None
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the path
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{name}: cannot be opened ({reason}); correct the path or the permissions") from None
    return decode_image(data, name)


def decode_image(data: bytes, name: str) -> Image.Image:
    """The picture in the bytes of a file; see `open_image`."""
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
        raise InputError(f"{name}: not one of {', '.join(FORMATS)}; convert it or remove it") from None
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        raise InputError(f"{name}: over {Image.MAX_IMAGE_PIXELS} pixels; make it smaller or remove it") from None
    except Exception as error:  # a decoder may raise nearly anything on damaged bytes
        reason = " ".join(str(error).split())
        raise InputError(f"{name}: cannot be decoded ({reason}); replace it or remove it") from error


def to_image(pixels: Tensor, levels: int) -> Image.Image:
    """uint8 (C, H, W), C 1 or 3, values 0 .. levels-1, to an 8-bit picture."""
    array = requantise(pixels.cpu(), levels, 256).permute(1, 2, 0).numpy()  # (H, W, C)
    return Image.fromarray(array.squeeze(2) if array.shape[2] == 1 else array)


def save_image(path: str | Path, pixels: Tensor, levels: int) -> None:
    """Writes uint8 (C, H, W), values 0 .. levels-1, as an 8-bit PNG file: whole or not at all."""
    with replacing(path) as temporary:
        to_image(pixels, levels).save(temporary, format="PNG")
