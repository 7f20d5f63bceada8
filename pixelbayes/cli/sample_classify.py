"""Commands that use a network."""

from argparse import BooleanOptionalAction
from pathlib import Path

from pixelbayes.cli.options import RUN_HELP, add_device, add_scoring, parser_of, readings
from pixelbayes.utils.errors import InputError


def sample(arguments: list[str]) -> None:
    """Draw new images of a class, or of every class."""
    parser = parser_of(sample)
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
    add_device(parser)
    options = parser.parse_args(arguments)
    if (options.given is None) != (options.rows is None and options.pixels is None):
        parser.error("--given IMAGE and one of --rows N, --pixels N go together")

    from pixelbayes import experiments as experiment
    from pixelbayes.experiments import run_folder as runs

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
    parser = parser_of(classify)
    parser.add_argument("run", metavar="RUN", help=RUN_HELP)
    parser.add_argument("images", metavar="IMAGE", nargs="+", type=Path, help="image files, or folders of them")
    parser.add_argument("--out", type=Path, metavar="FILE", help="csv with p(c | x) and log p(x | c) for every class")
    add_scoring(parser)
    add_device(parser)
    options = parser.parse_args(arguments)

    from rich.console import Console
    from rich.table import Table

    from pixelbayes import experiments as experiment
    from pixelbayes.report.predictions import prediction_rows
    from pixelbayes.utils.files import csv_text, write_text

    trained, measurement = experiment.classify(
        options.run,
        options.images,
        device=options.device,
        **readings(options),
        plain=options.plain,
    )
    if options.out:
        write_text(options.out, csv_text(prediction_rows(trained, measurement)))
    strange = experiment.unlike_training(trained, measurement)
    table = Table("image", "class", "p(c | x)", "then", *(["unlike training by"] if strange else []))
    for i, (image, posterior) in enumerate(zip(measurement.split.names, measurement.posterior, strict=True)):
        p, order = posterior.sort(descending=True)
        (first, *others) = [trained.class_names[label] for label in order.tolist()]
        second = f"{others[0]} {p[1]:.4f}" if others else ""
        table.add_row(image, first, f"{p[0]:.4f}", second, *([", ".join(strange[i])] if strange else []))
    Console().print(table)
    if strange is None:
        print("not calibrated; after `pixelbayes calibrate` p(c | x) means what it says, and outliers are marked")


def import_network(arguments: list[str]) -> None:
    """Turn a network of the course's code (a state dict, .pth) into one of ours."""
    parser = parser_of(import_network, "import")
    parser.add_argument("network", metavar="COURSE.pth", type=Path, help="made by torch.save(model.state_dict(), ...)")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="the run folder to make")
    parser.add_argument(
        "--class-names", nargs="+", metavar="NAME", default=(), help="in label order; numbers if not given"
    )
    parser.add_argument("--image-size", nargs=2, type=int, metavar=("H", "W"), help="if the images are not square")
    options = parser.parse_args(arguments)

    from pixelbayes.checkpoints import checkpoint
    from pixelbayes.checkpoints.course_import import import_course_network

    size = tuple(options.image_size) if options.image_size else None
    path = options.out / checkpoint.BEST
    if path.exists():
        raise InputError(f"{path} exists already; give another --out")
    network = import_course_network(options.network, image_size=size, class_names=tuple(options.class_names))
    checkpoint.save(network, path)
    print(f"wrote {path}")


def average(arguments: list[str]) -> None:
    """Average the weights of runs that began from the same weights (`--start`), or of epochs of one run, into one."""
    parser = parser_of(average)
    parser.add_argument(
        "runs",
        metavar="RUN",
        nargs="+",
        help=f"{RUN_HELP}; two or more of equal configs. Of runs that began apart the mean knows nothing: "
        "`evaluate --with` makes an ensemble of those",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.safetensors", help="the weights file to make")
    options = parser.parse_args(arguments)
    if options.out.suffix != ".safetensors":
        raise InputError(f"{options.out}: a weights file is made, whose name ends in .safetensors; give such an --out")
    if options.out.exists():
        raise InputError(f"{options.out} exists already; give another --out")

    from dataclasses import replace

    from pixelbayes.checkpoints import checkpoint
    from pixelbayes.checkpoints.merging import average_weights
    from pixelbayes.experiments.run_folder import command_line

    found = average_weights([checkpoint.load(run) for run in options.runs], options.runs)
    checkpoint.save(replace(found, about={**found.about, "command": command_line()}), options.out)
    print(f"wrote {options.out}, the mean of {len(options.runs)} networks: {', '.join(options.runs)}")
    print(f"`pixelbayes calibrate {options.out} --data DATA` fits its temperature, `evaluate` tells what it is worth")
