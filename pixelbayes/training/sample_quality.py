"""FID and KID of a network while it learns."""

import math
from dataclasses import dataclass

from pixelbayes.data import Split
from pixelbayes.evaluation.sample_quality import Distance, class_distances
from pixelbayes.features.base import Extractor
from pixelbayes.inference import sample_classes
from pixelbayes.models.pixelcnn import PixelCNN


@dataclass(frozen=True, eq=False)
class QualityCheck:
    """Draws samples every few epochs and compares them with real images; the noise stays, so one sees what changes.

    Args:
        extractor: What turns images into features.
        reference: The real images.
        class_names: Y names.
        every: Epochs between checks; the last epoch is checked too.
        count: Samples of each class.
        seed: Of the noise.
    """

    extractor: Extractor
    reference: Split
    class_names: tuple[str, ...]
    every: int
    count: int
    seed: int

    def figures(self, network: PixelCNN, epoch: int, last: int) -> dict[str, float]:
        """Of an epoch, "quality/fid", "quality/kid" and the same of each class; NaN where nothing is measured.

        A figure that cannot be had is NaN too: training goes on.
        """
        overall, per_class = Distance(0, 0), dict.fromkeys(self.class_names, Distance(0, 0))
        if epoch % self.every == 0 or epoch == last:
            levels = network.config.levels
            samples = sample_classes(network, range(len(self.class_names)), self.count, seed=self.seed)
            drawn = self.extractor(samples.flatten(0, 1), levels).unflatten(0, samples.shape[:2])  # (Y, n, D)
            real = self.extractor(self.reference.pixels, levels)  # (N, D)
            overall = Distance.of(drawn.flatten(0, 1), real)
            per_class = class_distances(drawn, real, self.reference.labels, self.class_names)
        found = {"": overall, **{f"/{name}": distance for name, distance in per_class.items()}}
        return {
            f"quality/{measure}{name}": math.nan if value is None else value
            for name, distance in found.items()
            for measure, value in (("fid", distance.fid), ("kid", distance.kid))
        }
