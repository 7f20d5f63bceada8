"""Networks that come with the package, by name."""

from pathlib import Path

FOLDER = Path(__file__).parent / "weights"


def shipped_names() -> list[str]:
    """What comes with the package."""
    return sorted(path.stem for path in FOLDER.glob("*.safetensors"))


def shipped_weights(name: str | Path) -> Path | None:
    """The weights file of that name; None if none comes with the package."""
    return FOLDER / f"{name}.safetensors" if str(name) in shipped_names() else None
