"""The content of figures, for tests."""

from io import BytesIO

import numpy as np
from matplotlib.text import Text
from PIL import Image

from pixelbayes.plots import to_png


def rendered(figure):
    """uint8 (height, width, 3)."""
    return np.array(Image.open(BytesIO(to_png(figure))).convert("RGB"))


def texts(figure):
    """All visible texts."""
    return [text.get_text() for text in figure.findobj(Text) if text.get_visible() and text.get_text()]
