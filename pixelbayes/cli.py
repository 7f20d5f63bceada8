"""The command line: parses, calls `experiment`, prints. What is heavy is imported when a command needs it."""

import sys
from argparse import BooleanOptionalAction
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pixelbayes.errors import DivergedError, InputError, InterruptedRunError
from pixelbayes.version import __version__

RUN_HELP = "a run folder, whose best weights are used, or a weights file"
DATA_HELP = "digits, folder:DIR, csv:DIR, hub:NAME, or a folder whose layout tells"


def train(arguments: list[str]) -> None:
    """Train a network on labelled images."""
    from pixelbayes import experiment, presets
    from pixelbayes.parsing import ConfigParser

    parser = ConfigParser(experiment.ExperimentConfig, presets.PRESETS, **_about(train))
    parser.add_argument("--dry-run", action="store_true", help="show config, size, time and memory; train nothing")
    _add_run(parser)
    config, other = parser.parse_config(_with_config_of_run(arguments))
    if other.print_config:
        print(config.as_yaml(), end="")
    elif other.dry_run:
        print(config.as_yaml())
        _show_pairs("Estimate", experiment.dry_run(config))
    else:
        run = _run_folder(other, f"{_source(config)}-{_fusion(config)}")
        _finish(experiment.train(config, run, resume=other.resume), run)


def baseline(arguments: list[str]) -> None:
    """Train a dedicated classifier, a residual network, on the same data: how far is it ahead?"""
    from pixelbayes.baseline import BASELINES, BaselineConfig, train_baseline
    from pixelbayes.parsing import ConfigParser

    parser = ConfigParser(BaselineConfig, BASELINES, **_about(baseline))
    parser.add_argument("--report-on", default="validation", help="split to measure at the end (default: %(default)s)")
    _add_run(parser)
    config, other = parser.parse_config(_with_config_of_run(arguments))
    if other.print_config:
        print(config.as_yaml(), end="")
    else:
        run = _run_folder(other, f"{_source(config)}-baseline")
        _finish(train_baseline(config, run, resume=other.resume, report_on=other.report_on), run)


def demo(arguments: list[str]) -> None:
    """Train on handwritten digits, then measure on test images and draw new ones: all the package does, in minutes."""
    parser = _parser(demo)
    parser.add_argument("--out", type=Path, help="the run folder; one under runs/ if not given")
    options = parser.parse_args(arguments)

    from pixelbayes import experiment, presets, runs

    run = options.out or runs.new_run_folder("demo")
    _finish(experiment.train(presets.DIGITS, run, report_on="test"), run)


def compare(arguments: list[str]) -> None:
    """Train several fusions or presets on the same data with the same budget, and put them into one table."""
    from pixelbayes import comparison, experiment, presets, runs
    from pixelbayes.parsing import ConfigParser

    parser = ConfigParser(experiment.ExperimentConfig, presets.PRESETS, **_about(compare))
    parser.add_argument("names", metavar="NAME", nargs="+", help="fusions, presets, or baseline")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2], help="a run for each (default: 0 1 2)")
    parser.add_argument("--report-on", default="validation", help="split to measure at the end (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=1, help="runs at a time (default: %(default)s)")
    parser.add_argument("--note", default="", metavar="TEXT", help="what readers of the table should know besides")
    parser.add_argument("--out", type=Path, help="the folder of all runs; one under runs/ if not given")
    config, other = parser.parse_config(arguments)
    if other.print_config:
        print(config.as_yaml(), end="")
        return
    out = other.out or runs.new_run_folder("compare")
    comparison.compare(
        other.names, config, other.seeds, out, report_on=other.report_on, workers=other.workers, note=other.note
    )
    print((out / "compare.md").read_text(encoding="utf-8"))
    print(f"folder: {out}\nopen {out / 'index.html'}")


def evaluate(arguments: list[str]) -> None:
    """Measure a network on a split of labelled images."""
    parser = _parser(evaluate)
    parser.add_argument("run", metavar="RUN", help=RUN_HELP)
    parser.add_argument("--data", required=True, help=DATA_HELP)
    parser.add_argument("--split", default="validation", help="train, validation or test (default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to this file too")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write every image's prediction to this file too")
    _add_plain(parser)
    _add_device(parser)
    options = parser.parse_args(arguments)

    import json

    from pixelbayes import experiment
    from pixelbayes.evaluation.results import figures_of, prediction_rows
    from pixelbayes.files import csv_text, write_text

    trained, measurement = experiment.evaluate(
        options.run, options.data, options.split, device=options.device, plain=options.plain
    )
    figures = figures_of(trained, measurement, options.data, options.split)
    if options.json:
        write_text(options.json, json.dumps(figures, indent=2) + "\n")
    if options.csv:
        write_text(options.csv, csv_text(prediction_rows(trained, measurement)))
    _show_figures(figures)


def sample(arguments: list[str]) -> None:
    """Draw new images of a class, or of every class."""
    parser = _parser(sample)
    parser.add_argument("run", metavar="RUN", help=RUN_HELP)
    parser.add_argument(
        "--label", action="append", metavar="CLASS", help="name or number; may be repeated; all if not given"
    )
    parser.add_argument("--n", type=int, default=25, help="images of each class (default: %(default)s)")
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder for the images; one under runs/ if not given")
    parser.add_argument("--temperature", type=float, default=1.0, help="T of p^(1/T); 1 samples the model as it is")
    parser.add_argument(
        "--guidance", type=float, default=0.0, help="w of classifier-free guidance (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=0, help="which images of the endless series (default: %(default)s)")
    parser.add_argument("--given", type=Path, metavar="IMAGE", help="an image to complete; say how much of it to keep:")
    kept = parser.add_mutually_exclusive_group()
    kept.add_argument("--rows", type=int, metavar="N", help="its first N rows")
    kept.add_argument("--pixels", type=int, metavar="N", help="its first N pixels, row by row from the left")
    parser.add_argument(
        "--plain", action="store_true", help="the slow sampler, which runs the whole network each pixel"
    )
    parser.add_argument(
        "--compile",
        action=BooleanOptionalAction,
        help="compile the sampler: half a minute more, then about twice as fast; if not said, where it pays",
    )
    _add_device(parser)
    options = parser.parse_args(arguments)
    if (options.given is None) != (options.rows is None and options.pixels is None):
        parser.error("--given IMAGE and one of --rows N, --pixels N go together")

    from pixelbayes import experiment, runs

    out = options.out or runs.new_run_folder("samples")
    files = experiment.sample(
        options.run,
        out,
        classes=options.label,
        count=options.n,
        temperature=options.temperature,
        guidance=options.guidance,
        seed=options.seed,
        given=options.given,
        rows=options.rows,
        pixels=options.pixels,
        plain=options.plain,
        compiled=options.compile,
        device=options.device,
    )
    print(f"{len(files)} images in {out}")


def classify(arguments: list[str]) -> None:
    """Tell the class of image files by Bayes' rule."""
    parser = _parser(classify)
    parser.add_argument("run", metavar="RUN", help=RUN_HELP)
    parser.add_argument("images", metavar="IMAGE", nargs="+", type=Path, help="image files, or folders of them")
    parser.add_argument("--out", type=Path, metavar="FILE", help="csv with p(c | x) and log p(x | c) for every class")
    _add_plain(parser)
    _add_device(parser)
    options = parser.parse_args(arguments)

    from rich.console import Console
    from rich.table import Table

    from pixelbayes import experiment
    from pixelbayes.evaluation.results import prediction_rows
    from pixelbayes.files import csv_text, write_text

    trained, measurement = experiment.classify(options.run, options.images, device=options.device, plain=options.plain)
    if options.out:
        write_text(options.out, csv_text(prediction_rows(trained, measurement)))
    table = Table("image", "class", "p(c | x)", "then")
    for image, posterior in zip(measurement.split.names, measurement.posterior, strict=True):
        p, order = posterior.sort(descending=True)
        (first, *others) = [trained.class_names[label] for label in order.tolist()]
        table.add_row(image, first, f"{p[0]:.4f}", f"{others[0]} {p[1]:.4f}" if others else "")
    Console().print(table)


def import_network(arguments: list[str]) -> None:
    """Turn a network of the course's code (a state dict, .pth) into one of ours."""
    parser = _parser(import_network, "import")
    parser.add_argument("network", metavar="COURSE.pth", type=Path, help="made by torch.save(model.state_dict(), ...)")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="the run folder to make")
    parser.add_argument(
        "--class-names", nargs="+", metavar="NAME", default=(), help="in label order; numbers if not given"
    )
    parser.add_argument("--image-size", nargs=2, type=int, metavar=("H", "W"), help="if the images are not square")
    options = parser.parse_args(arguments)

    from pixelbayes import checkpoint
    from pixelbayes.course import import_course_network

    size = tuple(options.image_size) if options.image_size else None
    path = options.out / checkpoint.BEST
    if path.exists():
        raise InputError(f"{path} exists already; give another --out")
    network = import_course_network(options.network, image_size=size, class_names=tuple(options.class_names))
    checkpoint.save(network, path)
    print(f"wrote {path}")


def _about(command: Callable[[list[str]], None]) -> dict[str, Any]:
    return {"prog": f"pixelbayes {command.__name__}", "description": command.__doc__}


def _add_run(parser: Any) -> None:
    parser.add_argument("--out", type=Path, help="the run folder; one under runs/ if not given")
    parser.add_argument("--resume", action="store_true", help="go on with the run in --out, if there is one")


def _with_config_of_run(arguments: list[str]) -> list[str]:
    """`--out RUN --resume` takes RUN's own config, on which other options may not disagree."""
    from pixelbayes.arguments import Glance
    from pixelbayes.runs import CONFIG

    glance = Glance()
    glance.add_argument("--out", type=Path)
    glance.add_argument("--resume", action="store_true")
    early = glance.parse_known_args(arguments)[0]
    if early.resume and not early.out:
        raise InputError("--resume needs --out: which run shall go on?")
    if early.resume and (early.out / CONFIG).is_file():
        return ["--config", str(early.out / CONFIG), *arguments]
    return arguments


def _run_folder(options: Any, name: str) -> Path:
    from pixelbayes import runs

    folder: Path = options.out or runs.new_run_folder(name)
    return folder


def _source(config: Any) -> str:
    return Path(config.data.source.rpartition(":")[2]).name


def _fusion(config: Any) -> str:
    from pixelbayes.files import safe_name

    fusion = config.model.fusion
    return safe_name(fusion if isinstance(fusion, str) else "+".join(fusion))


def _finish(figures: dict[str, Any], run: Path) -> None:
    if not figures:  # another process has them
        return
    _show_figures(figures)
    print(f"run folder: {run}\nopen {run / 'index.html'}")


COMMANDS: dict[str, Callable[[list[str]], None]] = {
    "train": train,
    "compare": compare,
    "baseline": baseline,
    "evaluate": evaluate,
    "sample": sample,
    "classify": classify,
    "import": import_network,
    "demo": demo,
}


def main(arguments: list[str] | None = None) -> int:
    """Runs one command; returns the exit status: 0, 1 for a diverged run, 2 for bad input, 130 for Ctrl-C."""
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        _dispatch(arguments)
    except InputError as error:
        return _complain(error, 2)
    except InterruptedRunError as error:
        return _complain(error, 128 + error.signal)
    except DivergedError as error:
        return _complain(error, 1)
    except OSError as error:  # no space, no permission
        file = error.filename2 or error.filename
        return _complain(f"{file}: {error.strerror}" if file else error, 2)
    except KeyboardInterrupt:
        return _complain("stopped", 130)
    return 0


def _dispatch(arguments: list[str]) -> None:
    name, rest = (arguments[0], arguments[1:]) if arguments else ("--help", [])
    if name in ("-h", "--help"):
        print(_overview())
    elif name == "--version":
        print(f"pixelbayes {__version__}")
    elif name in COMMANDS:
        COMMANDS[name](rest)
    else:
        import difflib

        close = difflib.get_close_matches(name, COMMANDS, n=1)
        hint = f"did you mean {close[0]}?" if close else f"expected one of: {', '.join(COMMANDS)}"
        raise InputError(f"unknown command {name!r}; {hint}")


def _overview() -> str:
    lines = [f"  {name:<10} {(command.__doc__ or '').splitlines()[0]}" for name, command in COMMANDS.items()]
    return "\n".join(
        [
            "usage: pixelbayes COMMAND [...]",
            "",
            "Class-conditional PixelCNN++: generate, classify by Bayes' rule, and know how sure you are.",
            "",
            "commands:",
            *lines,
            "",
            "`pixelbayes COMMAND --help` explains a command; `pixelbayes --version` tells the version.",
        ]
    )


def _complain(error: object, status: int) -> int:
    for line in str(error).splitlines():
        print(f"pixelbayes: {line}", file=sys.stderr)
    return status


def _parser(command: Callable[[list[str]], None], name: str | None = None) -> Any:
    from pixelbayes.arguments import Parser

    return Parser(prog=f"pixelbayes {name or command.__name__}", description=command.__doc__)


def _add_plain(parser: Any) -> None:
    parser.add_argument("--plain", action="store_true", help="compute it the plain way, several times as slow: a check")


def _add_device(parser: Any) -> None:
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps (default: %(default)s)")


def _show_figures(figures: dict[str, Any]) -> None:
    rows = {}
    if figures["accuracy"] is not None:
        low, high = figures["accuracy_interval"]
        rows["accuracy"] = f"{figures['accuracy']:.4f}  (95% interval {low:.4f} to {high:.4f})"
        rows["macro F1"] = f"{figures['macro_f1']:.4f}"
    if figures["bits_per_dim"] is not None:
        height, width = figures["image_size"]
        rows["bits per dimension"] = (
            f"{figures['bits_per_dim']:.4f}  of {figures['bits_per_dim_of']}, "
            f"{figures['levels']} levels, {height}x{width}, resize {figures['resize']}"
        )
    rows["images"] = str(figures["n"])
    _show_pairs(f"{figures['data']}, {figures['split']}", rows)


def _show_pairs(title: str, rows: dict[str, str]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, show_header=False, title_justify="left")
    for name, value in rows.items():
        table.add_row(name, value)
    Console().print(table)
