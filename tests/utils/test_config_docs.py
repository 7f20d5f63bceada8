from dataclasses import dataclass, make_dataclass

from pixelbayes.utils.config_docs import documented, field_docs


@dataclass(frozen=True, kw_only=True)
class Base:
    """The base."""

    width: int
    """F, number of
    filters"""
    undocumented: int = 0


@documented
@dataclass(frozen=True, kw_only=True)
class Config(Base):
    """All settings."""

    rate: float = 0.5
    """dropout rate"""

    def method(self):
        """Is not a field."""


def test_the_docstring_of_a_class_lists_its_fields_and_inherited_ones_with_defaults():
    assert Config.__doc__ == (
        "All settings.\n\nAttributes:\n    width: F, number of filters\n    rate: dropout rate (default: 0.5)"
    )


def test_field_docs_are_the_strings_below_the_fields():
    assert field_docs(Config) == {"width": "F, number of filters", "rate": "dropout rate"}


def test_a_class_without_source_code_has_no_field_docs():
    cls = make_dataclass("Made", [("width", int)])
    doc = cls.__doc__
    assert field_docs(cls) == {}
    assert documented(cls).__doc__ == doc
