"""From weights to image files."""

from pathlib import Path

from pixelbayes.checkpoints import checkpoint
from pixelbayes.checkpoints.checkpoint import Checkpoint
from pixelbayes.evaluation.sample_folder import file_stems, sample_name
from pixelbayes.experiments.run_folder import check_folder
from pixelbayes.images.preprocessing import open_image, save_image
from pixelbayes.inference import Given, sample_classes
from pixelbayes.utils.devices import pick_device
from pixelbayes.utils.errors import InputError
from pixelbayes.utils.progress import tracker


def sample(
    run: str | Path,
    out: Path,
    *,
    classes: list[str] | None = None,
    count: int = 25,
    temperature: float = 1.0,
    guidance: float = 0.0,
    seed: int = 0,
    given: Path | None = None,
    rows: int | None = None,
    pixels: int | None = None,
    plain: bool = False,
    compiled: bool | None = None,
    device: str = "auto",
) -> list[Path]:
    """Draws images and saves each as a PNG, `class-0000.png` and on.

    Args:
        run: A run folder or weights file.
        out: The folder to save into; none of the files may exist.
        classes: Names or numbers of classes; None for all.
        count: Images of each class.
        given: An image file to complete: its first `rows` rows, or its first `pixels` pixels, are kept.
        temperature, guidance, seed, plain, compiled: As in `sample_classes`.

    Returns:
        The files, class by class.
    """
    if count < 1:
        raise InputError(f"n is {count}, expected at least 1")
    if not temperature > 0:
        raise InputError(f"temperature is {temperature}, expected a number above 0")
    trained = checkpoint.load(run, pick_device(device))
    labels = list(dict.fromkeys(map(trained.label, classes or trained.class_names)))  # each once
    check_folder(out)
    stems = file_stems(trained.class_names)
    files = [[out / sample_name(stems[label], index) for index in range(count)] for label in labels]
    taken = [file for of_class in files for file in of_class if file.exists()]
    if taken:
        raise InputError(f"{taken[0]} exists, and {len(taken) - 1} more; give another --out")
    drawn = sample_classes(
        trained.network,
        labels,
        count,
        seed=seed,
        temperature=temperature,
        guidance=guidance,
        given=_given(trained, given, rows, pixels) if given else None,
        plain=plain,
        compiled=compiled,
        track=tracker("sampling, row by row"),
    )
    for of_class, series in zip(files, drawn, strict=True):
        for file, image in zip(of_class, series, strict=True):
            save_image(file, image, trained.preprocessing.levels)
    return [file for of_class in files for file in of_class]


def _given(trained: Checkpoint, image: Path, rows: int | None, pixels: int | None) -> Given:
    height, width = trained.network.config.image_size
    name, kept, most = ("rows", rows, height) if rows is not None else ("pixels", pixels or 0, height * width)
    if not 0 <= kept <= most:
        raise InputError(f"{name} is {kept}, expected 0 to {most}: the network's images are {height} x {width}")
    return Given(trained.preprocessing(open_image(image))[None], kept * width if name == "rows" else kept)
