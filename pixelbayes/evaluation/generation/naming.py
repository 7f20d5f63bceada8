"""What sample files are called: `class-0000.png` and on."""

from collections.abc import Sequence

from pixelbayes.files import safe_name


def file_stems(class_names: Sequence[str]) -> list[str]:
    """A file name's beginning for each class; with the label at its end where two classes would share one.

    >>> file_stems(["cat", "sea lion"])
    ['cat', 'sea_lion']
    >>> file_stems(["a b", "a_b"])
    ['a_b-0', 'a_b-1']
    """
    stems = [safe_name(name) for name in class_names]
    if len({stem.casefold() for stem in stems}) < len(stems):  # some file systems take "Cat" and "cat" for the same
        return [f"{stem}-{label}" for label, stem in enumerate(stems)]
    return stems


def sample_name(stem: str, index: int) -> str:
    """The file of image `index` of a class.

    >>> sample_name("cat", 7)
    'cat-0007.png'
    """
    return f"{stem}-{index:04d}.png"
