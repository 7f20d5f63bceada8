"""From a source's name to images in memory."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from pixelbayes.data.dataset import ImageData
from pixelbayes.data.decoding import decode
from pixelbayes.data.listing import STANDARD_SPLITS, Listing, class_faults
from pixelbayes.data.sources.csv_table import list_table
from pixelbayes.data.sources.digits import list_digits
from pixelbayes.data.sources.folder import list_folder
from pixelbayes.data.sources.hub import is_saved_dataset, list_hub
from pixelbayes.data.splitting import cut_missing_splits
from pixelbayes.images.preprocessing import Preprocessing, Resize
from pixelbayes.utils.errors import InputError

# name -> what lists it; a new source is one file and one line here
SOURCES: dict[str, Callable[[str, tuple[str, ...]], Listing]] = {
    "digits": list_digits,
    "folder": list_folder,
    "csv": list_table,
    "hub": list_hub,
}


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Which images, and what is done to them before a model sees them."""

    source: str = "digits"  # digits, folder:DIR, csv:DIR, hub:NAME[:VARIANT], or a folder whose layout tells
    image_size: tuple[int, int] | None = None  # H, W; None: the size that all images have
    channels: int | None = None  # 1 grey, 3 RGB; None: 1 if every image is grey, else 3
    levels: int | None = None  # values a colour can take, 2 .. 256; None: the source's own, 17 for digits, else 256
    resize: Resize = "crop"  # "crop": cut the centre to the aspect of image_size; "squash": change the aspect
    class_names: tuple[str, ...] = ()  # the classes in label order; none: the source's own, in alphabetical order
    validation_fraction: float = 0.15  # of each class, cut from train where the source has no validation split
    test_fraction: float = 0.15  # of each class, cut likewise where the source is not divided at all
    split_seed: int = 0  # which images are cut

    def __post_init__(self) -> None:
        fractions = (self.validation_fraction, self.test_fraction)
        if min(fractions) < 0 or sum(fractions) >= 1:
            raise InputError(
                f"validation_fraction and test_fraction are {fractions}, expected 0 or more and less than 1 together"
            )
        if len(set(self.class_names)) < len(self.class_names):
            raise InputError(f"class_names has a name twice: {', '.join(self.class_names)}")
        Preprocessing(  # says what is wrong with the rest, before anything is read
            image_size=(1, 1) if self.image_size is None else self.image_size,
            channels=3 if self.channels is None else self.channels,
            levels=256 if self.levels is None else self.levels,
            resize=self.resize,
        )


def load_data(config: DataConfig) -> ImageData:
    """Reads a source whole.

    Raises:
        InputError: Everything that is wrong with it at once, a line each.
    """
    kind, location = _kind_and_location(config.source)
    listing = SOURCES[kind](location, config.class_names)
    listing = cut_missing_splits(listing, config.validation_fraction, config.test_fraction, config.split_seed)
    if not listing.faults:  # else these would only follow from the others
        listing = replace(listing, faults=[f"{config.source}: {fault}" for fault in class_faults(listing)])
    splits, preprocessing = decode(
        listing,
        image_size=config.image_size,
        channels=config.channels,
        resize=config.resize,
        levels=listing.levels if config.levels is None else config.levels,
    )
    return ImageData(
        splits={name: splits[name] for name in STANDARD_SPLITS if name in splits},
        class_names=listing.class_names,
        preprocessing=preprocessing,
        source=config.source,
        cut_from_train=listing.cut_from_train,
    )


def _kind_and_location(source: str) -> tuple[str, str]:
    kind, _, location = source.partition(":")
    if kind in SOURCES and bool(location) == (kind != "digits"):
        return kind, location
    folder = Path(source).expanduser()
    if not source or not folder.is_dir():
        raise InputError(f"data source {source!r} is neither a folder nor digits, folder:DIR, csv:DIR or hub:NAME")
    if (folder / "train.csv").is_file():
        return "csv", source
    return ("hub" if is_saved_dataset(folder) else "folder"), source
