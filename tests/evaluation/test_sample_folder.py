import json

import pytest
import torch

from pixelbayes.evaluation.sample_folder import MANIFEST, draw_samples, read_manifest, read_samples
from pixelbayes.images.preprocessing import Preprocessing
from pixelbayes.images.shape import ImageShape
from pixelbayes.utils.errors import InputError

NAMES = ("cat", "sea lion")
SETTINGS = {"weights": "0123", "seed": 0, "temperature": 1.0}
PREPROCESSING = Preprocessing(image_shape=ImageShape(height=2, width=3, levels=17))


class Sampler:
    """Draws sample i of class c in the level 8 c + i, and records the calls."""

    def __init__(self, fails_after=None):
        self.calls, self.fails_after = [], fails_after

    def __call__(self, labels, indices):
        if self.fails_after == len(self.calls):
            raise KeyboardInterrupt
        self.calls.append(list(zip(labels.tolist(), indices.tolist(), strict=True)))
        return (labels * 8 + indices).to(torch.uint8)[:, None, None, None].expand(-1, 3, 2, 3)


def draw(folder, sampler=None, count=3, **how):
    settings = {"levels": 17, "settings": SETTINGS} | how
    return draw_samples(folder, sampler or Sampler(), NAMES, count, **settings)


def refusal(call, *given, **how):
    with pytest.raises(InputError) as caught:
        call(*given, **how)
    return str(caught.value)


def listed(folder):
    return sorted(path.name for path in folder.iterdir())


def test_samples_are_read_as_they_were_drawn(tmp_path):
    files = draw(tmp_path / "samples")
    assert [file.name for file in files] == [
        f"{stem}-000{index}.png" for stem in ("cat", "sea_lion") for index in range(3)
    ]
    found = read_samples(tmp_path / "samples", NAMES, PREPROCESSING)
    assert found.class_names == NAMES
    assert torch.equal(found.pixels, torch.tensor([[0, 1, 2], [8, 9, 10]])[..., None, None, None].expand(2, 3, 3, 2, 3))
    assert found.pixels.dtype == torch.uint8


def test_classes_whose_names_some_file_systems_do_not_distinguish_have_separate_files(tmp_path):
    names = ("Cat", "cat", "c?t", "c*t")
    draw_samples(tmp_path, Sampler(), names, 2, levels=256, settings={})
    assert len({name.casefold() for name in listed(tmp_path)}) == 9
    found = read_samples(tmp_path, names, Preprocessing(image_shape=ImageShape(height=2, width=3)))
    assert found.pixels[..., 0, 0, 0].tolist() == [[0, 1], [8, 9], [16, 17], [24, 25]]


def test_the_manifest_records_the_settings(tmp_path):
    draw(tmp_path)
    assert read_manifest(tmp_path) == SETTINGS | {"class_names": list(NAMES), "samples_per_class": 3, "levels": 17}
    assert read_manifest(tmp_path / "none") is None


def test_a_complete_folder_is_not_drawn_again(tmp_path):
    before = {file: file.stat().st_mtime_ns for file in draw(tmp_path)}
    sampler = Sampler()
    assert {file: file.stat().st_mtime_ns for file in draw(tmp_path, sampler)} == before
    assert sampler.calls == []


def test_an_interrupted_call_continues_with_the_missing_images(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        draw(tmp_path, Sampler(fails_after=2), batch_size=2)
    assert listed(tmp_path) == ["cat-0000.png", "cat-0001.png", "cat-0002.png", MANIFEST, "sea_lion-0000.png"]
    (tmp_path / "cat-0001.png").unlink()
    sampler = Sampler()
    draw(tmp_path, sampler, batch_size=2)
    assert sampler.calls == [[(0, 1), (1, 1)], [(1, 2)]]
    draw(tmp_path.with_name("at-once"))
    for file in tmp_path.iterdir():
        assert file.read_bytes() == (tmp_path.with_name("at-once") / file.name).read_bytes()


def test_the_tracker_wraps_the_loop_over_the_missing_batches(tmp_path):
    seen = []
    draw(tmp_path, batch_size=4, track=lambda starts: seen.append(list(starts)) or starts)
    draw(tmp_path, batch_size=4, track=lambda starts: seen.append(list(starts)) or starts)
    assert seen == [[0, 4], []]


def test_other_settings_are_refused_with_their_differences(tmp_path):
    draw(tmp_path)
    said = refusal(draw, tmp_path, count=4, settings=SETTINGS | {"seed": 7})
    assert said == (
        f"{tmp_path}: holds samples with other settings (seed is 0, now 7, samples_per_class is 3, now 4); "
        "name another, or add --overwrite"
    )
    assert "temperature is 1.0, now None" in refusal(draw, tmp_path, settings={"weights": "0123", "seed": 0})


def test_a_folder_with_other_files_is_refused_and_not_changed(tmp_path):
    for name in ("holiday.png", "notes.txt"):
        (tmp_path / name).touch()
    assert refusal(draw, tmp_path) == (
        f"{tmp_path}: holds other files (holiday.png and 1 more); name another folder, or add --overwrite"
    )
    assert listed(tmp_path) == ["holiday.png", "notes.txt"]


def test_an_image_that_is_not_one_of_the_samples_is_refused(tmp_path):
    draw(tmp_path)
    (tmp_path / "cat-0003.png").touch()
    assert "holds other files (cat-0003.png)" in refusal(draw, tmp_path)


def test_overwrite_empties_the_folder_first(tmp_path):
    draw(tmp_path, count=4)
    (tmp_path / "holiday.jpg").touch()
    sampler = Sampler()
    draw(tmp_path, sampler, overwrite=True)
    assert sum(map(len, sampler.calls)) == 6
    assert listed(tmp_path) == [
        "cat-0000.png", "cat-0001.png", "cat-0002.png", MANIFEST,
        "sea_lion-0000.png", "sea_lion-0001.png", "sea_lion-0002.png",
    ]  # fmt: skip


@pytest.mark.parametrize("foreign", ["notes.txt", "thesis"])
def test_overwrite_removes_nothing_from_a_folder_with_other_files(tmp_path, foreign):
    draw(tmp_path)
    before = listed(tmp_path)
    (tmp_path / "thesis").mkdir() if foreign == "thesis" else (tmp_path / foreign).touch()
    said = refusal(draw, tmp_path, overwrite=True)
    assert said == f"{tmp_path / foreign}: not an image, so --overwrite removes nothing; name another folder"
    assert listed(tmp_path) == sorted([*before, foreign])


def test_hidden_files_are_ignored_and_kept(tmp_path):
    (tmp_path / ".cat-0000.17.png").touch()  # an incomplete file of an interrupted process
    draw(tmp_path)
    draw(tmp_path, overwrite=True)
    assert read_samples(tmp_path, NAMES, PREPROCESSING).pixels.shape[:2] == (2, 3)
    assert (tmp_path / ".cat-0000.17.png").exists()


@pytest.mark.parametrize("text", ["{", "[]"])
def test_a_damaged_manifest_is_refused_by_name_and_can_be_overwritten(tmp_path, text):
    draw(tmp_path)
    (tmp_path / MANIFEST).write_text(text)
    assert refusal(draw, tmp_path).startswith(f"{tmp_path / MANIFEST}: ")
    draw(tmp_path, overwrite=True)
    assert json.loads((tmp_path / MANIFEST).read_text())["seed"] == 0


def test_a_file_instead_of_a_folder_and_a_count_of_zero_are_refused(tmp_path):
    (tmp_path / "file").touch()
    assert "a file, expected a folder for samples" in refusal(draw, tmp_path / "file")
    assert refusal(draw, tmp_path / "new", count=0) == "0 samples per class, expected at least 1"
    assert not (tmp_path / "new").exists()
