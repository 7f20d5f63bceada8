"""The networks that come with the package, by name."""

from pathlib import Path

FOLDER = Path(__file__).parent / "weights"


def bundled_names() -> list[str]:
    """Names of the bundled networks."""
    return sorted(path.stem for path in FOLDER.glob("*.safetensors"))


def bundled_weights(name: str | Path) -> Path | None:
    """The weights file of a bundled network; None if there is none of that name."""
    return FOLDER / f"{name}.safetensors" if str(name) in bundled_names() else None
