"""The scalar metrics, declared in one place.

Measurements, report tables, comparisons of runs and the command line read METRICS. A new metric of the posterior is a
function and one line:

>>> def top_2_accuracy(log_posterior: Tensor, labels: Tensor) -> float:
...     top_2 = log_posterior.topk(2, dim=1).indices
...     return float((top_2 == labels[:, None]).any(dim=1).double().mean())
>>> top_2 = Metric(key="top_2", title="top-2 accuracy", better="higher", compute=top_2_accuracy)

`METRICS["top_2"] = top_2` registers it.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A number that describes a network on a split of images, or a set of samples.

    The readers below take the content of metrics.json or quality.json. Beside a value, a file may hold its 95% interval
    under `<key>_interval` and its standard deviation under `<key>_deviation`.

    >>> accuracy = METRICS["accuracy"]
    >>> accuracy.cell({"accuracy": 0.9, "accuracy_interval": [0.85, 0.93]}), accuracy.cell({"accuracy": None})
    ('0.900 [0.850, 0.930]', '')
    """

    key: str
    """key in metrics.json or quality.json"""
    title: str
    """name in tables and messages"""
    unit: str = ""
    """unit, empty if there is none or if the title contains it"""
    places: int = 3
    """decimal places in tables and messages"""
    better: Literal["higher", "lower"]
    """whether a higher or a lower value is better"""
    must_agree: tuple[str, ...] = ()
    """keys of the same file whose values must be equal for two values of the metric to be comparable"""
    compute: Callable[[Tensor, Tensor], float] | None = None
    """the metric as a function of log p(c | x), float64 (n, Y), in nats, and the labels, int64 (n,) in 0 .. Y-1;
    None for metrics that come from elsewhere"""

    @property
    def heading(self) -> str:
        """The title with the unit.

        >>> METRICS["nll"].heading
        'negative log-likelihood (nats)'
        """
        return f"{self.title} ({self.unit})" if self.unit else self.title

    def format(self, value: float | None) -> str:
        """A value as text, without the unit; empty for None."""
        return "" if value is None else f"{value:.{self.places}f}"

    def value(self, metrics: Mapping[str, Any]) -> float | None:
        """The value in a file; None if it is missing."""
        value: float | None = metrics.get(self.key)
        return value

    def cell(self, metrics: Mapping[str, Any]) -> str:
        """The value in a file as text, with its interval or standard deviation; empty if it is missing."""
        value, interval = self.value(metrics), metrics.get(f"{self.key}_interval")
        deviation = metrics.get(f"{self.key}_deviation")
        text = self.format(value)
        if value is not None and interval is not None:
            text += f" [{', '.join(map(self.format, interval))}]"
        if value is not None and deviation is not None:
            text += f" ± {self.format(deviation)}"
        return text

    def best(self, values: Iterable[float]) -> float:
        """The best of at least one value."""
        return max(values) if self.better == "higher" else min(values)

    def disagreements(self, files: Iterable[Mapping[str, Any]]) -> list[str]:
        """Keys of `must_agree` that differ between files with a value; the values are comparable if there are none."""
        measured = [metrics for metrics in files if self.value(metrics) is not None]
        return [key for key in self.must_agree if any(each.get(key) != measured[0].get(key) for each in measured)]


METRICS: dict[str, Metric] = {
    metric.key: metric
    for metric in (
        # Classification and Calibration compute these five with intervals
        Metric(key="accuracy", title="accuracy", better="higher"),
        Metric(key="macro_f1", title="macro F1", better="higher"),
        Metric(key="nll", title="negative log-likelihood", unit="nats", better="lower"),
        Metric(key="brier", title="Brier score", better="lower"),
        Metric(key="ece", title="expected calibration error", better="lower"),
        Metric(
            key="bits_per_dim",
            title="bits per dimension",
            better="lower",
            must_agree=("levels", "image_size", "channels", "resize", "bits_per_dim_of"),
        ),
        # sample quality; FID also depends on the number of images
        Metric(
            key="fid",
            title="FID",
            places=2,
            better="lower",
            must_agree=("extractor", "reference", "n", "n_reference"),
        ),
        Metric(key="kid", title="KID", places=4, better="lower", must_agree=("extractor", "reference")),
    )
}
"""The metrics by key, in the order of tables."""


def computed_metrics(log_posterior: Tensor, labels: Tensor) -> dict[str, float | None]:
    """Values of the metrics with a `compute` function, by key; None if no image has a label.

    Args:
        log_posterior: log p(c | x), float64 (N, Y), in nats.
        labels: int64 (N,), in -1 .. Y-1; images with the label -1 (unknown) are left out.
    """
    labelled = labels >= 0
    return {
        key: metric.compute(log_posterior[labelled], labels[labelled]) if labelled.any() else None
        for key, metric in METRICS.items()
        if metric.compute is not None
    }
