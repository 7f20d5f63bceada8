import math
from dataclasses import replace

import pytest
import torch
from measured import random_split, trained_pixelcnn, trained_resnet

from pixelbayes.data import Split
from pixelbayes.evaluation.measure import calibrate, measure
from pixelbayes.images.pixels import to_x
from pixelbayes.inference import MultiView, Scorer, ScoringConfig, combine_log_probs
from pixelbayes.inference.classifier import log_posterior
from pixelbayes.metrics.calibration import Calibration
from pixelbayes.metrics.ood import fit_ood_reference
from pixelbayes.metrics.selective import RiskCoverage
from pixelbayes.metrics.temperature_scaling import cross_fitted, fit_temperature
from pixelbayes.models.context_dropout import fixed_masks
from pixelbayes.utils.errors import InputError

DIMS = 3 * 8 * 12
UNIFORM = (1 / 3,) * 3


def class_log_prob(trained, images):
    """log p(x | c) of the network itself, float64 (N, Y)."""
    x = to_x(images.pixels, 5)
    labels = [torch.full((len(x),), label) for label in range(len(trained.class_names))]
    with torch.no_grad():
        return torch.stack([trained.network.log_prob(x, label) for label in labels], dim=1).double()


def test_log_prob_posterior_and_prediction_follow_bayes_rule_with_the_prior():
    trained, images = trained_pixelcnn(prior=(0.5, 0.25, 0.25)), random_split(0, 1, 2, 0, -1)
    found, log_prob = measure(trained, images), class_log_prob(trained, images)
    torch.testing.assert_close(found.log_prob, log_prob, rtol=1e-6, atol=1e-4)
    joint = found.log_prob + torch.tensor([0.5, 0.25, 0.25], dtype=torch.float64).log()
    torch.testing.assert_close(found.posterior, joint.softmax(dim=1), rtol=1e-6, atol=0)
    torch.testing.assert_close(found.log_marginal, joint.logsumexp(dim=1))
    assert found.predicted.tolist() == joint.argmax(dim=1).tolist()


@pytest.mark.parametrize(
    ("labels", "density"),
    [
        ((0, 1, 2, 0), "p(x | label)"),
        ((-1, -1, -1, -1), "p(x)"),
        ((0, -1, 2, -1), "p(x | label), p(x) where unknown"),
    ],
)
def test_bits_per_dim_are_those_of_the_class_and_of_the_marginal_if_the_label_is_unknown(labels, density):
    prior = (0.5, 0.25, 0.25)
    found = measure(trained_pixelcnn(prior=prior), random_split(*labels))
    nll = 0.0
    for label, row in zip(labels, found.log_prob.tolist(), strict=True):
        largest = max(row)
        marginal = largest + math.log(sum(p * math.exp(value - largest) for p, value in zip(prior, row, strict=True)))
        nll -= row[label] if label >= 0 else marginal
    assert found.bits_per_dim == pytest.approx(nll / len(labels) / (DIMS * math.log(2)))
    assert found.metrics()["bits_per_dim_of"] == density


def test_accuracy_ignores_unknown_labels():
    trained = trained_pixelcnn()
    predicted = measure(trained, random_split(-1, -1, -1, -1)).predicted.tolist()
    wrong = (predicted[1] + 1) % 3
    metrics = measure(trained, random_split(predicted[0], wrong, -1, predicted[3])).metrics()
    assert metrics["accuracy"] == pytest.approx(2 / 3)
    assert metrics["n"] == 4


def test_without_labels_or_with_a_single_class_there_is_no_accuracy():
    for found in (
        measure(trained_pixelcnn(), random_split(-1, -1)),
        measure(trained_pixelcnn(prior=(1.0,)), random_split(0, 0)),
    ):
        assert found.classification is None
        names = ("accuracy", "macro_f1", "calibrated", "selective")
        assert [found.metrics()[name] for name in names] == [None] * 4


def test_the_result_does_not_depend_on_the_batch_size_and_the_tracker_wraps_the_batches():
    trained, images, starts = trained_pixelcnn(), random_split(0, 1, 2, 0, 1), []
    small = measure(
        trained, images, ScoringConfig(batch_size=2), track=lambda batches: starts.append(list(batches)) or batches
    )
    torch.testing.assert_close(small.log_prob, measure(trained, images).log_prob, rtol=1e-5, atol=1e-3)
    assert starts == [[0, 2, 4]]


def test_images_that_the_network_does_not_take_are_refused():
    good = random_split(0, 1)
    bad = {
        r"images have shape \(3, 8, 11\), the network takes \(3, 8, 12\)": replace(good, pixels=good.pixels[..., :11]),
        r"images have shape \(1, 8, 12\), the network takes \(3, 8, 12\)": replace(good, pixels=good.pixels[:, :1]),
        "the split holds no image": Split(good.pixels[:0], good.labels[:0], ()),
        "label 3 is out of range: the network has 3 classes": replace(good, labels=torch.tensor([0, 3])),
    }
    for message, images in bad.items():
        with pytest.raises(InputError, match=message):
            measure(trained_pixelcnn(), images)


# Calibration


WRONG = (1, 4, 9)


@pytest.fixture(scope="module")
def mostly_correct():
    """Images of which a network with a uniform prior classifies all but three correctly, so T is within its bounds."""
    images = random_split(*[-1] * 12)
    labels = measure(trained_pixelcnn(prior=UNIFORM), images).predicted
    labels[list(WRONG)] = (labels[list(WRONG)] + 1) % 3
    return replace(images, labels=labels)


def with_calibration(trained, images):
    return replace(trained, calibration=calibrate(trained, measure(trained, images), "zoo", "validation"))


def reversed_split(images):
    return replace(images, pixels=images.pixels.flip(0), labels=images.labels.flip(0))


def test_without_a_stored_temperature_the_calibrated_metrics_are_cross_fitted(mostly_correct):
    found = measure(trained_pixelcnn(prior=UNIFORM), mostly_correct)
    assert found.calibrated.source == "cross-fitted on these images"
    fitted = fit_temperature(found.evidence, found.log_prior, mostly_correct.labels)
    assert found.calibrated.temperature == fitted.value
    torch.testing.assert_close(found.log_posterior, found.evidence.log_softmax(dim=1))  # T = 1
    crossed = cross_fitted(found.evidence, found.log_prior, mostly_correct.labels)
    assert found.calibrated.calibration == Calibration.of(crossed, mostly_correct.labels)


def test_a_stored_temperature_changes_the_posterior_but_not_the_uncalibrated_metrics(mostly_correct):
    plain = trained_pixelcnn(prior=(0.5, 0.25, 0.25))
    images = reversed_split(mostly_correct)
    trained = with_calibration(plain, mostly_correct)
    found, before = measure(trained, images), measure(plain, images)
    joint = found.log_prob / trained.temperature + trained.log_prior
    torch.testing.assert_close(found.posterior, joint.softmax(dim=1))
    assert found.calibration == before.calibration
    assert found.calibrated.source == "fitted on zoo, validation"
    assert found.calibrated.calibration == Calibration.of(found.log_posterior, images.labels)
    assert found.bits_per_dim == pytest.approx(before.bits_per_dim)


def test_on_the_images_that_the_temperature_was_fitted_on_the_metrics_are_cross_fitted(mostly_correct):
    plain = trained_pixelcnn(prior=UNIFORM)
    found, before = measure(with_calibration(plain, mostly_correct), mostly_correct), measure(plain, mostly_correct)
    assert found.calibrated.source == "cross-fitted on these images"
    assert found.calibrated == before.calibrated
    assert found.calibrated.calibration != Calibration.of(found.log_posterior, mostly_correct.labels)


def test_too_few_labels_have_no_calibrated_metrics():
    found = measure(trained_pixelcnn(), random_split(0, 1, 2, 0))
    assert found.calibrated is None
    assert found.metrics()["calibrated"] is None


def test_metrics_json_has_uncalibrated_metrics_at_the_top_and_calibrated_ones_below(mostly_correct):
    found = measure(trained_pixelcnn(), mostly_correct)
    metrics = found.metrics()
    assert (metrics["nll"], metrics["ece"]) == (found.calibration.nll, found.calibration.ece)
    assert metrics["nll_interval"] == list(found.calibration.nll_interval)
    assert metrics["calibrated"]["temperature"] == found.calibrated.temperature
    assert metrics["calibrated"]["brier"] == found.calibrated.calibration.brier
    assert metrics["selective"]["aurc"] == RiskCoverage.of(found.log_posterior, found.split.labels).aurc


def test_a_calibration_record_describes_what_it_was_fitted_on(mostly_correct):
    trained, images = trained_pixelcnn(prior=UNIFORM), replace(mostly_correct, labels=mostly_correct.labels.clone())
    images.labels[0] = -1
    found = measure(trained, images)
    record = calibrate(trained, found, "zoo", "validation")
    assert (record.weights, record.data, record.n) == (trained.digest, images.fingerprint(), 11)
    assert record.nll_before == pytest.approx(found.calibration.nll)
    after = Calibration.of(log_posterior(found.evidence, found.log_prior, record.temperature), images.labels)
    assert record.nll_after == pytest.approx(after.nll)
    assert record.nll_after < record.nll_before / 2
    assert record.ood == fit_ood_reference(found.log_marginal, images.pixels, 5)


def test_the_temperature_of_a_dedicated_classifier_divides_its_logits_without_a_prior():
    plain, images = trained_resnet(), random_split(*[0, 1, 2] * 4)
    plain = replace(plain, network=plain.network.float())
    record = calibrate(plain, measure(plain, images), "zoo", "validation")
    found = measure(replace(plain, calibration=record), reversed_split(images))
    with torch.no_grad():
        logits = plain.network(to_x(found.split.pixels, 5)).double()
    torch.testing.assert_close(found.posterior, (logits / record.temperature).softmax(dim=1), rtol=1e-5, atol=1e-7)
    assert (found.log_prob, found.log_marginal, found.bits_per_dim, record.ood) == (None, None, None, None)


def test_calibration_requires_labels():
    trained = trained_pixelcnn()
    with pytest.raises(InputError, match="zoo, test: calibration needs images with labels of two or more classes"):
        calibrate(trained, measure(trained, random_split(-1, -1)), "zoo", "test")


# Views and masks


@pytest.mark.parametrize("reference", [False, True])
def test_views_are_combined_as_a_mixture_or_as_a_product(reference):
    trained, images = trained_pixelcnn(views=2, prior=UNIFORM), random_split(0, 1, 2, 0)
    passes = MultiView(Scorer(trained.network), 2).pass_log_probs(to_x(images.pixels, 5), 3)[:, 0].double()
    mixture, product = (
        measure(trained, images, ScoringConfig(views=2, combine=combine, reference=reference))
        for combine in ("mixture", "product")
    )
    torch.testing.assert_close(mixture.log_prob, combine_log_probs(passes, "mixture"), rtol=1e-5, atol=1e-3)
    torch.testing.assert_close(product.log_prob, mixture.log_prob, rtol=1e-5, atol=1e-3)
    torch.testing.assert_close(product.log_posterior, passes.mean(dim=0).log_softmax(dim=1), rtol=1e-3, atol=1e-3)
    assert product.bits_per_dim == pytest.approx(mixture.bits_per_dim, rel=1e-6)  # always those of the mixture
    assert (product.metrics()["views"], product.metrics()["combine"]) == (2, "product")


@pytest.mark.parametrize("views", [2, 8])
def test_views_that_the_network_was_not_trained_for_are_refused(views):
    with pytest.raises(InputError, match=f"views is {views}, expected 1; train a network with model.views for more"):
        measure(trained_pixelcnn(), random_split(0, 1), ScoringConfig(views=views))


@pytest.mark.parametrize("reference", [False, True])
def test_masked_passes_decide_the_class_and_unmasked_passes_the_likelihood(reference):
    trained = trained_pixelcnn(views=2, context_dropout=0.4, context_patch=2, prior=UNIFORM)
    images, masks = random_split(0, 1, 2, 0), fixed_masks(4, 0.4, 2, 8, 12)
    passes = MultiView(Scorer(trained.network), 2, masks=masks).pass_log_probs(to_x(images.pixels, 5), 3).double()
    found = measure(trained, images, ScoringConfig(views=2, masks=2, reference=reference))
    expected = passes[:, 1:].mean(dim=(0, 1)).log_softmax(dim=1)
    torch.testing.assert_close(found.log_posterior, expected, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(found.log_prob, combine_log_probs(passes[:, 0], "mixture"), rtol=1e-5, atol=1e-3)
    assert (found.views, found.masks, found.combine) == (2, 2, "product")


def test_the_network_is_scored_as_it_was_calibrated_by_default():
    trained = trained_pixelcnn(views=2, context_dropout=0.4, context_patch=2, prior=UNIFORM)
    images, others = random_split(0, 1, 2, 0), random_split(2, 1)
    record = calibrate(trained, measure(trained, images, ScoringConfig(views=2, masks=1)), "here", "validation")
    assert (record.views, record.masks, record.combine) == (2, 1, "product")
    trained = replace(trained, calibration=record)
    same = measure(trained, others)
    assert (same.views, same.masks, same.combine) == (2, 1, "product")
    calibrated = log_posterior(same.evidence, same.log_prior, record.temperature)
    torch.testing.assert_close(same.log_posterior, calibrated, rtol=1e-12, atol=0)
    for changed in (ScoringConfig(masks=0), ScoringConfig(views=1), ScoringConfig(combine="mixture")):
        other = measure(trained, others, changed)  # the temperature is of another way of scoring
        torch.testing.assert_close(other.log_posterior, log_posterior(other.evidence, other.log_prior))


def test_masks_require_a_network_with_context_dropout():
    with pytest.raises(InputError, match="masks is 2, expected 0 because the network was trained on unmasked images"):
        measure(trained_pixelcnn(), random_split(0, 1), ScoringConfig(masks=2))
