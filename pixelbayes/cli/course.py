"""The two tasks of the course, one command each."""

from pathlib import Path
from typing import TYPE_CHECKING

from pixelbayes.cli.options import (
    RUN_HELP,
    add_device,
    add_features,
    features_of,
    make_parser,
    show_metrics,
    show_quality,
)

if TYPE_CHECKING:
    from pixelbayes.cli.parser import Parser

SAMPLES_PER_CLASS = 25  # 100 samples of the course's four classes

GENERATE_EXAMPLES = (
    "course generate runs/mine --data csv:cpen455 --out samples",
    "course generate runs/mine --data csv:cpen455 --features inception-192 --seed 1 --overwrite",
)
CLASSIFY_EXAMPLES = (
    "course classify runs/mine --data csv:cpen455",
    "course classify food-and-fur --data csv:cpen455 --out submission.csv",
)


def course(arguments: list[str]) -> None:
    """Do the course's tasks: `generate` draws and measures samples, `classify` predicts the test split."""
    tasks = {"generate": generate, "classify": classify}
    if arguments and arguments[0] in tasks:
        tasks[arguments[0]](arguments[1:])
        return
    parser = make_parser("course", course.__doc__, (GENERATE_EXAMPLES[0], CLASSIFY_EXAMPLES[0]))
    parser.add_argument("task", choices=list(tasks), help="`pixelbayes course TASK --help` explains a task")
    parser.parse_args(arguments[:1])


def generate(arguments: list[str]) -> None:
    """Draw 25 samples of each class into a folder, and measure their FID against the test images."""
    parser = make_parser("course generate", generate.__doc__, GENERATE_EXAMPLES)
    _add_network(parser)
    parser.add_argument(
        "--out", type=Path, default=Path("samples"), metavar="DIR", help="folder for samples (default: %(default)s)"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace other samples in the folder")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="random seed (default: %(default)s)")
    parser.add_argument("--split", default="test", help="split of the real images (default: %(default)s)")
    add_features(parser)
    add_device(parser)
    options = parser.parse_args(arguments)

    from pixelbayes import experiments
    from pixelbayes.checkpoints import checkpoint
    from pixelbayes.experiments.measure import load_data_for
    from pixelbayes.inference import SamplingConfig
    from pixelbayes.utils.devices import pick_device

    trained = checkpoint.load(options.run, pick_device(options.device))
    data = load_data_for(trained, options.data)
    evaluator = experiments.SampleEvaluator.of(
        trained, data, options.split, features_of(options), device=options.device
    )
    config = SamplingConfig(count=SAMPLES_PER_CLASS, seed=options.seed)
    samples = experiments.draw(trained, options.out, config, overwrite=options.overwrite)
    quality, _ = evaluator(samples)
    print(f"{samples.pixels.shape[0] * SAMPLES_PER_CLASS} images, {SAMPLES_PER_CLASS} of each class, in {options.out}")
    show_quality(quality.as_dict())


def classify(arguments: list[str]) -> None:
    """Measure accuracy on the validation images, and write predictions of the test images as a csv of id,label."""
    parser = make_parser("course classify", classify.__doc__, CLASSIFY_EXAMPLES)
    _add_network(parser)
    parser.add_argument(
        "--out", type=Path, default=Path("submission.csv"), metavar="FILE", help="the csv (default: %(default)s)"
    )
    add_device(parser)
    options = parser.parse_args(arguments)

    from pixelbayes.experiments.measure import load_data_for, load_trained, measure_split
    from pixelbayes.report.predictions import submission_rows
    from pixelbayes.report.results import metrics_of
    from pixelbayes.utils.files import csv_text, write_text

    trained = load_trained(options.run, device=options.device)
    data = load_data_for(trained, options.data)
    validation = measure_split(trained, data.split("validation"), "validation")
    show_metrics(metrics_of(trained, validation, options.data, "validation"))
    test = measure_split(trained, data.split("test"), "test")
    written_labels = data.written_labels or trained.class_names
    write_text(options.out, csv_text(submission_rows(test, written_labels)))
    print(f"{len(test.split)} predictions in {options.out}")


def _add_network(parser: "Parser") -> None:
    parser.add_argument("run", metavar="RUN", help=RUN_HELP)
    parser.add_argument("--data", required=True, metavar="DIR", help="the course's data, as csv:DIR or DIR")
