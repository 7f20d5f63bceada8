"""Audits labelled images: trains networks on folds of them, and proposes what to correct."""

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from pixelbayes.checkpoints.trained import TrainedClassifier
from pixelbayes.data import UNKNOWN_LABEL, DataConfig, ImageData, load_data
from pixelbayes.data.corrected_copy import write_corrected_copy
from pixelbayes.data.loading import list_images
from pixelbayes.data.splitting import stratified
from pixelbayes.evaluation.audit import NO_FOLD, Audit, Pool, excess, folds_of
from pixelbayes.evaluation.explanation import Explanation, explain
from pixelbayes.evaluation.measure import Measurement
from pixelbayes.experiments.baseline import BaselineConfig, train_baseline
from pixelbayes.experiments.claim import check_folder, claim_settings, command_line
from pixelbayes.experiments.config import ExperimentConfig
from pixelbayes.experiments.measure import load_trained, measure_split
from pixelbayes.experiments.train import train
from pixelbayes.metrics.near_duplicates import find_near_duplicates
from pixelbayes.metrics.ood import ood_scores
from pixelbayes.report.audit import COLUMNS, audit_page, image_rows, proposal_rows
from pixelbayes.utils.console import make_console
from pixelbayes.utils.errors import InputError, InterruptedRunError
from pixelbayes.utils.files import csv_text, write_text
from pixelbayes.utils.run_folder import RunFolder

FOLDS = 5
EXPLAINED = 12  # of the likely mislabelled images, those whose pixels are shown

# files in the folder of an audit
SETTINGS = "audit.yaml"
SUMMARY = "audit.json"
PROPOSALS = "proposals.csv"
IMAGES = "images.csv"

AuditConfig = ExperimentConfig | BaselineConfig


def audit(config: AuditConfig, out: Path, *, folds: int = FOLDS) -> Audit:
    """Finds images that are likely mislabelled, near-duplicates or out of place, without changing anything.

    The images of all splits are divided into folds. For each fold, a network is trained on the others, so that every
    image is judged by a network that has not seen it, or a near-duplicate of it.

    Args:
        config: How to train: an `ExperimentConfig` judges by densities, a `BaselineConfig` by dedicated classifiers.
        out: The folder; receives the proposals, the other tables, the page, and a run folder for each fold.
        folds: Number of folds, at least 2.

    Raises:
        InputError: If the data are faulty, there are fewer than two classes, or the folder holds another audit, or a
            finished one, whose proposals may have been edited.
        InterruptedRunError: If asked to stop; the same call continues.
    """
    if folds < 2:
        raise InputError(f"folds is {folds}, expected at least 2")
    check_folder(out)
    config = replace(config, data=undivided(config.data))
    data = load_data(config.data)
    pool = Pool.of(data.splits, data.class_names)
    if len(data.class_names) < 2:
        raise InputError(f"{data.source}: its only class is {data.class_names[0]!r}, expected two or more to audit")
    duplicates = find_near_duplicates(pool.images.pixels)
    largest = int(torch.bincount(pool.images.labels[pool.images.labels != UNKNOWN_LABEL]).max())
    if folds > largest:
        raise InputError(f"folds is {folds}, but no class has more than {largest} images; give fewer, at least 2")
    fold = folds_of(pool.images.labels, duplicates.group, folds, config.seed)
    claim_settings(out / SETTINGS, {"folds": folds, "images": data.fingerprint(), "config": config.as_plain()})
    if audit_is_finished(out):
        raise InputError(f"{out} holds a finished audit; give --apply DIR to write a corrected copy, or another --out")
    cross_validation = _CrossValidation(config, data, pool, fold, out)
    evidence = torch.full((len(pool), len(data.class_names)), torch.nan, dtype=torch.float64)
    outlier_score = excess(duplicates.scale.clamp(min=1e-9).log())  # which a density replaces by a score of its own
    log_prior = torch.zeros(len(data.class_names))
    for held_out, measurement in cross_validation():
        evidence[held_out], log_prior = measurement.evidence, measurement.log_prior.cpu()
        if measurement.log_marginal is not None:
            pixels, levels = measurement.split.pixels, data.preprocessing.image_shape.levels
            scores = ood_scores(measurement.log_marginal, pixels, levels, mean_bits=0.0)  # only typicality needs a mean
            outlier_score[held_out] = excess(scores["complexity"])
    found = Audit.of(pool, fold, evidence, log_prior, outlier_score, duplicates)
    _write(found, cross_validation.explanations(found), data, out)
    return found


def undivided(config: DataConfig) -> DataConfig:
    """The source with the splits that it has, and no others."""
    return replace(config, validation_fraction=0.0, test_fraction=0.0)


@dataclass(frozen=True)
class _CrossValidation:
    """Cross-validation: trains the network of each fold, and measures it on the images of the fold."""

    config: AuditConfig
    data: ImageData
    pool: Pool
    fold: Tensor
    out: Path

    def __call__(self) -> Iterator[tuple[Tensor, Measurement]]:
        """The images of each fold, (n,), and what its network says of them."""
        numbers = [number for number in self.fold.unique().tolist() if number != NO_FOLD]
        for number in numbers:
            run = self.run(number)
            if not run.metrics.is_file():
                make_console(stderr=True, highlight=False).rule(f"fold {number + 1} of {len(numbers)}")
                self._train(number)
            held_out = (self.fold == number).nonzero()[:, 0]
            trained = load_trained(run.path, device=self.config.training.device)
            yield held_out, measure_split(trained, self.pool.images.take(held_out), f"fold {number + 1}")

    def run(self, number: int) -> RunFolder:
        return RunFolder(self.out / f"fold-{number + 1}")

    def _train(self, number: int) -> None:
        path, data = self.run(number).path, self.fold_data(number)
        try:
            if isinstance(self.config, ExperimentConfig):
                train(self.config, path, resume=True, eval_split="test", data=data)
            else:
                train_baseline(self.config, path, resume=True, eval_split="test", data=data)
        except InterruptedRunError as error:
            raise InterruptedRunError("the audit stopped; the same command continues", error.signal) from None

    def fold_data(self, number: int) -> ImageData:
        """The images of the fold as "test"; the others with a label, a part of them as "validation"."""
        labels = self.pool.images.labels
        others = ((self.fold != number) & (labels != UNKNOWN_LABEL)).nonzero()[:, 0]
        fraction = DataConfig.validation_fraction
        parts = stratified(labels[others].tolist(), {"validation": fraction}, self.config.seed)
        splits = {name: self.pool.images.take(others[torch.tensor(index)]) for name, index in parts.items()}
        splits["test"] = self.pool.images.take((self.fold == number).nonzero()[:, 0])
        return replace(self.data, splits=splits, cut_from_train=())

    def explanations(self, found: Audit) -> list[Explanation]:
        """What speaks for and against the labels of the images that are the most likely mislabelled, in that order."""
        chosen = found.mislabelled[:EXPLAINED]
        explained: dict[int, Explanation] = {}
        for number in sorted({int(self.fold[each.image]) for each in chosen}):
            trained = load_trained(self.run(number).path, device=self.config.training.device)
            network = trained if isinstance(trained, TrainedClassifier) else trained.densities[0]
            here = [each for each in chosen if self.fold[each.image] == number]
            index = torch.tensor([each.image for each in here])
            classes = [(int(self.pool.images.labels[each.image]), each.new_label) for each in here]
            results = explain(network, self.pool.images.pixels[index], found.log_posterior[index], classes)
            explained |= zip(index.tolist(), results, strict=True)
        return [explained[each.image] for each in chosen]


def _write(found: Audit, explanations: list[Explanation], data: ImageData, out: Path) -> None:
    write_text(out / SUMMARY, json.dumps({"source": data.source, **found.summary()}, indent=2) + "\n")
    write_text(out / IMAGES, csv_text(image_rows(found)))
    write_text(out / PROPOSALS, csv_text(proposal_rows(found)))
    levels = data.preprocessing.image_shape.levels
    page = audit_page(found, explanations, levels, source=data.source, command=command_line(), table=PROPOSALS)
    page.write(RunFolder(out).page)


def audit_is_finished(out: Path) -> bool:
    """Whether a folder holds the proposals of an audit."""
    return (out / PROPOSALS).is_file() and RunFolder(out).page.is_file()


def apply_proposals(config: DataConfig, out: Path, copy: Path) -> dict[str, int]:
    """Writes a copy of a source as the proposals in an audit's folder say, which may have been edited.

    Args:
        config: The data of the audit.
        out: The folder of the audit.
        copy: The new folder of the copy.

    Returns:
        The number of images by what was done: "kept", "relabelled", "removed", and "left for review".

    Raises:
        InputError: If a proposal is faulty or is about other images, or the copy's folder is not empty or within the
            source; the message has one line per fault.
    """
    source = Path(config.source.rpartition(":")[2]).expanduser()
    if source.is_dir() and copy.resolve().is_relative_to(source.resolve()):
        raise InputError(f"{copy} is in the source {source}, which stays as it is; name a folder beside it")
    listing = list_images(undivided(config))
    if listing.faults:
        raise InputError.listing(listing.faults)
    labels: dict[tuple[str, int], int] = {}
    removed: set[tuple[str, int]] = set()
    reviews = 0
    faults = []
    path = out / PROPOSALS
    for number, row in enumerate(_read_proposals(path), start=2):
        where = f"{path} row {number}"
        records = listing.splits.get(row["split"], [])
        position = int(row["position"]) if row["position"].isdecimal() else -1
        key = row["split"], position
        if not 0 <= position < len(records) or records[position].name != row["image"]:
            faults.append(f"{where}: {row['image']} is not image {row['position']} of {row['split']}; audit again")
        elif row["action"] == "remove":
            removed.add(key)
        elif row["action"] == "relabel":
            if row["new label"] in listing.class_names:
                labels[key] = listing.class_names.index(row["new label"])
            else:
                classes = ", ".join(listing.class_names[:8])
                faults.append(f"{where}: new label {row['new label']!r} is not a class; expected one of {classes}")
        elif row["action"] == "review":
            reviews += 1
        elif row["action"] != "keep":
            faults.append(f"{where}: action {row['action']!r}, expected relabel, remove, review or keep")
    if faults:
        raise InputError.listing(faults)
    write_corrected_copy(listing, labels, removed, copy)
    total = sum(map(len, listing.splits.values()))
    counts = {"relabelled": len(labels), "removed": len(removed), "left for review": reviews}
    return {"kept": total - len(removed) - len(labels), **counts}


def _read_proposals(path: Path) -> list[dict[str, str]]:
    """The rows of the table, which has all of `COLUMNS`."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, restval="")
            rows = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: the proposals cannot be read ({error}); save them as UTF-8 csv") from None
    missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
    if missing:
        raise InputError(f"{path}: no column {', '.join(missing)}; keep the columns {','.join(COLUMNS)}")
    return rows
