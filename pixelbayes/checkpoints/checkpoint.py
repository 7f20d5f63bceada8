"""Saves and loads trained networks: one safetensors file with the weights, and everything else in its metadata."""

import dataclasses
import json
from pathlib import Path
from typing import TypeVar

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open

from pixelbayes.checkpoints.bundled import bundled_names, bundled_weights
from pixelbayes.checkpoints.calibration_record import CalibrationRecord
from pixelbayes.checkpoints.provenance import Provenance
from pixelbayes.checkpoints.trained import TrainedClassifier, TrainedNetwork, TrainedPixelCNN
from pixelbayes.images.preprocessing import Preprocessing
from pixelbayes.utils.errors import InputError, MissingPackageError
from pixelbayes.utils.files import from_json, replacing
from pixelbayes.utils.run_folder import RunFolder
from pixelbayes.version import __version__

MODEL = "model.safetensors"  # in a folder of the Hugging Face hub

AnyTrained = TypeVar("AnyTrained", bound=TrainedNetwork)

KINDS: dict[str, type[TrainedNetwork]] = {
    kind: cls for cls in (TrainedPixelCNN, TrainedClassifier) for kind in cls.kinds
}


def save(trained: TrainedNetwork, path: str | Path, *, half: bool = False) -> None:
    """Writes a network to a file.

    Args:
        trained: The network.
        path: The file.
        half: Store the weights in float16, which halves the file and rounds the weights.
    """
    details = {
        "config": dataclasses.asdict(trained.network.config),
        "class_names": trained.class_names,
        "preprocessing": dataclasses.asdict(trained.preprocessing),
        "prior": trained.prior,
        "provenance": trained.provenance.as_dict(),
    }
    metadata = {
        "format": "pixelbayes",
        "kind": trained.kind,
        "version": __version__,
        "details": json.dumps(details),
    }
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in trained.network.state_dict().items()}
    if half:
        weights = {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in weights.items()}
    with replacing(path) as temporary:
        temporary.write_bytes(safetensors.torch.save(weights, metadata))


def find_weights(run: str | Path) -> Path:
    """The weights file of a run.

    Args:
        run: A weights file, a run folder (its best weights, or its last if there are no best yet), a folder in the form
            of the Hugging Face hub, or, where there is no such file or folder, the name of a bundled network.

    Raises:
        InputError: If there is no such file.
    """
    bundled, run = bundled_weights(run), Path(run)
    if run.is_dir():
        folder = RunFolder(run)
        for path in (folder.best, folder.last, run / MODEL):
            if path.is_file():
                return path
        raise InputError(f"{run}: the folder has no {folder.best.name}; name a run folder whose first epoch has ended")
    if run.is_file():
        return run
    if bundled is None:
        names = ", ".join(bundled_names())
        raise InputError(f"{run}: no such run folder or weights file, and not the name of a bundled network: {names}")
    return bundled


def calibration_file(run: str | Path) -> Path:
    """The calibration record beside the weights of a run: `calibration.json` in a run folder.

    Raises:
        InputError: If there are no such weights.
    """
    weights = find_weights(run)
    prefix = "" if weights.name in (RunFolder(Path()).best.name, MODEL) else f"{weights.stem}."
    return weights.with_name(f"{prefix}calibration.json")


def load(run: str | Path, device: str | torch.device = "cpu") -> TrainedPixelCNN:
    """Loads a PixelCNN++.

    Args:
        run: A run folder, a weights file or the name of a bundled network; see `find_weights`.
        device: The device to load it to.

    Raises:
        InputError: If the file is missing, damaged or not a PixelCNN++, or the calibration record beside it is damaged.

    >>> load("no-such-run")
    Traceback (most recent call last):
    pixelbayes.utils.errors.InputError: no-such-run: no such run folder or weights file, and not the name of a...
    """
    return _load(TrainedPixelCNN, find_weights(run), device)


def load_classifier(run: str | Path, device: str | torch.device = "cpu") -> TrainedClassifier:
    """Loads a dedicated classifier; else as `load`."""
    return _load(TrainedClassifier, find_weights(run), device)


def load_any(run: str | Path, device: str | torch.device = "cpu") -> TrainedNetwork:
    """Loads a network of either kind; else as `load`."""
    return _load(TrainedNetwork, find_weights(run), device)


def _load(cls: type[AnyTrained], path: Path, device: str | torch.device) -> AnyTrained:
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
        weights = safetensors.torch.load_file(path)
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path}: not a complete safetensors file ({error}); train again or copy it again") from error
    if metadata.get("format") != "pixelbayes":
        raise InputError(
            f"{path}: not a file of pixelbayes; `pixelbayes import` converts networks of the course's code"
        )
    name = metadata.get("kind", "")
    trained_class = KINDS.get(name, cls)
    if not issubclass(trained_class, cls):
        raise InputError(f"{path}: holds {trained_class.kind_name}, but {cls.kind_name} is needed")
    try:
        if name not in KINDS:
            raise ValueError(f"kind {name!r}")
        details = json.loads(metadata["details"])
        network_class, config_class = trained_class.kinds[name]
        network = network_class(from_json(config_class, details["config"]))  # type: ignore[arg-type]
        network.load_state_dict(weights)
        trained = trained_class(
            network=network,
            class_names=tuple(details["class_names"]),
            preprocessing=from_json(Preprocessing, details["preprocessing"]),
            prior=tuple(details["prior"]),
            provenance=from_json(Provenance, details["provenance"]),
        )
    except MissingPackageError as error:
        raise InputError(f"{path}: {error}") from error
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        version = metadata.get("version", "unknown")
        raise InputError(
            f"{path}: written by pixelbayes {version}, which pixelbayes {__version__} cannot read ({reason})"
        ) from error
    network.to(device=device).requires_grad_(False).eval()
    record_file = calibration_file(path)
    if not record_file.exists():  # hashing the weights takes time
        return trained
    record = CalibrationRecord.read(record_file)
    is_valid = record.weights == trained.digest
    return dataclasses.replace(trained, calibration=record if is_valid else None, stale_calibration=not is_valid)
