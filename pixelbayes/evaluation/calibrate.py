"""What to keep beside the weights after measuring them on images held out."""

import torch.nn.functional as F

from pixelbayes.checkpoint import Trained
from pixelbayes.errors import InputError
from pixelbayes.evaluation.measure import Measurement
from pixelbayes.evaluation.outliers import fit_typical
from pixelbayes.evaluation.tempering import fingerprint, fit_temperature
from pixelbayes.fusion import NO_LABEL
from pixelbayes.inference.classifier import log_posterior
from pixelbayes.temperature import FittedTemperature


def calibrate(trained: Trained, measurement: Measurement, source: str, split: str) -> FittedTemperature:
    """Fits a temperature, and what images like those of training score.

    Args:
        trained: The network.
        measurement: Of that network, by `measure` or `measure_baseline`; of images it was not trained on, since on its
            own it is right more often than it will be again.
        source: The data, as in `DataConfig`.
        split: The split that was measured.

    Raises:
        InputError: If no image has a label, or there is one class alone.
        ValueError: If the measurement lacks its evidence.
    """
    if measurement.calibration is None:
        raise InputError(
            f"{source}, {split}: a temperature is fitted to labels of two or more classes; give such a split"
        )
    evidence, log_prior = measurement.evidence, measurement.log_prior
    if evidence is None or log_prior is None:
        raise ValueError("the measurement has no evidence, expected one that `measure` has made")
    images, marginal = measurement.split, measurement.log_marginal
    temperature = fit_temperature(evidence, log_prior, images.labels)
    before, after = (
        float(F.nll_loss(log_posterior(evidence, log_prior, t), images.labels, ignore_index=NO_LABEL))
        for t in (1.0, temperature)
    )
    return FittedTemperature(
        temperature=temperature,
        weights=trained.digest,
        views=measurement.views,
        masks=measurement.masks,
        combine=measurement.combine,
        source=source,
        split=split,
        data=fingerprint(images),
        n=int((images.labels != NO_LABEL).sum()),
        nll_before=before,
        nll_after=after,
        typical=None if marginal is None else fit_typical(marginal, images.pixels, trained.preprocessing.levels),
    )
