"""Commands that use a network: sample, classify, import and average."""

from argparse import BooleanOptionalAction
from pathlib import Path

from pixelbayes.cli.options import (
    IMAGES_HELP,
    RUN_HELP,
    acceptance_of,
    add_acceptance,
    add_device,
    add_scoring,
    check_count,
    make_parser,
    run_folder,
    scoring_of,
)
from pixelbayes.utils.errors import InputError


def sample(arguments: list[str]) -> None:
    """Draw new images of a class, or of every class."""
    parser = make_parser(
        "sample",
        sample.__doc__,
        (
            "sample food-and-fur --label koala --num-samples 16 --out koalas",
            "sample runs/pets --complete photo.jpg --keep-rows 16 --out completed",
        ),
    )
    parser.add_argument("run", metavar="RUN", help=RUN_HELP)
    parser.add_argument(
        "--label", action="append", metavar="CLASS", help="name or number of a class; may be repeated (default: all)"
    )
    parser.add_argument(
        "--num-samples", type=int, default=25, metavar="N", help="images of each class (default: %(default)s)"
    )
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="folder for the images (default: a new one under runs/)"
    )
    parser.add_argument(
        "--temperature", type=float, default=1.0, metavar="T", help="T of p^(1/T) (default: 1, the model itself)"
    )
    parser.add_argument(
        "--guidance", type=float, default=0.0, metavar="W", help="classifier-free guidance (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="random seed (default: %(default)s)")
    parser.add_argument(
        "--complete", type=Path, metavar="IMAGE", help="image to complete; needs one of the next two options"
    )
    kept = parser.add_mutually_exclusive_group()
    kept.add_argument("--keep-rows", type=int, metavar="N", help="keep the first N rows of it")
    kept.add_argument("--keep-pixels", type=int, metavar="N", help="keep the first N pixels of it, row by row")
    add_acceptance(parser)
    parser.add_argument(
        "--reference", action="store_true", help="use the reference sampler, which runs the network for every pixel"
    )
    parser.add_argument(
        "--compile",
        action=BooleanOptionalAction,
        help="compile the sampler: half a minute more, then about twice as fast (default: if it pays off)",
    )
    add_device(parser)
    options = parser.parse_args(arguments)
    if (options.complete is None) != (options.keep_rows is None and options.keep_pixels is None):
        parser.error("--complete IMAGE needs one of --keep-rows N and --keep-pixels N, and they need it")
    check_count("num-samples", options.num_samples)
    if options.accept is not None and options.complete is not None:
        parser.error("--accept RATE and --complete IMAGE exclude each other")

    import json

    from pixelbayes import experiments
    from pixelbayes.experiments.sample import ACCEPTANCE_FILE
    from pixelbayes.inference import SamplingConfig

    config = SamplingConfig(
        count=options.num_samples,
        seed=options.seed,
        temperature=options.temperature,
        guidance=options.guidance,
        reference=options.reference,
        compile=options.compile,
    )
    acceptance = acceptance_of(options)
    out = run_folder(options, "samples")
    files = experiments.sample(
        options.run,
        out,
        config,
        classes=options.label or (),
        complete=options.complete,
        keep_rows=options.keep_rows,
        keep_pixels=options.keep_pixels,
        acceptance=acceptance,
        device=options.device,
    )
    print(f"{len(files)} images in {out}")
    if acceptance:
        found = json.loads((out / ACCEPTANCE_FILE).read_text(encoding="utf-8"))
        print(experiments.acceptance_line(found))


def classify(arguments: list[str]) -> None:
    """Classify image files by Bayes' rule."""
    parser = make_parser(
        "classify",
        classify.__doc__,
        ("classify food-and-fur photo.jpg", "classify runs/pets photo.jpg more-photos --out answers.csv"),
    )
    parser.add_argument("run", metavar="RUN", help=RUN_HELP)
    parser.add_argument("images", metavar="IMAGE", nargs="+", type=Path, help=IMAGES_HELP)
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="write a csv with p(c | x) and log p(x | c) of every class"
    )
    add_scoring(parser)
    add_device(parser)
    options = parser.parse_args(arguments)

    from rich.table import Table

    from pixelbayes import experiments
    from pixelbayes.metrics.conformal import set_members
    from pixelbayes.report.predictions import prediction_rows
    from pixelbayes.utils.console import plain_console
    from pixelbayes.utils.files import csv_text, write_text

    trained, measurement = experiments.classify(options.run, options.images, scoring_of(options), device=options.device)
    if options.out:
        write_text(options.out, csv_text(prediction_rows(trained, measurement)))
    ood = experiments.out_of_distribution(trained, measurement)
    members = [] if measurement.sets is None else set_members(measurement.sets, trained.class_names)
    heading = [f"{measurement.set_metrics['asked']:.0%} set"] if measurement.set_metrics else []
    table = Table("image", "class", "p(c | x)", "second", *heading, *(["out of distribution by"] if ood else []))
    for i, (image, posterior) in enumerate(zip(measurement.split.names, measurement.posterior, strict=True)):
        p, order = posterior.sort(descending=True)
        (first, *others) = [trained.class_names[label] for label in order.tolist()]
        second = f"{others[0]} {p[1]:.4f}" if others else ""
        in_set = [f"{{{', '.join(members[i])}}}"] if members else []
        table.add_row(image, first, f"{p[0]:.4f}", second, *in_set, *([", ".join(ood[i])] if ood else []))
    plain_console().print(table)
    if ood is None:
        print("not calibrated; `pixelbayes calibrate` calibrates p(c | x) and enables out-of-distribution detection")


def import_network(arguments: list[str]) -> None:
    """Convert a network of the course's code (a state dict, .pth)."""
    parser = make_parser(
        "import",
        import_network.__doc__,
        (
            "import conditional_pixelcnn.pth --out runs/imported",
            "import conditional_pixelcnn.pth --class-names cheeseburger panda koala pizza --out runs/imported",
        ),
    )
    parser.add_argument(
        "network", metavar="COURSE.pth", type=Path, help="file written by torch.save(model.state_dict(), ...)"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="the run folder to make")
    parser.add_argument(
        "--class-names", nargs="+", metavar="NAME", default=(), help="in label order (default: numbers)"
    )
    parser.add_argument("--image-size", nargs=2, type=int, metavar=("H", "W"), help="if the images are not square")
    options = parser.parse_args(arguments)

    from pixelbayes.checkpoints import checkpoint
    from pixelbayes.checkpoints.course_import import import_course_network
    from pixelbayes.utils.run_folder import RunFolder

    size = tuple(options.image_size) if options.image_size else None
    path = RunFolder(options.out).best
    if path.exists():
        raise InputError(f"{path} exists already; give another --out")
    network = import_course_network(options.network, image_size=size, class_names=tuple(options.class_names))
    checkpoint.save(network, path)
    print(f"wrote {path}")


def average(arguments: list[str]) -> None:
    """Average the weights of runs that started from the same weights (`--init-from`), or of epochs of one run."""
    parser = make_parser(
        "average",
        average.__doc__,
        (
            "average runs/a runs/b --out runs/mean.safetensors",
            "average runs/a/best.safetensors runs/a/last.safetensors --out runs/mean.safetensors",
        ),
    )
    parser.add_argument(
        "runs",
        metavar="RUN",
        nargs="+",
        help=f"two or more, of the same config; each a {RUN_HELP}. Averaging independently trained networks does not "
        "work; `evaluate --ensemble` combines those",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.safetensors", help="the weights file to write")
    options = parser.parse_args(arguments)
    if options.out.suffix != ".safetensors":
        raise InputError(f"{options.out}: the name does not end in .safetensors; give another --out")
    if options.out.exists():
        raise InputError(f"{options.out} exists already; give another --out")

    from dataclasses import replace

    from pixelbayes.checkpoints import checkpoint
    from pixelbayes.checkpoints.merging import average_weights
    from pixelbayes.experiments.claim import command_line

    mean = average_weights([checkpoint.load(run) for run in options.runs], options.runs)
    provenance = replace(mean.provenance, command=command_line())
    checkpoint.save(replace(mean, provenance=provenance), options.out)
    print(f"wrote {options.out}, the mean of {len(options.runs)} networks: {', '.join(options.runs)}")
    print(f"next: `pixelbayes calibrate {options.out} --data SOURCE`, then `pixelbayes evaluate`")
