"""From a config to a trained network, measured and shown."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pixelbayes import checkpoint
from pixelbayes.checkpoint import Checkpoint
from pixelbayes.data import ImageData, load_data
from pixelbayes.devices import is_first_process, pick_device
from pixelbayes.evaluation.calibrate import calibrate
from pixelbayes.evaluation.results import write_results
from pixelbayes.experiment.config import ExperimentConfig, build_network
from pixelbayes.experiment.measuring import measured
from pixelbayes.experiment.quality import FeatureConfig, prepare_features
from pixelbayes.inference import sample_classes
from pixelbayes.progress import tracker
from pixelbayes.runs import augmented_images, begin, command_line, run_facts

if TYPE_CHECKING:
    from pixelbayes.training.quality import QualityCheck


def train(
    config: ExperimentConfig, run: Path, *, resume: bool = False, report_on: str = "validation"
) -> dict[str, Any]:
    """Trains a network into a run folder, then measures and shows its best weights.

    Args:
        config: What to do.
        run: The run folder; receives config, weights, history, metrics, pictures and index.html.
        resume: Go on with the run in that folder, if there is one.
        report_on: The split to measure at the end.

    Returns:
        The figures, as in metrics.json; under `torchrun` those of the first process, of any other none.

    Raises:
        InputError: If the data is faulty, or the folder holds a run already, or another one than is to be resumed.
        DivergedError: If a loss is not finite.
        InterruptedRunError: If asked to stop; the run can be resumed.
    """
    from pixelbayes.training.fitting import fit  # Lightning takes seconds to import
    from pixelbayes.training.module import TrainingModule

    data = begin(config, run, resume=resume, report_on=report_on)
    network = build_network(config, data)
    module = TrainingModule(network, config.training, data, config.seed, augmentation=config.augmentation)
    about = {"experiment": config.as_plain(), "command": command_line()}
    history = fit(module, run, about, _quality_check(config, data))
    if not is_first_process():
        return {}
    trained = _calibrated(run, checkpoint.load(run, pick_device(config.training.device)), data, config)
    measurement = measured(trained, data.split(report_on), report_on)
    samples = sample_classes(
        trained.network,
        range(len(trained.class_names)),
        config.training.samples_per_class,
        seed=config.seed,
        track=tracker("sampling, row by row"),
    )
    return write_results(
        run,
        trained,
        measurement,
        source=config.data.source,
        split=report_on,
        samples=samples,
        figures={"augmented": augmented_images(data, config.augmentation, config.seed)},
        command=trained.about["command"],
        facts=run_facts(trained, config, history),
    )


def dry_run(config: ExperimentConfig) -> dict[str, str]:
    """What `train` would cost: parameters, time and memory, measured on a few steps; writes nothing."""
    from pixelbayes.training.estimate import estimate

    data = load_data(config.data)
    return estimate(build_network(config, data), config.training, data)


def _calibrated(run: Path, trained: Checkpoint, data: ImageData, config: ExperimentConfig) -> Checkpoint:
    """The network with a temperature fitted on validation, and kept beside its weights, where that can be done."""
    measurement = measured(trained, data.split("validation"), "validation")
    if measurement.calibration is None:  # no labels, or one class alone
        return trained
    fitted = calibrate(trained, measurement, config.data.source, "validation")
    fitted.write(checkpoint.calibration_file(run))
    return dataclasses.replace(trained, calibration=fitted, stale_calibration=False)


def _quality_check(config: ExperimentConfig, data: ImageData) -> "QualityCheck | None":
    """What measures samples while the network learns; None if nothing shall."""
    from pixelbayes.training.quality import QualityCheck

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
