"""The content of a run folder, or of the folder of an evaluation. Missing files count as empty."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from pixelbayes.evaluation.history import read_history
from pixelbayes.utils.errors import InputError
from pixelbayes.utils.run_folder import RunFolder

MAX_GRIDS = 40  # each grid of samples adds tens of kB to the page


@dataclass(frozen=True)
class RunRecord:
    """The content of a run folder, or of the folder of an evaluation.

    Args:
        folder: The folder.
        metrics: metrics.json, the metrics of one split.
        quality: quality.json, the sample quality.
        about: about.json: description, command and other facts.
        data: data.json, made by `data.summary.summarise`.
        config_text: config.yaml as text.
        history: The rows of history.csv, one per epoch.
        grids: The grid of samples drawn at each epoch, in increasing order; at most MAX_GRIDS.
        figures: The PNG file of each plot, by the plot's name.
        evaluations: Evaluations of the same network, in the order of their names.
    """

    folder: RunFolder
    metrics: Mapping[str, Any]
    quality: Mapping[str, Any]
    about: Mapping[str, Any]
    data: Mapping[str, Any]
    config_text: str
    history: Sequence[Mapping[str, float]]
    grids: Mapping[int, Path]
    figures: Mapping[str, Path]
    evaluations: Sequence["RunRecord"]

    @classmethod
    def read(cls, path: Path) -> "RunRecord":
        """Reads a folder.

        Raises:
            InputError: If it contains no file of a run, or a file is damaged.
        """
        folder = RunFolder(path)
        required = folder.config, folder.history, folder.metrics, folder.quality
        if not any(file.is_file() for file in required):
            *names, last = (file.name for file in required)
            raise InputError(f"{path}: not a run folder, it contains no {', '.join(names)} or {last}")
        numbers = ((re.fullmatch(r"epoch-(\d+)", file.stem), file) for file in folder.samples.glob("epoch-*.png"))
        grids = {int(number[1]): file for number, file in numbers if number}
        evaluated = {
            file.parent
            for name in (folder.metrics.name, folder.quality.name)
            for file in folder.evaluations.glob(f"*/{name}")
        }
        return cls(
            folder=folder,
            metrics=read_json(folder.metrics),
            quality=read_json(folder.quality),
            about=read_json(folder.about),
            data=read_json(folder.data),
            config_text=folder.config.read_text(encoding="utf-8") if folder.config.is_file() else "",
            history=read_history(folder.history),
            grids=dict(_thinned(sorted(grids.items()))),
            figures={file.stem: file for file in sorted(folder.figures.glob("*.png"))},
            evaluations=[cls.read(found) for found in sorted(evaluated)],
        )

    @property
    def name(self) -> str:
        return self.folder.path.resolve().name

    @property
    def config(self) -> dict[str, Any]:
        """The config as nested dictionaries.

        Raises:
            InputError: If it is damaged.
        """
        try:
            config = yaml.safe_load(self.config_text) or {}
        except yaml.YAMLError as error:
            config, reason = None, str(error).splitlines()[0]
        else:
            reason = "no fields"
        if not isinstance(config, dict):
            raise InputError(f"{self.folder.config}: damaged ({reason}); copy it again")
        return config


def distinct_names(folders: Sequence[Path]) -> list[str]:
    """The shortest ends of the paths that distinguish the folders from each other.

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
    """The fields of a JSON file of a run; empty if there is no such file.

    Raises:
        InputError: If the file is damaged.
    """
    if not path.is_file():
        return {}
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path}: damaged ({error}); delete it, or copy it again") from error
    if not isinstance(fields, dict):
        raise InputError(f"{path}: damaged (no fields); delete it, or copy it again")
    return fields


def _thinned(grids: Sequence[tuple[int, Path]]) -> list[tuple[int, Path]]:
    """At most MAX_GRIDS of them, evenly spaced, including the first and the last."""
    if len(grids) <= MAX_GRIDS:
        return list(grids)
    return [grids[i * (len(grids) - 1) // (MAX_GRIDS - 1)] for i in range(MAX_GRIDS)]
