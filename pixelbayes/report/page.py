"""A page of metrics, plots and tables as one self-contained HTML file."""

from base64 import b64encode
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import sha256
from importlib.resources import files
from itertools import groupby
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from matplotlib.figure import Figure

from pixelbayes.plots.style import DPI, adaptive, contains_image, to_png, to_svg
from pixelbayes.utils.files import write_text

SANS = 'system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Helvetica Neue", sans-serif'

MAX_TICKS = 12  # below a slider; more do not fit on a phone
DRAWING_SCALE = 1.2  # enlarges drawings on the page, because their text is sized for print


@dataclass(frozen=True)
class Card:
    """A metric at the top of a page or section.

    Args:
        name: Its name.
        value: Its value as text.
        note: What is needed to interpret it.
    """

    name: str
    value: str
    note: str = ""


@dataclass(frozen=True)
class Table:
    """A table of text. The first column contains the names of the rows.

    Args:
        rows: The cells.
        columns: Names of the columns; empty for a table without a head.
        caption: What the table shows, and what the highlighted cells mean.
        numeric: Whether the other columns contain numbers, which are aligned to the right.
        highlighted: (row, column) of the highlighted cells.
    """

    rows: Sequence[Sequence[str]]
    columns: Sequence[str] = ()
    caption: str = ""
    numeric: bool = True
    highlighted: Collection[tuple[int, int]] = ()


@dataclass(frozen=True)
class Picture:
    """A figure. One without images is shown as SVG and follows the reader's colour scheme; others are PNG on white.

    Args:
        png: PNG with a resolution of `DPI`.
        description: What it shows, for readers who cannot see it (alt text).
        caption: How to read it.
        svg: The same figure as SVG, if there is one.
    """

    png: bytes
    description: str
    caption: str = ""
    svg: str | None = None

    @classmethod
    def of(cls, figure: Figure, description: str, caption: str = "") -> "Picture":
        return cls(to_png(figure), description, caption, to_svg(figure))

    @classmethod
    def read(cls, path: Path, description: str, caption: str = "") -> "Picture":
        """Reads a PNG file, and the SVG file of the same name if there is one."""
        svg = path.with_suffix(".svg")
        return cls(path.read_bytes(), description, caption, svg.read_text(encoding="utf-8") if svg.is_file() else None)

    @cached_property
    def size(self) -> tuple[int, int]:
        """Width and height on the page, in CSS pixels (1/96 inch)."""
        width, height = (int.from_bytes(self.png[at : at + 4], "big") for at in (16, 20))  # in the header of a PNG
        scale = 96 / DPI * (1 if self.is_raster else DRAWING_SCALE)
        return round(width * scale), round(height * scale)

    @property
    def is_raster(self) -> bool:
        """Whether it is shown as PNG on white."""
        return self.svg is None or contains_image(self.svg)

    @cached_property
    def uri(self) -> str:
        if self.svg is None or self.is_raster:
            return _data_uri("image/png", self.png)
        return _data_uri("image/svg+xml", adaptive(self.svg, SANS).encode())


@dataclass(frozen=True)
class Timeline:
    """Pictures of the same thing at several epochs, of which a slider selects one.

    Args:
        frames: The picture at each epoch, in increasing order.
        title: Title below the picture.
    """

    frames: Mapping[int, Picture]
    title: str = ""

    @property
    def last(self) -> int:
        """The epoch that is shown first."""
        return max(self.frames)


@dataclass(frozen=True)
class CodeBlock:
    """Text to copy, such as a command or a config.

    Args:
        text: The text.
        title: Its title.
        folded: Whether it is hidden until the reader opens it.
    """

    text: str
    title: str
    folded: bool = False


@dataclass(frozen=True)
class Section:
    """A section of a page; its content in the order of the fields.

    Args:
        title: Its heading.
        text: A paragraph.
        cards: Metrics.
        timelines: Shown side by side; one slider controls all of them.
        pictures: Figures.
        tables: Tables.
        code: Blocks of text to copy.
        gallery: Whether the pictures are shown side by side, scaled to fit.
        part: Title of the part of the page that the section belongs to, such as the name of a run.
    """

    title: str
    text: str = ""
    cards: Sequence[Card] = ()
    timelines: Sequence[Timeline] = ()
    pictures: Sequence[Picture] = ()
    tables: Sequence[Table] = ()
    code: Sequence[CodeBlock] = ()
    gallery: bool = False
    part: str = ""

    @property
    def epochs(self) -> list[int]:
        """The positions of the slider: all epochs at which any timeline has a picture, in increasing order."""
        return sorted({epoch for timeline in self.timelines for epoch in timeline.frames})

    @property
    def ticks(self) -> list[int]:
        """The labels of the slider: all epochs if there is enough room, else the first and the last one."""
        return self.epochs if len(self.epochs) <= MAX_TICKS else [self.epochs[0], self.epochs[-1]]

    @property
    def is_empty(self) -> bool:
        return not (self.text or self.cards or self.timelines or self.pictures or self.tables or self.code)


@dataclass(frozen=True)
class Page:
    """A page.

    Args:
        title: Its title.
        summary: One or more lines below the title.
        kicker: The kind of page, above the title.
        cards: Metrics.
        sections: The sections. Consecutive sections of the same part are shown under its title.
        footer: A line at the bottom.
    """

    title: str
    summary: str = ""
    kicker: str = ""
    cards: Sequence[Card] = ()
    sections: Sequence[Section] = ()
    footer: str = ""

    @property
    def parts(self) -> list[tuple[str, list[tuple[int, Section]]]]:
        """The sections by part, numbered from 1."""
        numbered = enumerate(self.sections, 1)
        return [(part, list(group)) for part, group in groupby(numbered, key=lambda pair: pair[1].part)]

    def html(self) -> str:
        """The page as HTML. It contains its style and images, and its security policy forbids to load anything.

        The only script controls the sliders. A page without a slider has no script. The policy allows this script by
        its SHA-256, and no other.
        """
        environment = Environment(
            loader=PackageLoader("pixelbayes", "report"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        script = ""
        if any(len(section.epochs) > 1 for section in self.sections):
            script = files("pixelbayes.report").joinpath("page.js").read_text(encoding="utf-8")
        digest = b64encode(sha256(script.encode()).digest()).decode("ascii")
        return environment.get_template("page.html.j2").render(page=self, sans=SANS, script=script, digest=digest)

    def write(self, path: str | Path) -> None:
        """Writes the page to a file."""
        write_text(path, self.html())


def in_part(part: str, sections: Sequence[Section]) -> list[Section]:
    """Makes the sections that are not empty a part of a page."""
    return [replace(section, part=part) for section in sections if not section.is_empty]


def _data_uri(kind: str, content: bytes) -> str:
    return f"data:{kind};base64," + b64encode(content).decode("ascii")
