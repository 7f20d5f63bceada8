"""A page to read: headline figures, then sections of pictures and tables, in one HTML file that needs nothing else."""

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from matplotlib.figure import Figure

from pixelbayes.evaluation.figures.style import DPI, to_png
from pixelbayes.files import write_text


@dataclass(frozen=True)
class Card:
    """One headline figure: its name, its value as it should be read, and what has to be known beside it."""

    name: str
    value: str
    note: str = ""


@dataclass(frozen=True)
class Table:
    """Rows of text under a head. The first column names its row; the others hold numbers unless `numeric` is False."""

    rows: Sequence[Sequence[str]]
    columns: Sequence[str] = ()  # no head if empty
    caption: str = ""
    numeric: bool = True


@dataclass(frozen=True)
class Picture:
    """A PNG of `DPI`, what it shows in words for those who cannot see it, and a caption."""

    png: bytes
    description: str
    caption: str = ""

    @classmethod
    def of(cls, figure: Figure, description: str, caption: str = "") -> "Picture":
        return cls(to_png(figure), description, caption)

    @cached_property
    def size(self) -> tuple[int, int]:
        """Width and height in CSS pixels (1/96 inch), from the PNG's header."""
        width, height = (int.from_bytes(self.png[at : at + 4], "big") for at in (16, 20))
        return round(width * 96 / DPI), round(height * 96 / DPI)

    @cached_property
    def uri(self) -> str:
        return "data:image/png;base64," + b64encode(self.png).decode("ascii")


@dataclass(frozen=True)
class Listing:
    """Text to copy as it stands, such as a command or a config."""

    text: str
    title: str
    folded: bool = False  # shown on a click


@dataclass(frozen=True)
class Section:
    title: str
    text: str = ""
    pictures: Sequence[Picture] = ()
    tables: Sequence[Table] = ()
    listings: Sequence[Listing] = ()
    gallery: bool = False  # pictures side by side, scaled to fit, to be compared at a glance


@dataclass(frozen=True)
class Page:
    title: str
    summary: str = ""
    kicker: str = ""  # the kind of page, above its title
    cards: Sequence[Card] = ()
    sections: Sequence[Section] = ()
    footer: str = ""

    def html(self) -> str:
        """The page as HTML: style and images inside it, no script, and no right to load anything."""
        environment = Environment(
            loader=PackageLoader("pixelbayes", "evaluation"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        return environment.get_template("page.html.j2").render(page=self)

    def write(self, path: str | Path) -> None:
        """Writes the page to a file that is whole or not there."""
        write_text(path, self.html())
