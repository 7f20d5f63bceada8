"""Several runs beside each other: what is best where they can be compared, and in what they differ."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pixelbayes.plots.curves import series_of, was_logged
from pixelbayes.plots.overlay import PANELS, overlaid_curves
from pixelbayes.report.one_run import film
from pixelbayes.report.page import Picture, Section, Table
from pixelbayes.report.run_record import Record
from pixelbayes.report.tables import kid_with_deviation, number, with_interval
from pixelbayes.utils.config_diff import differences, flat

Figures = Mapping[str, Any]


@dataclass(frozen=True)
class Column:
    """A figure in which runs are compared.

    Args:
        title: Its name.
        key: Under which it stands.
        cell: How it is written.
        best: max or min.
        alike: Keys that must agree for a comparison to mean something.
    """

    title: str
    key: str
    cell: Callable[[Figures], str]
    best: Callable[[Sequence[float]], float]
    alike: Sequence[str] = ()


def _plain(key: str, places: int = 3) -> Callable[[Figures], str]:
    return lambda found: with_interval(found.get(key), found.get(f"{key}_interval"), places)


MEASURED = (
    Column("accuracy", "accuracy", _plain("accuracy"), max),
    Column("macro F1", "macro_f1", _plain("macro_f1"), max),
    Column("nll (nats)", "nll", _plain("nll"), min),
    Column("calibration error", "ece", _plain("ece"), min),
    Column(
        "bits per dimension",
        "bits_per_dim",
        _plain("bits_per_dim"),
        min,
        ("levels", "image_size", "channels", "resize", "bits_per_dim_of"),
    ),
)
SAMPLED = (
    Column("FID", "fid", _plain("fid", 2), min),
    Column("KID", "kid", kid_with_deviation, min),
)


def side_by_side(records: Mapping[str, Record]) -> list[Section]:
    """Sections on runs by name, each with its evaluations; sections without content among them."""
    everything = dict(records)
    for name, record in records.items():
        everything |= {f"{name}, {evaluation.name}": evaluation for evaluation in record.evaluations}
    measured = {name: record.metrics for name, record in everything.items() if record.metrics}
    sampled = {name: record.quality for name, record in everything.items() if record.quality}
    films = [found for name, record in records.items() if (found := film(record, name))]
    return [
        Section("Figures", tables=[*_tables(measured, MEASURED, _images), *_parameters(records)]),
        Section("Sample quality", tables=_tables(sampled, SAMPLED, _samples)),
        Section("Training", pictures=_curves(records)),
        Section(
            "Samples",
            "One slider for all: each run shows its latest samples up to that epoch." if films else "",
            films=films,
        ),
        _config_section(records),
    ]


def _images(metrics: Figures) -> str:
    return f"{metrics.get('data')}, {metrics.get('split')} split, n = {metrics.get('n'):,}"


def _samples(quality: Figures) -> str:
    return (
        f"{quality.get('n'):,} samples against {quality.get('n_reference'):,} images of {quality.get('reference')}, "
        f"features {quality.get('extractor')}"
    )


def _tables(
    found: Mapping[str, Figures], columns: Sequence[Column], measured_on: Callable[[Figures], str]
) -> list[Table]:
    """A table for all that was measured on the same images, for only that can be compared."""
    groups: dict[str, dict[str, Figures]] = {}
    for name, figures in found.items():
        groups.setdefault(measured_on(figures), {})[name] = figures
    return [_table(f"On {words}.", group, columns) for words, group in groups.items()]


def _table(caption: str, group: Mapping[str, Figures], columns: Sequence[Column]) -> Table:
    columns = [column for column in columns if any(found.get(column.key) is not None for found in group.values())]
    rows = [[name, *(column.cell(found) for column in columns)] for name, found in group.items()]
    marked, notes = set(), []
    for place, column in enumerate(columns, 1):
        judged = {row: found for row, found in enumerate(group.values()) if found.get(column.key) is not None}
        values = {row: found[column.key] for row, found in judged.items()}
        unlike = [key for key in column.alike if len({str(found.get(key)) for found in judged.values()}) > 1]
        if unlike:
            differing = " and ".join(key.replace("_", " ") for key in unlike)
            notes.append(f"The {column.title} are no comparison: they are of different {differing}.")
        elif len(values) > 1:
            marked |= {(row, place) for row, value in values.items() if value == column.best(list(values.values()))}
    if marked:
        caption += " The best of each column is marked; intervals, in brackets, tell whether it might be chance."
    return Table(rows, ["run", *(column.title for column in columns)], " ".join([caption, *notes]), marked=marked)


def _parameters(records: Mapping[str, Record]) -> list[Table]:
    """What each run took."""
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
    columns = ["run", "parameters", "epochs", "selected epoch", "minutes in epochs"]
    return [Table(rows, columns, "What each took.")] if any(any(row[1:]) for row in rows) else []


def _curves(records: Mapping[str, Record]) -> list[Picture]:
    histories = {
        name: [record.history] for name, record in records.items() if was_logged(record.history, PANELS.values())
    }
    if not histories:
        return []
    return [
        Picture.of(
            overlaid_curves(histories),
            "Learning curves of all runs.",
            "Epoch by epoch, on validation; FID, if any, of samples.",
        )
    ]


def _config_section(records: Mapping[str, Record]) -> Section:
    configs = {name: record.config for name, record in records.items() if record.config_text}
    if len(configs) < 2:
        return Section("Configs")
    names = differences(*configs.values())
    if not names:
        return Section("Configs", "The configs are the same.")
    fields = [flat(config) for config in configs.values()]
    rows = [[name, *(_value(each.get(name)) for each in fields)] for name in names]
    marked = {
        (row, column)
        for row, name in enumerate(names)
        for column, each in enumerate(fields, 1)
        if each.get(name) != fields[0].get(name)
    }
    caption = "The fields in which the configs differ; marked where they differ from the first run."
    return Section("Configs", tables=[Table(rows, ["field", *configs], caption, numeric=False, marked=marked)])


def _value(value: Any) -> str:
    """A value as YAML has it, on one line.

    >>> _value([32, 32]), _value(None), _value(False)
    ('[32, 32]', 'none', 'false')
    """
    return "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
