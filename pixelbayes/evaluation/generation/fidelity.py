"""The whole FID Inception network, as torch-fidelity has it."""

from importlib import import_module
from pathlib import Path

import torch
from torch import Tensor

from pixelbayes.errors import InputError
from pixelbayes.evaluation.generation.features import in_batches
from pixelbayes.evaluation.generation.inception import BATCH, as_colour
from pixelbayes.evaluation.generation.weights import find_weights, read_weights
from pixelbayes.progress import Tracker, no_progress


class FidelityFeatures:
    """The last pooling of the FID Inception network, of 2048 dimensions: what published FIDs are of.

    torch-fidelity resizes as TensorFlow did, which pytorch-fid does not: their figures differ a little.

    Args:
        weights: As in `find_weights`.
        device: Where to compute.

    Raises:
        InputError: If torch-fidelity is not installed, or the weights are missing or of another network.
    """

    name, dims = "inception-2048", 2048

    def __init__(self, weights: Path | None = None, device: torch.device | str = "cpu"):
        try:
            module = import_module("torch_fidelity.feature_extractor_inceptionv3")
        except ImportError:
            raise InputError(
                "extractor inception-2048 needs torch-fidelity; `pip install torch-fidelity`, or take another extractor"
            ) from None
        path = find_weights(weights)
        read_weights(path)
        try:
            network = module.FeatureExtractorInceptionV3(self.name, ["2048"], feature_extractor_weights_path=str(path))
        except RuntimeError as error:
            raise InputError(f"{path}: not the FID Inception network ({str(error).splitlines()[0]})") from None
        self.device = device
        self.network = network.to(device)

    def __call__(self, pixels: Tensor, levels: int, track: Tracker = no_progress) -> Tensor:
        return in_batches(
            lambda batch: self.network(as_colour(batch, levels))[0],
            pixels,
            batch_size=BATCH,
            device=self.device,
            track=track,
        )
