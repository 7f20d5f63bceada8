"""Sphinx configuration: `make docs` builds the Markdown pages and an API reference into docs/_build/html."""

import contextlib
import io
import re
from dataclasses import is_dataclass
from html import escape
from pathlib import Path

from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx
from sphinx.ext.napoleon import Config as NapoleonConfig
from sphinx.ext.napoleon import GoogleDocstring
from sphinx.util import logging
from sphinx.writers.html5 import HTML5Translator

from pixelbayes import __version__

REPOSITORY = "https://github.com/pixelbayes/pixelbayes"
DOCS = Path(__file__).parent
ROOT = DOCS.parent

project = "pixelbayes"
author = "The pixelbayes authors"
project_copyright = author
version = release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"pixelbayes {__version__}"
html_extra_path = sorted(page.name for page in DOCS.glob("*.html"))  # reports that `pixelbayes compare` wrote
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False

myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 4  # the same anchors as on GitHub
html_math_renderer = "mathml"  # needs no script, so that the pages also work without a network

default_role = "code"  # docstrings put code between single backticks
add_module_names = False
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "exclude-members": "set_score_request"}  # scikit-learn makes it
autodoc_typehints_format = "short"
autodoc_inherit_docstrings = False
autodoc_preserve_defaults = True
python_maximum_signature_line_length = 100

MACROS = {"dots": r"\ldots", "big": r"\bigl", "Big": r"\Bigl"}  # LaTeX that docutils does not know: what it knows
FENCED = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(?<!!)\[([^\]]*)\]\(([^)\s#:]+)((?:#[^)\s]*)?)\)")
CODE_OR_BAR = re.compile(r"(^\s*(?:>>>|\.\.\.).*|`[^`]*`)|\|")

logger = logging.getLogger(__name__)


def link_files(app: Sphinx, docname: str, source: list[str]) -> None:
    """Makes links to files that are no page of the site work: reports are copied, all others are on GitHub."""
    folder = (DOCS / docname).parent

    def relink(link: re.Match) -> str:
        text, target, anchor = link.groups()
        path = (folder / target).resolve()
        if path.is_relative_to(DOCS) and (path.suffix == ".md" or path.is_dir()):
            return link[0]
        if path.parent == DOCS and path.name in html_extra_path:
            return f'<a href="{target}{anchor}">{text}</a>'
        return f"[{text}]({REPOSITORY}/{'tree' if path.is_dir() else 'blob'}/main/{path.relative_to(ROOT)}{anchor})"

    parts = FENCED.split(source[0])
    parts[::2] = [LINK.sub(relink, prose) for prose in parts[::2]]
    source[0] = "".join(parts)


def append_help(app: Sphinx, docname: str, source: list[str]) -> None:
    """Appends the `--help` of each command to the page of the command line."""
    if docname != "api/cli":
        return
    from pixelbayes.cli import COMMANDS, main

    for name in COMMANDS:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
            main([name, "--help"])
        source[0] += f"\n## {name}\n\n```text\n{printed.getvalue()}\n```\n"


def convert_docstring(app: Sphinx, what: str, name: str, thing: object, options: object, lines: list[str]) -> None:
    """Converts a Google-style docstring to reStructuredText."""
    if what == "class" and is_dataclass(thing) and "Attributes:" in lines:
        del lines[lines.index("Attributes:") :]  # autodoc lists the fields itself
    lines[:] = [CODE_OR_BAR.sub(lambda found: found[1] or r"\|", line) for line in lines]  # |x| is an absolute value
    if what not in ("attribute", "data", "property"):  # a description; napoleon would take its first words for a type
        google = GoogleDocstring(lines, NapoleonConfig(), app, what, name, thing, options)
        lines[:] = [*google.lines(), ""]


def simplify_signature(
    app: Sphinx, what: str, name: str, thing: object, options: object, arguments: str | None, returns: str | None
) -> tuple[str | None, str | None]:
    """Shows the default of a field with a factory as `...`, because Sphinx cannot parse `<factory>`."""
    return arguments and arguments.replace("<factory>", "..."), returns


def mathml(node: nodes.math | nodes.math_block, displayed: bool) -> str:
    """The formula as MathML, which browsers show without a script; an unknown command is a warning."""
    latex = re.sub(r"\\(dots|big|Big)\b", lambda command: MACROS[command[1]], node.astext())
    try:
        return tex2mathml(latex, as_block=displayed)
    except MathError as error:
        logger.warning("%s in %r", error, node.astext(), location=node)
        return f"<code>{escape(node.astext())}</code>"


def visit_math(translator: HTML5Translator, node: nodes.math) -> None:
    translator.body.append(mathml(node, displayed=False))
    raise nodes.SkipNode


def visit_displayed_math(translator: HTML5Translator, node: nodes.math_block) -> None:
    translator.body.append(f"<div>{mathml(node, displayed=True)}</div>")
    raise nodes.SkipNode


def setup(app: Sphinx) -> None:
    app.connect("source-read", link_files)
    app.connect("source-read", append_help)
    app.connect("autodoc-process-docstring", convert_docstring)
    app.connect("autodoc-process-signature", simplify_signature)
    app.add_html_math_renderer("mathml", (visit_math, None), (visit_displayed_math, None))
