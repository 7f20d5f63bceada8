"""What the plots of a run or an evaluation are drawn from."""

from dataclasses import dataclass

from torch import Tensor

from pixelbayes.checkpoints.trained import Trained
from pixelbayes.evaluation.measure import Measurement
from pixelbayes.metrics.selective import most_confident_errors
from pixelbayes.plots.curves import History


@dataclass(frozen=True, kw_only=True, eq=False)
class Overview:
    """What the plots of a run or an evaluation are drawn from.

    Args:
        trained: The network, or the networks.
        measurement: Their measurement on a split.
        samples: Samples of each class, uint8 (Y, n, C, H, W); None if there are none.
        history: The training history; empty if it is not known.
        range_test: The loss at each learning rate that was tried before training; empty if none was.
    """

    trained: Trained
    measurement: Measurement
    samples: Tensor | None = None
    history: History = ()
    range_test: History = ()


def select_examples(measurement: Measurement, count: int = 8) -> list[int]:
    """Indices of images to show: at most a quarter are the most confident errors, the others are spread over the split.

    Args:
        measurement: A measurement of at least one image.
        count: Number of images; fewer if the split is smaller.
    """
    errors = most_confident_errors(measurement.log_posterior, measurement.split.labels, count // 4)
    others = [i for i in range(len(measurement.split)) if i not in errors]
    wanted = min(count - len(errors), len(others))
    return [others[i * len(others) // wanted] for i in range(wanted)] + errors
