"""A trained network in one file: weights as safetensors, the rest in its metadata, so that the two cannot tear."""

import dataclasses
import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open

from pixelbayes.checkpoints.bundled import shipped_names, shipped_weights
from pixelbayes.checkpoints.calibration_record import FittedTemperature
from pixelbayes.images.preprocessing import Preprocessing
from pixelbayes.models.pixelcnn import PixelCNN, PixelCNNConfig
from pixelbayes.models.resnet import ResNet, ResNetConfig
from pixelbayes.utils.errors import InputError
from pixelbayes.utils.files import replacing
from pixelbayes.version import __version__

BEST, LAST = "best.safetensors", "last.safetensors"  # in a run folder
MODEL = "model.safetensors"  # in a folder of the Hugging Face hub's form

T = TypeVar("T")
AnyTrained = TypeVar("AnyTrained", bound="Trained")


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A network of any kind and what is needed to use it.

    Args:
        network: The network, in evaluation form; float32.
        class_names: A name for each label, Y of them.
        preprocessing: From any picture to the pixels the network was trained on.
        prior: p(c), Y numbers.
        about: How it came to be, for people: epoch, figures on validation, command.
        calibration: What was fitted to these very weights after training; None if nothing was.
        stale_calibration: There is such a file beside the weights, but it was fitted to others and is not used.
    """

    kind: ClassVar[str]  # as it stands in a file
    called: ClassVar[str]  # what people call it
    network_class: ClassVar[type[PixelCNN] | type[ResNet]]
    config_class: ClassVar[type[PixelCNNConfig] | type[ResNetConfig]]

    network: PixelCNN | ResNet
    class_names: tuple[str, ...]
    preprocessing: Preprocessing
    prior: tuple[float, ...]
    about: dict[str, Any] = field(default_factory=dict)
    calibration: FittedTemperature | None = None
    stale_calibration: bool = False

    @property
    def temperature(self) -> float:
        """T of p(c | x), proportional to p(x | c)^(1/T) p(c); 1 where none was fitted."""
        return self.calibration.temperature if self.calibration else 1.0

    @property
    def parameters(self) -> int:
        """How many numbers were learnt."""
        return sum(weight.numel() for weight in self.network.parameters())

    @property
    def description(self) -> str:
        """A phrase on what it is."""
        return f"{self.called[0].upper()}{self.called[1:]} of {self.parameters:,} parameters"

    @property
    def digest(self) -> str:
        """A name for these very weights: 16 hexadecimal digits."""
        digest = hashlib.blake2b(digest_size=8)
        for name, tensor in sorted(self.network.state_dict().items()):
            digest.update(name.encode() + tensor.cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()

    @property
    def class_vectors(self) -> torch.Tensor | None:
        """What tells the network of each class, (Y, D); None if it is told of none."""
        return None

    @property
    def log_prior(self) -> torch.Tensor:
        """log p(c), float64 (Y,), in nats."""
        return torch.tensor(self.prior, dtype=torch.float64).log()

    def label(self, name: str) -> int:
        """The label of a class given by its name or its number.

        Raises:
            InputError: If there is no such class.
        """
        if name in self.class_names:
            return self.class_names.index(name)
        if name.isdecimal() and int(name) < len(self.class_names):
            return int(name)
        raise InputError(f"class {name!r} is unknown; this network knows: {', '.join(self.class_names)}")


@dataclass(frozen=True, kw_only=True)
class Checkpoint(Trained):
    """A PixelCNN++, which gives log p(x | c)."""

    kind = "pixelcnn"
    called = "a PixelCNN++"
    network_class = PixelCNN
    config_class = PixelCNNConfig

    network: PixelCNN

    @property
    def description(self) -> str:
        return f"A class-conditional PixelCNN++ of {self.parameters:,} parameters, fusion {self.network.config.fusion}"

    @property
    def class_vectors(self) -> torch.Tensor | None:
        with torch.no_grad():
            return self.network.fusion.class_vectors(len(self.class_names))


@dataclass(frozen=True, kw_only=True)
class BaselineCheckpoint(Trained):
    """A residual network, which gives p(c | x) alone; `prior` is that of the images it was trained on."""

    kind = "resnet"
    called = "a dedicated classifier"
    network_class = ResNet
    config_class = ResNetConfig

    network: ResNet


KINDS: dict[str, type[Trained]] = {cls.kind: cls for cls in (Checkpoint, BaselineCheckpoint)}


def save(checkpoint: Trained, path: str | Path, *, half: bool = False) -> None:
    """Writes the checkpoint, whole or not at all.

    Args:
        checkpoint: The network.
        path: The file.
        half: Store its numbers in 16 bits (float16), for half the size; they are rounded, and so is what it computes.
    """
    details = {
        "config": dataclasses.asdict(checkpoint.network.config),
        "class_names": checkpoint.class_names,
        "preprocessing": dataclasses.asdict(checkpoint.preprocessing),
        "prior": checkpoint.prior,
        "about": checkpoint.about,
    }
    metadata = {
        "format": "pixelbayes",
        "kind": checkpoint.kind,
        "version": __version__,
        "details": json.dumps(details),
    }
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in checkpoint.network.state_dict().items()}
    if half:
        weights = {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in weights.items()}
    with replacing(path) as temporary:
        safetensors.torch.save_file(weights, temporary, metadata)


def find_weights(run: str | Path) -> Path:
    """The weights file that RUN means: itself, or the best of a run folder, or its last while there is no best.

    Where there is no such file or folder, a name of `shipped_names` means a network that comes with the package.

    Raises:
        InputError: If there is no such file.
    """
    named, run = shipped_weights(run), Path(run)
    if run.is_dir():
        for name in (BEST, LAST, MODEL):
            if (run / name).is_file():
                return run / name
        raise InputError(f"{run}: the folder has no {BEST}; is it a run folder, and has its first epoch ended?")
    if run.is_file():
        return run
    if named is None:
        known = ", ".join(shipped_names())
        raise InputError(f"{run}: there is no such run folder or weights file, nor does the package know it: {known}")
    return named


def calibration_file(run: str | Path) -> Path:
    """Where what was fitted to RUN's weights is kept: beside them, `calibration.json` in a run folder.

    Raises:
        InputError: If there are no such weights.
    """
    weights = find_weights(run)
    prefix = "" if weights.name in (BEST, MODEL) else f"{weights.stem}."
    return weights.with_name(f"{prefix}calibration.json")


def load(run: str | Path, device: str | torch.device = "cpu") -> Checkpoint:
    """Loads a PixelCNN++: a run folder's best weights, or a weights file.

    Raises:
        InputError: If the file is missing, or it or the calibration beside it damaged or none of ours; the message
            names it.

    >>> load("no-such-run")
    Traceback (most recent call last):
    pixelbayes.utils.errors.InputError: no-such-run: there is no such run folder or weights file, nor does the package...
    """
    return _load(Checkpoint, find_weights(run), device)


def load_baseline(run: str | Path, device: str | torch.device = "cpu") -> BaselineCheckpoint:
    """Loads a dedicated classifier, as `load` does a PixelCNN++."""
    return _load(BaselineCheckpoint, find_weights(run), device)


def load_any(run: str | Path, device: str | torch.device = "cpu") -> Trained:
    """Loads a network of either kind, as `load` does a PixelCNN++."""
    return _load(Trained, find_weights(run), device)


def _load(cls: type[AnyTrained], path: Path, device: str | torch.device) -> AnyTrained:
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
        weights = safetensors.torch.load_file(path)
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path}: not a whole safetensors file ({error}); train again, or copy it anew") from error
    if metadata.get("format") != "pixelbayes":
        raise InputError(f"{path}: a safetensors file, but not one of pixelbayes; `pixelbayes import` reads others'")
    name = metadata.get("kind", Checkpoint.kind)
    kind = KINDS.get(name, cls)
    if not issubclass(kind, cls):
        raise InputError(f"{path}: holds {kind.called}, where {cls.called} is needed")
    try:
        if name not in KINDS:
            raise ValueError(f"kind {name!r}")
        details = json.loads(metadata["details"])
        network = kind.network_class(_from_json(kind.config_class, details["config"]))  # type: ignore[arg-type]
        preprocessing = _from_json(Preprocessing, details["preprocessing"])
        network.load_state_dict(weights)
        prior = tuple(details["prior"])
        names, about = tuple(details["class_names"]), details["about"]
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        version = metadata.get("version", "unknown")
        raise InputError(
            f"{path}: written by pixelbayes {version} and not understood by {__version__} ({reason})"
        ) from error
    network.to(device=device).requires_grad_(False).eval()
    trained = kind(network=network, class_names=names, preprocessing=preprocessing, prior=prior, about=about)
    beside = calibration_file(path)
    if not beside.exists():  # hashing the weights is for those who need it
        return trained
    fitted = FittedTemperature.read(beside)
    fits = fitted.weights == trained.digest
    return dataclasses.replace(trained, calibration=fitted if fits else None, stale_calibration=not fits)


def _from_json(cls: type[T], values: dict[str, Any]) -> T:
    """A dataclass from its JSON form, in which tuples have become lists."""
    return cls(**{name: tuple(value) if isinstance(value, list) else value for name, value in values.items()})
