"""The command that checks labelled images."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from pixelbayes.cli.options import run_folder, show_folder, show_pairs, source_name
from pixelbayes.utils.errors import InputError

BY = ("classifier", "density")


def audit(arguments: list[str]) -> None:
    """Find images that are likely mislabelled, near-duplicates or out of place, and propose corrections."""
    from pixelbayes import experiments
    from pixelbayes.cli.config_parser import ConfigParser
    from pixelbayes.cli.parser import PreParser
    from pixelbayes.experiments.audit import FOLDS, PROPOSALS
    from pixelbayes.experiments.baseline import BASELINES, BaselineConfig
    from pixelbayes.experiments.presets import PRESETS

    pre_parser = PreParser()
    pre_parser.add_argument("--by", choices=BY, default=BY[0])
    by_density = pre_parser.parse_known_args(arguments)[0].by == "density"
    words: dict[str, Any] = {
        "prog": "pixelbayes audit",
        "description": audit.__doc__,
        "examples": (
            "audit folder:pets --image-size 32 32 --out runs/pets-audit",
            "audit folder:pets --image-size 32 32 --out runs/pets-audit --apply pets-corrected",
        ),
    }
    parser: ConfigParser[Any] = (
        ConfigParser(experiments.ExperimentConfig, PRESETS, start="best", **words)
        if by_density
        else ConfigParser(BaselineConfig, BASELINES, start="photographs", **words)
    )
    parser.add_argument("source", metavar="DATA", nargs="?", help="the images, as for --data")
    parser.add_argument(
        "--by",
        choices=BY,
        default=BY[0],
        help="what judges the labels: dedicated classifiers, or densities, which take longer (default: classifier)",
    )
    parser.add_argument(
        "--folds", type=int, default=FOLDS, metavar="N", help="parts of the images; a network is trained for each"
    )
    parser.add_argument(
        "--apply", type=Path, metavar="DIR", help=f"write a copy of the images corrected by {PROPOSALS} in --out"
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder of the audit (default: a new one under runs/)")
    config, other = parser.parse_config(arguments)
    if other.source:
        if "data.source" in parser.given:
            raise InputError("the images are given twice, as DATA and by --data; leave one out")
        config = replace(config, data=replace(config.data, source=other.source))
    if other.print_config:
        print(config.as_yaml(), end="")
        return
    out = run_folder(other, f"{source_name(config)}-audit")
    if not (other.apply and experiments.audit_is_finished(out)):
        found = experiments.audit(config, out, folds=other.folds).summary()
        low, high = found["accuracy_interval"]
        rows = {
            "likely mislabelled": f"{found['mislabelled']} of {found['judged']} images",
            "near-duplicates": f"{found['near_duplicates']}, {found['near_duplicates_across_splits']} across splits",
            "out of place": str(found["out_of_place"]),
            "accuracy": f"{found['accuracy']:.4f}  (95% interval {low:.4f} to {high:.4f}), of the labels as they are",
        }
        show_pairs(f"{config.data.source}, {found['images']} images", rows)
        show_folder("folder", out)
    if other.apply:
        counts = experiments.apply_proposals(config.data, out, other.apply)
        show_pairs(f"{other.apply}, a corrected copy", {name: str(count) for name, count in counts.items()})
