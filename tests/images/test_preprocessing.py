import warnings

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from pixelbayes.images.preprocessing import Preprocessing, decode_image, open_image, plain_image, save_image, to_image
from pixelbayes.images.shape import ImageShape
from pixelbayes.utils.errors import InputError


@pytest.fixture
def noise():
    """Makes an image of noise in any mode, the same every time; by default H=8, W=12."""

    def make(mode="RGB", height=8, width=12):
        values = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
        return Image.fromarray(values).convert(mode)

    return make


@pytest.fixture
def reopened(tmp_path):
    """Saves an image and opens it again with `open_image`."""

    def reopen(image, suffix=".png", **options):
        image.save(tmp_path / f"image{suffix}", **options)
        return open_image(tmp_path / f"image{suffix}")

    return reopen


def preprocess(image, height, width, *, channels=3, levels=256, resize="crop"):
    shape = ImageShape(height=height, width=width, channels=channels, levels=levels)
    return Preprocessing(image_shape=shape, resize=resize)(image)


def tensor(image):
    array = np.array(image)
    return torch.from_numpy(array.reshape(*array.shape[:2], -1)).permute(2, 0, 1)  # (C, H, W)


# Opening files


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".webp"])
def test_a_lossless_colour_file_has_the_pixels_that_were_saved(suffix, noise, reopened):
    options = {"lossless": True} if suffix == ".webp" else {}
    opened = reopened(noise(), suffix, **options)
    assert opened.mode == "RGB"
    assert torch.equal(tensor(opened), tensor(noise()))


def test_a_grey_jpeg_stays_grey(noise, reopened):
    assert reopened(noise("L"), ".jpg").mode == "L"


@pytest.mark.parametrize(
    ("orientation", "undo"),
    [
        (3, Image.Transpose.ROTATE_180),
        (6, Image.Transpose.ROTATE_270),
        (8, Image.Transpose.ROTATE_90),
        (2, Image.Transpose.FLIP_LEFT_RIGHT),
    ],
)
def test_a_photograph_is_rotated_by_its_exif_orientation(orientation, undo, noise, reopened):
    exif = Image.Exif()
    exif[0x0112] = orientation
    opened = reopened(noise(), exif=exif)
    assert torch.equal(tensor(opened), tensor(noise().transpose(undo)))


def test_a_transparent_image_is_composed_with_white(reopened):
    image = Image.new("RGBA", (3, 1), (100, 0, 50, 255))
    image.putpixel((1, 0), (100, 0, 50, 0))
    image.putpixel((2, 0), (0, 0, 0, 128))
    opened = reopened(image)
    assert opened.mode == "RGB"
    assert [opened.getpixel((column, 0)) for column in range(3)] == [(100, 0, 50), (255, 255, 255), (127, 127, 127)]


def test_grey_with_alpha_is_composed_with_white_and_stays_grey(reopened):
    image = Image.new("LA", (2, 1), (10, 255))
    image.putpixel((1, 0), (10, 0))
    opened = reopened(image)
    assert (opened.mode, opened.getpixel((0, 0)), opened.getpixel((1, 0))) == ("L", 10, 255)


@pytest.mark.parametrize("transparency", [1, b"\xff\x00"], ids=["index", "table"])
def test_a_transparent_palette_colour_becomes_white(transparency, reopened):
    image = Image.new("P", (2, 1), 0)
    image.putpalette([200, 10, 20, 0, 0, 0])
    image.putpixel((1, 0), 1)
    opened = reopened(image, transparency=transparency)
    assert [opened.getpixel((column, 0)) for column in range(2)] == [(200, 10, 20), (255, 255, 255)]


@pytest.mark.parametrize("mode", ["1", "L"])
def test_a_transparent_grey_value_becomes_white(mode, reopened):
    opened = reopened(Image.new(mode, (2, 2), 0), transparency=0)
    assert (opened.mode, opened.getpixel((0, 0))) == ("L", 255)


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
def test_16_bit_grey_is_scaled_to_8_bits_and_not_clipped(suffix, reopened):
    values = np.array([[0, 128, 129, 257, 32896, 65406, 65407, 65535]], dtype=np.uint16)
    opened = reopened(Image.fromarray(values), suffix)
    assert opened.mode == "L"
    assert tensor(opened).flatten().tolist() == [0, 0, 1, 1, 128, 254, 255, 255]  # the nearest multiple of 257


def test_mode_i_with_16_bit_values_is_scaled_in_the_same_way():
    image = Image.fromarray(np.array([[0, 32896, 65535]], dtype=np.int32))
    assert tensor(plain_image(image)).flatten().tolist() == [0, 128, 255]


@pytest.mark.parametrize("values", [np.float32([[0.5]]), np.int32([[70000]]), np.int32([[-1]])])
def test_pixels_of_unknown_range_are_rejected(values):
    with pytest.raises(InputError, match="range is unknown; save it with 8 or 16 bits"):
        plain_image(Image.fromarray(values))


@pytest.mark.parametrize(("mode", "suffix"), [("CMYK", ".jpg"), ("YCbCr", ".jpg"), ("P", ".gif")])
def test_other_colour_spaces_become_rgb(mode, suffix, noise, reopened):
    assert reopened(noise(mode), suffix).mode == "RGB"


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"])
def test_a_plain_image_stays_unchanged(mode):
    once = plain_image(Image.new(mode, (3, 2)))
    assert once.mode in ("L", "RGB")
    assert plain_image(once) == once


# Files that cannot be used


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda data: b"", "the file is empty; replace it"),
        (lambda data: b"text", "not one of PNG, JPEG"),
        (lambda data: data[: len(data) // 2], "cannot be decoded"),
        (lambda data: data[:50] + bytes(20) + data[70:], "cannot be decoded"),
    ],
    ids=["empty", "text", "truncated", "corrupt"],
)
def test_a_damaged_file_is_named_in_one_line_with_a_remedy(damage, message, tmp_path, noise):
    path = tmp_path / "cat.png"
    noise().save(path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(InputError, match=message) as caught:
        open_image(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_a_missing_file_and_a_folder_are_named(tmp_path):
    with pytest.raises(InputError, match=r"cat\.png: no such file; correct the path"):
        open_image(tmp_path / "cat.png")
    with pytest.raises(InputError, match="cannot be opened"):
        open_image(tmp_path)


@pytest.mark.parametrize("limit", [70, 10], ids=["Pillow warns", "Pillow refuses"])
def test_an_image_with_too_many_pixels_is_rejected(limit, tmp_path, noise, monkeypatch):
    noise().save(tmp_path / "bomb.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as users may do
        with pytest.raises(InputError, match=f"bomb.png: over {limit} pixels"):
            open_image(tmp_path / "bomb.png")


def test_a_message_about_bytes_has_the_given_name():
    with pytest.raises(InputError, match="upload 3: the file is empty"):
        decode_image(b"", "upload 3")


# Preprocessing


@pytest.mark.parametrize("resize", ["crop", "squash"])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_an_image_of_the_right_size_is_not_resampled(mode, resize, noise):
    pixels = preprocess(noise(mode), 8, 12, channels=len(mode), resize=resize)
    assert torch.equal(pixels, tensor(noise(mode)))
    assert pixels.is_contiguous()


def test_halving_an_image_is_a_triangle_filter_rounded_once(noise):
    pixels = preprocess(noise("L"), 4, 6, channels=1)[0]
    weights = torch.tensor([1, 3, 3, 1]) / 8  # a triangle of width 4 at the four nearest pixels
    inner = tensor(noise("L"))[0, 1:5, 3:7].double()  # rows and columns around (1, 2) of the small image
    assert pixels[1, 2] == (weights.double() @ inner @ weights.double()).round()


@pytest.mark.parametrize(("height", "width", "resize"), [(32, 48, "crop"), (20, 30, "squash"), (80, 20, "squash")])
def test_a_resized_image_agrees_with_pytorchs_antialiased_bilinear_interpolation(height, width, resize, noise):
    image = noise(height=64, width=96)
    expected = F.interpolate(tensor(image)[None].double(), (height, width), mode="bilinear", antialias=True)[0]
    pixels = preprocess(image, height, width, resize=resize)
    torch.testing.assert_close(pixels.double(), expected, rtol=0, atol=0.5 + 1e-4)  # rounded to the nearest level


def test_crop_keeps_the_centre_and_squash_keeps_everything():
    image = Image.new("L", (8, 4), 0)
    image.paste(255, (2, 0, 6, 4))  # the central square is white
    assert (preprocess(image, 4, 4, channels=1) == 255).all()
    squashed = preprocess(image, 4, 4, channels=1, resize="squash")
    assert squashed[0, 0, 0] < 64
    assert squashed[0, 0, 2] > 192


def test_an_image_enlarged_to_another_aspect_ratio_has_the_given_size(noise):
    assert preprocess(noise(), 40, 20).shape == (3, 40, 20)


def test_grey_becomes_three_equal_planes_and_rgb_becomes_its_luma(noise):
    colour = preprocess(noise("L"), 8, 12)
    assert torch.equal(colour, tensor(noise("L")).expand(3, -1, -1))
    grey = preprocess(Image.new("RGB", (12, 8), (255, 0, 0)), 8, 12, channels=1)
    assert (grey == round(0.299 * 255)).all()


def test_every_value_becomes_the_nearest_level():
    ramp = Image.fromarray(np.arange(256, dtype=np.uint8).reshape(16, 16))
    pixels = preprocess(ramp, 16, 16, channels=1, levels=4)
    assert pixels.flatten().tolist() == [round(value / 85) for value in range(256)]  # the levels are 0, 85, 170, 255
    assert pixels.dtype == torch.uint8


def test_an_unknown_resize_is_rejected_with_the_valid_ones():
    with pytest.raises(InputError, match=r"^resize is 'fit', expected 'crop' or 'squash'$"):
        Preprocessing(image_shape=ImageShape(height=8, width=8), resize="fit")


# Saving


@pytest.mark.parametrize(("channels", "levels"), [(1, 256), (3, 256), (1, 17), (3, 2)])
def test_pixels_that_are_saved_and_preprocessed_again_stay_unchanged(channels, levels, tmp_path):
    pixels = torch.randint(levels, (channels, 8, 12), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    save_image(tmp_path / "new" / "sample.png", pixels, levels)
    image = open_image(tmp_path / "new" / "sample.png")
    assert torch.equal(preprocess(image, 8, 12, channels=channels, levels=levels), pixels)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["sample.png"]


def test_the_highest_level_is_white():
    assert to_image(torch.full((1, 2, 3), 16, dtype=torch.uint8), levels=17).getextrema() == (255, 255)
