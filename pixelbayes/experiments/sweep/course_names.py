"""The names that the course's code, and code like it, has for settings and results."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from pixelbayes.experiments.config import ExperimentConfig
from pixelbayes.experiments.sweep.config import Metric
from pixelbayes.utils.config_fields import field_types, short_name, short_names, suggest

TYPES = field_types(ExperimentConfig)
"""The type of every field that a setting may be, by dotted name."""

COURSE_FIELDS = {
    "nr_filters": "model.num_filters",
    "nr_resnet": "model.num_blocks",
    "nr_logistic_mix": "model.num_mixtures",
    "dropout_p": "model.dropout",
    "max_epochs": "training.epochs",
    "lr": "training.learning_rate",
    "lr_decay": "training.learning_rate_decay",
    "polyak_decay": "training.ema_decay",
}
"""Our field by the name that the course's code, or the original, has for it."""

WITHOUT_EFFECT = {
    "sample_batch_size": "how many images are drawn at once",
    "sampling_interval": "how often images are drawn",
    "save_interval": "how often the network is saved",
    "print_every": "how often the loss is printed",
    "en_wandb": "whether a service receives the results",
}
"""Settings of the course's code that change no result, and what they say."""

RESULTS: dict[Metric, tuple[str, ...]] = {
    "accuracy": ("accuracy", "val_accuracy", "val_acc", "acc", "classification_accuracy"),
    "bits_per_dim": ("bits_per_dim", "val_bits_per_dim", "val_bpd", "bpd", "val_average_bpd", "val_loss", "loss"),
    "nll": ("nll", "val_nll"),
    "fid": ("fid", "val_fid", "fid_192"),
}
"""The names that others have for our metrics on validation; of several that a table has, the first one counts."""


@dataclass(frozen=True)
class Translation:
    """The fields that names stand for.

    Args:
        fields: Dotted name of the field by the given name.
        without_effect: What the names say that change no result, by the given name.
        unknown: The other ones.
    """

    fields: dict[str, str]
    without_effect: dict[str, str]
    unknown: tuple[str, ...]

    def implied(self, base: ExperimentConfig) -> dict[str, Any]:
        """Values of further fields without which the given ones do not mean what they do in the course's code."""
        is_decay = any(_plain(name).endswith("lr_decay") for name in self.fields)
        is_open = "training.schedule" not in self.fields.values() and base.training.schedule != "exponential"
        return {"training.schedule": "exponential"} if is_decay and is_open else {}

    def remarks(self, base: ExperimentConfig) -> list[str]:
        """What a user should know, in sentences."""
        renamed = [
            f"{name} is {field}"
            for name, field in self.fields.items()
            if _plain(name) not in (field, short_name(field))
        ]
        remarks = [", ".join(renamed)] if renamed else []
        if self.implied(base):
            remarks.append("lr_decay is a factor per epoch, so training.schedule is exponential")
        return remarks


def translate(names: Iterable[str]) -> Translation:
    """Finds the fields that names stand for: our own names, dotted or short, or those of the course's code.

    Of a name in a group that is not ours, such as optimizer.lr, the last part decides.

    >>> translate(["nr_filters", "optimizer.lr", "batch-size", "sample_batch_size", "colour"]).fields
    {'nr_filters': 'model.num_filters', 'optimizer.lr': 'training.learning_rate', 'batch-size': 'training.batch_size'}
    """
    known = {**COURSE_FIELDS, **short_names(TYPES), **{name: name for name in TYPES}}
    fields, without_effect, unknown = {}, {}, []
    for name in names:
        last = _plain(name).rpartition(".")[2]
        if field := known.get(_plain(name), known.get(last)):
            fields[name] = field
        elif last in WITHOUT_EFFECT:
            without_effect[name] = WITHOUT_EFFECT[last]
        else:
            unknown.append(name)
    return Translation(fields, without_effect, tuple(unknown))


def said_unknown(name: str) -> str:
    """What is wrong with an unknown name, and the remedy."""
    known = [*COURSE_FIELDS, *short_names(TYPES), *TYPES]
    remedy = "remove it, or write the name of a field, as pixelbayes train --help lists them"
    return f"unknown field {name}{suggest(_plain(name), known, remedy)}"


def results_of(names: Iterable[str]) -> dict[str, Metric]:
    """Our metric by the name of each result that counts: of several for one metric, the first in `RESULTS`.

    >>> results_of(["train_bpd", "val_bpd", "classification_accuracy", "val/accuracy"])
    {'val/accuracy': 'accuracy', 'val_bpd': 'bits_per_dim'}
    """
    given = {re.sub(r"[^a-z0-9]+", "_", name.strip().lower()): name for name in names}
    found = {metric: [given[name] for name in known if name in given] for metric, known in RESULTS.items()}
    return {first[0]: metric for metric, first in found.items() if first}


def _plain(name: str) -> str:
    return re.sub(r"[\s-]+", "_", name.strip().lower())
