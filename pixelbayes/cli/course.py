"""The course's two tasks, a command each."""

from pathlib import Path
from typing import Any

from pixelbayes.cli.evaluate import add_features, features_of
from pixelbayes.cli.options import RUN_HELP, add_device, parser_of, show_figures

PER_CLASS = 25  # samples, 100 of the course's four classes


def course(arguments: list[str]) -> None:
    """Do the course's two tasks: `generate` draws samples and measures them, `classify` predicts the test split."""
    tasks = {"generate": generate, "classify": classify}
    if arguments and arguments[0] in tasks:
        tasks[arguments[0]](arguments[1:])
        return
    parser = parser_of(course)
    parser.add_argument("task", choices=list(tasks), help="`pixelbayes course TASK --help` explains it")
    parser.parse_args(arguments[:1])


def generate(arguments: list[str]) -> None:
    """Draw 25 images of each class into a fresh folder, and measure their FID against the test images."""
    parser = parser_of(generate, "course generate")
    _add_network(parser)
    parser.add_argument("--out", type=Path, default=Path("samples"), help="where to draw them (default: %(default)s)")
    parser.add_argument("--overwrite", action="store_true", help="other samples in the folder give way")
    parser.add_argument("--seed", type=int, default=0, help="which of the endless series (default: %(default)s)")
    parser.add_argument("--split", default="test", help="the real images (default: %(default)s)")
    add_features(parser)
    add_device(parser)
    options = parser.parse_args(arguments)

    from pixelbayes import experiments as experiment
    from pixelbayes.checkpoints import checkpoint
    from pixelbayes.cli.options import show_quality
    from pixelbayes.utils.devices import pick_device

    trained = checkpoint.load(options.run, pick_device(options.device))
    wanted = experiment.SamplingConfig(count=PER_CLASS, seed=options.seed)
    judge = experiment.Judge.of(trained, options.data, options.split, features_of(options), device=options.device)
    samples = experiment.draw(trained, options.out, wanted, overwrite=options.overwrite)
    quality, _ = judge(samples)
    print(f"{samples.pixels.shape[0] * samples.pixels.shape[1]} images, {PER_CLASS} a class, in {options.out}")
    show_quality(quality.as_dict())


def classify(arguments: list[str]) -> None:
    """Tell the accuracy on the validation images, and write predictions for the test images as a csv of id,label."""
    parser = parser_of(classify, "course classify")
    _add_network(parser)
    parser.add_argument(
        "--out", type=Path, default=Path("submission.csv"), metavar="FILE", help="the csv (default: %(default)s)"
    )
    add_device(parser)
    options = parser.parse_args(arguments)

    from pixelbayes import experiments as experiment
    from pixelbayes.report.predictions import submission_rows
    from pixelbayes.report.results import figures_of
    from pixelbayes.utils.files import csv_text, write_text

    trained, measurement = experiment.evaluate(options.run, options.data, "validation", device=options.device)
    show_figures(figures_of(trained, measurement, options.data, "validation"))
    _, predictions = experiment.evaluate(options.run, options.data, "test", device=options.device)
    write_text(options.out, csv_text(submission_rows(predictions)))
    print(f"{len(predictions.split)} predictions in {options.out}")


def _add_network(parser: Any) -> None:
    parser.add_argument("run", metavar="RUN", help=RUN_HELP)
    parser.add_argument("--data", required=True, metavar="DIR", help="the course's data, as csv:DIR or DIR")
