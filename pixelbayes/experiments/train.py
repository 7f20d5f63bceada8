"""From a config to a trained network, measured and shown."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pixelbayes.checkpoints import checkpoint
from pixelbayes.checkpoints.checkpoint import Checkpoint
from pixelbayes.data import ImageData, load_data
from pixelbayes.evaluation.measure import calibrate
from pixelbayes.experiments.config import ExperimentConfig, build_network
from pixelbayes.experiments.evaluate import EvaluationConfig, evaluation_folder, examine
from pixelbayes.experiments.measure import measured
from pixelbayes.experiments.run_folder import augmented_images, begin, command_line, run_facts
from pixelbayes.experiments.sample_quality import FeatureConfig, SamplingConfig, prepare_features
from pixelbayes.inference import sample_classes
from pixelbayes.report.results import write_results
from pixelbayes.utils.devices import is_first_process, pick_device
from pixelbayes.utils.progress import tracker
from pixelbayes.utils.randomness import permutation

if TYPE_CHECKING:
    from pixelbayes.training.sample_quality import QualityCheck

MASKS = 4  # that images are scored by where context dropout was learnt; more were worth nothing


def train(
    config: ExperimentConfig, run: Path, *, resume: bool = False, report_on: str = "validation", samples: int = 0
) -> dict[str, Any]:
    """Trains a network into a run folder, then measures and shows its best weights.

    A network of views is scored in all of them, and one that learnt by context dropout alone, without the posterior, by
    MASKS masks; by their mean, at the temperature that is fitted to it. As many training images as there are of
    validation are measured too, as they are, for the history knows them augmented and under dropout: what a network
    says of these and not of others, it has by heart.

    Args:
        config: What to do.
        run: The run folder; receives config, weights, history, metrics, pictures and index.html.
        resume: Go on with the run in that folder, if there is one.
        report_on: The split to measure at the end.
        samples: At the end so many of each class are drawn and measured too, as by `examine`, on the features that the
            config names for measuring them while training.

    Returns:
        The figures, as in metrics.json, those of training images under "training", and those of the samples under
        "quality"; under `torchrun` those of the first process, of any other none.

    Raises:
        InputError: If the data is faulty, or the folder holds a run already, or another one than is to be resumed.
        DivergedError: If a loss is not finite.
        InterruptedRunError: If asked to stop; the run can be resumed.
    """
    from pixelbayes.training.fit import fit  # Lightning takes seconds to import
    from pixelbayes.training.module import TrainingModule

    look = EvaluationConfig(
        samples=SamplingConfig(count=samples, seed=config.seed) if samples else None,
        features=FeatureConfig(features=config.training.quality_features),
    )
    data = begin(config, run, resume=resume, report_on=report_on)
    network = build_network(config, data)
    module = TrainingModule(network, config.training, data, config.seed, augmentation=config.augmentation)
    about = {"experiment": config.as_plain(), "command": command_line()}
    history = fit(module, run, about, _quality_check(config, data))
    if not is_first_process():
        return {}
    trained = _calibrated(run, checkpoint.load(run, pick_device(config.training.device)), data, config)
    measurement = measured(trained, data.split(report_on), report_on)
    seen = _seen(trained, data, config.seed)
    shown = sample_classes(
        trained.network,
        range(len(trained.class_names)),
        config.training.samples_per_class,
        seed=config.seed,
        track=tracker("sampling, row by row"),
    )
    figures = write_results(
        run,
        trained,
        measurement,
        source=config.data.source,
        split=report_on,
        samples=shown,
        figures={"augmented": augmented_images(data, config.augmentation, config.seed)},
        more={"training": seen},
        command=trained.about["command"],
        facts=run_facts(trained, config, history) | {"training images, as they are": _in_words(seen)},
    )
    if not look.samples:
        return figures
    source = config.data.source
    out = evaluation_folder(run, source, report_on)
    return examine(run, source, report_on, out, look, device=config.training.device)[2]


def dry_run(config: ExperimentConfig) -> dict[str, str]:
    """What `train` would cost: parameters, time and memory, measured on a few steps; writes nothing."""
    from pixelbayes.training.estimate import estimate

    data = load_data(config.data)
    return estimate(build_network(config, data), config.training, data)


def _calibrated(run: Path, trained: Checkpoint, data: ImageData, config: ExperimentConfig) -> Checkpoint:
    """The network with a temperature fitted on validation, and kept beside its weights, where that can be done."""
    views = config.model.views
    masks = MASKS if config.model.context_dropout and not config.training.posterior_weight else 0
    how = {"views": views, "masks": masks, "combine": "mean"} if views > 1 or masks else {}
    measurement = measured(trained, data.split("validation"), "validation", **how)
    if measurement.calibration is None:  # no labels, or one class alone
        return trained
    fitted = calibrate(trained, measurement, config.data.source, "validation")
    fitted.write(checkpoint.calibration_file(run))
    return dataclasses.replace(trained, calibration=fitted, stale_calibration=False)


def _seen(trained: Checkpoint, data: ImageData, seed: int) -> dict[str, Any]:
    """Accuracy and bits per dimension of clean training images, as many as there are of validation."""
    train = data.split("train")
    some = permutation(seed, "seen", 0, len(train))[: len(data.split("validation"))]
    figures = measured(trained, train.take(some), "training images").figures()
    return {name: figures[name] for name in ("accuracy", "bits_per_dim", "n")}


def _in_words(seen: Mapping[str, Any]) -> str:
    accuracy = "" if seen["accuracy"] is None else f"accuracy {seen['accuracy']:.4f}, "
    return f"{accuracy}{seen['bits_per_dim']:.4f} bits per dimension, of {seen['n']:,}"


def _quality_check(config: ExperimentConfig, data: ImageData) -> "QualityCheck | None":
    """What measures samples while the network learns; None if nothing shall."""
    from pixelbayes.training.sample_quality import QualityCheck

    training = config.training
    if not training.quality_every:
        return None
    extractor, _ = prepare_features(config.data, FeatureConfig(features=training.quality_features), training.device)
    return QualityCheck(
        extractor=extractor,
        reference=data.split("validation"),
        class_names=data.class_names,
        every=training.quality_every,
        count=training.quality_samples,
        seed=config.seed,
    )
