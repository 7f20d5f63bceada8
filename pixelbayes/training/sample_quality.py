"""FID and KID of samples during training."""

import math
from dataclasses import dataclass

import torch

from pixelbayes.data import Split
from pixelbayes.evaluation.sample_quality import Distance, class_distances
from pixelbayes.features.base import Extractor
from pixelbayes.inference import SamplingConfig, sample_classes
from pixelbayes.models.pixelcnn import PixelCNN


@dataclass(frozen=True, eq=False)
class QualityCheck:
    """Draws samples every few epochs and compares them with real images. The noise is the same every time.

    Args:
        extractor: Computes the features of an image.
        reference: The real images.
        class_names: Y names.
        every: Number of epochs between checks; the last of the config's epochs is checked too.
        sampling: How to draw the samples of each class.
    """

    extractor: Extractor
    reference: Split
    class_names: tuple[str, ...]
    every: int
    sampling: SamplingConfig

    def metrics(self, network: PixelCNN, epoch: int, epochs: int) -> dict[str, float]:
        """FID and KID, as quality/fid and quality/kid of all samples and quality/fid/CLASS and so on of each class.

        All are NaN in an epoch without a check. One is NaN if it cannot be computed from so few images.

        Args:
            network: The network.
            epoch: The epoch that ends, counted from 1.
            epochs: Number of epochs of the run.
        """
        distances = dict.fromkeys(("", *self.class_names), Distance(0, 0))
        if epoch % self.every == 0 or epoch == epochs:
            levels = network.config.image_shape.levels
            samples = sample_classes(network, range(len(self.class_names)), self.sampling)  # (Y, n, C, H, W)
            drawn = torch.unflatten(self.extractor(samples.flatten(0, 1), levels), 0, samples.shape[:2])  # (Y, n, D)
            real = self.extractor(self.reference.pixels, levels)  # (N, D)
            distances = {
                "": Distance.of(drawn.flatten(0, 1), real),
                **class_distances(drawn, real, self.reference.labels, self.class_names),
            }
        return {
            f"quality/{metric}{f'/{name}' if name else ''}": math.nan if value is None else value
            for name, distance in distances.items()
            for metric, value in (("fid", distance.fid), ("kid", distance.kid))
        }
