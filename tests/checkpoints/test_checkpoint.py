import json
from dataclasses import replace

import pytest
import safetensors.torch
import torch
from networks import COMBINED, random_images, randomised, tiny_model

from pixelbayes.checkpoints import checkpoint as module
from pixelbayes.checkpoints.calibration_record import FittedTemperature
from pixelbayes.checkpoints.checkpoint import (
    BaselineCheckpoint,
    Checkpoint,
    calibration_file,
    find_weights,
    load,
    load_any,
    load_baseline,
    save,
)
from pixelbayes.images.pixels import to_x
from pixelbayes.images.preprocessing import Preprocessing
from pixelbayes.models.fusion import FUSIONS
from pixelbayes.models.resnet import ResNet, ResNetConfig
from pixelbayes.utils.errors import InputError


def trained(fusion="film", **changes):
    """What a run would leave behind, but for the training."""
    network = randomised(tiny_model(fusion, **changes)).float()
    return Checkpoint(
        network=network,
        class_names=("ant", "bee", "2"),
        preprocessing=Preprocessing(image_size=network.config.image_size, channels=3, levels=5, resize="squash"),
        prior=(0.5, 0.25, 0.25),
        about={"epoch": 7, "bits_per_dim": 1.5},
    )


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "run" / "best.safetensors"
    save(trained(), path)
    return path


@pytest.mark.parametrize("fusion", [*FUSIONS, *COMBINED])
@pytest.mark.parametrize(
    "changes", [{}, {"weight_norm": False, "mean": (0.1, 0.2, 0.3), "std": (0.5,), "num_blocks": 2}]
)
def test_what_is_loaded_is_what_was_saved(fusion, changes, tmp_path):
    saved = trained(fusion, **changes)
    save(saved, tmp_path / "best.safetensors")
    loaded = load(tmp_path)
    assert loaded.network.config == saved.network.config
    assert type(loaded.network.config.fusion) is type(fusion)
    assert replace(loaded, network=saved.network) == saved
    x, label = to_x(random_images(3, saved.network.config), 5), torch.tensor([0, -1, 2])
    assert torch.equal(loaded.network.log_prob(x, label), saved.network.log_prob(x, label))
    assert not any(weight.requires_grad for weight in loaded.network.parameters())


def test_the_log_prior_is_the_logarithm_of_the_prior():
    assert trained().log_prior.exp().tolist() == pytest.approx([0.5, 0.25, 0.25])


def test_a_class_goes_by_its_name_first_and_then_by_its_number():
    checkpoint = trained()
    assert [checkpoint.label(name) for name in ("ant", "bee", "2", "0", "1")] == [0, 1, 2, 0, 1]


@pytest.mark.parametrize("name", ["wasp", "3", "-1", "", "²"])
def test_an_unknown_class_is_refused_with_the_known_ones(name):
    with pytest.raises(InputError, match=f"class '{name}' is unknown; this network knows: ant, bee, 2"):
        trained().label(name)


# The dedicated classifier


def trained_baseline():
    torch.manual_seed(0)
    network = ResNet(ResNetConfig(widths=(4, 8), blocks=(1, 1), num_classes=3, levels=5, image_size=(8, 12)))
    network(torch.rand(4, 3, 8, 12))  # moves the running statistics
    return BaselineCheckpoint(
        network=network.eval(),
        class_names=("ant", "bee", "2"),
        preprocessing=Preprocessing(image_size=(8, 12), channels=3, levels=5),
        prior=(0.5, 0.25, 0.25),
    )


def test_a_classifier_is_kept_in_the_same_form(tmp_path):
    saved = trained_baseline()
    save(saved, tmp_path / "best.safetensors")
    loaded = load_baseline(tmp_path)
    assert loaded.network.config == saved.network.config
    assert replace(loaded, network=saved.network) == saved
    x = torch.rand(3, 3, 8, 12)
    assert torch.equal(loaded.network(x), saved.network(x))


def test_a_network_of_the_other_kind_is_refused_by_its_name(tmp_path, file):
    save(trained_baseline(), tmp_path / "baseline.safetensors")
    with pytest.raises(InputError, match=r"holds a dedicated classifier, where a PixelCNN\+\+ is needed"):
        load(tmp_path / "baseline.safetensors")
    with pytest.raises(InputError, match=r"holds a PixelCNN\+\+, where a dedicated classifier is needed"):
        load_baseline(file)


def test_a_network_of_either_kind_can_be_asked_for(tmp_path, file):
    save(trained_baseline(), tmp_path / "baseline.safetensors")
    assert isinstance(load_any(tmp_path / "baseline.safetensors"), BaselineCheckpoint)
    assert isinstance(load_any(file), Checkpoint)


@pytest.mark.parametrize("load", [load, load_baseline, load_any])
def test_a_kind_of_a_later_version_is_refused_by_its_name(load, file):
    with safetensors.safe_open(file, framework="pt") as opened:
        metadata = opened.metadata()
    safetensors.torch.save_file(safetensors.torch.load_file(file), file, metadata | {"kind": "flow"})
    with pytest.raises(InputError, match=r"best.safetensors: .* not understood by .* \(kind 'flow'\)"):
        load(file)


def test_a_file_from_before_there_were_kinds_is_a_pixelcnn(file):
    with safetensors.safe_open(file, framework="pt") as opened:
        metadata = opened.metadata()
    del metadata["kind"]
    safetensors.torch.save_file(safetensors.torch.load_file(file), file, metadata)
    assert load(file).class_names == trained().class_names


def test_the_digest_names_the_weights_and_nothing_else(tmp_path):
    first = trained_baseline()
    save(first, tmp_path / "best.safetensors")
    assert load_baseline(tmp_path).digest == first.digest == replace(first, class_names=("x", "y", "z")).digest
    before = first.digest
    with torch.no_grad():
        first.network.to_logits.bias[0] += 1
    assert first.digest != before


# Where the weights are


def test_a_run_means_its_best_weights_then_its_last_and_a_file_itself(tmp_path):
    with pytest.raises(InputError, match=r"the folder has no best.safetensors; is it a run folder"):
        find_weights(tmp_path)
    (tmp_path / "last.safetensors").touch()
    assert find_weights(tmp_path) == tmp_path / "last.safetensors"
    (tmp_path / "best.safetensors").touch()
    assert find_weights(tmp_path) == tmp_path / "best.safetensors"
    assert find_weights(str(tmp_path / "last.safetensors")) == tmp_path / "last.safetensors"


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"nothing.safetensors: there is no such run folder or weights file"):
        load(tmp_path / "nothing.safetensors")


# What was fitted to the weights


def fitted_to(checkpoint):
    return FittedTemperature(
        temperature=37.5,
        weights=checkpoint.digest,
        source="zoo",
        split="validation",
        data="0123456789abcdef",
        n=9,
        nll_before=12.5,
        nll_after=0.7,
    )


def test_a_temperature_stays_with_the_weights_it_was_fitted_to(file):
    assert (load(file).calibration, load(file).temperature, load(file).stale_calibration) == (None, 1, False)
    fitted = fitted_to(load(file))
    fitted.write(calibration_file(file))
    assert (load(file).calibration, load(file).temperature, load(file).stale_calibration) == (fitted, 37.5, False)
    other = trained()
    with torch.no_grad():
        other.network.to_params.bias[0] += 1
    save(other, file)
    assert (load(file).calibration, load(file).temperature, load(file).stale_calibration) == (None, 1, True)


def test_a_classifier_has_its_temperature_too(tmp_path):
    save(trained_baseline(), tmp_path / "best.safetensors")
    fitted_to(trained_baseline()).write(calibration_file(tmp_path))
    assert load_baseline(tmp_path).temperature == 37.5


def test_it_lies_beside_the_weights_under_their_name_or_the_runs(tmp_path):
    for weights, kept in {
        "best.safetensors": "calibration.json",
        "last.safetensors": "last.calibration.json",
        "net.v2.safetensors": "net.v2.calibration.json",
    }.items():
        (tmp_path / weights).touch()
        assert calibration_file(tmp_path / weights) == tmp_path / kept
    assert calibration_file(tmp_path) == tmp_path / "calibration.json"


def test_a_damaged_calibration_is_refused_by_name_with_the_remedy(file):
    calibration_file(file).write_text("{")
    with pytest.raises(InputError, match=r"calibration.json: not understood \(.*\); delete it, or run `pixelbayes"):
        load(file)


def test_weights_are_hashed_only_for_a_calibration_that_exists(file, monkeypatch):
    monkeypatch.setattr(Checkpoint, "digest", property(lambda self: pytest.fail("hashed")))
    load(file)


# Files that are not whole, or not ours


@pytest.mark.parametrize("kept", [0, 4, 100, 2000, -1])
def test_a_file_that_was_cut_short_is_refused_by_name(kept, file):
    data = file.read_bytes()
    file.write_bytes(data[:kept])
    with pytest.raises(InputError, match=r"best.safetensors: not a whole safetensors file"):
        load(file.parent)


def test_a_damaged_header_is_refused_by_name(file):
    data = bytearray(file.read_bytes())
    data[8:40] = b"\xff" * 32
    file.write_bytes(data)
    with pytest.raises(InputError, match=r"best.safetensors: not a whole safetensors file"):
        load(file)


def test_another_programs_file_is_refused_by_name(file):
    safetensors.torch.save_file({"weight": torch.zeros(3)}, file)
    with pytest.raises(InputError, match=r"best.safetensors: a safetensors file, but not one of pixelbayes"):
        load(file)


def rewrite(file, weights=dict, details=dict, cut=None):
    """Changes the weights or the details of a file; `cut` keeps so many letters of the details."""
    with safetensors.safe_open(file, framework="pt") as opened:
        metadata = opened.metadata()
    metadata["details"] = json.dumps(details(json.loads(metadata["details"])))[:cut]
    metadata["version"] = "9.9"
    safetensors.torch.save_file(weights(safetensors.torch.load_file(file)), file, metadata)


def without(name):
    return lambda values: {key: value for key, value in values.items() if key != name}


@pytest.mark.parametrize(
    "change",
    [
        {"weights": without("to_params.bias")},
        {"weights": lambda weights: weights | {"extra": torch.zeros(1)}},
        {"weights": lambda weights: weights | {"to_params.bias": torch.zeros(3)}},
        {"details": without("config")},
        {"details": without("class_names")},
        {"details": lambda details: details | {"config": details["config"] | {"spin": 1}}},
        {"details": lambda details: details | {"config": details["config"] | {"fusion": "magnet"}}},
        {"details": lambda details: details | {"preprocessing": details["preprocessing"] | {"levels": 0}}},
        {"details": lambda details: [details]},
        {"cut": 100},
    ],
)
def test_a_file_of_another_version_is_refused_by_name_and_version(change, file):
    rewrite(file, **change)
    with pytest.raises(InputError, match=r"best.safetensors: written by pixelbayes 9.9 and not understood by") as error:
        load(file)
    assert "\n" not in str(error.value)


# Whole or not at all


def test_saving_that_fails_leaves_the_old_file_and_nothing_half_written(file, monkeypatch):
    old = file.read_bytes()

    def fail(weights, path, metadata):
        path.write_bytes(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr(module.safetensors.torch, "save_file", fail)
    with pytest.raises(OSError, match="No space left"):
        save(trained(), file)
    assert file.read_bytes() == old
    assert list(file.parent.iterdir()) == [file]


def test_saving_again_replaces_the_file(file):
    save(replace(trained(), about={"epoch": 8}), file)
    assert load(file).about == {"epoch": 8}
    assert list(file.parent.iterdir()) == [file]
