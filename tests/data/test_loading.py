from pathlib import Path

import numpy as np
import pytest
import torch

from pixelbayes.data import DataConfig, load_data
from pixelbayes.utils.errors import InputError

COURSE = Path(__file__).parents[3] / "shared"


@pytest.mark.parametrize("source", ["nonsense", "ftp:x", "csv:", "folder:", "digits:8", ""])
def test_an_unknown_source_is_rejected_with_the_valid_forms(source):
    with pytest.raises(InputError) as caught:
        load_data(DataConfig(source=source))
    assert str(caught.value) == (
        f"data source {source!r} is neither a folder, an npz file, a zip or tar archive nor one of digits, folder:..., "
        "csv:..., npz:..., idx:..., cifar:..., archive:..., hub:...; correct --data"
    )


def test_the_layout_of_a_folder_determines_its_kind(tmp_path, class_folders):
    class_folders(".", 1)
    assert load_data(DataConfig(source=str(tmp_path))).class_names == ("cat", "dog")
    (tmp_path / "train.csv").write_text("cat/00.png,0\n")
    assert load_data(DataConfig(source=str(tmp_path))).class_names == ("0",)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"validation_fraction": -0.1}, "validation_fraction and test_fraction are"),
        ({"test_fraction": float("nan")}, "validation_fraction and test_fraction are"),
        ({"validation_fraction": 0.5, "test_fraction": 0.5}, "less than 1 together"),
        ({"class_names": ("cat", "cat")}, "class_names has a name twice"),
        ({"levels": 0}, "levels is 0"),
        ({"channels": 0}, "channels is 0"),
        ({"image_size": ()}, r"image_size is \(\), expected a height and a width, such as 32 32"),
        ({"image_size": (0, 8)}, r"image_size is \(0, 8\)"),
        ({"resize": "fit"}, "resize is 'fit'"),
    ],
)
def test_an_invalid_field_is_named_before_any_image_is_decoded(fields, message):
    with pytest.raises(InputError, match=message):
        DataConfig(**fields)


@pytest.mark.skipif(
    not (COURSE / "data/cpen455").is_dir(), reason="the course's photographs are not in ../shared/data/cpen455"
)
def test_the_courses_photographs_have_the_pixels_of_the_reference_except_for_ties_in_rounding(tmp_path):
    reference = np.load(COURSE / "reference/input_add_vectors.npz")
    rows = (COURSE / "data/cpen455/validation.csv").read_text().splitlines()[:32]
    (tmp_path / "validation.csv").write_text("\n".join(f"{COURSE}/data/cpen455/{row}" for row in rows))
    split = load_data(DataConfig(source=f"csv:{tmp_path}", image_size=(32, 32))).split("validation")
    assert [Path(name).stem for name in split.names] == [Path(name).stem for name in reference["ids"]]
    difference = (split.pixels.int() - torch.from_numpy(reference["pixels_uint8"]).int()).abs()
    assert difference.max() <= 1
    assert difference.float().mean() < 0.01
