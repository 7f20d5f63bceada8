"""The public weights of the FID Inception network: found on this machine, or downloaded and checked."""

import os
import socket
import sys
from collections.abc import Mapping
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import torch
from torch import Tensor

from pixelbayes.utils.errors import InputError
from pixelbayes.utils.files import cache_folder, make_cache_folder

URL = "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/pt_inception-2015-12-05-6726825d.pth"
"""Address of the weights; the name ends in the first digits of the SHA-256 of the file."""

NUM_CLASSES = 1008  # of the network of 2015; torchvision's Inception has 1000, the same layers and other weights

VARIABLE = "PIXELBAYES_INCEPTION_WEIGHTS"
"""Environment variable that names the file."""

TIMEOUT = 30  # seconds to wait for an answer of the server


def load_weights(path: Path | None = None, url: str = URL) -> tuple[Path, dict[str, Tensor]]:
    """The file of the weights and its tensors by name. Pickled code in the file is never executed.

    Without `path`, the file is the one that the environment variable names, or else the one in the cache folder, which
    is downloaded first if it is missing.

    Args:
        path: The file.
        url: Where to download it; the name ends in a dash and the first digits of the SHA-256 of the file.

    Raises:
        InputError: If the file is missing, cannot be downloaded, is damaged or belongs to another network, or the cache
            cannot be written.
    """
    if path is not None:
        return path, _read(path, "--inception-weights")
    if named := os.environ.get(VARIABLE):
        file = Path(named).expanduser()
        return file, _read(file, f"${VARIABLE}")
    cached = cache_folder() / url.rpartition("/")[2]
    if not cached.is_file():
        make_cache_folder()
    return cached, _tensors(cached, _read_cached(cached, url))


def _read(file: Path, named_by: str) -> dict[str, Tensor]:
    if not file.is_file():
        raise InputError(f"{file}: no such file; {named_by} should name the weights from {URL}")
    try:
        content = torch.load(file, map_location="cpu", weights_only=True)
    except Exception:  # torch raises many types for damaged files, web pages and pickled code
        raise _damaged(file) from None
    return _tensors(file, content)


def _read_cached(file: Path, url: str) -> Any:
    """Reads the file, after downloading it if it is missing; a download that fails or is wrong leaves no file."""
    timeout = socket.getdefaulttimeout()
    socket.setdefaulttimeout(TIMEOUT)  # torch.hub has no timeout of its own
    try:
        with redirect_stdout(sys.stderr):  # for the message of torch.hub
            return torch.hub.load_state_dict_from_url(
                url,
                model_dir=str(file.parent),
                map_location="cpu",
                progress=sys.stderr.isatty(),
                check_hash=True,
                weights_only=True,
            )
    except Exception as error:  # the same types as in `_read`, and those of the download
        if isinstance(error, HTTPError):
            error.close()  # it keeps the connection open
        if file.is_file():
            raise _damaged(file) from None
        reason = " ".join(str(error).split())
        raise InputError(
            f"{url} cannot be downloaded ({reason}); download it elsewhere and name the file with --inception-weights "
            f"or ${VARIABLE}, or use the features `classifier`"
        ) from None
    finally:
        socket.setdefaulttimeout(timeout)


def _damaged(file: Path) -> InputError:
    return InputError(f"{file}: not a complete file of PyTorch weights; delete it and download {URL} again")


def _tensors(file: Path, content: Any) -> dict[str, Tensor]:
    named = content if isinstance(content, Mapping) else {}
    tensors = {str(name): value for name, value in named.items() if isinstance(value, Tensor)}
    last = tensors.get("fc.weight")
    if last is not None and last.ndim and len(last) != NUM_CLASSES:
        raise InputError(
            f"{file}: an Inception network with {len(last)} classes, not the FID network with {NUM_CLASSES}; use {URL}"
        )
    return tensors
