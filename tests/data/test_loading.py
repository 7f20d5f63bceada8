from pathlib import Path

import numpy as np
import pytest
import torch

from pixelbayes.data import DataConfig, load_data
from pixelbayes.utils.errors import InputError

SHARED = Path(__file__).parents[3] / "shared"


@pytest.fixture(scope="module")
def photographs():
    if not (SHARED / "data/cpen455").is_dir():
        pytest.skip("the course's photographs are not beside this repository, in ../shared")
    return load_data(DataConfig(source=f"csv:{SHARED / 'data/cpen455'}", image_size=(32, 32)))


@pytest.mark.parametrize("source", ["nonsense", "ftp:x", "csv:", "folder:", "digits:8", ""])
def test_an_unknown_source_is_answered_with_the_known_forms(source):
    with pytest.raises(InputError, match="nor digits, folder:DIR, csv:DIR or hub:NAME"):
        load_data(DataConfig(source=source))


def test_the_layout_of_a_bare_folder_tells_its_kind(tmp_path, class_folders):
    class_folders(".", 1)
    assert load_data(DataConfig(source=str(tmp_path))).class_names == ("cat", "dog")
    (tmp_path / "train.csv").write_text("cat/00.png,0\n")
    assert load_data(DataConfig(source=str(tmp_path))).class_names == ("0",)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"validation_fraction": -0.1}, "validation_fraction and test_fraction are"),
        ({"validation_fraction": 0.5, "test_fraction": 0.5}, "less than 1 together"),
        ({"class_names": ("cat", "cat")}, "class_names has a name twice"),
        ({"levels": 0}, "levels is 0"),
        ({"channels": 0}, "channels is 0"),
        ({"image_size": ()}, "image_size is"),
        ({"resize": "fit"}, "resize is 'fit'"),
    ],
)
def test_a_config_that_cannot_work_is_refused_before_anything_is_read(fields, message):
    with pytest.raises(InputError, match=message):
        DataConfig(**fields)


def test_the_course_data_are_read_as_they_are(photographs):
    sizes = {name: len(split) for name, split in photographs.splits.items()}
    assert sizes == {"train": 4159, "validation": 519, "test": 519}
    assert photographs.class_names == ("0", "1", "2", "3")
    assert photographs.split("test").labels.unique().tolist() == [-1]
    assert photographs.preprocessing.channels == 3


def test_pixels_are_those_of_the_reference_but_for_ties_in_rounding(photographs):
    reference = np.load(SHARED / "reference/input_add_vectors.npz")
    validation = photographs.split("validation")
    assert [Path(name).stem for name in validation.names[:32]] == [Path(name).stem for name in reference["ids"]]
    difference = (validation.pixels[:32].int() - torch.from_numpy(reference["pixels_uint8"]).int()).abs()
    assert difference.max() <= 1
    assert difference.float().mean() < 0.01
