"""Loads the images of a source into memory."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from pixelbayes.data.dataset import ImageData
from pixelbayes.data.decoding import decode
from pixelbayes.data.listing import STANDARD_SPLITS, Listing, class_faults
from pixelbayes.data.sources.archive import layout_of, list_archive
from pixelbayes.data.sources.cifar import list_cifar
from pixelbayes.data.sources.csv_table import list_table
from pixelbayes.data.sources.digits import list_digits
from pixelbayes.data.sources.folder import list_folder
from pixelbayes.data.sources.hub import is_saved_dataset, list_hub
from pixelbayes.data.sources.idx import list_idx
from pixelbayes.data.sources.npz import list_npz
from pixelbayes.data.splitting import cut_missing_splits
from pixelbayes.images.preprocessing import Preprocessing, Resize
from pixelbayes.images.shape import ImageShape
from pixelbayes.utils.archives import is_archive
from pixelbayes.utils.config_docs import documented
from pixelbayes.utils.errors import InputError, check_fields

SOURCES: dict[str, Callable[[str, tuple[str, ...]], Listing]] = {
    "digits": list_digits,
    "folder": list_folder,
    "csv": list_table,
    "npz": list_npz,
    "idx": list_idx,
    "cifar": list_cifar,
    "archive": list_archive,
    "hub": list_hub,
}
"""The function that lists each kind of source, given the location after the colon and the class names, if any."""


@documented
@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """The images and their preprocessing.

    Raises:
        InputError: If a value is out of its range.
    """

    source: str = "digits"
    """digits, folder:DIR, csv:DIR, npz:FILE, idx:DIR, cifar:DIR, archive:FILE, hub:NAME or hub:NAME:VARIANT; or a
    folder, npz file or archive, whose contents decide"""
    image_size: tuple[int, int] | None = None
    """height and width in pixels; by default the common size of the images"""
    channels: int | None = None
    """1 (grey) or 3 (RGB); by default 1 if all images are grey, otherwise 3"""
    levels: int | None = None
    """number of values a colour can take, 2 to 256; by default 17 for digits, otherwise 256"""
    resize: Resize = "crop"
    """crop cuts the centre to the aspect ratio of image_size; squash changes the aspect ratio"""
    class_names: tuple[str, ...] = ()
    """classes in label order; by default those of the source, numbers by value, then in alphabetical order"""
    validation_fraction: float = 0.15
    """fraction of each class, 0 to 1, that is cut from train if the source has no validation split"""
    test_fraction: float = 0.15
    """fraction of each class, 0 to 1, that is cut from train if the source has no splits at all"""
    split_seed: int = 0
    """random seed of the images that are cut from train"""

    def __post_init__(self) -> None:
        fractions = (self.validation_fraction, self.test_fraction)
        if not (min(fractions) >= 0 and sum(fractions) < 1):
            raise InputError(
                f"validation_fraction and test_fraction are {fractions}, expected 0 or more and less than 1 together"
            )
        if len(set(self.class_names)) < len(self.class_names):
            raise InputError(f"class_names has a name twice: {', '.join(self.class_names)}")
        check_fields(
            self, ("image_size",), lambda size: size is None or len(size) == 2, "a height and a width, such as 32 32"
        )
        height, width = self.image_size or (1, 1)
        shape = ImageShape(  # checks the values before any image is decoded
            height=height,
            width=width,
            channels=3 if self.channels is None else self.channels,
            levels=256 if self.levels is None else self.levels,
        )
        Preprocessing(image_shape=shape, resize=self.resize)

    def matching(self, preprocessing: Preprocessing) -> "DataConfig":
        """The same source with this preprocessing."""
        shape = preprocessing.image_shape
        return replace(
            self, image_size=shape.size, channels=shape.channels, levels=shape.levels, resize=preprocessing.resize
        )


def list_images(config: DataConfig) -> Listing:
    """Lists the images of a source without decoding them. The faults that are found so far are in the listing.

    Raises:
        InputError: If the source is unknown or cannot be opened.
    """
    kind, location = _kind_and_location(config.source)
    listing = SOURCES[kind](location, config.class_names)
    listing = cut_missing_splits(listing, config.validation_fraction, config.test_fraction, config.split_seed)
    if not listing.faults:  # otherwise these would only be consequences of the others
        listing = replace(listing, faults=[f"{config.source}: {fault}" for fault in class_faults(listing)])
    return listing


def load_data(config: DataConfig) -> ImageData:
    """Decodes all images of a source.

    Raises:
        InputError: If the source is unknown or has faults; the message has one line per fault.
    """
    listing = list_images(config)
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
        left_out=listing.left_out,
        written_labels=listing.written_labels,
    )


def _kind_and_location(source: str) -> tuple[str, str]:
    kind, _, location = source.partition(":")
    if kind in SOURCES and bool(location) == (kind != "digits"):
        return kind, location
    path = Path(source).expanduser()
    if path.is_file() and path.suffix.lower() == ".npz":
        return "npz", source
    if path.is_file() and is_archive(path):
        return "archive", source
    if not source or not path.is_dir():
        forms = ", ".join(kind if kind == "digits" else f"{kind}:..." for kind in SOURCES)
        raise InputError(
            f"data source {source!r} is neither a folder, an npz file, a zip or tar archive nor one of {forms}; "
            "correct --data"
        )
    if is_saved_dataset(path):
        return "hub", source
    kind, contents = layout_of(path)
    return kind, str(contents)
