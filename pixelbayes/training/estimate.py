"""Estimates the time and memory of a run from a few training steps."""

import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pixelbayes.images.pixels import to_pixels
from pixelbayes.inference import Prefix, SamplingConfig, sample_classes
from pixelbayes.training.config import TrainingConfig
from pixelbayes.training.module import NetworkModule, TrainingModule
from pixelbayes.training.optimization import OptimizationConfig, make_optimizer
from pixelbayes.training.range_test import STEPS
from pixelbayes.utils.devices import pick_device

RESULTS_SECONDS = 20.0  # figures and report at the end of a run, about


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What a run costs on this machine.

    Args:
        step_seconds: Seconds per step, in each phase of `OptimizationConfig.phase_epochs`.
        steps: Number of steps per epoch.
        images_per_step: Number of images per step.
        validation_seconds: Seconds to score the validation images once, in one view.
        grid_seconds: Seconds to draw a sample grid; 0 for a network that draws none.
        memory: Peak memory in bytes.
    """

    step_seconds: tuple[float, ...]
    steps: int
    images_per_step: int
    validation_seconds: float
    grid_seconds: float
    memory: float

    def epoch_seconds(self) -> tuple[float, ...]:
        """Seconds per epoch in each phase, with validation and without sample grids."""
        return tuple(self.steps * seconds + self.validation_seconds for seconds in self.step_seconds)

    def training_seconds(self, config: OptimizationConfig) -> float:
        """Seconds of all epochs, with the sample grids."""
        phases = zip(config.phase_epochs, self.epoch_seconds(), strict=True)
        every = config.sample_every if isinstance(config, TrainingConfig) else 0
        grids = -(-config.epochs // every) if every else 0
        seconds: float = sum(count * seconds for count, seconds in phases) + grids * self.grid_seconds
        return seconds

    def range_test_seconds(self, config: OptimizationConfig) -> float:
        """Seconds of the range test of `find_learning_rate`; 0 without."""
        first = next(seconds for seconds, epochs in zip(self.step_seconds, config.phase_epochs, strict=True) if epochs)
        return STEPS * first if config.find_learning_rate else 0.0

    def finishing_seconds(self, views: int = 1) -> float:
        """Seconds from the last epoch to the report: three measurements, one sample grid and the figures."""
        return 3 * views * self.validation_seconds + self.grid_seconds + RESULTS_SECONDS


def estimate(module: NetworkModule[Any, Any]) -> Cost:
    """Measures training and validation on one batch each, and the drawing of samples on one row of pixels.

    Args:
        module: What would be trained, with a definite precision. Its weights stay unchanged, and no files are written.
    """
    config: OptimizationConfig = module.config
    device = pick_device(config.device, config.precision)
    module.to(device, torch.float64 if config.precision == "float64" else torch.float32)
    count = len(module.train_pixels)
    parallel = module.devices if device.type == "cuda" else 1  # processes on a CPU share its cores
    images_per_step = min(config.batch_size * module.accumulate_grad_batches, count)
    index = torch.arange(min(-(-config.batch_size // parallel), count), device=device)
    held_out = torch.arange(min(config.batch_size, len(module.validation_pixels)), device=device)
    optimizer = make_optimizer(config, module.parameter_groups(), device)
    for group in optimizer.param_groups:
        group["lr"] = 0.0

    def seconds_per_step(loss: Callable[[Tensor], Tensor]) -> float:
        def step() -> None:
            loss(index).reshape(-1)[0].backward()
            optimizer.step()
            optimizer.zero_grad()

        return images_per_step / len(index) / parallel * _shortest_seconds(step)

    module.prepare()
    with torch.autocast(device.type, torch.bfloat16, enabled=config.precision == "bf16"):
        step_seconds = tuple(
            seconds_per_step(loss) if epochs else 0.0
            for loss, epochs in zip(module.phase_losses(), config.phase_epochs, strict=True)
        )
    module.eval()
    with torch.no_grad():
        validation_seconds = _shortest_seconds(lambda: module.validation_step(held_out, 0))
    return Cost(
        step_seconds=step_seconds,
        steps=module.steps_per_epoch,
        images_per_step=images_per_step,
        validation_seconds=validation_seconds * len(module.validation_pixels) / len(held_out),
        grid_seconds=_grid_seconds(module) if isinstance(module, TrainingModule) else 0.0,
        memory=_peak_memory(device),
    )


def describe(module: NetworkModule[Any, Any], cost: Cost) -> dict[str, str]:
    """Size of the network and the data, and the cost of the run, as text for people."""
    config, device = module.config, module.device
    train, validation = len(module.train_pixels), len(module.validation_pixels)
    *first, last = cost.epoch_seconds()
    more = ""
    if isinstance(config, TrainingConfig) and config.likelihood_epochs:
        more = f", {config.likelihood_epochs} of them with {first[0]:.0f} s"
    step = 1000 * cost.step_seconds[-1]
    found = f"found first, in a range test of {cost.range_test_seconds(config):.0f} s around {config.learning_rate:g}"
    return {
        "parameters": f"{sum(weight.numel() for weight in module.network.parameters()):,}",
        "images": f"{train:,} for training, {validation:,} for validation, {len(module.data.class_names)} classes",
        "device": f"{f'{module.devices} x ' * (module.devices > 1)}{device}, {torch.get_num_threads()} threads",
        "step": f"{step:.0f} ms for {cost.images_per_step} images",
        "epoch": f"{last:.0f} s: {cost.steps} steps and validation, without sample grids",
        **({"learning rate": found} if config.find_learning_rate else {}),
        "run": f"{at_most(config)}{cost.training_seconds(config) / 60:.0f} minutes: {config.epochs} epochs{more}",
        "memory": f"{cost.memory / 2**30:.2f} GiB at most, including the images",
    }


def at_most(config: OptimizationConfig) -> str:
    """What to say before the time of a run, which patience may end early."""
    return "at most " if config.patience else ""


@torch.no_grad()
def _grid_seconds(module: TrainingModule) -> float:
    """The time of one row of pixels times their number; the rows above it are given."""
    shape, classes = module.network.config.image_shape, max(len(module.data.class_names), 1)
    known = Prefix(to_pixels(torch.zeros(1, *shape.chw), shape.levels), (shape.height - 1) * shape.width)
    sampling = SamplingConfig(count=module.config.samples_per_class, compile=False)
    started = time.perf_counter()
    sample_classes(module.average, range(classes), sampling, prefix=known)
    return shape.height * (time.perf_counter() - started)


def _shortest_seconds(work: Callable[[], object], repeats: int = 2) -> float:
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
