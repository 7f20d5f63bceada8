import pytest

from pixelbayes.data import DataConfig, decoding, load_data
from pixelbayes.utils.errors import InputError


def test_there_is_one_channel_only_if_every_image_is_grey(tmp_path, picture):
    picture("train/cat/0.png", mode="L")
    picture("train/cat/1.png", mode="1")
    config = DataConfig(source=f"folder:{tmp_path}", validation_fraction=0)
    assert load_data(config).split("train").pixels.shape == (2, 1, 6, 8)
    picture("train/cat/2.png", mode="RGB")
    assert load_data(config).split("train").pixels.shape == (3, 3, 6, 8)


def test_images_of_unequal_sizes_require_a_size(tmp_path, picture):
    picture("train/cat/0.png", size=(6, 8))
    picture("train/cat/1.png", size=(6, 8))
    picture("train/dog/0.png", size=(8, 6))
    with pytest.raises(InputError) as caught:
        load_data(DataConfig(source=f"folder:{tmp_path}"))
    assert str(caught.value) == (
        "unequal image sizes, height x width (images): 6x8 (2), 8x6 (1); choose one, such as --image-size 32 32"
    )
    data = load_data(DataConfig(source=f"folder:{tmp_path}", image_size=(5, 7)))
    assert data.split("train").pixels.shape == (3, 3, 5, 7)


def test_several_threads_decode_the_same_as_one(tmp_path, class_folders, monkeypatch):
    class_folders("train", 10)
    config = DataConfig(source=f"folder:{tmp_path}", image_size=(4, 4))
    one = load_data(config).split("train")
    monkeypatch.setattr(decoding, "MIN_PIXELS_FOR_THREADS", 0)
    monkeypatch.setattr(decoding.os, "cpu_count", lambda: 4)
    several = load_data(config).split("train")
    assert one.names == several.names
    assert one.pixels.equal(several.pixels)
