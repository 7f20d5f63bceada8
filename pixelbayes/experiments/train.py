"""Trains a PixelCNN++ into a run folder, then calibrates, measures and shows it."""

import dataclasses
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pixelbayes.checkpoints import checkpoint
from pixelbayes.checkpoints.provenance import Provenance
from pixelbayes.checkpoints.trained import TrainedPixelCNN
from pixelbayes.data import ImageData, load_data
from pixelbayes.evaluation.history import Row
from pixelbayes.evaluation.measure import DEFAULT_SCORING, calibrate
from pixelbayes.experiments.baseline import classifier_module
from pixelbayes.experiments.budget import DECIDED, Budget
from pixelbayes.experiments.claim import augmented_examples, checked_data, command_line, run_facts, start_run
from pixelbayes.experiments.config import ExperimentConfig, training_module
from pixelbayes.experiments.evaluate import EvaluationConfig, evaluate, evaluation_folder
from pixelbayes.experiments.measure import measure_split
from pixelbayes.experiments.plan import adopt, find_learning_rate, settle
from pixelbayes.experiments.sample_quality import FeatureConfig, prepare_features
from pixelbayes.experiments.sizes import check_samples_fit
from pixelbayes.experiments.teacher import AUTO, make_teacher, teacher_config, untrained_teacher
from pixelbayes.inference import SamplingConfig, ScoringConfig, sample_classes
from pixelbayes.models.fusion import NO_LABEL
from pixelbayes.report.results import write_results
from pixelbayes.training.launch import check_main
from pixelbayes.utils.config_diff import config_differences, flatten
from pixelbayes.utils.console import make_console
from pixelbayes.utils.devices import is_first_process, pick_device
from pixelbayes.utils.progress import tracker
from pixelbayes.utils.randomness import permutation
from pixelbayes.utils.run_folder import RunFolder

if TYPE_CHECKING:
    from pixelbayes.training.callbacks import OnEpoch
    from pixelbayes.training.module import TrainingModule
    from pixelbayes.training.sample_quality import QualityCheck

MASKS = 4  # masks per view for networks trained with context dropout; more did not help


def train(
    config: ExperimentConfig,
    run: Path,
    *,
    resume: bool = False,
    eval_split: str = "validation",
    samples: int = 0,
    budget: Budget | None = None,
    data: ImageData | None = None,
    on_epoch: "OnEpoch | None" = None,
) -> dict[str, Any]:
    """Trains a network into a run folder, then measures and shows its best weights.

    The temperature is fitted on validation. A network with several views is scored in all of them. A network trained
    with context dropout on the likelihood only is scored with MASKS masks. In both cases the passes are combined as a
    product. A part of the clean training images, as many as there are validation images, is measured too, because the
    gap between clean training and validation images measures overfitting.

    Args:
        config: The config of the run.
        run: The run folder. It receives config, weights, history, metrics, figures and report.
        resume: Whether to continue the run in that folder, if there is one.
        eval_split: The split to measure at the end.
        samples: Number of samples of each class to draw and evaluate at the end, as by `evaluate`; 0 for none. They are
            not part of the budget.
        budget: The time that the run may take; None for the epochs of the config. A resumed run keeps its plan.
        data: The data of the config, if they are loaded already.
        on_epoch: Called with the row of each epoch in the history, once it is saved; training stops early, and can be
            resumed, if it returns false.

    Returns:
        The metrics, as in metrics.json; those of training images under "training" and those of samples under "quality".
        Under `torchrun` only the first process returns them; the others return an empty dictionary.

    Raises:
        InputError: If the data are faulty, or the folder holds a run that is not to be resumed, or another run; or if
            nothing fits into the budget, or no learning rate is found.
        DivergedError: If the loss or the gradient norm is not finite.
        InterruptedRunError: If the run was asked to stop, by a signal or by `on_epoch`; it can be resumed.
    """
    from pixelbayes.training.fit import fit  # Lightning takes seconds to import

    if config.training.devices > 1:
        check_main()
    data = checked_data(config, run, eval_split, data)
    check_samples_fit(data.preprocessing.image_shape, samples, len(data.class_names))
    config, rates = _planned(config, run, data, budget)
    evaluation = EvaluationConfig(
        samples=SamplingConfig(count=samples, seed=config.seed) if samples else None,
        features=FeatureConfig(features=config.training.fid_features),
    )
    start_run(config, run, resume=resume, eval_split=eval_split, data=data, range_test=rates)
    module = training_module(config, data, make_teacher(config, run, data))
    provenance = Provenance(
        command=command_line(), config=config.as_plain(), without_labels=learns_without_labels(config, data)
    )
    history = fit(module, run, provenance, _quality_check(config, data), on_epoch)
    if not is_first_process():
        return {}
    trained = _calibrated(run, checkpoint.load(run, pick_device(config.training.device)), data, config)
    measurement = measure_split(trained, data.split(eval_split), eval_split)
    on_training = _measure_training_images(trained, data, config.seed)
    grid = SamplingConfig(count=config.training.samples_per_class, seed=config.seed)
    metrics = write_results(
        run,
        trained,
        measurement,
        source=config.data.source,
        split=eval_split,
        samples=sample_classes(
            trained.network, range(len(trained.class_names)), grid, track=tracker("sampling, row by row")
        ),
        plots={"augmented": augmented_examples(data, config.augmentation, config.seed)},
        more={"training": on_training},
        command=trained.provenance.command,
        facts=run_facts(trained, config, history) | {"clean training images": _as_phrase(on_training)},
    )
    if not evaluation.samples:
        return metrics
    source = config.data.source
    out = evaluation_folder(run, source, eval_split)
    return evaluate(run, source, eval_split, out, evaluation, device=config.training.device, data=data).metrics


def dry_run(config: ExperimentConfig, budget: Budget | None = None) -> tuple[ExperimentConfig, dict[str, str]]:
    """What `train` would do, measured on a few steps. It writes nothing.

    Args:
        config: The config of the run.
        budget: As in `train`.

    Returns:
        The config with everything that is decided by measurement; and size, time and memory, as text for people.
    """
    from pixelbayes.training.estimate import at_most, describe, estimate

    data = load_data(config.data)
    config = _measured(config, data, budget)
    module = _untrained_module(config, data)
    cost = estimate(module)
    rows = describe(module, cost)
    seconds = cost.range_test_seconds(config.training) + cost.training_seconds(config.training)
    seconds += cost.finishing_seconds(config.model.views)
    if AUTO in config.training.teacher:
        own = teacher_config(config)
        of_teacher = estimate(classifier_module(own, data))
        before = of_teacher.training_seconds(own.training) + of_teacher.finishing_seconds()
        rows["teacher"] = f"{before / 60:.0f} minutes: {own.training.epochs} epochs, first"
        seconds += before
    rows["in all"] = f"{at_most(config.training)}{seconds / 60:.0f} minutes, with the results"
    return config, rows


def _planned(
    config: ExperimentConfig, run: Path, data: ImageData, budget: Budget | None
) -> tuple[ExperimentConfig, list[Row]]:
    """The config with everything that is decided before a run, and its range test as of `find_learning_rate`.

    A run that was started keeps what was decided.
    """
    if RunFolder(run).config.is_file():
        return adopt(config, run, DECIDED if budget else ()), []
    planned = _measured(config, data, budget)
    if budget and is_first_process():
        fields = flatten(planned.as_plain())
        changed = config_differences(config.as_plain(), planned.as_plain())
        chosen = ", ".join(f"{name} {_as_text(fields[name])}" for name in changed)
        or_earlier = ", or earlier by patience" if config.training.patience else ""
        make_console(stderr=True, highlight=False, soft_wrap=True).print(
            f"to end within {budget.seconds / 60:.3g} minutes{or_earlier}: {chosen}"
        )
    return find_learning_rate(planned, partial(_untrained_module, data=data))


def learns_without_labels(config: ExperimentConfig, data: ImageData) -> bool:
    """Whether a run trains the network without labels, too, or starts from one that was trained so."""
    training = config.training
    on_likelihood = not training.classification_weight or training.likelihood_epochs > 0
    if training.label_dropout or (on_likelihood and bool((data.split("train").labels == NO_LABEL).any())):
        return True
    return bool(training.init_from) and checkpoint.load(training.init_from).provenance.knows_unconditional is True


def _as_text(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _measured(config: ExperimentConfig, data: ImageData, budget: Budget | None) -> ExperimentConfig:
    if budget:
        return budget.fit(config, data)
    return settle(config, partial(training_module, data=data, teacher=untrained_teacher(config, data)))


def _untrained_module(config: ExperimentConfig, data: ImageData) -> "TrainingModule":
    """What a config trains; a teacher that is to be trained first has its initial weights."""
    return training_module(config, data, untrained_teacher(config, data))


def _calibrated(run: Path, trained: TrainedPixelCNN, data: ImageData, config: ExperimentConfig) -> TrainedPixelCNN:
    """The network, calibrated on validation if there are labels; the record is stored beside its weights."""
    views = config.model.views
    masks = MASKS if config.model.context_dropout and not config.training.classification_weight else 0
    passes = ScoringConfig(views=views, masks=masks, combine="product")
    scoring = passes if views > 1 or masks else DEFAULT_SCORING
    measurement = measure_split(trained, data.split("validation"), "validation", scoring)
    if measurement.calibration is None:  # no labels, or only one class
        return trained
    record = calibrate(trained, measurement, config.data.source, "validation")
    record.write(checkpoint.calibration_file(run))
    return dataclasses.replace(trained, calibration=record, stale_calibration=False)


def _measure_training_images(trained: TrainedPixelCNN, data: ImageData, seed: int) -> dict[str, Any]:
    """Accuracy and bits per dimension of clean training images, as many as there are validation images."""
    train = data.split("train")
    index = permutation(seed, "seen", 0, len(train))[: len(data.split("validation"))]
    metrics = measure_split(trained, train.take(index), "training images").metrics()
    return {name: metrics[name] for name in ("accuracy", "bits_per_dim", "n")}


def _as_phrase(metrics: Mapping[str, Any]) -> str:
    accuracy = "" if metrics["accuracy"] is None else f"accuracy {metrics['accuracy']:.4f}, "
    return f"{accuracy}{metrics['bits_per_dim']:.4f} bits per dimension, n = {metrics['n']:,}"


def _quality_check(config: ExperimentConfig, data: ImageData) -> "QualityCheck | None":
    """Measures FID and KID during training; None if it is off."""
    from pixelbayes.training.sample_quality import QualityCheck

    training = config.training
    if not training.fid_every:
        return None
    features = FeatureConfig(features=training.fid_features)
    extractor, _ = prepare_features(features, config.data, data, training.device)
    return QualityCheck(
        extractor=extractor,
        reference=data.split("validation"),
        class_names=data.class_names,
        every=training.fid_every,
        sampling=SamplingConfig(count=training.fid_samples, seed=config.seed),
    )
