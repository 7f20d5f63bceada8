import bz2
import gzip
import io
import lzma
import struct
import tarfile
import zipfile

import pytest

from pixelbayes.utils import archives
from pixelbayes.utils.archives import is_archive, open_archive
from pixelbayes.utils.errors import InputError

FILES = {"cat/0.png": b"cat 0", "cat/10.png": b"cat 10" * 1000, "dog/a b.png": b"", "labels.csv": b"a,b\r\n"}


def write_zip(path, files=FILES, method=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def write_tar(path, files=FILES, mode="w"):
    with tarfile.open(path, mode) as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def write(path, form, files=FILES):
    return write_zip(path, files) if form == "zip" else write_tar(path, files, f"w:{form}")


def faults(path):
    with pytest.raises(InputError) as caught:
        open_archive(path)
    return [fault.removeprefix(f"{path}: ").partition(";")[0] for fault in str(caught.value).splitlines()]


FORMS = ["zip", "", "gz", "bz2", "xz"]


@pytest.mark.parametrize("form", FORMS)
def test_an_archive_is_read_like_a_folder(tmp_path, form):
    root = open_archive(write(tmp_path / "pets", form))
    assert root.is_dir()
    assert not root.is_file()
    assert sorted(path.name for path in root.iterdir()) == ["cat", "dog", "labels.csv"]
    assert sorted(str(path) for path in (root / "cat").iterdir()) == [
        f"{tmp_path}/pets/cat/0.png",
        f"{tmp_path}/pets/cat/10.png",
    ]
    assert {name: (root / name).read_bytes() for name in FILES} == FILES
    assert (root / "labels.csv").open(encoding="utf-8", newline="").read() == "a,b\r\n"
    for missing in ("cat/1.png", "../pets", "/etc/passwd", "cat"):
        assert not (root / missing).is_file()
        with pytest.raises(FileNotFoundError):
            (root / missing).read_bytes()


@pytest.mark.parametrize("form", FORMS)
def test_leading_dots_and_backslashes_are_understood(tmp_path, form):
    root = open_archive(write(tmp_path / "pets", form, {"./cat/0.png": b"0", "dog\\1.png": b"1"}))
    assert (root / "cat" / "0.png").read_bytes() == b"0"
    assert (root / "dog" / "1.png").read_bytes() == b"1"


@pytest.mark.parametrize("form", FORMS)
def test_paths_that_lead_out_and_second_files_of_a_name_are_refused_together(tmp_path, form):
    names = ["../up.png", "/absolute.png", "cat\\..\\..\\up.png", "C:\\up.png", "cat/0.png", "cat\\0.png", "cat"]
    assert faults(write(tmp_path / "pets", form, dict.fromkeys(names, b"0"))) == [
        *(f"{name}: its path leads out of the archive" for name in names[:4]),
        "cat\\0.png: there are two of this name",
        "cat: there are two of this name",
    ]


def test_links_devices_and_sparse_files_of_a_tar_archive_are_refused(tmp_path):
    types = {"a": tarfile.SYMTYPE, "b": tarfile.LNKTYPE, "c": tarfile.CHRTYPE, "d": tarfile.GNUTYPE_SPARSE}
    with tarfile.open(tmp_path / "pets.tar", "w") as archive:
        for name, kind in types.items():
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)
    message = "is a link, a device or a sparse file"
    assert faults(tmp_path / "pets.tar") == [f"{name}: {message}" for name in "abcd"]


def test_links_and_encrypted_members_of_a_zip_archive_are_refused(tmp_path):
    path = tmp_path / "pets.zip"
    link = zipfile.ZipInfo("link")
    link.external_attr = 0o120777 << 16
    write_zip(path, {link: b"/etc/passwd", "secret": b"0"})
    content = bytearray(path.read_bytes())
    header = content.index(b"PK\x01\x02", content.index(b"PK\x01\x02") + 1)  # of "secret", in the central directory
    content[header + 8] |= 1
    path.write_bytes(content)
    assert faults(path) == ["link: is a link", "secret: is encrypted"]


def test_methods_of_zip_whose_decompressor_has_no_limit_are_refused(tmp_path):
    path = write_zip(tmp_path / "pets.zip", {"a": b"0"}, zipfile.ZIP_LZMA)
    assert faults(path) == ["a: is compressed by method 14 of zip"]


@pytest.fixture
def small_limits(monkeypatch):
    monkeypatch.setattr(archives, "UNSUSPICIOUS_BYTES", 100_000)
    monkeypatch.setattr(archives, "MAX_MEMBERS", 5)


@pytest.mark.parametrize("form", ["zip", "gz", "bz2", "xz"])
@pytest.mark.parametrize("count", [1, 5])
def test_bombs_are_refused_but_small_archives_of_any_ratio_are_not(tmp_path, form, count, small_limits):
    def zeros(size):
        return write(tmp_path / "zeros", form, {str(number): bytes(size // count) for number in range(count)})

    assert open_archive(zeros(80_000)).is_dir()
    (fault,) = faults(zeros(2_000_000))
    assert "bytes unpack to" in fault


@pytest.mark.parametrize("form", FORMS)
def test_too_many_members_are_refused(tmp_path, form, small_limits):
    path = write(tmp_path / "many", form, {str(number): b"0" for number in range(6)})
    assert faults(path) == ["more than 5 files"]


def test_a_tar_header_that_is_itself_a_bomb_is_refused(tmp_path, small_limits):
    info = tarfile.TarInfo("pax")
    info.type, info.size = tarfile.XHDTYPE, 2_000_000  # which tarfile would read into memory
    (tmp_path / "bomb").write_bytes(gzip.compress(info.tobuf(tarfile.USTAR_FORMAT) + bytes(2_000_000)))
    (fault,) = faults(tmp_path / "bomb")
    assert "bytes unpack to" in fault


def test_a_member_that_is_larger_than_it_says_is_cut_and_refused(tmp_path):
    path = write_zip(tmp_path / "pets.zip", {"a": bytes(10**6)})
    content = bytearray(path.read_bytes())
    for header, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        struct.pack_into("<I", content, content.index(header) + offset, 100)
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"pets\.zip/a: cannot be read \(Bad CRC-32"):
        (open_archive(path) / "a").read_bytes()


@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress, lzma.compress])
def test_a_damaged_or_shortened_tar_archive_is_refused(tmp_path, pack):
    content = write_tar(tmp_path / "pets").read_bytes()
    end = content.index(b"dog/a b.png")
    for damaged in (content[:end] + b"?" + content[end + 1 :], content[:end], content[: end + 100]):
        (tmp_path / "pets").write_bytes(pack(damaged))
        assert "cannot be read" in faults(tmp_path / "pets")[0]
    (tmp_path / "pets").write_bytes(pack(content)[:-100] if pack is not bytes else content[:700])
    assert "cannot be read" in faults(tmp_path / "pets")[0]


def test_a_tar_archive_may_hold_a_zip_archive_or_begin_like_one(tmp_path):
    inner = write_zip(tmp_path / "inner.zip").read_bytes()
    path = write_tar(tmp_path / "outer.tar", {"PK/0.png": b"0", "inner.zip": inner})
    assert is_archive(path)
    root = open_archive(path)
    assert {each.name for each in root.iterdir()} == {"PK", "inner.zip"}
    assert (root / "inner.zip").read_bytes() == inner
