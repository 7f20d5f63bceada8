import math
from dataclasses import replace

import pytest
import torch
from networks import random_images, randomised, tiny_model

from pixelbayes.checkpoint import Checkpoint
from pixelbayes.data import Split
from pixelbayes.errors import InputError
from pixelbayes.evaluation.measure import measure
from pixelbayes.images import Preprocessing
from pixelbayes.pixels import to_x

DIMS = 3 * 8 * 12


def trained(classes=3, prior=None):
    network = randomised(tiny_model(num_classes=classes)).float()
    preprocessing = Preprocessing(image_size=(8, 12), levels=5)
    return Checkpoint(
        network=network,
        class_names=("ant", "bee", "cow")[:classes],
        preprocessing=preprocessing,
        prior=prior or (1 / classes,) * classes,
    )


def split(*labels):
    pixels = random_images(len(labels), tiny_model().config)
    return Split(pixels, torch.tensor(labels), tuple(f"image {index}" for index in range(len(labels))))


def nats(checkpoint, images):
    """log p(x | c) as the network gives it, float64 (N, Y)."""
    x = to_x(images.pixels, 5)
    labels = [torch.full((len(x),), label) for label in range(len(checkpoint.class_names))]
    with torch.no_grad():
        return torch.stack([checkpoint.network.log_prob(x, label) for label in labels], dim=1).double()


def test_log_prob_posterior_and_prediction_follow_bayes_rule_with_the_prior():
    checkpoint, images = trained(prior=(0.5, 0.25, 0.25)), split(0, 1, 2, 0, -1)
    found, log_prob = measure(checkpoint, images), nats(checkpoint, images)
    torch.testing.assert_close(found.log_prob, log_prob, rtol=1e-6, atol=1e-4)
    joint = found.log_prob + torch.tensor([0.5, 0.25, 0.25], dtype=torch.float64).log()
    torch.testing.assert_close(found.posterior, joint.softmax(dim=1), rtol=1e-6, atol=0)
    assert found.predicted.tolist() == joint.argmax(dim=1).tolist()


@pytest.mark.parametrize(
    ("labels", "density"),
    [
        ((0, 1, 2, 0), "p(x | label)"),
        ((-1, -1, -1, -1), "p(x)"),
        ((0, -1, 2, -1), "p(x | label), p(x) where unknown"),
    ],
)
def test_bits_are_of_the_images_own_class_and_of_the_mixture_where_it_is_unknown(labels, density):
    prior = (0.5, 0.25, 0.25)
    checkpoint, images = trained(prior=prior), split(*labels)
    found = measure(checkpoint, images)
    nll = 0.0
    for label, row in zip(labels, found.log_prob.tolist(), strict=True):
        largest = max(row)
        mixture = largest + math.log(sum(p * math.exp(value - largest) for p, value in zip(prior, row, strict=True)))
        nll -= row[label] if label >= 0 else mixture
    assert found.bits_per_dim == pytest.approx(nll / len(labels) / (DIMS * math.log(2)))
    assert found.figures()["bits_per_dim_of"] == density


def test_unknown_labels_take_no_part_in_accuracy():
    checkpoint = trained()
    predicted = measure(checkpoint, split(-1, -1, -1, -1)).predicted.tolist()
    wrong = (predicted[1] + 1) % 3
    figures = measure(checkpoint, split(predicted[0], wrong, -1, predicted[3])).figures()
    assert figures["accuracy"] == pytest.approx(2 / 3)
    assert figures["n"] == 4


def test_without_labels_or_with_one_class_alone_there_is_no_accuracy():
    for found in (measure(trained(), split(-1, -1)), measure(trained(classes=1), split(0, 0))):
        assert found.classification is None
        assert (found.figures()["accuracy"], found.figures()["macro_f1"]) == (None, None)


def test_the_batch_size_does_not_matter():
    checkpoint, images = trained(), split(0, 1, 2, 0, 1)
    one, all_ = (measure(checkpoint, images, batch_size=size).log_prob for size in (1, 64))
    torch.testing.assert_close(one, all_, rtol=1e-5, atol=1e-3)


def test_the_loop_over_batches_can_be_watched():
    seen = []
    measure(trained(), split(0, 1, 2, 0, 1), batch_size=2, track=lambda batches: seen.append(list(batches)) or batches)
    assert seen == [[0, 2, 4]]


def test_what_the_network_cannot_take_is_refused():
    good = split(0, 1)
    bad = {
        r"images have shape \(3, 8, 11\), the network takes \(3, 8, 12\)": replace(good, pixels=good.pixels[..., :11]),
        r"images have shape \(1, 8, 12\), the network takes \(3, 8, 12\)": replace(good, pixels=good.pixels[:, :1]),
        "the split holds no image": Split(good.pixels[:0], good.labels[:0], ()),
        "label 3 is beyond the network's 3 classes": replace(good, labels=torch.tensor([0, 3])),
    }
    for message, images in bad.items():
        with pytest.raises(InputError, match=message):
            measure(trained(), images)
