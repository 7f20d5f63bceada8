import hashlib
import socket
from contextlib import suppress
from pathlib import Path
from threading import Thread

import pytest
import torch

from pixelbayes.features import inception_weights as module
from pixelbayes.features.inception_weights import URL, VARIABLE, load_weights
from pixelbayes.utils.errors import InputError

STATE = {"conv.weight": torch.arange(300.0)}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """An empty cache folder."""
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setenv("PIXELBAYES_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def publish(folder, content):
    """Writes a file whose name contains its checksum, and returns its address."""
    file = folder / f"net-{hashlib.sha256(content).hexdigest()[:8]}.pth"
    file.write_bytes(content)
    return file.as_uri()


def file_of(url):
    return Path(url.removeprefix("file://"))


@pytest.fixture
def weights(tmp_path):
    """The content of a weights file."""
    torch.save(STATE, tmp_path / "weights.pth")
    return (tmp_path / "weights.pth").read_bytes()


@pytest.fixture
def url(tmp_path, weights):
    return publish(tmp_path, weights)


def serve(*parts):
    """The address of a local server that sends these parts to its only client; None waits until the client gives up."""
    server = socket.create_server(("127.0.0.1", 0))

    def answer():
        connection, _ = server.accept()
        connection.settimeout(10)
        with server, connection, suppress(OSError):  # the client may close the connection at any time
            connection.recv(4096)
            for part in parts:
                if part is None:
                    connection.recv(4096)
                else:
                    connection.sendall(part)

    Thread(target=answer, daemon=True).start()
    return f"http://127.0.0.1:{server.getsockname()[1]}"


def refusal(*arguments):
    with pytest.raises(InputError) as caught:
        load_weights(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_argument_precedes_the_environment_and_that_the_cache(tmp_path, cache, url, weights, monkeypatch):
    cached, tensors = load_weights(url=url)
    assert cached == cache / url.rpartition("/")[2]
    assert torch.equal(tensors["conv.weight"], STATE["conv.weight"])
    for name in ("environment.pth", "argument.pth"):
        (tmp_path / name).write_bytes(weights)
    monkeypatch.setenv(VARIABLE, str(tmp_path / "environment.pth"))
    assert load_weights(url=url)[0] == tmp_path / "environment.pth"
    assert load_weights(tmp_path / "argument.pth", url)[0] == tmp_path / "argument.pth"


def test_a_download_is_kept_and_not_repeated(cache, url, weights, capsys):
    file, tensors = load_weights(url=url)
    assert file.read_bytes() == weights
    file_of(url).unlink()
    again, same = load_weights(url=url)
    assert again == file
    assert torch.equal(tensors["conv.weight"], same["conv.weight"])
    assert list(cache.iterdir()) == [file]
    captured = capsys.readouterr()
    assert captured.out == ""  # stdout belongs to the results of a command
    assert captured.err.count("Downloading") == 1


def test_a_download_with_another_checksum_leaves_nothing(cache, url):
    file_of(url).write_bytes(b"a page that says: not found")
    message = refusal(None, url)
    found = hashlib.sha256(b"a page that says: not found").hexdigest()
    assert f'cannot be downloaded (invalid hash value (expected "{url[-12:-4]}", got "{found}"))' in message
    assert "--inception-weights or $PIXELBAYES_INCEPTION_WEIGHTS, or use the features `classifier`" in message
    assert list(cache.iterdir()) == []


def test_a_missing_file_is_refused(tmp_path, cache, monkeypatch):
    url = (tmp_path / "none-01234567.pth").as_uri()
    assert refusal(None, url).startswith(f"{url} cannot be downloaded (")
    assert list(cache.iterdir()) == []
    message = refusal(tmp_path / "none.pth")
    assert message == f"{tmp_path}/none.pth: no such file; --inception-weights should name the weights from {URL}"
    monkeypatch.setenv(VARIABLE, str(tmp_path / "gone.pth"))
    assert "gone.pth: no such file; $PIXELBAYES_INCEPTION_WEIGHTS should name" in refusal()


@pytest.mark.parametrize(
    "answer",
    [
        (b"HTTP/1.0 404 Not Found\r\n\r\n",),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 9\r\n\r\nweig",),  # the connection breaks
        (b"HTTP/1.0 200 OK\r\nContent-Length: 9\r\n\r\nweig", None),  # the server stops answering
        (b"no HTTP at all",),
        (),
    ],
)
def test_a_failed_connection_leaves_nothing(answer, cache, monkeypatch):
    monkeypatch.setattr(module, "TIMEOUT", 0.2)
    url = f"{serve(*answer)}/net-01234567.pth"
    assert refusal(None, url).startswith(f"{url} cannot be downloaded (")
    assert list(cache.iterdir()) == []
    assert socket.getdefaulttimeout() is None


def test_the_address_contains_the_checksum_of_the_public_file():
    assert URL.endswith("-6726825d.pth")


@pytest.mark.parametrize("damage", ["", "<html><body>Not found</body></html>", "PK\x03\x04 cut off", "truncated"])
def test_a_damaged_file_is_refused(tmp_path, cache, weights, url, damage):
    content = weights[:-99] if damage == "truncated" else damage.encode()
    (tmp_path / "bad.pth").write_bytes(content)
    remedy = f"not a complete file of PyTorch weights; delete it and download {URL} again"
    assert refusal(tmp_path / "bad.pth") == f"{tmp_path}/bad.pth: {remedy}"
    cache.mkdir()
    cached = cache / url.rpartition("/")[2]
    cached.write_bytes(content)
    assert refusal(None, url) == f"{cached}: {remedy}"


def test_pickled_code_is_not_executed(tmp_path):
    class Code:
        def __reduce__(self):
            return Path.touch, (tmp_path / "executed",)

    torch.save({"conv.weight": Code()}, tmp_path / "code.pth")
    url = publish(tmp_path, (tmp_path / "code.pth").read_bytes())
    for arguments in ((tmp_path / "code.pth",), (None, url)):
        assert "not a complete file of PyTorch weights" in refusal(*arguments)
    assert not (tmp_path / "executed").exists()


def test_the_inception_network_of_torchvision_is_refused(tmp_path):
    torch.save({"fc.weight": torch.zeros(1000, 1)}, tmp_path / "torchvision.pth")
    message = refusal(tmp_path / "torchvision.pth")
    assert "an Inception network with 1000 classes, not the FID network with 1008" in message
