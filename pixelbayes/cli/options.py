"""Options that several commands share, and how results are printed."""

from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pixelbayes.utils.errors import InputError

if TYPE_CHECKING:  # these modules import PyTorch or jsonargparse, which take seconds
    from pixelbayes.cli.parser import Parser
    from pixelbayes.experiments import AcceptanceConfig, FeatureConfig
    from pixelbayes.experiments.config import ExperimentConfig, RunConfig
    from pixelbayes.inference import ScoringConfig

RUN_HELP = "run folder (its best weights), weights file, or name of a bundled network"
DATA_HELP = (
    "digits, folder:DIR, csv:DIR, npz:FILE, idx:DIR, cifar:DIR, archive:FILE, hub:NAME, or a folder, npz file or "
    "archive, whose contents are detected"
)
IMAGES_HELP = "image files, or folders of them"


def make_parser(name: str, description: str | None, examples: Sequence[str]) -> "Parser":
    """The parser of a command."""
    from pixelbayes.cli.parser import Parser

    return Parser(prog=f"pixelbayes {name}", description=description, examples=examples)


def add_run_options(parser: "Parser") -> None:
    """Options of the commands that train."""
    parser.add_argument("--out", type=Path, metavar="DIR", help="run folder (default: a new one under runs/)")
    parser.add_argument("--resume", action="store_true", help="continue the run in --out")
    add_eval_split(parser)


def add_eval_split(parser: "Parser") -> None:
    parser.add_argument(
        "--eval-split", default="validation", metavar="SPLIT", help="split to measure at the end (default: validation)"
    )


def add_data(parser: "Parser") -> None:
    """Options that name labelled images."""
    parser.add_argument("--data", required=True, metavar="SOURCE", help=DATA_HELP)
    parser.add_argument("--split", default="validation", help="train, validation or test (default: %(default)s)")


def add_device(parser: "Parser") -> None:
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps (default: %(default)s)")


def add_passes(parser: "Parser") -> None:
    """Options of the passes in which an image is scored."""
    parser.add_argument(
        "--views",
        type=int,
        metavar="N",
        help="views of each image to score, for a network trained with views (default: as calibrated, else 1)",
    )
    parser.add_argument(
        "--masks",
        type=int,
        metavar="N",
        help="masks per view that decide the class, for a network trained with context dropout (default: as "
        "calibrated, else 0)",
    )
    parser.add_argument(
        "--combine",
        choices=["mixture", "product"],
        help="how the passes are combined: a mixture of densities, or a product of experts",
    )


def add_scoring(parser: "Parser") -> None:
    """Options of scoring images."""
    add_passes(parser)
    parser.add_argument(
        "--reference", action="store_true", help="use the reference implementation, several times slower, as a check"
    )


def scoring_of(options: Namespace) -> "ScoringConfig":
    """The config of the options of `add_passes` or `add_scoring`."""
    from pixelbayes.inference import ScoringConfig

    reference = getattr(options, "reference", False)
    return ScoringConfig(views=options.views, masks=options.masks, combine=options.combine, reference=reference)


def add_acceptance(parser: "Parser") -> None:
    """Options of sampling with acceptance."""
    parser.add_argument(
        "--accept",
        type=float,
        metavar="RATE",
        help="keep the best share of the draws of each class, judged by the posterior of the class",
    )
    parser.add_argument(
        "--judge", default="", metavar="RUN", help="dedicated classifier that judges the draws (default: RUN itself)"
    )
    parser.add_argument(
        "--max-draws",
        type=int,
        metavar="K",
        help="draws of a sample, at most; the last one is kept (default: so many that 99 of 100 samples are accepted)",
    )


def acceptance_of(options: Namespace) -> "AcceptanceConfig | None":
    """The config of the options of `add_acceptance`; None without `--accept`."""
    from pixelbayes.experiments import AcceptanceConfig

    if options.accept is not None:
        return AcceptanceConfig(rate=options.accept, judge=options.judge, max_draws=options.max_draws)
    if options.judge or options.max_draws is not None:
        raise InputError("--judge RUN and --max-draws K need --accept RATE")
    return None


def check_count(option: str, count: int, least: int = 1) -> None:
    """Checks a number of samples. The message names the option, because the field of the config has another name."""
    if count < least:
        raise InputError(f"{option} is {count}, expected {f'at least {least}' if least else '0 or more'}")


def add_features(parser: "Parser") -> None:
    """Options of the features that compare samples with real images."""
    parser.add_argument(
        "--features",
        default="classifier",
        metavar="NAME",
        help="classifier, inception-64, inception-192 or inception-2048 (default: %(default)s)",
    )
    parser.add_argument(
        "--classifier",
        type=Path,
        metavar="RUN",
        help="dedicated classifier (default: trained once on the data, cached)",
    )
    parser.add_argument(
        "--inception-weights", type=Path, metavar="FILE", help="Inception weights (default: searched for, downloaded)"
    )
    parser.add_argument(
        "--reference-size",
        nargs=2,
        type=int,
        metavar=("H", "W"),
        help="size of the real images (default: that of the network's images)",
    )


def features_of(options: Namespace) -> "FeatureConfig":
    """The config of the options of `add_features`."""
    from pixelbayes.experiments import FeatureConfig

    return FeatureConfig(
        features=options.features,
        classifier=options.classifier,
        inception_weights=options.inception_weights,
        reference_size=tuple(options.reference_size) if options.reference_size else None,
    )


def with_config_of_run(arguments: list[str]) -> list[str]:
    """Adds the config of the run to `--out RUN --resume`; other options may not contradict it."""
    from pixelbayes.cli.parser import PreParser
    from pixelbayes.utils.run_folder import RunFolder

    pre_parser = PreParser()
    pre_parser.add_argument("--out", type=Path)
    pre_parser.add_argument("--resume", action="store_true")
    early = pre_parser.parse_known_args(arguments)[0]
    if early.resume and not early.out:
        raise InputError("--resume needs --out, the run to continue")
    if not early.resume:
        return arguments
    config = RunFolder(early.out).config
    if not config.is_file():
        raise InputError(f"{early.out} holds no run to resume; correct --out, or start a run without --resume")
    return ["--config", str(config), *arguments]


def run_folder(options: Namespace, name: str) -> Path:
    """The folder of `--out`, or a new one."""
    from pixelbayes.experiments.claim import new_run_folder

    folder: Path = options.out or new_run_folder(name)
    return folder


def source_name(config: "RunConfig") -> str:
    """The name of the data, for a folder name."""
    return Path(config.data.source.rpartition(":")[2]).name


def fusion_name(config: "ExperimentConfig") -> str:
    """The name of the fusion, for a folder name."""
    from pixelbayes.utils.files import safe_name

    fusion = config.model.fusion
    return safe_name(fusion if isinstance(fusion, str) else "+".join(fusion))


def show_run(metrics: Mapping[str, Any], run: Path) -> None:
    """Prints the metrics of a finished run and its folder."""
    if not metrics:  # only the first process has them
        return
    show_metrics(metrics)
    show_folder("run folder", run)


def show_folder(name: str, folder: Path) -> None:
    """Prints a folder and its page."""
    from pixelbayes.utils.run_folder import RunFolder

    print(f"{name}: {folder}\nopen {RunFolder(folder).page}")


def show_metrics(metrics: Mapping[str, Any]) -> None:
    """Prints metrics, as in metrics.json, and sample quality if it is among them."""
    from pixelbayes.metrics.registry import METRICS
    from pixelbayes.report.tables import scored_with

    rows = {}
    if metrics["accuracy"] is not None:
        low, high = metrics["accuracy_interval"]
        rows["accuracy"] = f"{metrics['accuracy']:.4f}  (95% interval {low:.4f} to {high:.4f})"
        rows["macro F1"] = f"{metrics['macro_f1']:.4f}"
        rows |= {m.heading: m.cell(metrics) for m in METRICS.values() if m.compute is not None and m.cell(metrics)}
        rows["posterior at T = 1"] = _calibration(metrics)
        if after := metrics["calibrated"]:
            rows[f"posterior at T = {after['temperature']:.4g}"] = f"{_calibration(after)}; {after['source']}"
    if "n" in (sets := metrics.get("prediction_sets") or {}):
        low, high = sets["interval"]
        rows["prediction sets"] = (
            f"coverage {sets['coverage']:.4f}  (95% interval {low:.4f} to {high:.4f}; {sets['asked']:.0%} asked), "
            f"{sets['mean_size']:.2f} classes on average; {sets['source']}"
        )
    if metrics["bits_per_dim"] is not None:
        height, width = metrics["image_size"]
        rows["bits per dimension"] = (
            f"{metrics['bits_per_dim']:.4f}  of {metrics['bits_per_dim_of']}, "
            f"{metrics['levels']} levels, {height}x{width}, resize {metrics['resize']}"
        )
    for score, found in metrics.get("ood", {}).get("scores", {}).items():
        low, high = found["auroc_interval"]
        rows[f"AUROC of {score}"] = f"{found['auroc']:.3f}  (95% interval {low:.3f} to {high:.3f})"
    rows["images"] = str(metrics["n"])
    if passes := scored_with(metrics):
        rows["scored with"] = passes
    show_pairs(f"{metrics['data']}, {metrics['split']}", rows)
    if metrics.get("quality"):
        show_quality(metrics["quality"])


def _calibration(metrics: Mapping[str, Any]) -> str:
    return f"NLL {metrics['nll']:.4f}, Brier {metrics['brier']:.4f}, ECE {metrics['ece']:.4f}"


def show_quality(quality: Mapping[str, Any]) -> None:
    """Prints sample quality, as in quality.json."""
    from rich.table import Table

    from pixelbayes.metrics.registry import METRICS
    from pixelbayes.utils.console import plain_console

    agreement = quality["class_agreement"]
    table = Table(
        "samples",
        "n",
        "FID",
        "KID",
        "class agreement",
        title=f"{quality['extractor']}, against {quality['reference']}",
        title_justify="left",
    )
    for name, found in {"all": quality, **quality["per_class"]}.items():
        share = agreement and (agreement["share"] if name == "all" else agreement["per_class"][name])
        distances = (METRICS["fid"].cell(found), METRICS["kid"].cell(found))
        if found["fid"] is None:
            distances = (found["reason"], "")
        table.add_row(name, str(found["n"]), *distances, "" if share is None else f"{share:.2f}")
    plain_console().print(table)
    if acceptance := quality.get("acceptance"):
        from pixelbayes.experiments import acceptance_line

        print(acceptance_line(acceptance))
    if memorization := quality["memorization"]:
        print(f"copies of training images: {quality['copies']} of {quality['n']} samples")
        if (share := memorization["pixels"]["share_below"]) is not None:
            print(
                f"samples closer to a training image than 95% of held-out images: {share:.1%} "
                "(5% expected without memorization)"
            )


def show_pairs(title: str, rows: Mapping[str, str]) -> None:
    """Prints names and values as a table."""
    from rich.table import Table

    from pixelbayes.utils.console import plain_console

    table = Table(title=title, show_header=False, title_justify="left")
    for name, value in rows.items():
        table.add_row(name, value)
    plain_console().print(table)
