"""Commands that measure: evaluate, calibrate, explain and report."""

from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from pixelbayes.cli.options import (
    IMAGES_HELP,
    RUN_HELP,
    acceptance_of,
    add_acceptance,
    add_data,
    add_device,
    add_features,
    add_passes,
    add_scoring,
    check_count,
    features_of,
    make_parser,
    run_folder,
    scoring_of,
    show_folder,
    show_metrics,
    show_pairs,
)
from pixelbayes.utils.errors import InputError

if TYPE_CHECKING:
    from pixelbayes.cli.parser import Parser
    from pixelbayes.inference import SamplingConfig


def evaluate(arguments: list[str]) -> None:
    """Measure a network on a split of images: accuracy, calibration, bits per dimension, sample quality and more."""
    parser = make_parser(
        "evaluate",
        evaluate.__doc__,
        (
            "evaluate digits --data digits --split test --samples 25",
            "evaluate runs/pets --data folder:pets --ood-data folder:birds",
        ),
    )
    parser.add_argument("run", metavar="RUN", help=RUN_HELP)
    add_data(parser)
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="folder for metrics, plots and report (default: inside RUN)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the metrics to this file")
    parser.add_argument(
        "--csv", type=Path, metavar="FILE", help="also write the prediction of every image to this file"
    )
    parser.add_argument(
        "--submission", type=Path, metavar="FILE", help="also write a csv of id,label, as the course asks, to this file"
    )
    parser.add_argument(
        "--ensemble",
        dest="members",
        nargs="+",
        default=[],
        metavar="RUN",
        help="further runs; measures the ensemble of all, without --samples and --ood-data",
    )
    _add_samples(parser)
    parser.add_argument(
        "--ood-data", default="", metavar="SOURCE", help="other data: measures out-of-distribution detection"
    )
    parser.add_argument(
        "--ood-split", default="test", metavar="SPLIT", help="split of the other data (default: %(default)s)"
    )
    add_scoring(parser)
    add_device(parser)
    options = parser.parse_args(arguments)

    import json

    from pixelbayes import experiments
    from pixelbayes.report.predictions import prediction_rows, submission_rows
    from pixelbayes.utils.files import csv_text, write_text

    config = experiments.EvaluationConfig(
        scoring=scoring_of(options),
        samples=_samples(options),
        acceptance=acceptance_of(options),
        features=features_of(options),
        ood_data=options.ood_data,
        ood_split=options.ood_split,
        overwrite=options.overwrite,
    )
    out = options.out or experiments.evaluation_folder(Path(options.run), options.data, options.split, options.members)
    evaluation = experiments.evaluate(
        options.run, options.data, options.split, out, config, members=options.members, device=options.device
    )
    trained, measurement = evaluation.trained, evaluation.measurement
    if options.json:
        write_text(options.json, json.dumps(evaluation.metrics, indent=2) + "\n")
    if options.csv:
        write_text(options.csv, csv_text(prediction_rows(trained, measurement)))
    if options.submission:
        write_text(options.submission, csv_text(submission_rows(measurement, evaluation.written_labels)))
    show_metrics(evaluation.metrics)
    if options.members:
        print(
            f"{trained.description}: {', '.join([options.run, *options.members])}; combined as a {measurement.combine}"
        )
    if trained.stale_calibration:
        print(
            "the calibration beside these weights does not apply: it was fitted to other weights or another way of "
            "scoring; run `pixelbayes calibrate`"
        )
    show_folder("folder", out)


def calibrate(arguments: list[str]) -> None:
    """Fit a temperature, so that p(c | x) is calibrated, and store it beside the weights."""
    parser = make_parser(
        "calibrate",
        calibrate.__doc__,
        (
            "calibrate runs/pets --data folder:other-pets",
            "calibrate runs/pets --data folder:pets --views 2 --combine product",
        ),
    )
    parser.add_argument("run", metavar="RUN", help=RUN_HELP)
    add_data(parser)
    parser.add_argument(
        "--coverage",
        type=float,
        default=0.95,
        metavar="P",
        help="probability that the prediction set of an image holds its class (default: %(default)s)",
    )
    add_passes(parser)
    add_device(parser)
    options = parser.parse_args(arguments)

    from pixelbayes import experiments

    path, record = experiments.calibrate(
        options.run,
        options.data,
        options.split,
        scoring_of(options),
        coverage=options.coverage,
        device=options.device,
    )
    with_interval = "  (95% interval {:.3g} to {:.3g})".format(*record.interval) if record.interval else ""
    rows = {
        "temperature": f"{record.temperature:.4g}{with_interval}",
        "NLL": f"{record.nll_before:.4f} before, {record.nll_after:.4f} after, in nats",
    }
    if record.sets:
        least, coverage = record.sets.threshold, record.sets.coverage
        rows["prediction sets"] = f"classes of p(c | x) of at least {least:.4g}, for a coverage of {coverage:.0%}"
    if record.ood:
        rows["bits per dimension"] = f"{record.ood.bits_per_dim:.4f}, the reference of out-of-distribution scores"
    show_pairs(f"{record.origin}, {record.n} images", rows)
    if record.is_uncertain:
        print(f"{record.n} images say little about the temperature; calibrate with more images if there are any")
    print(f"wrote {path}")


def explain(arguments: list[str]) -> None:
    """Show which pixels of an image decide between two classes."""
    parser = make_parser(
        "explain",
        explain.__doc__,
        ("explain food-and-fur photo.jpg", "explain runs/pets photo.jpg --classes cat dog --out why"),
    )
    parser.add_argument("run", metavar="RUN", help=RUN_HELP)
    parser.add_argument("images", metavar="IMAGE", nargs="+", type=Path, help=IMAGES_HELP)
    parser.add_argument(
        "--classes",
        nargs=2,
        metavar=("A", "B"),
        help="names or numbers of two classes (default: the two most probable ones of each image)",
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder for figures (default: a new one under runs/)")
    add_device(parser)
    options = parser.parse_args(arguments)

    from rich.table import Table

    from pixelbayes import experiments
    from pixelbayes.utils.console import make_console

    out = run_folder(options, "explain")
    classes = tuple(options.classes) if options.classes else None
    trained, found = experiments.explain(options.run, options.images, out, classes=classes, device=options.device)
    table = Table("image", "class", "against", "log-likelihood ratio in nats")
    for name, explanation in found.items():
        one, other = (trained.class_names[label] for label in (explanation.label, explanation.other))
        table.add_row(name, one, other, f"{explanation.nats:.1f}")
    make_console().print(table)
    print(f"figures, and the ratio of every pixel, in {out}")


def report(arguments: list[str]) -> None:
    """Write a report of one run or sweep, or of several side by side, into one HTML file."""
    parser = make_parser(
        "report", report.__doc__, ("report runs/pets", "report runs/pets runs/pets-again --out both.html")
    )
    parser.add_argument("runs", metavar="RUN_DIR", nargs="+", type=Path, help="folders of runs, evaluations or sweeps")
    parser.add_argument("--out", type=Path, metavar="FILE", help="the HTML file (default: a new one under runs/)")
    options = parser.parse_args(arguments)

    from pixelbayes.experiments.claim import new_run_folder
    from pixelbayes.report import run_report
    from pixelbayes.utils.run_folder import RunFolder

    out = options.out or RunFolder(new_run_folder("report")).page
    if out.is_dir():
        raise InputError(f"{out} is a folder; give --out a file, such as {RunFolder(out).page}")
    run_report(options.runs).write(out)
    print(f"open {out}")


def _add_samples(parser: "Parser") -> None:
    """Options of drawing samples and measuring their quality."""
    parser.add_argument(
        "--samples",
        metavar="DIR|N",
        help="measure FID, KID and more of N new samples of each class, or of the samples in a folder",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace other samples in the folder")
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="random seed of samples (default: %(default)s)"
    )
    parser.add_argument(
        "--sampling-temperature", type=float, default=1.0, metavar="T", help="T of p^(1/T) (default: %(default)s)"
    )
    parser.add_argument(
        "--guidance", type=float, default=0.0, metavar="W", help="classifier-free guidance (default: %(default)s)"
    )
    add_acceptance(parser)
    add_features(parser)


def _samples(options: Namespace) -> "SamplingConfig | Path | None":
    from pixelbayes.inference import SamplingConfig

    if options.samples is None:
        return None
    if not options.samples.isdecimal():
        return Path(options.samples)
    count = int(options.samples)
    check_count("samples", count)
    if options.sampling_temperature <= 0:
        raise InputError(f"sampling-temperature is {options.sampling_temperature}, expected a number above 0")
    return SamplingConfig(
        count=count,
        seed=options.seed,
        temperature=options.sampling_temperature,
        guidance=options.guidance,
    )
