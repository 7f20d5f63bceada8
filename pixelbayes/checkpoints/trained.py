"""Trained networks: a density, a dedicated classifier, or an ensemble of densities, behind one interface."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import ClassVar, TypeAlias

import torch

from pixelbayes.checkpoints.calibration_record import CalibrationRecord
from pixelbayes.checkpoints.provenance import Provenance
from pixelbayes.images.preprocessing import Preprocessing
from pixelbayes.images.shape import ImageShape
from pixelbayes.models.pixelcnn import PixelCNN, PixelCNNConfig
from pixelbayes.models.pretrained import TimmConfig, TimmNetwork
from pixelbayes.models.resnet import ResNet, ResNetConfig
from pixelbayes.utils.errors import InputError

Classifier: TypeAlias = ResNet | TimmNetwork
Network: TypeAlias = PixelCNN | Classifier
NetworkConfig: TypeAlias = PixelCNNConfig | ResNetConfig | TimmConfig


@dataclass(frozen=True, kw_only=True)
class Trained(ABC):
    """One or several trained networks, with everything that is needed to use them.

    Args:
        class_names: Name of each label, Y of them.
        preprocessing: Converts an image to the pixels that the network takes.
        prior: p(c), Y numbers.
        provenance: How the weights were made.
        calibration: The record of `calibrate` for these weights; None if there is none.
        stale_calibration: Whether there is a record beside the weights that belongs to other weights or another way of
            scoring. It is not used.
    """

    kind_name: ClassVar[str]
    """noun phrase for messages"""

    class_names: tuple[str, ...]
    preprocessing: Preprocessing
    prior: tuple[float, ...]
    provenance: Provenance = field(default_factory=Provenance)
    calibration: CalibrationRecord | None = None
    stale_calibration: bool = False

    @property
    @abstractmethod
    def num_parameters(self) -> int:
        """Number of learned parameters."""

    @property
    @abstractmethod
    def description(self) -> str:
        """A phrase that describes the network."""

    @property
    @abstractmethod
    def digest(self) -> str:
        """A hash of the weights, 16 hexadecimal digits; of an ensemble one per network."""

    @property
    @abstractmethod
    def device(self) -> torch.device:
        """The device of the weights."""

    @property
    def densities(self) -> "tuple[TrainedPixelCNN, ...]":
        """The networks that compute log p(x | c); empty for a dedicated classifier."""
        return ()

    @property
    def image_shape(self) -> ImageShape:
        """Shape of the images that the network takes."""
        return self.preprocessing.image_shape

    @property
    def temperature(self) -> float:
        """T of p(c | x), proportional to p(x | c)^(1/T) p(c); 1 without calibration."""
        return self.calibration.temperature if self.calibration else 1.0

    @property
    def class_vectors(self) -> torch.Tensor | None:
        """Features that condition the network on each class, (Y, D); None if there are none."""
        return None

    @property
    def log_prior(self) -> torch.Tensor:
        """log p(c), float64 (Y,), in nats."""
        return torch.tensor(self.prior, dtype=torch.float64).log()

    def label(self, name: str) -> int:
        """The label of a class, given its name, or its number if no class name is a number.

        Raises:
            InputError: If there is no such class.
        """
        if name in self.class_names:
            return self.class_names.index(name)
        named_by_numbers = any(each.isdecimal() for each in self.class_names)
        if name.isdecimal() and not named_by_numbers and int(name) < len(self.class_names):
            return int(name)
        raise InputError(f"class {name!r} is unknown; this network knows: {', '.join(self.class_names)}")


@dataclass(frozen=True, kw_only=True)
class TrainedNetwork(Trained):
    """A single trained network.

    Args:
        network: The network in evaluation mode, in float32.
    """

    kinds: ClassVar[Mapping[str, tuple[type[Network], type[NetworkConfig]]]]
    """classes of the network and its config, by their identifier in weights files"""

    network: Network

    @property
    def kind(self) -> str:
        """The identifier of the network in weights files."""
        return next(kind for kind, (network, _) in self.kinds.items() if isinstance(self.network, network))

    @property
    def num_parameters(self) -> int:
        return sum(weight.numel() for weight in self.network.parameters())

    @property
    def description(self) -> str:
        return f"{self.kind_name[0].upper()}{self.kind_name[1:]} with {self.num_parameters:,} parameters"

    @property
    def digest(self) -> str:
        digest = hashlib.blake2b(digest_size=8)
        for name, tensor in sorted(self.network.state_dict().items()):
            digest.update(name.encode() + tensor.cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()

    @property
    def device(self) -> torch.device:
        return next(self.network.parameters()).device


@dataclass(frozen=True, kw_only=True)
class TrainedPixelCNN(TrainedNetwork):
    """A PixelCNN++, which computes log p(x | c)."""

    kind_name = "a PixelCNN++"
    kinds = MappingProxyType({"pixelcnn": (PixelCNN, PixelCNNConfig)})

    network: PixelCNN

    @property
    def description(self) -> str:
        fusion = self.network.config.fusion
        name = fusion if isinstance(fusion, str) else "+".join(fusion)
        return f"A class-conditional PixelCNN++ with {self.num_parameters:,} parameters, fusion {name}"

    @property
    def densities(self) -> "tuple[TrainedPixelCNN, ...]":
        return (self,)

    def check_guidance(self, guidance: float) -> None:
        """Checks that samples can be drawn with classifier-free guidance, unless it is 0.

        Raises:
            InputError: If the network was never trained without labels, so that its log p(x) means nothing.
        """
        if guidance and self.provenance.knows_unconditional is False:
            raise InputError(
                f"guidance is {guidance}, expected 0, because this network was never trained without labels; train one "
                "with --label-dropout 0.1"
            )

    @property
    def class_vectors(self) -> torch.Tensor | None:
        with torch.no_grad():
            return self.network.fusion.class_vectors(len(self.class_names))


@dataclass(frozen=True, kw_only=True)
class TrainedClassifier(TrainedNetwork):
    """A dedicated classifier, which computes p(c | x) only; `prior` is the class frequency of its training images."""

    kind_name = "a dedicated classifier"
    kinds = MappingProxyType({"resnet": (ResNet, ResNetConfig), "timm": (TimmNetwork, TimmConfig)})

    network: Classifier

    @property
    def description(self) -> str:
        if not isinstance(self.network, TimmNetwork):
            return super().description
        config = self.network.config
        return f"{super().description}, {config.name} of timm, pre-trained ({config.pretrained})"


@dataclass(frozen=True, kw_only=True)
class Ensemble(Trained):
    """Several PixelCNN++ that are scored as one density. It has no calibration of its own.

    Args:
        members: The networks, of the same classes, preprocessing and prior; see `merging.make_ensemble`.
    """

    kind_name = "an ensemble"

    members: tuple[TrainedPixelCNN, ...]

    @property
    def num_parameters(self) -> int:
        return sum(member.num_parameters for member in self.members)

    @property
    def description(self) -> str:
        return f"An ensemble of {len(self.members)} PixelCNN++ with {self.num_parameters:,} parameters in total"

    @property
    def digest(self) -> str:
        return ", ".join(member.digest for member in self.members)

    @property
    def device(self) -> torch.device:
        return self.members[0].device

    @property
    def densities(self) -> tuple[TrainedPixelCNN, ...]:
        return self.members
