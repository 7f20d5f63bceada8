"""What `pixelbayes.load` returns takes images in any form."""

import pytest
import torch
from runs import CLASSES

import pixelbayes
from pixelbayes import experiments
from pixelbayes.experiments.predict import measure_images
from pixelbayes.images.preprocessing import to_image
from pixelbayes.utils.errors import InputError


def test_the_samples_of_a_network_are_recognised_in_every_form():
    trained = pixelbayes.load("digits")
    samples = torch.cat([trained.sample(name, 3, seed=1) for name in trained.class_names])
    asked = [name for name in trained.class_names for _ in range(3)]
    found = trained.predict(samples)
    assert sum(map(str.__eq__, found, asked)) >= 27  # of 30
    pictures = [to_image(pixels, 17) for pixels in samples]
    assert trained.predict(pictures) == trained.predict(samples[:, 0].numpy()) == found


def test_probabilities_are_those_of_the_command_line(finished_run, pictures):
    trained, folder = pixelbayes.load(finished_run), pictures / "test" / "dog"
    _, measurement = experiments.classify(finished_run, [folder], device="cpu")
    assert torch.equal(trained.predict_proba(folder), measurement.posterior)
    assert torch.equal(trained.log_prob(folder), measurement.log_prob)
    assert trained.predict(folder) == [CLASSES[label] for label in measurement.predicted]
    assert trained.predict_proba(folder).dtype == torch.float64


def test_images_are_scored_with_the_passes_of_the_calibration():
    trained = pixelbayes.load("digits")
    assert measure_images(trained, trained.sample("3")).views == trained.calibration.views == 2


def test_a_dedicated_classifier_takes_the_same_images(classifier_run, pictures):
    trained = pixelbayes.load_classifier(classifier_run)
    assert trained.predict_proba(pictures / "test" / "owl").sum(dim=1).tolist() == pytest.approx([1] * 4)
    assert set(trained.predict(pictures / "test" / "owl")) <= set(CLASSES)
    assert type(pixelbayes.load_any(classifier_run)) is type(trained)


def test_prediction_sets_hold_the_predicted_class_and_need_a_threshold(finished_run, pictures):
    trained = pixelbayes.load(finished_run)
    images = sorted((pictures / "test" / "cat").iterdir())
    for predicted, members in zip(trained.predict(images), trained.predict_set(images), strict=True):
        assert predicted in members
    averaged = pixelbayes.average_weights([trained, trained], ["a", "b"])
    assert averaged.predict(images)  # it is ready for use too
    with pytest.raises(InputError, match="no threshold for prediction sets; `pixelbayes calibrate` fits one"):
        averaged.predict_set(images)


def test_an_ensemble_offers_what_its_networks_do_apart_from_samples(finished_run, second_run, pictures):
    members = [pixelbayes.load(run) for run in (finished_run, second_run)]
    ensemble, folder = pixelbayes.make_ensemble(members), pictures / "test" / "dog"
    mean = torch.stack([member.log_prob(folder) for member in members]).logsumexp(dim=0) - torch.tensor(2.0).log()
    torch.testing.assert_close(ensemble.log_prob(folder), mean)
    posterior = ensemble.predict_proba(folder)
    assert ensemble.predict(folder) == [CLASSES[label] for label in posterior.argmax(dim=1)]
    with pytest.raises(InputError, match=r"no threshold for prediction sets; `calibrated\(source\)` fits one"):
        ensemble.predict_set(folder)
    calibrated = ensemble.calibrated(str(pictures))
    assert calibrated.temperature != 1
    assert not torch.equal(calibrated.predict_proba(folder), posterior)
    for predicted, names in zip(calibrated.predict(folder), calibrated.predict_set(folder), strict=True):
        assert predicted in names
    assert not hasattr(ensemble, "sample")


def test_a_network_that_is_saved_and_loaded_again_predicts_the_same(finished_run, pictures, tmp_path):
    trained, images = pixelbayes.load(finished_run), pictures / "test" / "cat"
    pixelbayes.save_pretrained(trained, tmp_path)
    assert torch.equal(pixelbayes.from_pretrained(tmp_path).predict_proba(images), trained.predict_proba(images))
