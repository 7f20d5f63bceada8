"""What a user waits for: a command from a cold start to images on disk."""

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from benchmarks.networks import network
from pixelbayes.checkpoints.checkpoint import Checkpoint, save
from pixelbayes.images.preprocessing import Preprocessing


def waiting(device: str, repeats: int) -> dict[str, Any]:
    """One row: seconds of `pixelbayes sample` for 25 images, imports and all."""
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / "network.safetensors"
        save(
            Checkpoint(
                network=network(32, torch.device("cpu")),
                class_names=("a", "b", "c", "d"),
                preprocessing=Preprocessing(channels=3, levels=256, image_size=(32, 32)),
                prior=(0.25,) * 4,
            ),
            weights,
        )
        times = []
        for repeat in range(repeats):
            command = [sys.executable, "-m", "pixelbayes", "sample", str(weights), "--label", "a", "--n", "25"]
            began = time.perf_counter()
            subprocess.run(
                [*command, "--device", device, "--out", f"{folder}/{repeat}"], check=True, capture_output=True
            )
            times.append(time.perf_counter() - began)
    return {
        "work": "waiting",
        "device": device,
        "seconds": sorted(times)[len(times) // 2],
        "peak_memory_mib": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**10,
    }
