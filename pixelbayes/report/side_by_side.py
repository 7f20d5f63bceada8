"""The sections of a report that compare several runs."""

from collections.abc import Callable, Mapping
from typing import Any

from pixelbayes.metrics.registry import METRICS
from pixelbayes.plots.curves import series_of, was_measured
from pixelbayes.plots.overlay import PANELS, overlaid_curves
from pixelbayes.report.one_run import timeline
from pixelbayes.report.page import Picture, Section, Table
from pixelbayes.report.run_record import RunRecord
from pixelbayes.report.tables import Metrics, number
from pixelbayes.utils.config_diff import config_differences, flatten


def side_by_side(records: Mapping[str, RunRecord]) -> list[Section]:
    """Sections that compare runs and their evaluations, including empty ones.

    Args:
        records: The runs by name.
    """
    measured = dict(records)
    for name, record in records.items():
        measured |= {f"{name}, {evaluation.name}": evaluation for evaluation in record.evaluations}
    metrics = {name: record.metrics for name, record in measured.items() if record.metrics}
    quality = {name: record.quality for name, record in measured.items() if record.quality}
    timelines = [found for name, record in records.items() if (found := timeline(record, name))]
    return [
        Section("Metrics", tables=[*_metric_tables(metrics, _images), *_cost_tables(records)]),
        Section("Sample quality", tables=_metric_tables(quality, _samples)),
        Section("Training", pictures=_curves(records)),
        Section(
            "Samples",
            "One slider controls all runs. Each run shows its latest samples up to that epoch." if timelines else "",
            timelines=timelines,
        ),
        _config_section(records),
    ]


def _images(metrics: Metrics) -> str:
    return f"{metrics.get('data')}, {metrics.get('split')} split, n = {metrics.get('n'):,}"


def _samples(quality: Metrics) -> str:
    return (
        f"{quality.get('n'):,} samples and {quality.get('n_reference'):,} images of {quality.get('reference')}, "
        f"features {quality.get('extractor')}"
    )


def _metric_tables(found: Mapping[str, Metrics], images_of: Callable[[Metrics], str]) -> list[Table]:
    """One table for the runs that were measured on the same images, because only they are comparable."""
    groups: dict[str, dict[str, Metrics]] = {}
    for name, metrics in found.items():
        groups.setdefault(images_of(metrics), {})[name] = metrics
    return [_metric_table(f"Measured on {images}.", group) for images, group in groups.items()]


def _metric_table(caption: str, group: Mapping[str, Metrics]) -> Table:
    files = list(group.values())
    columns = [metric for metric in METRICS.values() if any(metric.value(file) is not None for file in files)]
    rows = [[name, *(metric.cell(file) for metric in columns)] for name, file in group.items()]
    best, notes = set(), []
    for column, metric in enumerate(columns, 1):
        values = {row: value for row, file in enumerate(files) if (value := metric.value(file)) is not None}
        if differing := metric.disagreements(files):
            keys = " and ".join(key.replace("_", " ") for key in differing)
            notes.append(f"Values of {metric.title} are not comparable, because they differ in {keys}.")
        elif len(values) > 1:
            best |= {(row, column) for row, value in values.items() if value == metric.best(values.values())}
    if best:
        caption += " The best value of each column is highlighted. Compare the intervals, in brackets."
    headings = [metric.heading for metric in columns]
    return Table(rows, ["run", *headings], " ".join([caption, *notes]), highlighted=best)


def _cost_tables(records: Mapping[str, RunRecord]) -> list[Table]:
    """Parameters and training time of each run."""
    rows = []
    for name, record in records.items():
        parameters, epoch = record.metrics.get("parameters"), record.metrics.get("epoch")
        seconds = series_of(record.history, "seconds")[1]
        rows.append(
            [
                name,
                "" if parameters is None else f"{parameters:,}",
                f"{len(record.history)}" if record.history else "",
                "" if epoch is None else f"{epoch}",
                number(sum(seconds) / 60, 1) if seconds else "",
            ]
        )
    columns = ["run", "parameters", "epochs", "selected epoch", "minutes of training"]
    return [Table(rows, columns, "Size and training time.")] if any(any(row[1:]) for row in rows) else []


def _curves(records: Mapping[str, RunRecord]) -> list[Picture]:
    histories = {
        name: [record.history] for name, record in records.items() if was_measured(record.history, PANELS.values())
    }
    if not histories:
        return []
    caption = "Metrics on the validation split by epoch, and FID of samples if it was measured."
    return [Picture.of(overlaid_curves(histories), "Line plots of the metrics of all runs by epoch.", caption)]


def _config_section(records: Mapping[str, RunRecord]) -> Section:
    configs = {name: record.config for name, record in records.items() if record.config_text}
    if len(configs) < 2:
        return Section("Configs")
    names = config_differences(*configs.values())
    if not names:
        return Section("Configs", "The configs are equal.")
    fields = [flatten(config) for config in configs.values()]
    rows = [[name, *(_format_value(each.get(name)) for each in fields)] for name in names]
    highlighted = {
        (row, column)
        for row, name in enumerate(names)
        for column, each in enumerate(fields, 1)
        if each.get(name) != fields[0].get(name)
    }
    caption = "The fields in which the configs differ. Values that differ from the first run are highlighted."
    return Section(
        "Configs", tables=[Table(rows, ["field", *configs], caption, numeric=False, highlighted=highlighted)]
    )


def _format_value(value: Any) -> str:
    """A value of a config on one line.

    >>> _format_value([32, 32]), _format_value(None), _format_value(False)
    ('[32, 32]', 'none', 'false')
    """
    return "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
