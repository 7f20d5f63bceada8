"""A stand-in for timm, which CI does not install: two networks and those functions of timm that pixelbayes calls."""

import fnmatch
from dataclasses import dataclass
from types import ModuleType

import torch
from safetensors.torch import load_file
from torch import nn

DOWNLOADED = 0.25  # every weight that the stand-in "downloads"


class Network(nn.Module):
    """Convolution, batch normalisation and global average pooling."""

    head_hidden_size = 4

    def __init__(self, record, num_classes, stride):
        super().__init__()
        self.pretrained_cfg = record
        self.conv = nn.Conv2d(3, self.head_hidden_size, 3, stride, padding=1)
        self.norm = nn.BatchNorm2d(self.head_hidden_size)
        self.reset_classifier(num_classes)

    def forward_features(self, x):
        return self.norm(self.conv(x)).relu()

    def forward_head(self, x, pre_logits=False):
        features = x.mean(dim=(2, 3))
        return features if pre_logits else self.fc(features)

    def forward(self, x):
        return self.forward_head(self.forward_features(x))

    def get_classifier(self):
        return self.fc

    def reset_classifier(self, num_classes):
        self.fc = nn.Linear(self.head_hidden_size, num_classes) if num_classes else nn.Identity()


@dataclass
class Record:
    architecture: str
    tag: str
    has_weights: bool = True
    fixed_input_size: bool = False
    input_size: tuple = (3, 20, 20)
    num_classes: int = 7
    classifier: str = "fc"
    mean: tuple = (0.5, 0.25, 0.125)
    std: tuple = (0.5, 0.25, 1.0)
    stride: int = 1


RECORDS = {
    "tiny": Record("tiny", "a1_in21k_ft_in1k"),
    "coarse": Record("coarse", "lvd142m", stride=32),
    "patches": Record("patches", "in1k", fixed_input_size=True),
    "untrained": Record("untrained", "untrained", has_weights=False),
}


def get_pretrained_cfg(name):
    architecture, _, tag = name.partition(".")
    record = RECORDS.get(architecture)
    if record and tag not in ("", record.tag):
        raise RuntimeError(f"Invalid pretrained tag ({tag}) for {architecture}.")
    return record


def list_models(filter="*", pretrained=False):
    tagged = [f"{name}.{record.tag}" for name, record in RECORDS.items()]
    return fnmatch.filter(tagged if pretrained else RECORDS, filter)


def create_model(name, pretrained=False, pretrained_cfg_overlay=None, img_size=None):
    record, overlay = get_pretrained_cfg(name), pretrained_cfg_overlay or {}
    if img_size and any(length % 4 for length in img_size):
        raise AssertionError("Input size should be divisible by patch size (4).")
    network = Network(dict(overlay), overlay.get("num_classes", record.num_classes), record.stride)
    if pretrained:
        downloaded = {key: torch.full_like(each, DOWNLOADED) for key, each in network.state_dict().items()}
        network.load_state_dict(overlay.get("state_dict", downloaded))
    return network


def load_state_dict(path, weights_only=False):
    assert weights_only
    return load_file(path) if path.endswith(".safetensors") else torch.load(path, weights_only=True)


def modules():
    """The stand-in's modules by the names by which they are imported."""
    timm, models = ModuleType("timm"), ModuleType("timm.models")
    timm.__version__, timm.models, models.load_state_dict = "1.0", models, load_state_dict
    timm.get_pretrained_cfg, timm.list_models, timm.create_model = get_pretrained_cfg, list_models, create_model
    return {"timm": timm, "timm.models": models}
