"""Estimates the time and memory of a run from a few training steps."""

import resource
import sys
import time
from collections.abc import Callable

import torch

from pixelbayes.data import ImageData
from pixelbayes.images.pixels import to_x
from pixelbayes.inference import BayesClassifier, Scorer
from pixelbayes.models.pixelcnn import PixelCNN
from pixelbayes.training.config import TrainingConfig
from pixelbayes.training.objectives import Batch, Objective, make_objective, phases
from pixelbayes.training.optimization import make_optimizer, network_groups
from pixelbayes.training.teacher import Teacher
from pixelbayes.utils.compile import compile_training_step
from pixelbayes.utils.devices import pick_device
from pixelbayes.utils.randomness import Key


def estimate(
    network: PixelCNN, config: TrainingConfig, data: ImageData, teacher: Teacher | None = None
) -> dict[str, str]:
    """Measures training and validation on one batch each. Changes no weights and writes no files.

    Args:
        network: The network.
        config: How it would be trained.
        data: The images; the splits "train" and "validation" are used.
        teacher: As in `TrainingModule`.

    Returns:
        Size of the network and the data, and time and memory of the run, as text for people.
    """
    device = pick_device(config.device, config.precision)
    dtype = torch.float64 if config.precision == "float64" else torch.float32
    network = network.to(device, dtype)
    train, validation, num_classes = data.split("train"), data.split("validation"), len(data.class_names)
    parallel = config.devices if device.type == "cuda" else 1  # processes on a CPU share its cores
    images_per_step = min(config.batch_size * config.accumulate_grad_batches, len(train))
    index = torch.arange(min(-(-config.batch_size // parallel), len(train)))
    passes = images_per_step / len(index) / parallel  # per step, one after another
    batch = Batch(train.pixels[index].to(device), train.labels[index].to(device))
    x = to_x(batch.pixels, network.config.image_shape.levels, dtype)
    classifier = BayesClassifier(Scorer(network, training=True), torch.zeros(num_classes))
    optimizer = make_optimizer(config, network_groups(config, network), device)
    for group in optimizer.param_groups:
        group["lr"] = 0.0
    objective = make_objective(config, (1 / num_classes,) * num_classes)
    if isinstance(objective, torch.nn.Module):
        objective = objective.to(device, dtype)

    if teacher is not None:
        teacher.to(device)

    def seconds_per_step(objective: Objective) -> float:
        function = compile_training_step(objective, device) if config.compile else objective

        def step() -> None:
            target = None if teacher is None else teacher.targets(batch.pixels, batch.label)
            losses = function(network, batch._replace(target=target), Key.of(0, "estimate", 0, index.to(device)))
            losses.reshape(-1)[0].backward()
            optimizer.step()
            optimizer.zero_grad()

        return passes * _shortest_seconds(step)

    likelihood_only, full = phases(objective)
    with torch.autocast(device.type, torch.bfloat16, enabled=config.precision == "bf16"):
        step_seconds = seconds_per_step(full)
        likelihood_step_seconds = seconds_per_step(likelihood_only) if config.likelihood_epochs else step_seconds
        validation_seconds = len(validation) / len(index) * _shortest_seconds(lambda: classifier.log_prob(x))
    steps = -(-len(train) // (config.batch_size * config.accumulate_grad_batches))
    epoch_seconds = steps * step_seconds + validation_seconds
    likelihood_epoch_seconds = steps * likelihood_step_seconds + validation_seconds
    likelihood_epochs = config.likelihood_epochs
    run_seconds = (config.epochs - likelihood_epochs) * epoch_seconds + likelihood_epochs * likelihood_epoch_seconds
    return {
        "parameters": f"{sum(weight.numel() for weight in network.parameters()):,}",
        "images": f"{len(train):,} for training, {len(validation):,} for validation, {num_classes} classes",
        "device": f"{f'{config.devices} x ' * (config.devices > 1)}{device}, {torch.get_num_threads()} threads",
        "step": f"{1000 * step_seconds:.0f} ms for {images_per_step} images",
        "epoch": f"{epoch_seconds:.0f} s: {steps} steps and validation, without sample grids",
        "run": f"{run_seconds / 60:.0f} minutes: {config.epochs} epochs"
        + f", {likelihood_epochs} of them with {likelihood_epoch_seconds:.0f} s" * (likelihood_epochs > 0),
        "memory": f"{_peak_memory(device) / 2**30:.2f} GiB at most, including the images",
    }


def _shortest_seconds(work: Callable[[], object], repeats: int = 3) -> float:
    """The shortest time of several runs, after one to warm up."""
    times = []
    for _ in range(repeats + 1):
        started = time.perf_counter()
        work()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        times.append(time.perf_counter() - started)
    return min(times[1:])


def _peak_memory(device: torch.device) -> float:
    """Peak memory in bytes: that of a GPU, or else of this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    unit = 1 if sys.platform == "darwin" else 1024  # ru_maxrss is in bytes on macOS, in KiB elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
