"""Networks in the form of the Hugging Face hub: a folder of weights, config and a card, here or there."""

import dataclasses
import json
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any

import torch

from pixelbayes.checkpoints.checkpoint import MODEL, Trained, calibration_file, load_any, save
from pixelbayes.utils.errors import InputError
from pixelbayes.utils.files import write_text
from pixelbayes.version import __version__

CONFIG, CARD = "config.json", "README.md"  # beside the weights
FILES = (MODEL, CONFIG, CARD, "calibration.json")

CARD_TEXT = """---
library_name: pixelbayes
license: mit
tags:
- pixelcnn
- image-classification
- unconditional-image-generation
---

# {name}

{description}. Classes: {classes}. Images: {height} x {width}, {channels} channels, {levels} levels, resize {resize}.

## Use

```python
import pixelbayes

trained = pixelbayes.from_pretrained("{name}")
```

or `pixelbayes classify FOLDER photo.jpg`, `pixelbayes sample FOLDER --label {first}` with the folder of these files.

## How it came to be

- trained on {data}, by `{command}`
- epoch {epoch}; figures of that epoch, on its validation split: {figures}
- temperature of its posterior: {temperature}
- weights {digest}, written by pixelbayes {version}

## Limits

What it knows is its training images. It gives p(c | x) among these classes alone, to whatever image it is shown; a
likelihood by itself does not tell images of another kind apart. Figures were measured on images like those of training.
"""


def save_pretrained(trained: Trained, folder: str | Path, name: str = "") -> None:
    """Writes `model.safetensors`, `config.json`, a model card and, if one was fitted, `calibration.json`.

    Args:
        trained: The network.
        folder: Where to; files of these names give way.
        name: What the card calls it; the folder's name if not given.
    """
    folder = Path(folder)
    save(trained, folder / MODEL)
    config = {
        "library_name": "pixelbayes",
        "kind": trained.kind,
        "class_names": trained.class_names,
        "preprocessing": dataclasses.asdict(trained.preprocessing),
        "prior": trained.prior,
        "network": dataclasses.asdict(trained.network.config),
    }
    write_text(folder / CONFIG, json.dumps(config, indent=2) + "\n")
    write_text(folder / CARD, model_card(trained, name or folder.resolve().name))
    beside = calibration_file(folder)
    beside.unlink(missing_ok=True)  # of another network
    if trained.calibration:
        trained.calibration.write(beside)


def from_pretrained(name: str | Path, *, revision: str | None = None, device: str | torch.device = "cpu") -> Trained:
    """The network in a folder that `save_pretrained` wrote, or in a repository of the hub, fetched once and kept.

    Args:
        name: A folder, or "owner/name".
        revision: A branch, tag or commit of the repository; its main branch if not given.
        device: Where to load it.

    Raises:
        InputError: If there is no such folder or repository, it cannot be fetched, or it holds no network of ours.
    """
    if Path(name).is_dir():
        return load_any(name, device)
    hub = _hub()
    try:
        folder = hub.snapshot_download(str(name), revision=revision, allow_patterns=list(FILES))
    except Exception as error:  # many kinds, of this library and of the network below it
        reason = " ".join(str(error).split())
        raise InputError(f"{name}: no such folder, and not to be had from the Hugging Face hub ({reason})") from None
    return load_any(folder, device)


def push_to_hub(
    trained: Trained,
    name: str,
    *,
    private: bool = False,
    token: str | None = None,
    message: str = "A pixelbayes network",
) -> str:
    """Uploads what `save_pretrained` writes; returns where it is then.

    Args:
        trained: The network.
        name: The repository, "owner/name"; made if it is not there.
        private: Make it for its owner alone.
        token: The owner's; the one that `hf auth login` has stored if not given.
        message: Of the commit.

    Raises:
        InputError: If the hub does not take it.
    """
    hub = _hub()
    with TemporaryDirectory() as folder:
        save_pretrained(trained, folder, name)
        try:
            hub.create_repo(name, private=private, token=token, exist_ok=True)
            commit = hub.upload_folder(repo_id=name, folder_path=folder, commit_message=message, token=token)
        except Exception as error:  # many kinds, of this library and of the network below it
            reason = " ".join(str(error).split())
            raise InputError(f"{name}: the Hugging Face hub did not take it ({reason})") from None
    return str(commit.commit_url)


def model_card(trained: Trained, name: str) -> str:
    """What people should know of a network, in the hub's form."""
    about: dict[str, Any] = trained.about
    height, width = trained.preprocessing.image_size
    figures = {key.removeprefix("val/"): value for key, value in about.items() if key.startswith("val/")}
    return CARD_TEXT.format(
        name=name,
        description=trained.description,
        classes=", ".join(trained.class_names),
        first=trained.class_names[0] if trained.class_names else "",
        height=height,
        width=width,
        channels=trained.preprocessing.channels,
        levels=trained.preprocessing.levels,
        resize=trained.preprocessing.resize,
        data=about.get("experiment", {}).get("data", {}).get("source", "images not recorded"),
        command=about.get("command", "a command not recorded"),
        epoch=about.get("epoch", "not recorded"),
        figures=", ".join(f"{key} {value:.4f}" for key, value in figures.items()) or "not recorded",
        temperature=f"{trained.temperature:.4g}, {trained.calibration.origin}" if trained.calibration else "not fitted",
        digest=trained.digest,
        version=__version__,
    )


def _hub() -> ModuleType:
    try:
        import huggingface_hub
    except ImportError:
        raise InputError("the hub needs its library: pip install 'pixelbayes[hub]'") from None
    return huggingface_hub
