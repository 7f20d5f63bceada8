import sys
from dataclasses import dataclass

import pytest

from pixelbayes.utils.errors import InputError
from pixelbayes.utils.files import cache_folder, from_json, make_cache_folder, replacing, write_text


def test_writing_creates_missing_folders_and_leaves_no_other_file(tmp_path):
    write_text(tmp_path / "a" / "b" / "note.txt", "é\n")
    assert (tmp_path / "a" / "b" / "note.txt").read_bytes() == "é\n".encode()
    assert [path.name for path in (tmp_path / "a" / "b").iterdir()] == ["note.txt"]


def test_the_old_file_stays_until_the_new_one_is_complete(tmp_path):
    path = tmp_path / "note.txt"
    path.write_text("old")
    with replacing(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "note.txt"
    path.write_text("old")

    def fail():
        with replacing(path) as temporary:
            temporary.write_text("ne")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_temporary_file_has_the_same_folder_and_suffix(tmp_path):
    with replacing(tmp_path / "figure.png") as temporary:
        assert temporary.suffix == ".png"
        assert temporary.parent == tmp_path
        temporary.touch()


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have other cache folders")
def test_the_cache_folder_is_that_of_the_variable_or_of_the_user(monkeypatch, tmp_path):
    monkeypatch.setenv("PIXELBAYES_CACHE", str(tmp_path / "own"))
    assert cache_folder() == tmp_path / "own"
    monkeypatch.delenv("PIXELBAYES_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "pixelbayes"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "pixelbayes"


def test_a_cache_that_cannot_be_written_is_named_with_the_variable_that_moves_it(monkeypatch, tmp_path):
    monkeypatch.setenv("PIXELBAYES_CACHE", str(tmp_path / "new"))
    assert make_cache_folder("deep") == tmp_path / "new" / "deep"
    assert list((tmp_path / "new" / "deep").iterdir()) == []
    (tmp_path / "file").touch()
    remedy = "set the environment variable PIXELBAYES_CACHE to a folder that can be written"
    for cache, message in (
        (f"{tmp_path}/file/cache", rf"{tmp_path}/file/cache/deep: the cache cannot be written \(Not a directory\)"),
        ("~no-such-user/cache", "there is no home folder for the cache"),
    ):
        monkeypatch.setenv("PIXELBAYES_CACHE", cache)
        with pytest.raises(InputError, match=f"^{message}; {remedy}$"):
            make_cache_folder("deep")


@dataclass(frozen=True)
class Inner:
    sizes: tuple[int, ...]


@dataclass(frozen=True)
class Outer:
    one: Inner | None = None
    several: tuple[Inner, ...] = ()
    pair: tuple[int, int] | None = None


def test_nested_json_becomes_nested_dataclasses_and_tuples():
    values = {"one": {"sizes": [1, 2]}, "several": [{"sizes": []}, {"sizes": [3]}], "pair": [4, 5]}
    assert from_json(Outer, values) == Outer(Inner((1, 2)), (Inner(()), Inner((3,))), (4, 5))
    assert from_json(Outer, {"one": None, "pair": None}) == Outer()


@pytest.mark.parametrize("values", [{"one": [1]}, {"one": 3}, {"several": [1]}, {"one": {}}, {"two": 1}])
def test_json_of_another_form_is_a_type_error(values):
    with pytest.raises(TypeError):
        from_json(Outer, values)
