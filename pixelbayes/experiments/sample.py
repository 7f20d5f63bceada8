"""Draws samples of a run into image files."""

import json
from collections.abc import Sequence
from pathlib import Path

import torch

from pixelbayes.checkpoints import checkpoint
from pixelbayes.checkpoints.trained import TrainedPixelCNN
from pixelbayes.evaluation.sample_folder import file_stems, sample_name
from pixelbayes.experiments.acceptance import Acceptance, AcceptanceConfig, load_judge
from pixelbayes.experiments.claim import check_folder
from pixelbayes.experiments.sizes import check_samples_fit
from pixelbayes.images.preprocessing import open_image, save_image
from pixelbayes.inference import Prefix, SamplingConfig, sample_classes
from pixelbayes.inference.sampler import DEFAULT_SAMPLING
from pixelbayes.utils.devices import pick_device
from pixelbayes.utils.errors import InputError
from pixelbayes.utils.files import write_text
from pixelbayes.utils.progress import tracker

ACCEPTANCE_FILE = "acceptance.json"


def sample(
    run: str | Path,
    out: Path,
    config: SamplingConfig = DEFAULT_SAMPLING,
    *,
    classes: Sequence[str] = (),
    complete: Path | None = None,
    keep_rows: int | None = None,
    keep_pixels: int | None = None,
    acceptance: AcceptanceConfig | None = None,
    device: str = "auto",
) -> list[Path]:
    """Draws samples and saves each as a PNG, `class-0000.png` and so on.

    With acceptance the rule and its results are saved as `acceptance.json` beside them.

    Args:
        run: A run folder, a weights file or the name of a bundled network.
        out: The folder to save to; none of the files may exist.
        config: How to draw, and how many of each class.
        classes: Names or numbers of the classes; all by default.
        complete: An image file to complete.
        keep_rows: Number of rows of that image to keep.
        keep_pixels: Number of pixels of that image to keep, in raster order, instead of rows.
        acceptance: Which draws are kept; None keeps the first draw of each sample.
        device: The device to compute on.

    Returns:
        The files of the samples, class by class.

    Raises:
        InputError: If a class is unknown, a file exists, the image cannot be completed, the judge does not fit, or the
            network does not support guidance.
    """
    if complete and acceptance:
        raise InputError("an image is completed without acceptance, whose thresholds are those of whole samples")
    trained = checkpoint.load(run, pick_device(device))
    trained.check_guidance(config.guidance)
    labels = list(dict.fromkeys(map(trained.label, classes or trained.class_names)))  # each class once
    check_samples_fit(trained.image_shape, config.count, len(labels))
    check_folder(out)
    stems = file_stems(trained.class_names)
    files = [[out / sample_name(stems[label], index) for index in range(config.count)] for label in labels]
    record = out / ACCEPTANCE_FILE
    existing = [file for of_class in (*files, [record]) for file in of_class if file.exists()]
    if existing:
        more = f" and {len(existing) - 1} more exist" if len(existing) > 1 else " exists"
        raise InputError(f"{existing[0]}{more} already; give another --out")
    if acceptance:
        accept = Acceptance.of(trained, load_judge(trained, acceptance, device=device), acceptance, config)
        label = torch.tensor(labels).repeat_interleave(config.count)
        index = torch.arange(config.count).repeat(len(labels))
        samples = accept(label, index, tracker("sampling, draw by draw")).pixels.unflatten(0, (len(labels), -1))
    else:
        samples = sample_classes(
            trained.network,
            labels,
            config,
            prefix=_prefix(trained, complete, keep_rows, keep_pixels) if complete else None,
            track=tracker("sampling, row by row"),
        )
    for of_class, images in zip(files, samples, strict=True):
        for file, image in zip(of_class, images, strict=True):
            save_image(file, image, trained.image_shape.levels)
    if acceptance:
        write_text(record, json.dumps(accept.as_dict(samples, labels), indent=2) + "\n")
    return [file for of_class in files for file in of_class]


def _prefix(trained: TrainedPixelCNN, image: Path, keep_rows: int | None, keep_pixels: int | None) -> Prefix:
    height, width = trained.image_shape.size
    name, kept, most = (
        ("keep-rows", keep_rows, height) if keep_rows is not None else ("keep-pixels", keep_pixels, height * width)
    )
    if kept is None:
        raise InputError("an image to complete needs keep_rows or keep_pixels: how much of it is kept")
    if not 0 <= kept <= most:
        raise InputError(f"{name} is {kept}, expected 0 to {most}, because the network's images are {height} x {width}")
    return Prefix(trained.preprocessing(open_image(image))[None], kept * width if keep_rows is not None else kept)
