"""Images in every form that people have."""

import numpy as np
import pytest
import torch
from PIL import Image

from pixelbayes.images.preprocessing import Preprocessing
from pixelbayes.images.reading import read_images
from pixelbayes.images.shape import ImageShape
from pixelbayes.utils.errors import InputError

RGB = Preprocessing(image_shape=ImageShape(height=4, width=6))
GREY = Preprocessing(image_shape=ImageShape(height=4, width=6, channels=1))
FIVE_LEVELS = Preprocessing(image_shape=ImageShape(height=4, width=6, levels=5))
HWC = np.random.default_rng(0).integers(0, 256, (2, 4, 6, 3), dtype=np.uint8)
PIXELS = torch.from_numpy(HWC).movedim(3, 1)  # (2, 3, 4, 6)


def test_every_form_of_an_image_has_the_same_pixels(tmp_path):
    pictures = [Image.fromarray(array) for array in HWC]
    for number, picture in enumerate(pictures):
        picture.save(tmp_path / f"{number}.png")
    (tmp_path / ".hidden").touch()
    files = [tmp_path / "0.png", tmp_path / "1.png"]
    forms = [HWC, PIXELS, list(HWC), list(PIXELS), pictures, iter(pictures), tmp_path, str(tmp_path), files]
    for images in [*forms, np.array([str(file) for file in files])]:
        assert torch.equal(read_images(images, RGB)[0], PIXELS)
    for images in (HWC[0], PIXELS[:1], pictures[0], files[0], str(files[0])):
        assert torch.equal(read_images(images, RGB)[0], PIXELS[:1])
    assert read_images([tmp_path, HWC[0]], RGB)[1] == (*map(str, files), "image 1")


def test_grey_and_transparent_arrays_are_converted():
    grey = HWC[..., 0]
    for images in (grey, grey[..., None], torch.from_numpy(grey)[:, None], list(grey)):
        assert torch.equal(read_images(images, GREY)[0], PIXELS[:, :1])
        assert torch.equal(read_images(images, RGB)[0], PIXELS[:, :1].expand(-1, 3, -1, -1))
    invisible = np.concatenate((HWC, np.zeros_like(HWC[..., :1])), axis=3)
    assert (read_images(invisible, RGB)[0] == 255).all()  # on white


def test_an_array_of_another_size_is_resized_as_its_file_is(tmp_path):
    large = np.random.default_rng(1).integers(0, 256, (9, 17, 3), dtype=np.uint8)
    Image.fromarray(large).save(tmp_path / "large.png")
    for preprocessing in (RGB, GREY, FIVE_LEVELS):
        expected = read_images(tmp_path / "large.png", preprocessing)[0]
        assert torch.equal(read_images(large, preprocessing)[0], expected)
        assert torch.equal(read_images([torch.from_numpy(large).movedim(2, 0)], preprocessing)[0], expected)


def test_an_array_of_the_own_size_holds_levels():
    levels = PIXELS % 5
    assert torch.equal(read_images(levels, FIVE_LEVELS)[0], levels)
    with pytest.raises(InputError, match=r"image 0: has the value \d+, but at this size the values are levels 0 .. 4"):
        read_images(PIXELS, FIVE_LEVELS)
    with pytest.raises(
        InputError, match=r"not of the network's size, .* none is above 4; `requantise\(images, 5, 256\)`"
    ):
        read_images(levels[:, :, :3], FIVE_LEVELS)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (HWC / 255, r"images are float64, expected uint8; `\(255 \* images\)"),
        (PIXELS / 255, r"images are float32, expected uint8"),
        ([HWC[0] / 255], r"image 0: images are float64"),
        (HWC.astype(int), r"images are int64, expected uint8; `.astype\('uint8'\)`"),
        (HWC[0, :, :, 0], r"shape \(4, 6\), .* x\[None\] makes it of one grey image \(H, W\), x.reshape"),
        (PIXELS[0], r"shape \(3, 4, 6\), expected a tensor \(N, C, H, W\); x\[None\] .* one image \(C, H, W\)"),
        (PIXELS.numpy(), r"image 0: has shape \(3, 4, 6\), expected \(H, W\) or \(H, W, C\)"),
        ([HWC], r"image 0: has shape \(2, 4, 6, 3\)"),
        ([], "there is no image"),
        (HWC[:0], "there is no image"),
        (np.zeros((2, 0, 6), np.uint8), r"image 0: has shape \(0, 6\)"),
        (7, "images are a int, expected a path"),
        ({"x": HWC}, "images are a dict, expected a path"),
        ([HWC[0], None], "image 1 is a NoneType, expected a path"),
        ("no-such-file.png", "no-such-file.png: no such file"),
        ([Image.new("F", (6, 4))], "image 0: has float or 32-bit pixels"),
    ],
)
def test_what_could_be_misread_is_refused_with_the_remedy(images, message):
    with pytest.raises(InputError, match=message):
        read_images(images, RGB)


def test_grey_images_as_wide_as_there_are_channels_are_not_taken_for_one_image():
    narrow = Preprocessing(image_shape=ImageShape(height=5, width=3, channels=1))
    grey = np.zeros((4, 5, 3), np.uint8)
    with pytest.raises(InputError, match=r"shape \(4, 5, 3\) may be \(N, H, W\) or \(H, W, C\); x\[..., None\]"):
        read_images(grey, narrow)
    assert len(read_images(grey[..., None], narrow)[0]) == 4


def test_a_folder_in_itself_is_refused_and_a_link_to_another_is_read(tmp_path):
    for name in ("tree/inner", "elsewhere"):
        (tmp_path / name).mkdir(parents=True)
        Image.fromarray(HWC[0]).save(tmp_path / name / "a.png")
    (tmp_path / "tree" / "link").symlink_to(tmp_path / "elsewhere")
    assert read_images(tmp_path / "tree", RGB)[1] == tuple(
        f"{tmp_path}/tree/{name}/a.png" for name in ("inner", "link")
    )
    (tmp_path / "tree" / "link" / "loop").symlink_to(tmp_path / "tree")
    with pytest.raises(InputError, match="tree/link/loop: a link to a folder around it; remove it"):
        read_images(tmp_path / "tree", RGB)


def test_every_fault_is_listed(tmp_path):
    (tmp_path / "empty.png").touch()
    with pytest.raises(InputError, match=r"empty.png: the file is empty.*\nimage 1: images are float64"):
        read_images([tmp_path / "empty.png", HWC[0] / 255], RGB)
