"""A step of training: plain, by Lightning and without it, against compiled and in bf16."""

import logging
import tempfile
import warnings
from pathlib import Path
from typing import Any

import torch

from benchmarks.bare_loop import bare_step
from benchmarks.networks import forward_flops, network
from benchmarks.sampling import peak_memory
from benchmarks.timing import interleaved, peak_flops
from pixelbayes.data import ImageData, Split
from pixelbayes.evaluation.history import HISTORY, read_history
from pixelbayes.images.preprocessing import Preprocessing
from pixelbayes.training import TrainingConfig
from pixelbayes.training.fit import fit
from pixelbayes.training.module import TrainingModule

WAYS: dict[str, dict[str, Any]] = {
    "plain": {},
    "bf16": {"precision": "bf16"},
    "compiled": {"compile": True},
    "compiled_bf16": {"precision": "bf16", "compile": True},
}


def training(batch: int, device: str, repeats: int) -> dict[str, Any]:
    """One row: images a second, of a bare loop in each way, and of the fastest by Lightning."""
    where = torch.device(device)
    data = images(8 * batch)
    index = torch.arange(batch, device=where)
    steps = {name: bare_step(module(data, batch, where, **how)) for name, how in WAYS.items()}
    for step in steps.values():
        step(0, index)
    took = interleaved({name: lambda step=step: float(step(1, index)) for name, step in steps.items()}, repeats)
    floor = batch * 3 * forward_flops(network(32, where)) / peak_flops(where, torch.bfloat16)
    with tempfile.TemporaryDirectory() as run:
        speed = by_lightning(module(data, batch, where, epochs=2 + repeats, **WAYS["compiled_bf16"]), Path(run))
    return {
        "work": "training",
        "device": device,
        "batch": batch,
        **{f"{name}_images_per_second": batch / seconds for name, seconds in took.items()},
        "lightning_images_per_second": speed,
        "speedup": took["plain"] / took["compiled_bf16"],
        "lightning_share": speed * took["compiled_bf16"] / batch,
        "share_of_floor": floor / took["compiled_bf16"],
        "peak_memory_mib": peak_memory(where),
    }


def images(count: int) -> ImageData:
    """Noise; what is learnt of it takes as long as anything else."""
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(256, (count, 3, 32, 32), generator=generator, dtype=torch.uint8)
    split = Split(pixels, torch.arange(count) % 4, tuple(map(str, range(count))))
    splits = {"train": split, "validation": Split(pixels[:1], split.labels[:1], split.names[:1])}
    return ImageData(splits, ("a", "b", "c", "d"), Preprocessing(image_size=(32, 32)), source="noise")


def module(data: ImageData, batch: int, device: torch.device, **how: Any) -> TrainingModule:
    config = TrainingConfig(
        batch_size=batch, warmup_steps=1, sample_every=0, logger="none", device=device.type, **{"epochs": 1, **how}
    )
    return TrainingModule(network(32, device).requires_grad_(True), config, data, seed=0).to(device)


def by_lightning(module: TrainingModule, run: Path) -> float:
    """Images a second of `fit`, the median epoch; the first, in which compiling falls, left out."""
    logging.getLogger("lightning").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit(module, run, {})
    speeds = sorted(row["images_per_second"] for row in read_history(run / HISTORY)[1:])
    return speeds[len(speeds) // 2]
