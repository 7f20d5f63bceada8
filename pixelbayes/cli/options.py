"""What the commands share: options, where results go, and how figures are shown."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from pixelbayes.utils.errors import InputError

RUN_HELP = "a run folder, whose best weights are used, a weights file, or a network of the package"
DATA_HELP = "digits, folder:DIR, csv:DIR, hub:NAME, or a folder whose layout tells"

Command = Callable[[list[str]], None]


def about(command: Command) -> dict[str, Any]:
    return {"prog": f"pixelbayes {command.__name__}", "description": command.__doc__}


def add_run(parser: Any) -> None:
    parser.add_argument("--out", type=Path, help="the run folder; one under runs/ if not given")
    parser.add_argument("--resume", action="store_true", help="go on with the run in --out, if there is one")
    add_report_on(parser)


def add_report_on(parser: Any) -> None:
    parser.add_argument("--report-on", default="validation", help="split to measure at the end (default: %(default)s)")


def with_config_of_run(arguments: list[str]) -> list[str]:
    """`--out RUN --resume` takes RUN's own config, on which other options may not disagree."""
    from pixelbayes.cli.parser import Glance
    from pixelbayes.experiments.run_folder import CONFIG

    glance = Glance()
    glance.add_argument("--out", type=Path)
    glance.add_argument("--resume", action="store_true")
    early = glance.parse_known_args(arguments)[0]
    if early.resume and not early.out:
        raise InputError("--resume needs --out: which run shall go on?")
    if early.resume and (early.out / CONFIG).is_file():
        return ["--config", str(early.out / CONFIG), *arguments]
    return arguments


def run_folder(options: Any, name: str) -> Path:
    from pixelbayes.experiments import run_folder as runs

    folder: Path = options.out or runs.new_run_folder(name)
    return folder


def source_name(config: Any) -> str:
    return Path(config.data.source.rpartition(":")[2]).name


def fusion_name(config: Any) -> str:
    from pixelbayes.utils.files import safe_name

    fusion = config.model.fusion
    return safe_name(fusion if isinstance(fusion, str) else "+".join(fusion))


def finish(figures: dict[str, Any], run: Path) -> None:
    if not figures:  # another process has them
        return
    show_figures(figures)
    print(f"run folder: {run}\nopen {run / 'index.html'}")


def parser_of(command: Command, name: str | None = None) -> Any:
    from pixelbayes.cli.parser import Parser

    return Parser(prog=f"pixelbayes {name or command.__name__}", description=command.__doc__)


def add_scoring(parser: Any) -> None:
    """Options of how images are scored."""
    add_readings(parser)
    parser.add_argument("--plain", action="store_true", help="compute it the plain way, several times as slow: a check")


def add_readings(parser: Any) -> None:
    """Options of how often an image is read, and what its readings make."""
    parser.add_argument(
        "--views", type=int, help="views of each image, of a network trained on views; as it was calibrated, or 1"
    )
    parser.add_argument(
        "--masks",
        type=int,
        help="masks by which to read each view and tell the class, of a network trained with context dropout; as it "
        "was calibrated, or 0",
    )
    parser.add_argument(
        "--combine", choices=["density", "mean"], help="readings make a density, or the mean of their log-probabilities"
    )


def readings(options: Any) -> dict[str, Any]:
    """What `add_readings` has read, for `measure`."""
    return {name: getattr(options, name) for name in ("views", "masks", "combine")}


def add_device(parser: Any) -> None:
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps (default: %(default)s)")


def show_figures(figures: dict[str, Any]) -> None:
    """What a measurement found, as in metrics.json; quality of samples too, if it is there."""
    from pixelbayes.report.tables import how_read

    rows = {}
    if figures["accuracy"] is not None:
        low, high = figures["accuracy_interval"]
        rows["accuracy"] = f"{figures['accuracy']:.4f}  (95% interval {low:.4f} to {high:.4f})"
        rows["macro F1"] = f"{figures['macro_f1']:.4f}"
        rows["posterior at T = 1"] = _calibration(figures)
        if after := figures["calibrated"]:
            rows[f"posterior at T = {after['temperature']:.4g}"] = f"{_calibration(after)}; {after['source']}"
    if figures["bits_per_dim"] is not None:
        height, width = figures["image_size"]
        rows["bits per dimension"] = (
            f"{figures['bits_per_dim']:.4f}  of {figures['bits_per_dim_of']}, "
            f"{figures['levels']} levels, {height}x{width}, resize {figures['resize']}"
        )
    for score, found in figures.get("against", {}).get("scores", {}).items():
        low, high = found["auroc_interval"]
        rows[f"AUROC by {score}"] = f"{found['auroc']:.3f}  (95% interval {low:.3f} to {high:.3f})"
    rows["images"] = str(figures["n"])
    if found := how_read(figures):
        rows["read in"] = found
    show_pairs(f"{figures['data']}, {figures['split']}", rows)
    if figures.get("quality"):
        show_quality(figures["quality"])


def _calibration(figures: dict[str, Any]) -> str:
    return f"nll {figures['nll']:.4f}, Brier {figures['brier']:.4f}, ECE {figures['ece']:.4f}"


def show_quality(quality: dict[str, Any]) -> None:
    """What was found of samples, as in quality.json."""
    from rich.console import Console
    from rich.table import Table

    read = quality["read_as_asked"]
    table = Table(
        "samples",
        "n",
        "FID",
        "KID",
        "read as asked",
        title=f"{quality['extractor']}, against {quality['reference']}",
        title_justify="left",
    )
    for name, found in {"all": quality, **quality["per_class"]}.items():
        share = read and (read["share"] if name == "all" else read["per_class"][name])
        distances = (found["reason"], "") if found["fid"] is None else _distances(found)
        table.add_row(name, str(found["n"]), *distances, "" if share is None else f"{share:.2f}")
    Console().print(table)
    if near := quality["memorising"]:
        print(f"copies of training images: {quality['copies']} of {quality['n']} samples")
        if (share := near["pixels"]["share_below"]) is not None:
            print(f"nearer to a training image than 95% of held-out images are: {share:.1%} of samples, 5% by chance")


def _distances(found: dict[str, Any]) -> tuple[str, str]:
    spread = "" if found["kid_deviation"] is None else f" ± {found['kid_deviation']:.4f}"
    return f"{found['fid']:.2f}", f"{found['kid']:.4f}{spread}"


def show_pairs(title: str, rows: dict[str, str]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, show_header=False, title_justify="left")
    for name, value in rows.items():
        table.add_row(name, value)
    Console().print(table)
