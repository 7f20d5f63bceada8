"""A training step: eager, compiled and in bf16, with Lightning and without it."""

import logging
import tempfile
import warnings
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmarks.bare_loop import bare_step
from benchmarks.networks import forward_flops, network
from benchmarks.sampling import peak_memory
from benchmarks.timing import interleaved, peak_flops
from pixelbayes.checkpoints.provenance import Provenance
from pixelbayes.data import ImageData, Split
from pixelbayes.evaluation.history import read_history
from pixelbayes.images.preprocessing import Preprocessing
from pixelbayes.images.shape import ImageShape
from pixelbayes.training import TrainingConfig
from pixelbayes.training.fit import fit
from pixelbayes.training.module import TrainingModule
from pixelbayes.utils.run_folder import RunFolder

SETTINGS: dict[str, dict[str, Any]] = {
    "eager": {},
    "bf16": {"precision": "bf16"},
    "compiled": {"compile": True},
    "compiled_bf16": {"precision": "bf16", "compile": True},
}


def training(batch: int, device: str, repeats: int) -> dict[str, Any]:
    """One row: images per second of a bare loop with each setting, and of the fastest setting with Lightning."""
    where = torch.device(device)
    data = images(8 * batch)
    index = torch.arange(batch, device=where)
    steps = {name: bare_step(module(data, batch, where, **settings)) for name, settings in SETTINGS.items()}
    for step in steps.values():
        step(0, index)
    took = interleaved({name: partial(step, 1, index) for name, step in steps.items()}, repeats)
    floor = batch * 3 * forward_flops(network(32, where)) / peak_flops(where, torch.bfloat16)
    with tempfile.TemporaryDirectory() as run:
        speed = with_lightning(module(data, batch, where, epochs=2 + repeats, **SETTINGS["compiled_bf16"]), Path(run))
    return {
        "work": "training",
        "device": device,
        "batch": batch,
        **{f"{name}_images_per_second": batch / seconds for name, seconds in took.items()},
        "lightning_images_per_second": speed,
        "speedup": took["eager"] / took["compiled_bf16"],
        "lightning_share": speed * took["compiled_bf16"] / batch,
        "share_of_floor": floor / took["compiled_bf16"],
        "peak_memory_mib": peak_memory(where),
    }


def images(count: int) -> ImageData:
    """Random images; their content does not affect the speed."""
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(256, (count, 3, 32, 32), generator=generator, dtype=torch.uint8)
    split = Split(pixels, torch.arange(count) % 4, tuple(map(str, range(count))))
    splits = {"train": split, "validation": Split(pixels[:1], split.labels[:1], split.names[:1])}
    return ImageData(
        splits, ("a", "b", "c", "d"), Preprocessing(image_shape=ImageShape(height=32, width=32)), source="noise"
    )


def module(data: ImageData, batch: int, device: torch.device, **settings: Any) -> TrainingModule:
    config = TrainingConfig(
        batch_size=batch, warmup_steps=1, sample_every=0, logger="none", device=device.type, **{"epochs": 1, **settings}
    )
    return TrainingModule(network(32, device).requires_grad_(True), config, data, seed=0).to(device)


def with_lightning(module: TrainingModule, run: Path) -> float:
    """Images per second of `fit`, the median over epochs without the first, which includes compiling."""
    logging.getLogger("lightning").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit(module, run, Provenance())
    speeds = sorted(row["images_per_second"] for row in read_history(RunFolder(run).history)[1:])
    return speeds[len(speeds) // 2]
