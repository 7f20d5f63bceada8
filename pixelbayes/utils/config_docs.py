"""Attribute docstrings of dataclasses, at run time.

A config field is documented by a string literal below it. Editors and documentation generators read these strings from
the source; Python discards them. `documented` makes them available to `help()` and to the command line too.
"""

import ast
import dataclasses
import inspect
import textwrap
from typing import TypeVar

T = TypeVar("T", bound=type)


def documented(cls: T) -> T:
    """Class decorator that appends the attribute docstrings of a dataclass to its docstring.

    The result has an "Attributes" section in Google style, with the default of each field.
    """
    lines = []
    docs = field_docs(cls)
    for field in dataclasses.fields(cls):
        if field.name in docs:
            default = "" if field.default is dataclasses.MISSING else f" (default: {field.default!r})"
            lines.append(f"    {field.name}: {docs[field.name]}{default}")
    if lines:
        cls.__doc__ = f"{inspect.cleandoc(cls.__doc__ or cls.__name__)}\n\nAttributes:\n" + "\n".join(lines)
    return cls


def field_docs(cls: type) -> dict[str, str]:
    """The attribute docstring of each field of a class and its bases; empty where the source is not available.

    >>> from pixelbayes.images.shape import ImageShape
    >>> field_docs(ImageShape)["height"]
    'H, at least 1'
    """
    docs: dict[str, str] = {}
    for base in reversed(cls.__mro__[:-1]):
        try:
            tree = ast.parse(textwrap.dedent(inspect.getsource(base)))
        except (OSError, TypeError, SyntaxError):  # no source file, as in a frozen application
            continue
        (definition,) = (node for node in tree.body if isinstance(node, ast.ClassDef))
        for node, after in zip(definition.body, definition.body[1:], strict=False):
            if not (isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)):
                continue
            if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
                docs[node.target.id] = inspect.cleandoc(str(after.value.value)).replace("\n", " ")
    return docs
