import warnings

import numpy as np
import pytest
import torch
from PIL import Image

from pixelbayes.images.preprocessing import Preprocessing, decode_image, open_image, plain_image, save_image, to_image
from pixelbayes.utils.errors import InputError


@pytest.fixture
def noise():
    """A picture of H=8, W=12 in any mode, the same every time."""

    def make(mode="RGB", height=8, width=12):
        values = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
        return Image.fromarray(values).convert(mode)

    return make


@pytest.fixture
def reopened(tmp_path):
    """Saves a picture and opens it by our own door."""

    def reopen(image, suffix=".png", **options):
        image.save(tmp_path / f"picture{suffix}", **options)
        return open_image(tmp_path / f"picture{suffix}")

    return reopen


def tensor(image):
    array = np.array(image)
    return torch.from_numpy(array.reshape(*array.shape[:2], -1)).permute(2, 0, 1)  # (C, H, W)


# What comes out of a file


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".webp"])
def test_a_lossless_colour_file_opens_as_the_pixels_that_were_saved(suffix, noise, reopened):
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
def test_a_photograph_is_turned_as_its_exif_says(orientation, undo, noise, reopened):
    exif = Image.Exif()
    exif[0x0112] = orientation
    opened = reopened(noise(), exif=exif)
    assert torch.equal(tensor(opened), tensor(noise().transpose(undo)))


def test_what_is_transparent_becomes_white_and_half_of_it_half_white(reopened):
    image = Image.new("RGBA", (3, 1), (100, 0, 50, 255))
    image.putpixel((1, 0), (100, 0, 50, 0))
    image.putpixel((2, 0), (0, 0, 0, 128))
    opened = reopened(image)
    assert opened.mode == "RGB"
    assert [opened.getpixel((column, 0)) for column in range(3)] == [(100, 0, 50), (255, 255, 255), (127, 127, 127)]


def test_grey_with_alpha_lies_on_white_and_stays_grey(reopened):
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
    values = np.array([[0, 257, 32896, 65535]], dtype=np.uint16)
    opened = reopened(Image.fromarray(values), suffix)
    assert opened.mode == "L"
    assert tensor(opened).flatten().tolist() == [0, 1, 128, 255]


def test_mode_i_with_16_bit_values_is_scaled_likewise():
    image = Image.fromarray(np.array([[0, 32896, 65535]], dtype=np.int32))
    assert tensor(plain_image(image)).flatten().tolist() == [0, 128, 255]


@pytest.mark.parametrize("values", [np.float32([[0.5]]), np.int32([[70000]]), np.int32([[-1]])])
def test_pixels_of_unknown_range_are_refused(values):
    with pytest.raises(InputError, match="range is unknown; save it with 8 or 16 bits"):
        plain_image(Image.fromarray(values))


@pytest.mark.parametrize(("mode", "suffix"), [("CMYK", ".jpg"), ("YCbCr", ".jpg"), ("P", ".gif")])
def test_other_colour_spaces_become_rgb(mode, suffix, noise, reopened):
    assert reopened(noise(mode), suffix).mode == "RGB"


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"])
def test_a_plain_image_is_left_as_it_is(mode):
    once = plain_image(Image.new(mode, (3, 2)))
    assert once.mode in ("L", "RGB")
    assert plain_image(once) == once


# Files that cannot be used


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda data: b"", "the file is empty; replace it"),
        (lambda data: b"these are words", "not one of PNG, JPEG"),
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
def test_a_picture_of_too_many_pixels_is_refused(limit, tmp_path, noise, monkeypatch):
    noise().save(tmp_path / "bomb.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as a user may have set
        with pytest.raises(InputError, match=f"bomb.png: over {limit} pixels"):
            open_image(tmp_path / "bomb.png")


def test_a_message_calls_bytes_by_the_name_they_are_given():
    with pytest.raises(InputError, match="upload 3: the file is empty"):
        decode_image(b"", "upload 3")


# Preprocessing


def test_a_picture_of_the_right_size_is_not_resampled(noise):
    for resize in ("crop", "squash"):
        assert torch.equal(Preprocessing(image_size=(8, 12), resize=resize)(noise()), tensor(noise()))


def test_halving_a_picture_is_a_triangle_filter_rounded_once(noise):
    pixels = Preprocessing(image_size=(4, 6), channels=1)(noise("L"))[0]
    weights = torch.tensor([1, 3, 3, 1]) / 8  # a triangle of width 4 at the four nearest pixels
    inner = tensor(noise("L"))[0, 1:5, 3:7].double()  # rows and columns around (1, 2) of the small picture
    assert pixels[1, 2] == (weights.double() @ inner @ weights.double()).round()


def test_crop_keeps_the_centre_and_squash_keeps_everything():
    image = Image.new("L", (8, 4), 0)
    image.paste(255, (2, 0, 6, 4))  # white is the central square
    assert (Preprocessing(image_size=(4, 4), channels=1)(image) == 255).all()
    squashed = Preprocessing(image_size=(4, 4), channels=1, resize="squash")(image)
    assert squashed[0, 0, 0] < 64
    assert squashed[0, 0, 2] > 192


def test_enlarging_to_another_aspect_gives_the_size_asked_for(noise):
    assert Preprocessing(image_size=(40, 20))(noise()).shape == (3, 40, 20)


def test_grey_becomes_three_equal_planes_and_rgb_becomes_its_luma(noise):
    colour = Preprocessing(image_size=(8, 12))(noise("L"))
    assert torch.equal(colour, tensor(noise("L")).expand(3, -1, -1))
    grey = Preprocessing(image_size=(8, 12), channels=1)(Image.new("RGB", (12, 8), (255, 0, 0)))
    assert (grey == round(0.299 * 255)).all()


def test_values_lie_on_the_level_grid():
    ramp = Image.fromarray(np.arange(256, dtype=np.uint8).reshape(16, 16))
    pixels = Preprocessing(image_size=(16, 16), channels=1, levels=4)(ramp)
    assert pixels.unique().tolist() == [0, 1, 2, 3]
    assert pixels.dtype == torch.uint8


@pytest.mark.parametrize(
    ("field", "value"),
    [("image_size", (0, 8)), ("image_size", (8,)), ("channels", 2), ("levels", 1), ("levels", 257), ("resize", "fit")],
)
def test_a_field_out_of_range_is_named(field, value):
    with pytest.raises(InputError, match=f"^{field} is "):
        Preprocessing(**({"image_size": (8, 8)} | {field: value}))


# Saving


@pytest.mark.parametrize(("channels", "levels"), [(1, 256), (3, 256), (1, 17), (3, 2)])
def test_what_is_saved_and_preprocessed_again_is_unchanged(channels, levels, tmp_path):
    pixels = torch.randint(levels, (channels, 8, 12), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    save_image(tmp_path / "new" / "sample.png", pixels, levels)
    again = Preprocessing(image_size=(8, 12), channels=channels, levels=levels)
    assert torch.equal(again(open_image(tmp_path / "new" / "sample.png")), pixels)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["sample.png"]


def test_the_highest_level_is_white():
    assert to_image(torch.full((1, 2, 3), 16, dtype=torch.uint8), levels=17).getextrema() == (255, 255)
