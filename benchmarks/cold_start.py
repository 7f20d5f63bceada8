"""Time of a command, from its start to images on disk."""

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from benchmarks.networks import network
from pixelbayes.checkpoints.checkpoint import save
from pixelbayes.checkpoints.trained import TrainedPixelCNN
from pixelbayes.images.preprocessing import Preprocessing
from pixelbayes.images.shape import ImageShape


def cold_start(device: str, repeats: int) -> dict[str, Any]:
    """One row: seconds of `pixelbayes sample` for 25 images, including imports."""
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / "network.safetensors"
        save(
            TrainedPixelCNN(
                network=network(32, torch.device("cpu")),
                class_names=("a", "b", "c", "d"),
                preprocessing=Preprocessing(image_shape=ImageShape(height=32, width=32)),
                prior=(0.25,) * 4,
            ),
            weights,
        )
        times = []
        for repeat in range(repeats):
            command = [
                sys.executable,
                "-m",
                "pixelbayes",
                "sample",
                str(weights),
                "--label",
                "a",
                "--num-samples",
                "25",
            ]
            started = time.perf_counter()
            subprocess.run(
                [*command, "--device", device, "--out", f"{folder}/{repeat}"], check=True, capture_output=True
            )
            times.append(time.perf_counter() - started)
    return {
        "work": "cold start",
        "device": device,
        "seconds": sorted(times)[len(times) // 2],
        "peak_memory_mib": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**10,
    }
