import json
from dataclasses import replace
from pathlib import Path

import pytest
import safetensors.torch
import torch
from networks import COMBINED, random_images, randomised, tiny_model

from pixelbayes.checkpoints.calibration_record import CalibrationRecord
from pixelbayes.checkpoints.checkpoint import calibration_file, find_weights, load, load_any, load_classifier, save
from pixelbayes.checkpoints.provenance import AveragedNetwork, Provenance
from pixelbayes.checkpoints.trained import TrainedClassifier, TrainedPixelCNN
from pixelbayes.data import DataConfig
from pixelbayes.images.pixels import to_x
from pixelbayes.images.preprocessing import Preprocessing
from pixelbayes.images.shape import ImageShape
from pixelbayes.models.fusion import FUSIONS
from pixelbayes.models.resnet import ResNet, ResNetConfig
from pixelbayes.utils.errors import InputError

SHAPE = ImageShape(height=8, width=12, channels=3, levels=5)
PROVENANCE = Provenance(
    command="pixelbayes train",
    config={"data": {"source": "zoo", "class_names": ["ant", "bee"]}},
    epoch=7,
    monitor="accuracy",
    metrics={"val/bits_per_dim": 1.5},
)


def trained(fusion="film", **changes):
    return TrainedPixelCNN(
        network=randomised(tiny_model(fusion, **changes)).float(),
        class_names=("ant", "bee", "2"),
        preprocessing=Preprocessing(image_shape=SHAPE, resize="squash"),
        prior=(0.5, 0.25, 0.25),
        provenance=PROVENANCE,
    )


def trained_classifier():
    torch.manual_seed(0)
    network = ResNet(ResNetConfig(widths=(4, 8), blocks=(1, 1), num_classes=3, image_shape=SHAPE))
    network(torch.rand(4, 3, 8, 12))  # changes the running statistics
    return TrainedClassifier(
        network=network.eval(),
        class_names=("ant", "bee", "2"),
        preprocessing=Preprocessing(image_shape=SHAPE),
        prior=(0.5, 0.25, 0.25),
    )


@pytest.fixture
def file(tmp_path):
    """A weights file in a run folder."""
    path = tmp_path / "run" / "best.safetensors"
    save(trained(), path)
    return path


@pytest.mark.parametrize("fusion", [*FUSIONS, *COMBINED])
def test_a_network_is_loaded_as_it_was_saved(fusion, tmp_path):
    changes = {"mean": (0.1, 0.2, 0.3), "std": (0.5,)} if fusion == "adaln" else {}
    saved = trained(fusion, weight_norm=fusion != "adaln", **changes)
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


def test_a_class_is_found_by_its_number_only_if_no_class_is_named_by_one():
    network = trained()
    assert [network.label(name) for name in ("ant", "bee", "2")] == [0, 1, 2]
    by_position = replace(network, class_names=("ant", "bee", "fly"))
    assert [by_position.label(name) for name in ("fly", "0", "1")] == [2, 0, 1]


@pytest.mark.parametrize("name", ["wasp", "3", "-1", "", "²"])
def test_an_unknown_class_is_rejected_with_the_valid_ones(name):
    with pytest.raises(InputError, match=f"class '{name}' is unknown; this network knows: ant, bee, 2"):
        trained().label(name)


def test_half_precision_halves_the_file_and_rounds_the_weights(tmp_path):
    complete = trained()
    for half in (False, True):
        save(complete, tmp_path / f"{half}.safetensors", half=half)
    sizes = [(tmp_path / f"{half}.safetensors").stat().st_size for half in (False, True)]
    weights = complete.network.state_dict()
    assert sizes[0] - sizes[1] == pytest.approx(2 * sum(tensor.numel() for tensor in weights.values()), rel=0.01)
    rounded = load(tmp_path / "True.safetensors").network.state_dict()
    assert all(torch.equal(rounded[name], tensor.half().float()) for name, tensor in weights.items())


def test_half_precision_does_not_round_integers(tmp_path):
    classifier = trained_classifier()
    counters = [tensor for tensor in classifier.network.state_dict().values() if not tensor.is_floating_point()]
    for counter in counters:
        counter.fill_(70_001)  # above the largest number of float16
    assert counters
    save(classifier, tmp_path / "half.safetensors", half=True)
    stored = load_classifier(tmp_path / "half.safetensors").network.state_dict().values()
    assert [int(tensor) for tensor in stored if not tensor.is_floating_point()] == [70_001] * len(counters)


# Provenance


def test_provenance_contains_the_training_data():
    assert PROVENANCE.data == DataConfig(source="zoo", class_names=("ant", "bee"))
    assert Provenance().data is None


def test_empty_fields_of_provenance_are_not_stored():
    assert Provenance().as_dict() == {}
    averaged = Provenance(averaged=(AveragedNetwork(weights="0a", command="train"),), epoch=0)
    assert averaged.as_dict() == {"averaged": ({"weights": "0a", "command": "train"},), "epoch": 0}


# Dedicated classifiers


def test_a_classifier_is_loaded_as_it_was_saved(tmp_path):
    saved = trained_classifier()
    save(saved, tmp_path / "best.safetensors")
    loaded = load_classifier(tmp_path)
    assert loaded.network.config == saved.network.config
    assert replace(loaded, network=saved.network) == saved
    x = torch.rand(3, 3, 8, 12)
    assert torch.equal(loaded.network(x), saved.network(x))


def test_a_network_of_the_other_kind_is_rejected_and_load_any_accepts_both(tmp_path, file):
    save(trained_classifier(), tmp_path / "classifier.safetensors")
    with pytest.raises(InputError, match=r"holds a dedicated classifier, but a PixelCNN\+\+ is needed"):
        load(tmp_path / "classifier.safetensors")
    with pytest.raises(InputError, match=r"holds a PixelCNN\+\+, but a dedicated classifier is needed"):
        load_classifier(file)
    assert isinstance(load_any(tmp_path / "classifier.safetensors"), TrainedClassifier)
    assert isinstance(load_any(file), TrainedPixelCNN)


@pytest.mark.parametrize("load", [load, load_classifier, load_any])
@pytest.mark.parametrize("kind", [{"kind": "flow"}, {}])
def test_an_unknown_kind_is_rejected_with_its_name(load, kind, file):
    with safetensors.safe_open(file, framework="pt") as opened:
        metadata = opened.metadata()
    del metadata["kind"]
    safetensors.torch.save_file(safetensors.torch.load_file(file), file, metadata | kind)
    with pytest.raises(InputError, match=rf"best.safetensors: .* cannot read \(kind '{kind.get('kind', '')}'\)"):
        load(file)


def test_the_digest_depends_on_the_weights_only(tmp_path):
    first = trained_classifier()
    save(first, tmp_path / "best.safetensors")
    assert load_classifier(tmp_path).digest == first.digest == replace(first, class_names=("x", "y", "z")).digest
    before = first.digest
    with torch.no_grad():
        first.network.to_logits.bias[0] += 1
    assert first.digest != before


# Finding weights


def test_a_run_folder_stands_for_its_best_weights_or_else_its_last(tmp_path):
    with pytest.raises(InputError, match=r"the folder has no best.safetensors; name a run folder whose first epoch"):
        find_weights(tmp_path)
    (tmp_path / "model.safetensors").touch()  # a folder of the hub
    assert find_weights(tmp_path) == tmp_path / "model.safetensors"
    (tmp_path / "last.safetensors").touch()
    assert find_weights(tmp_path) == tmp_path / "last.safetensors"
    (tmp_path / "best.safetensors").touch()
    assert find_weights(tmp_path) == tmp_path / "best.safetensors"
    assert find_weights(str(tmp_path / "last.safetensors")) == tmp_path / "last.safetensors"


def test_a_missing_file_is_rejected_with_the_names_of_the_bundled_networks(tmp_path):
    with pytest.raises(InputError, match=r"no such run folder or weights file, .*: digits, food-and-fur"):
        load(tmp_path / "nothing.safetensors")


# Calibration records


def record_for(trained):
    return CalibrationRecord(
        temperature=37.5,
        weights=trained.digest,
        source="zoo",
        split="validation",
        data="0123456789abcdef",
        n=9,
        nll_before=12.5,
        nll_after=0.7,
    )


def test_a_record_is_used_only_with_the_weights_that_it_was_fitted_to(file):
    assert (load(file).calibration, load(file).temperature, load(file).stale_calibration) == (None, 1, False)
    record = record_for(load(file))
    record.write(calibration_file(file))
    assert (load(file).calibration, load(file).temperature, load(file).stale_calibration) == (record, 37.5, False)
    other = trained()
    with torch.no_grad():
        other.network.to_params.bias[0] += 1
    save(other, file)
    assert (load(file).calibration, load(file).temperature, load(file).stale_calibration) == (None, 1, True)


def test_a_classifier_has_a_calibration_record_too(tmp_path):
    save(trained_classifier(), tmp_path / "best.safetensors")
    record_for(trained_classifier()).write(calibration_file(tmp_path))
    assert load_classifier(tmp_path).temperature == 37.5


def test_the_record_is_beside_the_weights_and_has_their_name_unless_they_are_the_best(tmp_path):
    for weights, record in {
        "best.safetensors": "calibration.json",
        "model.safetensors": "calibration.json",
        "last.safetensors": "last.calibration.json",
        "net.v2.safetensors": "net.v2.calibration.json",
    }.items():
        (tmp_path / weights).touch()
        assert calibration_file(tmp_path / weights) == tmp_path / record
    assert calibration_file(tmp_path) == tmp_path / "calibration.json"


def test_a_damaged_record_is_rejected_with_its_name_and_the_remedy(file):
    calibration_file(file).write_text("{")
    with pytest.raises(InputError, match=r"calibration.json: not a valid calibration \(.*\); delete"):
        load(file)


def test_weights_are_hashed_only_if_there_is_a_record(file, monkeypatch):
    monkeypatch.setattr(TrainedPixelCNN, "digest", property(lambda self: pytest.fail("hashed")))
    load(file)


# Damaged files and files of other programs


@pytest.mark.parametrize("length", [0, 4, 100, 2000, -1])
def test_a_truncated_file_is_rejected_with_its_name(length, file):
    file.write_bytes(file.read_bytes()[:length])
    with pytest.raises(InputError, match=r"best.safetensors: not a complete safetensors file"):
        load(file.parent)


def test_a_damaged_header_is_rejected_with_the_name_of_the_file(file):
    data = bytearray(file.read_bytes())
    data[8:40] = b"\xff" * 32
    file.write_bytes(data)
    with pytest.raises(InputError, match=r"best.safetensors: not a complete safetensors file"):
        load(file)


def test_a_file_of_another_program_is_rejected_with_its_name(file):
    safetensors.torch.save_file({"weight": torch.zeros(3)}, file)
    with pytest.raises(InputError, match=r"best.safetensors: not a file of pixelbayes; `pixelbayes import` converts"):
        load(file)


def rewrite(file, weights=dict, details=dict, length=None):
    """Changes the weights or the details of a file; `length` truncates the details."""
    with safetensors.safe_open(file, framework="pt") as opened:
        metadata = opened.metadata()
    metadata["details"] = json.dumps(details(json.loads(metadata["details"])))[:length]
    metadata["version"] = "9.9"
    safetensors.torch.save_file(weights(safetensors.torch.load_file(file)), file, metadata)


def without(name):
    return lambda values: {key: value for key, value in values.items() if key != name}


def with_changes(part, **changes):
    return lambda details: details | {part: details[part] | changes}


@pytest.mark.parametrize(
    "change",
    [
        {"weights": without("to_params.bias")},
        {"weights": lambda weights: weights | {"extra": torch.zeros(1)}},
        {"weights": lambda weights: weights | {"to_params.bias": torch.zeros(3)}},
        {"details": without("config")},
        {"details": without("class_names")},
        {"details": without("provenance")},
        {"details": with_changes("config", spin=1)},
        {"details": with_changes("config", fusion="magnet")},
        {"details": with_changes("config", image_shape={"height": 8})},
        {"details": with_changes("preprocessing", resize="fit")},
        {"details": with_changes("provenance", spin=1)},
        {"details": lambda details: [details]},
        {"length": 100},
    ],
)
def test_a_file_of_another_version_is_rejected_with_its_name_and_version(change, file):
    rewrite(file, **change)
    with pytest.raises(InputError, match=r"best.safetensors: written by pixelbayes 9.9, which .* cannot read") as error:
        load(file)
    assert "\n" not in str(error.value)


# Interrupted writing


def test_a_failed_save_leaves_the_old_file_and_nothing_else(file, monkeypatch):
    old = file.read_bytes()

    def fail(path, content):
        with path.open("wb") as half:
            half.write(content[: len(content) // 2])
        raise OSError("No space left on device")

    monkeypatch.setattr(Path, "write_bytes", fail)
    with pytest.raises(OSError, match="No space left"):
        save(trained(), file)
    assert file.read_bytes() == old
    assert list(file.parent.iterdir()) == [file]


def test_a_second_save_replaces_the_file(file):
    save(replace(trained(), provenance=Provenance(epoch=8)), file)
    assert load(file).provenance == Provenance(epoch=8)
    assert list(file.parent.iterdir()) == [file]
