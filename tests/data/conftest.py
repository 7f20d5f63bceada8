import zlib

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def picture(tmp_path):
    """Writes an image of noise at a path below tmp_path, H=6 and W=8, seeded by the path."""

    def write(name, mode="RGB", size=(6, 8)):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        draw = np.random.default_rng(zlib.crc32(name.encode()))
        Image.fromarray(draw.integers(0, 256, (*size, 3), dtype=np.uint8)).convert(mode).save(path)
        return path

    return write


@pytest.fixture
def class_folders(picture):
    """Writes `count` images each to `root/cat` and `root/dog`."""

    def write(root, count):
        for name in ("cat", "dog"):
            for index in range(count):
                picture(f"{root}/{name}/{index:02}.png")

    return write
