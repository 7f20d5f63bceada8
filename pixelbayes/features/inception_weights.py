"""The public weights of the FID Inception network: found on this machine, or fetched and checked."""

import hashlib
import os
import re
from functools import partial
from http.client import HTTPException
from pathlib import Path
from urllib.request import urlopen

import torch
from torch import Tensor

from pixelbayes.utils.errors import InputError
from pixelbayes.utils.files import cache_folder, replacing
from pixelbayes.utils.progress import track

URL = "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/pt_inception-2015-12-05-6726825d.pth"
CLASSES = 1008  # of the network of 2015; torchvision's Inception has the same layers and other weights, and 1000

BLOCK = 2**20  # bytes read at a time
TIMEOUT = 30  # seconds without an answer

VARIABLE = "PIXELBAYES_INCEPTION_WEIGHTS"  # in the environment


def find_weights(path: Path | None = None, url: str = URL) -> Path:
    """The weights file: the one named, else that of the environment, else that of the cache, else fetched into it.

    Args:
        path: The file, if one was named.
        url: Where to fetch it; the name ends in the first digits of the SHA-256 of its content.

    Raises:
        InputError: If the file that was named is not there, or none can be fetched.
    """
    if path is not None:
        return _existing(path, "--inception-weights")
    if named := os.environ.get(VARIABLE):
        return _existing(Path(named).expanduser(), f"${VARIABLE}")
    cached = cache_folder() / url.rpartition("/")[2]
    if not cached.is_file():
        fetch(url, cached)
    return cached


def fetch(url: str, file: Path) -> None:
    """Downloads a file whose name tells its SHA-256; it is whole and right, or not there.

    Raises:
        InputError: If it cannot be had, or is another.
    """
    told = re.search(r"-([0-9a-f]{8,})\.\w+$", url)
    if told is None:
        raise ValueError(f"url is {url}, expected a name that ends in a dash and digits of its SHA-256")
    try:
        _download(url, file, told[1])
    except (OSError, HTTPException) as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"{url} cannot be downloaded ({reason}); fetch it elsewhere and name the file with --inception-weights "
            f"or ${VARIABLE}, or take the extractor `domain`"
        ) from None


def _download(url: str, file: Path, expected: str) -> None:
    digest = hashlib.sha256()
    with urlopen(url, timeout=TIMEOUT) as answer, replacing(file) as temporary:
        blocks = -(-int(answer.headers.get("Content-Length") or 0) // BLOCK) or None
        with temporary.open("wb") as out:
            for block in track(iter(partial(answer.read, BLOCK), b""), "Fetching weights, MiB by MiB", total=blocks):
                digest.update(block)
                out.write(block)
        if not digest.hexdigest().startswith(expected):
            raise OSError(f"its SHA-256 begins with {digest.hexdigest()[: len(expected)]}, expected {expected}")


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a weights file by name; pickled code is not executed.

    Raises:
        InputError: If it is damaged, or not the FID Inception network.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception:  # torch raises many kinds for files that are damaged, hold code or are a web page
        raise InputError(f"{path}: not a whole file of PyTorch weights; remove it and download {URL} anew") from None
    state = state if isinstance(state, dict) else {}
    found = {str(name): value for name, value in state.items() if isinstance(value, Tensor)}
    last = found.get("fc.weight")
    if last is not None and last.ndim and len(last) != CLASSES:
        raise InputError(f"{path}: an Inception of {len(last)} classes, not the FID network of {CLASSES}; take {URL}")
    return found


def _existing(path: Path, named_by: str) -> Path:
    if not path.is_file():
        raise InputError(f"{path}: no such file; {named_by} should name the weights from {URL}")
    return path
