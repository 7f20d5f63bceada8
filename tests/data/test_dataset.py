from dataclasses import replace

import pytest
import torch

from pixelbayes.data import ImageData, Split
from pixelbayes.images.preprocessing import Preprocessing
from pixelbayes.images.shape import ImageShape
from pixelbayes.utils.errors import InputError


def split():
    return Split(torch.arange(3 * 4 * 6).view(3, 1, 4, 6).to(torch.uint8), torch.tensor([0, 1, -1]), ("a", "b", "c"))


def data(**splits):
    preprocessing = Preprocessing(image_shape=ImageShape(height=4, width=6, channels=1))
    return ImageData(splits, ("cat", "dog"), preprocessing, source="zoo")


def test_taking_indices_selects_pixels_labels_and_names_in_that_order():
    part = split().take(torch.tensor([2, 0]))
    assert torch.equal(part.pixels, split().pixels[[2, 0]])
    assert (part.labels.tolist(), part.names, len(part)) == ([-1, 0], ("c", "a"), 2)


def test_without_labels_only_the_labels_change():
    images = split().unlabelled()
    assert torch.equal(images.pixels, split().pixels)
    assert (images.labels.tolist(), images.names) == ([-1, -1, -1], ("a", "b", "c"))


def test_the_fingerprint_depends_on_pixels_labels_and_split_but_not_on_names():
    pixels = split().pixels.clone()
    pixels[0, 0, 0, 0] += 1
    renamed = replace(split(), names=("x", "y", "z"))
    changed = [split(), replace(split(), pixels=pixels), split().unlabelled()]
    assert renamed.fingerprint() == split().fingerprint()
    assert data(train=renamed).fingerprint() == data(train=split()).fingerprint()
    assert len({one.fingerprint() for one in changed}) == 3
    assert len({data(train=one).fingerprint() for one in changed} | {data(test=split()).fingerprint()}) == 4


def test_a_missing_split_is_named_with_the_available_ones():
    with pytest.raises(InputError, match="zoo has no 'validation' split, only train, test; add it or name another"):
        data(train=split(), test=split()).split("validation")
