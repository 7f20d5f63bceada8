from pathlib import Path

import numpy as np
import pytest
import torch
from networks import random_images

from pixelbayes.checkpoints.checkpoint import load, save
from pixelbayes.checkpoints.course_import import import_course_network
from pixelbayes.checkpoints.provenance import Provenance
from pixelbayes.data import DataConfig, load_data
from pixelbayes.evaluation.measure import measure
from pixelbayes.images.pixels import to_x
from pixelbayes.utils.errors import InputError
from tests.vectors.make_course_network import SIZE, CourseNetwork, course_state

VECTORS = Path(__file__).parents[1] / "vectors" / "course_network.pth"
SHARED = Path(__file__).parents[3] / "shared"
WEIGHTS = SHARED / "reference" / "input_add_conditional_pixelcnn.pth"
PHOTOGRAPHS = SHARED / "data" / "cpen455"


@pytest.fixture
def saved(tmp_path):
    """Saves a state dict as the course does; returns the path."""

    def save_state(state):
        torch.save(state, tmp_path / "course.pth")
        return tmp_path / "course.pth"

    return save_state


def nll(network, pixels):
    """Nats per image under each class, (B, Y)."""
    x = to_x(pixels, 256, torch.float64)
    labels = range(network.config.num_classes)
    return torch.stack([-network.log_prob(x, torch.full((len(x),), label)) for label in labels], dim=1)


def test_an_imported_network_computes_the_recorded_log_probabilities():
    with np.load(VECTORS.with_suffix(".npz")) as vectors:
        pixels, expected = torch.from_numpy(vectors["pixels"]), torch.from_numpy(vectors["nll"])
    network = import_course_network(VECTORS, image_size=SIZE, dtype=torch.float64).network
    torch.testing.assert_close(nll(network, pixels), expected, rtol=1e-11, atol=0)


@pytest.mark.parametrize("num_blocks", [1, 2])
def test_an_imported_network_computes_the_same_as_the_courses(num_blocks, saved):
    state = course_state(num_blocks)
    network = import_course_network(saved(state), image_size=SIZE, dtype=torch.float64).network
    assert network.config.num_blocks == num_blocks
    x, label = to_x(random_images(4, network.config), 256, torch.float64), torch.tensor([0, 3, 1, 2])
    expected = CourseNetwork(state)(x, label)
    torch.testing.assert_close(network(x, label), expected, rtol=0, atol=1e-12 * expected.abs().max().item())


def test_an_imported_network_is_saved_and_loaded_like_any_other(saved, tmp_path):
    names = ("cheeseburger", "giant panda", "koala", "pizza")
    imported = import_course_network(saved(course_state(1)), image_size=SIZE, class_names=names)
    save(imported, tmp_path / "best.safetensors")
    loaded = load(tmp_path)
    assert loaded.class_names == names
    assert loaded.image_shape.size == SIZE
    assert loaded.provenance == Provenance(imported_from="course.pth")
    x, label = to_x(random_images(2, loaded.network.config), 256), torch.tensor([0, 3])
    assert torch.equal(loaded.network.log_prob(x, label), imported.network.log_prob(x, label))


def test_by_default_images_are_square_and_classes_are_numbered(saved):
    imported = import_course_network(saved(course_state(1, size=(8, 8))))
    assert imported.image_shape.size == (8, 8)
    assert imported.class_names == ("0", "1", "2", "3")


def as_others_save_it(state):
    """A checkpoint of a training loop, of a compiled network in DataParallel with the new weight normalisation."""
    new = {"weight_g": "parametrizations.weight.original0", "weight_v": "parametrizations.weight.original1"}

    def renamed(name):
        start, _, last = name.rpartition(".")
        return f"module._orig_mod.{start}.{new.get(last, last)}"

    return {"epoch": 3, "optimizer": {}, "model_state_dict": {renamed(name): value for name, value in state.items()}}


def test_wrapped_and_renamed_state_dicts_are_read_too(saved):
    state = course_state(1)
    plain = import_course_network(saved(state), image_size=SIZE)
    wrapped = import_course_network(saved(as_others_save_it(state)), image_size=SIZE)
    for one, other in zip(plain.network.parameters(), wrapped.network.parameters(), strict=True):
        assert torch.equal(one, other)


# Other files


class Malicious:
    def __reduce__(self):
        return Path.touch, (Path("executed"),)


def test_pickled_code_is_rejected_and_not_executed(saved, tmp_path, monkeypatch):
    path = saved({"embedding.weight": Malicious()})
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"course.pth: not a state dict that can be read without executing code"):
        import_course_network(path)
    assert not Path("executed").exists()


@pytest.mark.parametrize("data", [b"", b"no network", b"PK\x03\x04", VECTORS.read_bytes()[:5000]])
def test_a_file_that_is_not_a_complete_state_dict_is_rejected_with_its_name(data, tmp_path):
    (tmp_path / "course.pth").write_bytes(data)
    with pytest.raises(InputError, match=r"course.pth: not a state dict"):
        import_course_network(tmp_path / "course.pth")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"course.pth: there is no such file"):
        import_course_network(tmp_path / "course.pth")


@pytest.mark.parametrize("content", [{}, [1, 2], torch.zeros(3), {"weight": torch.zeros(3)}, {"epoch": 1, "model": {}}])
def test_a_file_of_another_network_is_rejected_with_what_it_lacks(content, saved):
    with pytest.raises(
        InputError, match=r"course.pth: not a network of the course's code .* it lacks embedding.weight"
    ):
        import_course_network(saved(content))


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("ul_init.1.conv.weight_g", None, "the state dict lacks ul_init.1.conv.weight_g"),
        ("down_layers.2.ul_stream.1.nin_skip.lin_a.bias", None, "lacks down_layers.2.ul_stream.1.nin_skip.lin_a.bias"),
        ("attention.weight", torch.zeros(3), "it also holds attention.weight"),
        (
            "up_layers.1.u_stream.0.conv_out.conv.weight_v",
            torch.ones(6, 6, 3, 3),
            r"\(6, 6, 3, 3\), expected \(6, 6, 2, 3\)",
        ),
        ("nin_out.lin_a.weight_v", torch.ones(20, 4), r"has shape \(20, 4, 1, 1\), expected \(20, 3, 1, 1\)"),
        ("nin_out.lin_a.weight_v", torch.ones(20), r"nin_out.lin_a.weight_v has shape"),
        ("nin_out.lin_a.weight_g", torch.ones(3, 1), r"nin_out.lin_a.* has shape"),
        ("u_init.conv.bias", torch.ones(5), r"u_init.conv.* has shape"),
        ("u_init.conv.bias", "text", r"lacks u_init.conv.bias"),
        ("embedding.weight", torch.ones(4, 7), r"an embedding of 7 numbers is not an image of 3 x \(8, 12\)"),
    ],
)
def test_a_state_dict_that_does_not_fit_is_rejected_with_the_fault(name, value, message, saved):
    state = course_state(1) | {name: value}
    if value is None:
        del state[name]
    with pytest.raises(InputError, match=f"course.pth: .*{message}"):
        import_course_network(saved(state), image_size=SIZE)


def test_the_size_of_images_that_are_not_square_is_required():
    with pytest.raises(InputError, match="an embedding of 288 numbers is not an image of 3 x"):
        import_course_network(VECTORS)


def test_each_class_needs_a_name():
    with pytest.raises(InputError, match="the network has 4 classes, but there are 2 class names"):
        import_course_network(VECTORS, image_size=SIZE, class_names=("a", "b"))


# The trained network of report 000


@pytest.mark.skipif(not WEIGHTS.is_file(), reason="a trained network of the course is not in ../shared/reference")
def test_a_trained_network_computes_its_recorded_outputs_and_nll():
    with np.load(WEIGHTS.with_name("input_add_vectors.npz")) as vectors:
        pixels, expected = (torch.from_numpy(vectors[name][:4]) for name in ("pixels_uint8", "nll_uint8"))
        params = torch.from_numpy(vectors["params_uint8_class1_first2"])
    network = import_course_network(WEIGHTS, dtype=torch.float64).network
    found = network(to_x(pixels[:2], 256, torch.float64), torch.tensor([1, 1]))
    torch.testing.assert_close(found, params.double(), rtol=1e-6, atol=0)
    torch.testing.assert_close(nll(network, pixels), expected, rtol=1e-6, atol=0)


@pytest.mark.slow
@pytest.mark.skipif(
    not (WEIGHTS.is_file() and PHOTOGRAPHS.is_dir()),
    reason="a trained network of the course and the course's photographs are not in ../shared",
)
def test_a_trained_network_has_its_recorded_accuracy_and_bits_per_dim():
    data = load_data(DataConfig(source=f"csv:{PHOTOGRAPHS}", image_size=(32, 32)))
    metrics = measure(import_course_network(WEIGHTS), data.split("validation")).metrics()
    assert metrics["accuracy"] == pytest.approx(0.7611, abs=0.004)
    assert metrics["bits_per_dim"] == pytest.approx(4.760, abs=0.002)
