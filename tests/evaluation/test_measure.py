import math
from dataclasses import replace

import pytest
import torch
from networks import random_images, randomised, tiny_model

from pixelbayes.checkpoints.checkpoint import BaselineCheckpoint, Checkpoint
from pixelbayes.data import Split
from pixelbayes.evaluation.measure import calibrate, measure, measure_baseline
from pixelbayes.images.pixels import to_x
from pixelbayes.images.preprocessing import Preprocessing
from pixelbayes.inference import Scorer, Viewed, combined
from pixelbayes.inference.classifier import log_posterior
from pixelbayes.metrics.calibration import Calibration
from pixelbayes.metrics.ood import fit_typical
from pixelbayes.metrics.selective import RiskCoverage
from pixelbayes.metrics.temperature_scaling import cross_fitted, fingerprint, fit_temperature
from pixelbayes.models.context_dropout import fixed_masks
from pixelbayes.models.resnet import ResNet, ResNetConfig
from pixelbayes.utils.errors import InputError

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


# After one temperature

WRONG = (1, 4, 9)


def mostly_right(checkpoint):
    """Images that the network is right about but for three, so that its temperature is between the bounds."""
    images = split(*[-1] * 12)
    labels = measure(checkpoint, images).predicted
    labels[list(WRONG)] = (labels[list(WRONG)] + 1) % 3
    return replace(images, labels=labels)


def calibrated(checkpoint, images):
    return replace(checkpoint, calibration=calibrate(checkpoint, measure(checkpoint, images), "zoo", "validation"))


def flipped(images):
    return replace(images, pixels=images.pixels.flip(0), labels=images.labels.flip(0))


def test_without_a_temperature_the_figures_after_one_are_cross_fitted():
    checkpoint = trained()
    images = mostly_right(checkpoint)
    found = measure(checkpoint, images)
    assert found.calibrated.source == "cross-fitted on these images"
    assert found.calibrated.temperature == fit_temperature(found.evidence, found.log_prior, images.labels)
    torch.testing.assert_close(found.log_posterior, found.evidence.log_softmax(dim=1))  # as it is: nothing is stored
    crossed = cross_fitted(found.evidence, found.log_prior, images.labels)
    assert found.calibrated.calibration == Calibration.of(crossed, images.labels)


def test_a_stored_temperature_makes_the_posterior_and_the_figures_before_it_stay():
    plain = trained(prior=(0.5, 0.25, 0.25))
    images = flipped(mostly_right(plain))
    checkpoint = calibrated(plain, flipped(images))
    found, before = measure(checkpoint, images), measure(plain, images)
    joint = found.log_prob / checkpoint.temperature + checkpoint.log_prior
    torch.testing.assert_close(found.posterior, joint.softmax(dim=1))
    assert found.calibration == before.calibration
    assert found.calibrated.source == "fitted on zoo, validation"
    assert found.calibrated.calibration == Calibration.of(found.log_posterior, images.labels)
    assert found.bits_per_dim == pytest.approx(before.bits_per_dim)  # a density is not tempered


def test_on_the_very_images_of_the_fit_the_figures_are_cross_fitted_all_the_same():
    plain = trained()
    images = mostly_right(plain)
    found, before = measure(calibrated(plain, images), images), measure(plain, images)
    assert found.calibrated.source == "cross-fitted on these images"
    assert found.calibrated == before.calibrated
    assert found.calibrated.calibration != Calibration.of(found.log_posterior, images.labels)


def test_too_few_labels_have_no_figures_after():
    assert measure(trained(), split(0, 1, 2, 0)).calibrated is None
    assert measure(trained(), split(0, 1, 2, 0)).figures()["calibrated"] is None
    assert measure(trained(), split(-1, -1)).figures()["selective"] is None


def test_figures_before_stand_at_the_top_and_those_after_under_their_own_name():
    found = measure(trained(), mostly_right(trained()))
    figures = found.figures()
    assert (figures["nll"], figures["ece"]) == (found.calibration.nll, found.calibration.ece)
    assert figures["nll_interval"] == list(found.calibration.nll_interval)
    assert figures["calibrated"]["temperature"] == found.calibrated.temperature
    assert figures["calibrated"]["brier"] == found.calibrated.calibration.brier
    assert figures["selective"]["aurc"] == RiskCoverage.of(found.log_posterior, found.split.labels).aurc


def test_the_marginal_is_the_mixture_of_the_classes():
    found = measure(trained(prior=(0.5, 0.25, 0.25)), split(0, 1, -1))
    mixture = (found.log_prob + torch.tensor([0.5, 0.25, 0.25], dtype=torch.float64).log()).logsumexp(dim=1)
    torch.testing.assert_close(found.log_marginal, mixture)


# What is kept


def test_what_is_fitted_says_what_it_was_fitted_to():
    checkpoint = trained()
    images = mostly_right(checkpoint)
    images.labels[0] = -1
    found = measure(checkpoint, images)
    fitted = calibrate(checkpoint, found, "zoo", "validation")
    assert (fitted.weights, fitted.data, fitted.n) == (checkpoint.digest, fingerprint(images), 11)
    assert fitted.nll_before == pytest.approx(found.calibration.nll)
    tempered = Calibration.of(log_posterior(found.evidence, found.log_prior, fitted.temperature), images.labels)
    assert fitted.nll_after == pytest.approx(tempered.nll)
    assert fitted.nll_after < fitted.nll_before / 2
    assert fitted.typical == fit_typical(found.log_marginal, images.pixels, 5)


def test_a_dedicated_classifier_is_tempered_by_its_logits_without_a_prior():
    torch.manual_seed(0)
    network = ResNet(ResNetConfig(widths=(4, 8), blocks=(1, 1), num_classes=3, levels=5, image_size=(8, 12))).eval()
    plain = BaselineCheckpoint(
        network=network,
        class_names=("ant", "bee", "cow"),
        preprocessing=Preprocessing(image_size=(8, 12), levels=5),
        prior=(0.5, 0.25, 0.25),
    )
    images = split(*[0, 1, 2] * 4)
    fitted = calibrate(plain, measure_baseline(plain, images), "zoo", "validation")
    found = measure_baseline(replace(plain, calibration=fitted), flipped(images))
    with torch.no_grad():
        logits = network(to_x(found.split.pixels, 5)).double()
    torch.testing.assert_close(found.posterior, (logits / fitted.temperature).softmax(dim=1), rtol=1e-5, atol=1e-7)
    assert fitted.typical is None


def test_a_temperature_needs_labels():
    checkpoint = trained()
    with pytest.raises(InputError, match="zoo, test: a temperature is fitted to labels of two or more classes"):
        calibrate(checkpoint, measure(checkpoint, split(-1, -1)), "zoo", "test")


# views


def of_views(views=4):
    network = randomised(tiny_model(views=views)).float()
    return replace(trained(), network=network)


@pytest.mark.parametrize("plain", [False, True])
def test_views_make_one_density_and_their_mean_one_classifier(plain):
    checkpoint, images = of_views(), split(0, 1, 2, 0)
    each = Viewed(Scorer(checkpoint.network), 4).reading_log_prob(to_x(images.pixels, 5), 3).double()
    density = measure(checkpoint, images, views=4, plain=plain)
    mean = measure(checkpoint, images, views=4, combine="mean", plain=plain)
    torch.testing.assert_close(density.log_prob, combined(each[:, 0], "density"), rtol=1e-5, atol=1e-3)
    torch.testing.assert_close(mean.log_prob, density.log_prob, rtol=1e-5, atol=1e-3)
    torch.testing.assert_close(mean.log_posterior, each[:, 0].mean(dim=0).log_softmax(dim=1), rtol=1e-3, atol=1e-3)
    assert mean.bits_per_dim == pytest.approx(density.bits_per_dim, rel=1e-6)  # of the density, however it classifies
    assert (mean.figures()["views"], mean.figures()["combine"]) == (4, "mean")


@pytest.mark.parametrize("views", [2, 3, 8])
def test_views_that_a_network_was_not_told_of_are_refused(views):
    with pytest.raises(InputError, match=f"views is {views}, but this network can score 1;"):
        measure(trained(), split(0, 1), views=views)


@pytest.mark.parametrize("plain", [False, True])
def test_masks_tell_the_class_and_the_whole_its_likelihood(plain):
    network = randomised(tiny_model(views=2, context_dropout=0.4, context_patch=2)).float()
    checkpoint, images = replace(trained(), network=network), split(0, 1, 2, 0)
    masks = fixed_masks(6, 0.4, 2, 8, 12)
    each = Viewed(Scorer(network), 2, masks=masks).reading_log_prob(to_x(images.pixels, 5), 3).double()
    found = measure(checkpoint, images, views=2, masks=3, plain=plain)
    torch.testing.assert_close(
        found.log_posterior, each[:, 1:].mean(dim=(0, 1)).log_softmax(dim=1), rtol=1e-3, atol=1e-3
    )
    torch.testing.assert_close(found.log_prob, combined(each[:, 0], "density"), rtol=1e-5, atol=1e-3)
    assert {name: found.figures()[name] for name in ("views", "masks", "combine")} == {
        "views": 2,
        "masks": 3,
        "combine": "mean",
    }
    checkpoint = replace(checkpoint, calibration=calibrate(checkpoint, found, "here", "validation"))
    assert checkpoint.calibration.masks == 3
    assert measure(checkpoint, images).masks == 3
    assert measure(checkpoint, images, masks=0).masks == 0


def test_masks_that_a_network_has_not_learnt_by_are_refused():
    with pytest.raises(InputError, match="masks is 2, but the network has seen whole images alone; train one with"):
        measure(trained(), split(0, 1), masks=2)
    with pytest.raises(InputError, match="masks is -1, expected 0 or more"):
        measure(trained(), split(0, 1), masks=-1)


def test_a_temperature_holds_for_the_views_it_was_fitted_to_alone():
    checkpoint, images, others = of_views(), split(0, 1, 2, 0, 1, 2), split(2, 1, 0)
    fitted = calibrate(checkpoint, measure(checkpoint, images, views=2, combine="mean"), "here", "validation")
    assert (fitted.views, fitted.combine) == (2, "mean")
    checkpoint = replace(checkpoint, calibration=fitted)
    same = measure(checkpoint, others, views=2, combine="mean")
    torch.testing.assert_close(
        same.log_posterior, log_posterior(same.evidence, same.log_prior, fitted.temperature), rtol=1e-12, atol=0
    )
    for views, combine in ((2, "density"), (4, "mean"), (1, "density")):
        other = measure(checkpoint, others, views=views, combine=combine)
        torch.testing.assert_close(other.log_posterior, log_posterior(other.evidence, other.log_prior))
