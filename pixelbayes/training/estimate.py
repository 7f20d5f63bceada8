"""What a run would cost, by trying a few steps of it."""

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
from pixelbayes.training.objectives import Batch, Objective, chosen_objective, phases
from pixelbayes.utils.compile import compiled
from pixelbayes.utils.devices import pick_device
from pixelbayes.utils.randomness import Key


def estimate(network: PixelCNN, config: TrainingConfig, data: ImageData) -> dict[str, str]:
    """Parameters, and time and memory of training and validation, measured on one batch each; leaves no trace."""
    device = pick_device(config.device, config.precision)
    dtype = torch.float64 if config.precision == "float64" else torch.float32
    network = network.to(device, dtype)
    train, validation = data.split("train"), data.split("validation")
    per_step = min(config.batch_size * config.accumulate, len(train))
    # what one process has at a time; those of a CPU share its cores, so there one stands for all
    at_a_time = -(-config.batch_size // (config.devices if device.type == "cuda" else 1))
    index = torch.arange(min(at_a_time, len(train)))
    parts = per_step / len(index) / (config.devices if device.type == "cuda" else 1)  # in a step, one after another
    batch = Batch(train.pixels[index].to(device), train.labels[index].to(device))
    x = to_x(batch.pixels, network.config.levels, dtype)
    classifier = BayesClassifier(Scorer(network, learning=True), torch.zeros(len(data.class_names)))
    optimizer = torch.optim.Adam(network.parameters(), lr=0.0, fused=device.type in ("cpu", "cuda"))
    count = len(data.class_names)
    objective = chosen_objective(config, (1 / count,) * count)
    objective = objective.to(device, dtype) if isinstance(objective, torch.nn.Module) else objective

    def seconds_of_step(objective: Objective) -> float:
        minimised = compiled(objective, device) if config.compile else objective

        def step() -> None:
            torch.atleast_1d(minimised(network, batch, Key.of(0, "estimate", 0, index.to(device))))[0].backward()
            optimizer.step()
            optimizer.zero_grad()

        return parts * _seconds(step)

    with torch.autocast(device.type, torch.bfloat16, enabled=config.precision == "bf16"):
        late = seconds_of_step(objective)
        early = seconds_of_step(phases(objective)[0]) if config.generative_epochs else late
        score_seconds = _seconds(lambda: classifier.log_prob(x))
    steps = -(-len(train) // (config.batch_size * config.accumulate))
    validating = len(validation) / len(index) * score_seconds
    run = config.epochs * (steps * late + validating) - config.generative_epochs * steps * (late - early)
    sooner = (
        f", {config.generative_epochs} of them of {steps * early + validating:.0f} s"
        if config.generative_epochs
        else ""
    )
    return {
        "parameters": f"{sum(weight.numel() for weight in network.parameters()):,}",
        "images": f"{len(train):,} to train, {len(validation):,} to validate, {len(data.class_names)} classes",
        "device": f"{f'{config.devices} x ' if config.devices > 1 else ''}{device}, {torch.get_num_threads()} threads",
        "a step": f"{1000 * late:.0f} ms for {per_step} images",
        "an epoch": f"{steps * late + validating:.0f} s, {steps} steps and validation; without sample grids",
        "the run": f"{run / 60:.0f} minutes, {config.epochs} epochs{sooner}",
        "memory": f"{_peak_memory(device) / 2**30:.2f} GiB at its highest, data included",
    }


def _seconds(work: Callable[[], object], repeats: int = 3) -> float:
    """The shortest of a few runs, after one to warm up."""
    times = []
    for _ in range(repeats + 1):
        began = time.perf_counter()
        work()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        times.append(time.perf_counter() - began)
    return min(times[1:])


def _peak_memory(device: torch.device) -> float:
    """Bytes: of the device if it has its own, else of this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    unit = 1 if sys.platform == "darwin" else 1024  # ru_maxrss is in KiB but on macOS
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
