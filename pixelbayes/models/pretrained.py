"""Networks of timm (PyTorch Image Models) as dedicated classifiers: pre-trained elsewhere, with a new last layer.

timm is an extra of this package. What it and the libraries below it raise becomes an InputError of one line.
"""

import difflib
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pixelbayes.images.shape import ImageShape
from pixelbayes.utils.config_docs import documented
from pixelbayes.utils.errors import InputError, MissingPackageError

# parts of the tags by which timm names weights: the data they were trained on
DATASETS = {"in1k": "ImageNet-1k", "in12k": "ImageNet-12k", "in21k": "ImageNet-21k", "in22k": "ImageNet-22k"}


@documented
@dataclass(frozen=True, kw_only=True)
class TimmConfig:
    """Everything that determines a network of timm."""

    name: str
    """name in timm, such as resnet18, or with the tag of weights resnet18.a1_in1k"""
    pretrained: str
    """what its weights were trained on before, such as ImageNet-1k, or the file that they come from"""
    mean: tuple[float, ...]
    """mean of each colour in [0, 1] that the weights were trained with"""
    std: tuple[float, ...]
    """standard deviation of each colour that they were trained with"""
    num_classes: int
    """Y; labels are 0 .. Y-1"""
    image_shape: ImageShape
    """height, width, channels and levels of the images"""


class TimmNetwork(nn.Module):
    """Maps images to the logits of p(c | x): a network of timm whose last layer has an output for each class.

    The network sees images as in its pre-training, ((x + 1) / 2 - mean) / std. A grey image becomes three equal
    channels, because the weights were trained on colours.

    Args:
        config: The network, and the classes and shape of the images. The weights are random.

    Raises:
        MissingPackageError: If timm is not installed.
        InputError: If timm does not know the network, or cannot make it for this image size.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, config: TimmConfig):
        super().__init__()
        self.config = config
        self.register_buffer("mean", torch.tensor(config.mean)[:, None, None], persistent=False)  # (3, 1, 1)
        self.register_buffer("std", torch.tensor(config.std)[:, None, None], persistent=False)
        self.body = self._make_body()

    def load_pretrained(self, weights: str = "") -> None:
        """Loads pre-trained weights of all layers but the last, which is new.

        Args:
            weights: A file, safetensors or a state dict of PyTorch, of the network as timm defines it, with any number
                of classes; by default timm downloads its own weights, and keeps them in its cache.

        Raises:
            InputError: If the file cannot be read or is of another network, or the weights cannot be downloaded.
        """
        name = self.config.name
        if weights:
            self.body = self._make_body(_file_as_weights(weights, name), f"{weights}: does not fit timm:{name}")
        else:
            self.body = self._make_body({}, f"timm:{name}: the weights cannot be loaded; name a file with --weights")

    def _make_body(self, overlay: Mapping[str, Any] | None = None, fault: str = "") -> Any:
        """The network of timm with a new last layer; pre-trained if there is an overlay for timm's record of weights.

        It is made with the classes of its weights first, because timm then checks that every one of them fits.
        """
        name, size = self.config.name, self.config.image_shape.size
        timm, record = _timm(name), _record(name)
        try:
            body: Any = timm.create_model(
                name,
                pretrained=overlay is not None,
                pretrained_cfg_overlay=overlay,
                **({"img_size": size} if record.fixed_input_size else {}),
            )
        except Exception as error:
            raise InputError(f"{fault or _cannot_take(self.config)} ({_one_line(error)})") from error
        body.pretrained_cfg.pop("state_dict", None)  # or every copy of the network would hold these weights too
        body.reset_classifier(self.config.num_classes)
        return body

    @property
    def num_features(self) -> int:
        """Number of inputs of the last layer."""
        return int(self.body.head_hidden_size)

    @property
    def last_layers(self) -> tuple[nn.Module, ...]:
        """The layers that are not pre-trained."""
        layers = self.body.get_classifier()
        return layers if isinstance(layers, tuple) else (layers,)

    def standardised(self, x: Tensor) -> Tensor:
        """Images x (B, C, H, W) in [-1, 1] as the body takes them, (B, 3, H, W)."""
        return ((x.expand(-1, 3, -1, -1) + 1) / 2 - self.mean) / self.std

    def embed(self, x: Tensor) -> Tensor:
        """Features of images x (B, C, H, W) in [-1, 1], the input of the last layer: (B, `num_features`)."""
        features: Tensor = self.body.forward_head(self.body.forward_features(self.standardised(x)), pre_logits=True)
        return features

    def forward(self, x: Tensor) -> Tensor:
        """Logits, (B, Y), of images x (B, C, H, W) in [-1, 1]."""
        logits: Tensor = self.body(self.standardised(x))
        return logits


def pretrained_network(
    name: str, weights: str, num_classes: int, image_shape: ImageShape, *, smallest_batch: int, load: bool = True
) -> TimmNetwork:
    """A network of timm at the start of training.

    Args:
        name: Its name in timm, with or without the tag of weights.
        weights: A file of pre-trained weights; empty for those of timm.
        num_classes: Y.
        image_shape: Shape of the images.
        smallest_batch: Number of images in the smallest batch of training.
        load: Whether to load the pre-trained weights, which a run that is resumed does not need.

    Raises:
        MissingPackageError: If timm is not installed.
        InputError: If timm has no such network, or no weights for it; if the network cannot be trained on such images;
            if the weights cannot be read or downloaded, or do not fit.
    """
    record = _record(name)
    if not (weights or record.has_weights):
        raise InputError(f"timm:{name}: timm has no weights for it; name a file of them with --weights")
    network = TimmNetwork(
        TimmConfig(
            name=name if weights else f"{record.architecture}.{record.tag}",
            pretrained=Path(weights).name if weights else _training_data(record.tag),
            mean=tuple(record.mean),
            std=tuple(record.std),
            num_classes=num_classes,
            image_shape=image_shape,
        )
    )
    count = min(smallest_batch, 2)  # with one image, batch normalisation may lack a second value
    try:
        with torch.no_grad():
            network(torch.zeros(count, *image_shape.chw))
    except Exception as error:
        raise InputError(f"{_cannot_take(network.config, count)} ({_one_line(error)})") from error
    if load:
        network.load_pretrained(weights)
    return network


def _timm(name: str) -> Any:
    try:
        import timm
    except ImportError:
        raise MissingPackageError(f"timm:{name} needs the timm package: pip install 'pixelbayes[timm]'") from None
    except RuntimeError as error:  # torchvision, which timm imports, is of another build than torch
        raise InputError(
            f"timm:{name}: timm cannot be imported ({_one_line(error)}); install torch and torchvision of one build"
        ) from error
    return timm


def _record(name: str) -> Any:
    """What timm knows of the weights of a network: `timm.models.PretrainedCfg`."""
    timm = _timm(name)
    architecture = name.partition(".")[0]
    try:
        record = timm.get_pretrained_cfg(name)
    except RuntimeError:
        tagged = ", ".join(timm.list_models(f"{architecture}.*", pretrained=True))
        raise InputError(f"timm:{name}: timm has no such weights; it has {tagged}") from None
    if record is None:
        close = ", ".join(difflib.get_close_matches(architecture, timm.list_models(), n=3))
        remedy = f"did you mean {close}?" if close else "`timm.list_models()` lists all of them"
        raise InputError(f"timm:{name}: timm {timm.__version__} has no such network; {remedy}")
    return record


def _file_as_weights(file: str, name: str) -> dict[str, Any]:
    """A file of weights as an overlay of timm's record, with the number of classes of its last layer."""
    if not Path(file).is_file():
        raise InputError(f"weights {file}: no such file")
    from timm.models import load_state_dict

    try:
        weights = load_state_dict(file, weights_only=True)
    except Exception as error:
        raise InputError(
            f"{file}: no weights can be read from it ({_one_line(error)}); a safetensors file or a state dict that "
            "PyTorch saved is needed"
        ) from error
    last = _record(name).classifier
    last_weight = weights.get(f"{last if isinstance(last, str) else last[0]}.weight")
    return {"state_dict": weights, "num_classes": 0 if last_weight is None else len(last_weight)}


def _training_data(tag: str) -> str:
    """The data that the tag of weights names.

    >>> _training_data("augreg_in21k_ft_in1k"), _training_data("lvd142m")
    ('ImageNet-21k, then ImageNet-1k', 'lvd142m')
    """
    return ", then ".join(DATASETS[part] for part in tag.split("_") if part in DATASETS) or tag


def _cannot_take(config: TimmConfig, count: int = 2) -> str:
    height, width = config.image_shape.size
    usual = " x ".join(map(str, _record(config.name).input_size[1:]))
    batch = "a batch of one image" if count == 1 else "images"
    return (
        f"timm:{config.name} cannot be trained on {batch} of {height} x {width} pixels; choose another image_size or "
        f"batch_size, it was pre-trained on {usual}"
    )


def _one_line(error: Exception) -> str:
    return textwrap.shorten(str(error) or type(error).__name__, 120)
