"""Networks in the form of the Hugging Face hub: a folder with weights, config and model card, local or remote."""

import dataclasses
import json
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType

import torch

from pixelbayes.checkpoints.checkpoint import MODEL, calibration_file, load_any, save
from pixelbayes.checkpoints.trained import TrainedNetwork
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

## Training

- data: {data}; command: `{command}`
- epoch {epoch}; metrics of that epoch on its validation split: {metrics}
- temperature: {temperature}
- weights {digest}, written by pixelbayes {version}

## Limits

The network is limited to the kind of images it was trained on. It assigns one of these classes to any image, also to an
image of another kind, and its likelihood alone does not detect such images. The metrics were measured on images like
those of training.
"""


def save_pretrained(trained: TrainedNetwork, folder: str | Path, name: str = "") -> None:
    """Writes `model.safetensors`, `config.json`, a model card and, for a calibrated network, `calibration.json`.

    Args:
        trained: The network.
        folder: The folder; existing files of these names are replaced.
        name: The name in the card; that of the folder by default.
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
    record = calibration_file(folder)
    record.unlink(missing_ok=True)  # it may belong to another network
    if trained.calibration:
        trained.calibration.write(record)


def from_pretrained(
    name: str | Path, *, revision: str | None = None, device: str | torch.device = "cpu"
) -> TrainedNetwork:
    """Loads a network from a folder that `save_pretrained` wrote, or from the hub, which is downloaded once and cached.

    Args:
        name: A folder, or a repository "owner/name".
        revision: A branch, tag or commit of the repository; its main branch by default.
        device: The device to load it to.

    Raises:
        InputError: If there is no such folder or repository, it cannot be downloaded, or it holds no network.
    """
    if Path(name).is_dir():
        return load_any(name, device)
    hub = _hub()
    try:
        folder = hub.snapshot_download(str(name), revision=revision, allow_patterns=list(FILES))
    except Exception as error:  # the kind of error depends on the library and the network connection
        reason = " ".join(str(error).split())
        raise InputError(f"{name}: no such folder, and the Hugging Face hub does not provide it ({reason})") from None
    return load_any(folder, device)


def push_to_hub(
    trained: TrainedNetwork,
    name: str,
    *,
    private: bool = False,
    token: str | None = None,
    message: str = "A pixelbayes network",
) -> str:
    """Uploads the files of `save_pretrained` and returns the address of the commit.

    Args:
        trained: The network.
        name: The repository, "owner/name"; it is created if necessary.
        private: Create it as a private repository.
        token: Access token; the one stored by `hf auth login` by default.
        message: Commit message.

    Raises:
        InputError: If the hub rejects the upload.
    """
    hub = _hub()
    with TemporaryDirectory() as folder:
        save_pretrained(trained, folder, name)
        try:
            hub.create_repo(name, private=private, token=token, exist_ok=True)
            commit = hub.upload_folder(repo_id=name, folder_path=folder, commit_message=message, token=token)
        except Exception as error:  # the kind of error depends on the library and the network connection
            reason = " ".join(str(error).split())
            raise InputError(f"{name}: the Hugging Face hub rejected the upload ({reason})") from None
    return str(commit.commit_url)


def model_card(trained: TrainedNetwork, name: str) -> str:
    """The model card of a network, in the form of the hub."""
    provenance, shape = trained.provenance, trained.image_shape
    metrics = {key: value for key, value in provenance.metrics.items() if key.startswith("val/")}
    return CARD_TEXT.format(
        name=name,
        description=trained.description,
        classes=", ".join(trained.class_names),
        first=trained.class_names[0] if trained.class_names else "",
        height=shape.height,
        width=shape.width,
        channels=shape.channels,
        levels=shape.levels,
        resize=trained.preprocessing.resize,
        data=provenance.data.source if provenance.data else "not recorded",
        command=provenance.command or "not recorded",
        epoch="not recorded" if provenance.epoch is None else provenance.epoch,
        metrics=", ".join(f"{key.removeprefix('val/')} {value:.4f}" for key, value in metrics.items())
        or "not recorded",
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
