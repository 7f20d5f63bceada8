"""A page to read: headline figures, then sections of pictures and tables, in one HTML file that needs nothing else."""

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

from pixelbayes.plots.style import DPI, adaptive, holds_image, to_png, to_svg
from pixelbayes.utils.files import write_text

SANS = 'system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Helvetica Neue", sans-serif'

MOST_TICKS = 12  # below a slider on a phone
ENLARGED = 1.2  # a drawing on the page: its words, sized for a paper, are to be read at arm's length


@dataclass(frozen=True)
class Card:
    """One headline figure: its name, its value as it should be read, and what has to be known beside it."""

    name: str
    value: str
    note: str = ""


@dataclass(frozen=True)
class Table:
    """Rows of text under a head. The first column names its row; the others hold numbers unless `numeric` is False.

    `marked` holds (row, column) of cells to stand out; the caption should say what for.
    """

    rows: Sequence[Sequence[str]]
    columns: Sequence[str] = ()  # no head if empty
    caption: str = ""
    numeric: bool = True
    marked: Collection[tuple[int, int]] = ()


@dataclass(frozen=True)
class Picture:
    """A PNG of `DPI`, what it shows in words for those who cannot see it, a caption, and the same as an SVG if known.

    A drawing of lines and words alone is shown as its SVG, in the reader's own scheme. One that holds images is a print
    on white in either scheme: its shades are read against white.
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
        """A PNG file, and the SVG beside it if there is one."""
        svg = path.with_suffix(".svg")
        return cls(path.read_bytes(), description, caption, svg.read_text(encoding="utf-8") if svg.is_file() else None)

    @cached_property
    def size(self) -> tuple[int, int]:
        """Width and height on the page, in CSS pixels (1/96 inch), from the PNG's header; drawings are enlarged."""
        width, height = (int.from_bytes(self.png[at : at + 4], "big") for at in (16, 20))
        scale = 96 / DPI * (1 if self.is_print else ENLARGED)
        return round(width * scale), round(height * scale)

    @property
    def is_print(self) -> bool:
        return self.svg is None or holds_image(self.svg)

    @cached_property
    def uri(self) -> str:
        if self.svg is None or self.is_print:
            return _data_uri("image/png", self.png)
        return _data_uri("image/svg+xml", adaptive(self.svg, SANS).encode())


@dataclass(frozen=True)
class Film:
    """Pictures of one thing as training goes on, of which one is seen at a time: epoch -> picture, epochs rising."""

    frames: Mapping[int, Picture]
    title: str = ""

    @property
    def last(self) -> int:
        """The epoch that is seen before anybody moves the slider."""
        return max(self.frames)


@dataclass(frozen=True)
class Listing:
    """Text to copy as it stands, such as a command or a config."""

    text: str
    title: str
    folded: bool = False  # shown on a click


@dataclass(frozen=True)
class Section:
    """A heading and what is below it, in the order of the fields."""

    title: str
    text: str = ""
    cards: Sequence[Card] = ()
    films: Sequence[Film] = ()  # side by side; one slider moves them all
    pictures: Sequence[Picture] = ()
    tables: Sequence[Table] = ()
    listings: Sequence[Listing] = ()
    gallery: bool = False  # pictures side by side, scaled to fit, to be compared at a glance
    part: str = ""  # of the page: what its neighbours of the same part have in common, such as a run

    @property
    def stops(self) -> list[int]:
        """Epochs at which any film has a picture, rising: where the slider can stand."""
        return sorted({epoch for film in self.films for epoch in film.frames})

    @property
    def ticks(self) -> list[int]:
        """The stops that are written below the slider: all if there is room for them, else the first and the last."""
        return self.stops if len(self.stops) <= MOST_TICKS else [self.stops[0], self.stops[-1]]

    @property
    def is_empty(self) -> bool:
        return not (self.text or self.cards or self.films or self.pictures or self.tables or self.listings)


@dataclass(frozen=True)
class Page:
    """A page of sections; a part of it is a run of sections with that name."""

    title: str
    summary: str = ""
    kicker: str = ""  # the kind of page, above its title
    cards: Sequence[Card] = ()
    sections: Sequence[Section] = ()
    footer: str = ""

    @property
    def parts(self) -> list[tuple[str, list[tuple[int, Section]]]]:
        """The sections, numbered from 1, by part."""
        numbered = enumerate(self.sections, 1)
        return [(part, list(group)) for part, group in groupby(numbered, key=lambda pair: pair[1].part)]

    def html(self) -> str:
        """The page as HTML: style and images inside it, and no right to load anything.

        The only script it may run moves sliders, and is there if it has one; the policy names it by its SHA-256.
        """
        environment = Environment(
            loader=PackageLoader("pixelbayes", "report"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        script = ""
        if any(len(section.stops) > 1 for section in self.sections):
            script = files("pixelbayes.report").joinpath("page.js").read_text(encoding="utf-8")
        digest = b64encode(sha256(script.encode()).digest()).decode("ascii")
        return environment.get_template("page.html.j2").render(page=self, sans=SANS, script=script, digest=digest)

    def write(self, path: str | Path) -> None:
        """Writes the page to a file that is whole or not there."""
        write_text(path, self.html())


def in_part(part: str, sections: Sequence[Section | None]) -> list[Section]:
    """The sections that hold anything, as a part of a page."""
    return [replace(section, part=part) for section in sections if section is not None and not section.is_empty]


def _data_uri(kind: str, content: bytes) -> str:
    return f"data:{kind};base64," + b64encode(content).decode("ascii")
