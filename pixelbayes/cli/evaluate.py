"""Commands that measure."""

from pathlib import Path
from typing import Any

from pixelbayes.cli.options import (
    DATA_HELP,
    RUN_HELP,
    add_device,
    add_readings,
    add_scoring,
    parser_of,
    readings,
    show_figures,
    show_pairs,
)
from pixelbayes.utils.errors import InputError


def evaluate(arguments: list[str]) -> None:
    """Measure a network on a split of images: accuracy, calibration, bits per dimension, and more if asked."""
    parser = parser_of(evaluate)
    parser.add_argument("run", metavar="RUN", help=RUN_HELP)
    parser.add_argument(
        "--with",
        dest="members",
        nargs="+",
        default=[],
        metavar="RUN",
        help="further runs, of the same classes and pixels: an ensemble is measured, and --combine says how they make "
        "one; not with --samples or --against",
    )
    parser.add_argument("--data", required=True, help=DATA_HELP)
    parser.add_argument("--split", default="validation", help="train, validation or test (default: %(default)s)")
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="folder for figures, pictures and report; in RUN if not given"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to this file too")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write every image's prediction to this file too")
    parser.add_argument(
        "--submission", type=Path, metavar="FILE", help="write a csv of id,label, the course's form, to this file too"
    )
    add_samples(parser)
    parser.add_argument("--against", default="", metavar="DATA", help="other data: how well are they told apart?")
    parser.add_argument(
        "--against-split", default="test", metavar="SPLIT", help="of the other data (default: %(default)s)"
    )
    add_scoring(parser)
    add_device(parser)
    options = parser.parse_args(arguments)

    import json

    from pixelbayes import experiments as experiment
    from pixelbayes.report.predictions import prediction_rows, submission_rows
    from pixelbayes.utils.files import csv_text, write_text

    out = options.out or experiment.evaluation_folder(Path(options.run), options.data, options.split, options.members)
    config = experiment.EvaluationConfig(
        samples=_samples(options),
        features=features_of(options),
        against=options.against,
        against_split=options.against_split,
        overwrite=options.overwrite,
    )
    trained, measurement, figures = experiment.examine(
        options.run,
        options.data,
        options.split,
        out,
        config,
        members=options.members,
        device=options.device,
        **readings(options),
        plain=options.plain,
    )
    if options.json:
        write_text(options.json, json.dumps(figures, indent=2) + "\n")
    if options.csv:
        write_text(options.csv, csv_text(prediction_rows(trained, measurement)))
    if options.submission:
        write_text(options.submission, csv_text(submission_rows(measurement)))
    show_figures(figures)
    if options.members:
        how = "as one density" if measurement.combine == "density" else "by the mean of their log-probabilities"
        print(f"{trained.description}: {', '.join([options.run, *options.members])}; {how}")
    if trained.stale_calibration:
        print("the temperature beside these weights was fitted to others and is not used; run `pixelbayes calibrate`")
    print(f"folder: {out}\nopen {out / 'index.html'}")


def calibrate(arguments: list[str]) -> None:
    """Fit one temperature, so that p(c | x) means what it says, and keep it beside the weights."""
    parser = parser_of(calibrate)
    parser.add_argument("run", metavar="RUN", help=RUN_HELP)
    parser.add_argument("--data", required=True, help=DATA_HELP)
    parser.add_argument("--split", default="validation", help="train, validation or test (default: %(default)s)")
    add_readings(parser)
    add_device(parser)
    options = parser.parse_args(arguments)

    from pixelbayes import experiments as experiment

    path, fitted = experiment.calibrate(
        options.run,
        options.data,
        options.split,
        device=options.device,
        **readings(options),
    )
    before_and_after = f"{fitted.nll_before:.4f} before, {fitted.nll_after:.4f} after, in nats"
    rows = {"temperature": f"{fitted.temperature:.4g}", "mean of -log p(label | x)": before_and_after}
    if fitted.typical:
        rows["typical bits per dimension"] = f"{fitted.typical.bits_per_dim:.4f}"
    show_pairs(f"{fitted.origin}, {fitted.n} images", rows)
    print(f"wrote {path}")


def explain(arguments: list[str]) -> None:
    """Show which pixels of an image decided between two classes."""
    parser = parser_of(explain)
    parser.add_argument("run", metavar="RUN", help=RUN_HELP)
    parser.add_argument("images", metavar="IMAGE", nargs="+", type=Path, help="image files, or folders of them")
    parser.add_argument(
        "--classes", nargs=2, metavar=("A", "B"), help="names or numbers; for each image the likeliest two if not given"
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder for pictures; one under runs/ if not given")
    add_device(parser)
    options = parser.parse_args(arguments)

    from rich.console import Console
    from rich.table import Table

    from pixelbayes import experiments as experiment
    from pixelbayes.experiments import run_folder as runs

    out = options.out or runs.new_run_folder("explain")
    classes = tuple(options.classes) if options.classes else None
    trained, found = experiment.explain(options.run, options.images, out, classes=classes, device=options.device)
    table = Table("image", "class", "against", "log-likelihood ratio in nats")
    for name, explanation in found.items():
        one, other = (trained.class_names[label] for label in (explanation.label, explanation.other))
        table.add_row(name, one, other, f"{explanation.nats:.1f}")
    Console().print(table)
    print(f"pictures and ratios of every pixel in {out}")


def report(arguments: list[str]) -> None:
    """Put one run, or several side by side, into one file to read and to show."""
    parser = parser_of(report)
    parser.add_argument("runs", metavar="RUN_DIR", nargs="+", type=Path, help="run folders, or folders of evaluations")
    parser.add_argument("--out", type=Path, metavar="FILE", help="the HTML file; one under runs/ if not given")
    options = parser.parse_args(arguments)

    from pixelbayes.experiments import run_folder as runs
    from pixelbayes.report import run_report

    out = options.out or runs.new_run_folder("report") / "index.html"
    if out.is_dir():
        raise InputError(f"{out} is a folder; give --out a file, {out / 'index.html'} say")
    run_report(options.runs).write(out)
    print(f"open {out}")


def add_samples(parser: Any) -> None:
    """Options of drawing samples and judging them."""
    parser.add_argument(
        "--samples",
        metavar="DIR|N",
        help="FID, KID and more of N samples of each class, or of those in a folder",
    )
    parser.add_argument("--overwrite", action="store_true", help="other samples in the folder give way")
    parser.add_argument("--seed", type=int, default=0, help="which of the endless series (default: %(default)s)")
    parser.add_argument("--temperature", type=float, default=1.0, help="T of sampling (default: %(default)s)")
    parser.add_argument("--guidance", type=float, default=0.0, help="w of guidance (default: %(default)s)")
    add_features(parser)


def add_features(parser: Any) -> None:
    """Options of what samples are compared by."""
    parser.add_argument(
        "--features",
        default="domain",
        help="domain (of a dedicated classifier), inception-64, inception-192 or inception-2048 (default: %(default)s)",
    )
    parser.add_argument(
        "--classifier", type=Path, metavar="RUN", help="the dedicated classifier; trained once and kept if not given"
    )
    parser.add_argument("--inception-weights", type=Path, metavar="FILE", help="looked for and fetched if not given")
    parser.add_argument(
        "--reference-size", nargs=2, type=int, metavar=("H", "W"), help="of the real images; the network's if not given"
    )


def features_of(options: Any) -> Any:
    from pixelbayes import experiments as experiment

    return experiment.FeatureConfig(
        features=options.features,
        classifier=options.classifier,
        inception_weights=options.inception_weights,
        reference_size=tuple(options.reference_size) if options.reference_size else None,
    )


def _samples(options: Any) -> Any:
    from pixelbayes import experiments as experiment

    if options.samples is None:
        return None
    if not options.samples.isdecimal():
        return Path(options.samples)
    return experiment.SamplingConfig(
        count=int(options.samples), seed=options.seed, temperature=options.temperature, guidance=options.guidance
    )
