import hashlib
from http.client import IncompleteRead
from io import BytesIO
from pathlib import Path
from typing import ClassVar

import pytest
import torch

from pixelbayes.features import inception_weights as weights
from pixelbayes.features.inception_weights import URL, VARIABLE, fetch, find_weights, read_weights
from pixelbayes.utils.errors import InputError


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setenv("PIXELBAYES_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def published(tmp_path):
    """The address of a file whose name tells its checksum."""
    content = b"weights"
    file = tmp_path / f"net-{hashlib.sha256(content).hexdigest()[:8]}.pth"
    file.write_bytes(content)
    return file.as_uri()


def refusal(call, *given):
    with pytest.raises(InputError) as caught:
        call(*given)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_file_that_is_named_goes_before_the_environment_and_that_before_the_cache(
    tmp_path, own_cache, published, monkeypatch
):
    cached = own_cache / published.rpartition("/")[2]
    assert find_weights(url=published) == cached
    for name in ("of-environment.pth", "named.pth"):
        (tmp_path / name).touch()
    monkeypatch.setenv(VARIABLE, str(tmp_path / "of-environment.pth"))
    assert find_weights(url=published) == tmp_path / "of-environment.pth"
    assert find_weights(tmp_path / "named.pth", url=published) == tmp_path / "named.pth"


def test_a_download_is_kept_and_not_repeated(own_cache, published):
    cached = find_weights(url=published)
    assert cached.read_bytes() == b"weights"
    Path(published.removeprefix("file://")).unlink()
    assert find_weights(url=published) == cached
    assert list(own_cache.iterdir()) == [cached]


def test_a_download_with_another_checksum_leaves_nothing(own_cache, published):
    Path(published.removeprefix("file://")).write_bytes(b"a page that says: not found")
    said = refusal(find_weights, None, published)
    found = hashlib.sha256(b"a page that says: not found").hexdigest()[:8]
    assert f"cannot be downloaded (its SHA-256 begins with {found}, expected {published[-12:-4]})" in said
    assert "--inception-weights or $PIXELBAYES_INCEPTION_WEIGHTS, or take the extractor `domain`" in said
    assert list(own_cache.iterdir()) == []


def test_what_cannot_be_reached_is_said_in_one_line(tmp_path, own_cache):
    url = (tmp_path / "none-01234567.pth").as_uri()
    assert refusal(find_weights, None, url).startswith(f"{url} cannot be downloaded (")
    assert not own_cache.exists()


def test_a_connection_that_breaks_half_way_leaves_nothing(own_cache, monkeypatch):
    class Answer(BytesIO):
        headers: ClassVar = {"Content-Length": "9"}

        def read(self, size):
            if block := super().read(4):
                return block
            raise IncompleteRead(b"")

    monkeypatch.setattr(weights, "urlopen", lambda url, timeout: Answer(b"weights"))
    assert "cannot be downloaded (IncompleteRead" in refusal(find_weights, None, "https://example.org/net-01234567.pth")
    assert list(own_cache.iterdir()) == []


def test_an_address_without_a_checksum_is_no_address():
    with pytest.raises(ValueError, match="expected a name that ends in a dash and digits of its SHA-256"):
        fetch("https://example.org/weights.pth", Path("weights.pth"))


def test_the_public_file_is_checked_by_the_digits_in_its_name():
    assert URL.endswith("-6726825d.pth")


def test_a_file_that_is_named_but_missing_is_refused(tmp_path, monkeypatch):
    said = refusal(find_weights, tmp_path / "none.pth")
    assert said.startswith(f"{tmp_path}/none.pth: no such file; --inception-weights should name the weights from https")
    monkeypatch.setenv(VARIABLE, str(tmp_path / "gone.pth"))
    assert "gone.pth: no such file; $PIXELBAYES_INCEPTION_WEIGHTS should name" in refusal(find_weights)


@pytest.mark.parametrize("content", [b"", b"<html><body>Not found</body></html>", b"PK\x03\x04 cut off"])
def test_a_file_that_holds_no_weights_is_refused(tmp_path, content):
    (tmp_path / "bad.pth").write_bytes(content)
    said = refusal(read_weights, tmp_path / "bad.pth")
    assert said == f"{tmp_path}/bad.pth: not a whole file of PyTorch weights; remove it and download {URL} anew"


def test_pickled_code_is_not_executed(tmp_path):
    torch.save({"network": torch.nn.Linear(2, 2)}, tmp_path / "code.pth")
    assert "not a whole file of PyTorch weights" in refusal(read_weights, tmp_path / "code.pth")


def test_torchvisions_inception_is_not_taken_for_that_of_fid(tmp_path):
    torch.save({"fc.weight": torch.zeros(1000, 1)}, tmp_path / "torchvision.pth")
    assert "an Inception of 1000 classes, not the FID network of 1008" in refusal(
        read_weights, tmp_path / "torchvision.pth"
    )
