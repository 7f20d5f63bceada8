"""What a run has left in its folder, read back; whatever is absent is empty."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from pixelbayes.evaluation.history import HISTORY, read_history
from pixelbayes.utils.errors import InputError

CONFIG, DATA, METRICS, QUALITY, ABOUT = "config.yaml", "data.json", "metrics.json", "quality.json", "about.json"
FIGURES, SAMPLES, EVALUATIONS = "figures", "samples", "evaluation"  # folders in a run folder

MOST_GRIDS = 40  # of samples shown; each is tens of kB of the page


@dataclass(frozen=True)
class Record:
    """A run folder, or the folder of one evaluation, as plain values.

    Args:
        folder: Where it stands.
        metrics: Figures of one split, as in metrics.json.
        quality: Figures of samples, as in quality.json.
        about: What it is, the command and other facts, as in about.json.
        data: Made by `data.summary.summarise`.
        config_text: The config as YAML.
        history: A row for each epoch.
        grids: Epoch -> the picture of samples drawn then, epochs rising.
        figures: Name -> its PNG.
        evaluations: Of the same network on other data, in the order of their names.
    """

    folder: Path
    metrics: Mapping[str, Any]
    quality: Mapping[str, Any]
    about: Mapping[str, Any]
    data: Mapping[str, Any]
    config_text: str
    history: Sequence[Mapping[str, float]]
    grids: Mapping[int, Path]
    figures: Mapping[str, Path]
    evaluations: Sequence["Record"]

    @classmethod
    def read(cls, folder: Path) -> "Record":
        """Reads a folder.

        Raises:
            InputError: If it holds nothing of a run, or a file in it is damaged; the message names it.
        """
        if not any((folder / name).is_file() for name in (CONFIG, HISTORY, METRICS, QUALITY)):
            raise InputError(f"{folder}: no run folder: it has no {CONFIG}, {HISTORY}, {METRICS} or {QUALITY}")
        numbered = ((re.fullmatch(r"epoch-(\d+)", path.stem), path) for path in (folder / SAMPLES).glob("epoch-*.png"))
        grids = {int(found[1]): path for found, path in numbered if found}
        evaluated = {path.parent for name in (METRICS, QUALITY) for path in (folder / EVALUATIONS).glob(f"*/{name}")}
        try:
            history = read_history(folder / HISTORY)
        except (TypeError, ValueError) as error:
            raise InputError(f"{folder / HISTORY}: damaged ({error}); delete it, or copy it anew") from error
        return cls(
            folder=folder,
            metrics=read_json(folder / METRICS),
            quality=read_json(folder / QUALITY),
            about=read_json(folder / ABOUT),
            data=read_json(folder / DATA),
            config_text=(folder / CONFIG).read_text(encoding="utf-8") if (folder / CONFIG).is_file() else "",
            history=history,
            grids=dict(_thinned(sorted(grids.items()))),
            figures={path.stem: path for path in sorted((folder / FIGURES).glob("*.png"))},
            evaluations=[cls.read(path) for path in sorted(evaluated)],
        )

    @property
    def name(self) -> str:
        return self.folder.resolve().name

    @property
    def config(self) -> dict[str, Any]:
        """The config as nested dicts.

        Raises:
            InputError: If it is no YAML of a config.
        """
        try:
            config = yaml.safe_load(self.config_text) or {}
        except yaml.YAMLError as error:
            config, reason = None, str(error).splitlines()[0]
        else:
            reason = "no fields"
        if not isinstance(config, dict):
            raise InputError(f"{self.folder / CONFIG}: damaged ({reason}); copy it anew")
        return config


def distinct_names(folders: Sequence[Path]) -> list[str]:
    """For each folder as few of its last parts as tell it from the others.

    >>> distinct_names([Path("/runs/film/seed-0"), Path("/runs/stem/seed-0")])
    ['film/seed-0', 'stem/seed-0']

    Raises:
        InputError: If a folder is named twice.
    """
    parts = [folder.resolve().parts for folder in folders]
    if len(set(parts)) < len(parts):
        twice = next(folder for folder, own in zip(folders, parts, strict=True) if parts.count(own) > 1)
        raise InputError(f"{twice} is named twice; name each run once")
    for depth in range(1, max(map(len, parts)) + 1):
        names = ["/".join(own[-depth:]) for own in parts]
        if len(set(names)) == len(names):
            break
    return names


def read_json(path: Path) -> dict[str, Any]:
    """The fields of a file that a run has left; none if it is not there.

    Raises:
        InputError: If it is damaged.
    """
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path}: damaged ({error}); delete it, or copy it anew") from error
    if not isinstance(found, dict):
        raise InputError(f"{path}: damaged (no fields); delete it, or copy it anew")
    return found


def _thinned(grids: Sequence[tuple[int, Path]]) -> list[tuple[int, Path]]:
    """At most `MOST_GRIDS` of them, spread evenly, first and last among them."""
    if len(grids) <= MOST_GRIDS:
        return list(grids)
    return [grids[i * (len(grids) - 1) // (MOST_GRIDS - 1)] for i in range(MOST_GRIDS)]
