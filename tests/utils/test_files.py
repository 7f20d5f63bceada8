import os

import pytest

from pixelbayes.utils.files import cache_folder, replacing, write_text


def test_a_file_appears_whole_with_its_folders(tmp_path):
    write_text(tmp_path / "a" / "b" / "note.txt", "é\n")
    assert (tmp_path / "a" / "b" / "note.txt").read_bytes() == "é\n".encode()
    assert [path.name for path in (tmp_path / "a" / "b").iterdir()] == ["note.txt"]


def test_the_file_is_the_old_one_until_the_new_one_is_whole(tmp_path):
    path = tmp_path / "note.txt"
    path.write_text("old")
    with replacing(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"


def test_a_writer_that_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "note.txt"
    path.write_text("old")

    def fail():
        with replacing(path) as temporary:
            temporary.write_text("ha")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_temporary_file_has_the_suffix_that_tells_the_format(tmp_path):
    with replacing(tmp_path / "figure.png") as temporary:
        assert temporary.suffix == ".png"
        assert temporary.parent == tmp_path
        temporary.touch()


@pytest.mark.skipif(os.name != "posix", reason="modes are of POSIX")
def test_those_may_read_a_file_whom_the_umask_lets(tmp_path):
    (tmp_path / "plain").touch()
    with replacing(tmp_path / "file") as temporary:
        temporary.unlink()
        os.close(os.open(temporary, os.O_CREAT, 0o600))  # as safetensors does
        assert temporary.stat().st_mode != (tmp_path / "plain").stat().st_mode
    assert (tmp_path / "file").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_the_cache_lies_where_caches_lie(monkeypatch, tmp_path):
    monkeypatch.delenv("PIXELBAYES_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "pixelbayes"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "pixelbayes"
