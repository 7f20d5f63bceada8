from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from networks import random_images

from pixelbayes.checkpoints.checkpoint import load, save
from pixelbayes.checkpoints.course_import import import_course_network
from pixelbayes.data import DataConfig, load_data
from pixelbayes.evaluation.measure import measure
from pixelbayes.images.pixels import to_x
from pixelbayes.utils.errors import InputError

SHARED = Path(__file__).parents[2] / "shared"
WEIGHTS = SHARED / "reference" / "input_add_conditional_pixelcnn.pth"
IMAGES = SHARED / "data" / "cpen455"


# The course's network, written down anew from the names in its state dict; nothing of ours computes it


def course_state(num_blocks, filters=3, mixtures=2, classes=4, size=(8, 12)):
    """A state dict in the course's naming with random numbers, old-style weight norm: w = g v / ||v||."""
    state = {}
    generator = torch.Generator().manual_seed(0)

    def draw(*shape):
        return torch.randn(shape, generator=generator)

    def conv(name, outputs, *rest):
        state[f"{name}.weight_v"] = draw(outputs, *rest)
        state[f"{name}.weight_g"] = draw(outputs, *(1,) * len(rest)) + 1
        state[f"{name}.bias"] = draw(rest[0] if "deconv" in name else outputs) / 2

    def block(name, kernel, skip):
        conv(f"{name}.conv_input.conv", filters, 2 * filters, *kernel)
        conv(f"{name}.conv_out.conv", 2 * filters, 2 * filters, *kernel)
        if skip:
            conv(f"{name}.nin_skip.lin_a", filters, 2 * skip)

    for layer in range(3):
        for index in range(num_blocks):
            block(f"up_layers.{layer}.u_stream.{index}", (2, 3), 0)
            block(f"up_layers.{layer}.ul_stream.{index}", (2, 2), filters)
        for index in range(num_blocks + (layer > 0)):
            block(f"down_layers.{layer}.u_stream.{index}", (2, 3), filters)
            block(f"down_layers.{layer}.ul_stream.{index}", (2, 2), 2 * filters)
    for layer in range(2):
        for stream, kernel in (("u", (2, 3)), ("ul", (2, 2))):
            conv(f"downsize_{stream}_stream.{layer}.conv", filters, filters, *kernel)
            conv(f"upsize_{stream}_stream.{layer}.deconv", filters, filters, *kernel)
    conv("u_init.conv", filters, 4, 2, 3)
    conv("ul_init.0.conv", filters, 4, 1, 3)
    conv("ul_init.1.conv", filters, 4, 2, 1)
    conv("nin_out.lin_a", 10 * mixtures, filters)
    state["embedding.weight"] = draw(classes, 3 * size[0] * size[1]) / 4
    return state


class CourseNetwork:
    """The course's forward pass: `u` is the stream of the rows above, `ul` that of the pixels above and to the left."""

    def __init__(self, state):
        self.state = {name: tensor.double() for name, tensor in state.items()}
        self.num_blocks = sum(f"up_layers.0.u_stream.{index}.conv_out.conv.bias" in state for index in range(9))

    def weight(self, name):
        g, v, bias = (self.state[f"{name}.{part}"] for part in ("weight_g", "weight_v", "bias"))
        length = v.flatten(1).norm(dim=1).view(-1, *(1,) * (v.ndim - 1))
        return g * v / length, bias

    def down(self, name, h, stride=1):
        weight, bias = self.weight(name)
        rows, columns = weight.shape[2:]
        return F.conv2d(F.pad(h, (columns // 2, columns // 2, rows - 1, 0)), weight, bias, stride)

    def down_right(self, name, h, stride=1):
        weight, bias = self.weight(name)
        rows, columns = weight.shape[2:]
        return F.conv2d(F.pad(h, (columns - 1, 0, rows - 1, 0)), weight, bias, stride)

    def grow(self, name, h, left):
        weight, bias = self.weight(name)
        grown = F.conv_transpose2d(h, weight, bias, stride=2, output_padding=1)
        return grown[:, :, : 2 * h.shape[2], left : left + 2 * h.shape[3]]

    def nin(self, name, h):
        return F.linear(h.movedim(1, -1), *self.weight(name)).movedim(-1, 1)

    def block(self, name, conv, h, skip=None):
        def both(h):
            return torch.cat((F.elu(h), F.elu(-h)), dim=1)

        inner = conv(f"{name}.conv_input.conv", both(h))
        if skip is not None:
            inner = inner + self.nin(f"{name}.nin_skip.lin_a", both(skip))
        values, gates = conv(f"{name}.conv_out.conv", both(inner)).chunk(2, dim=1)
        return h + values * torch.sigmoid(gates)

    def __call__(self, x, label):
        x = x + self.state["embedding.weight"][label].view_as(x)
        x = torch.cat((x, torch.ones_like(x[:, :1])), dim=1)
        u = F.pad(self.down("u_init.conv", x), (0, 0, 1, 0))[:, :, :-1]
        above = F.pad(self.down("ul_init.0.conv", x), (0, 0, 1, 0))[:, :, :-1]
        ul = above + F.pad(self.down_right("ul_init.1.conv", x), (1, 0))[:, :, :, :-1]
        us, uls = [u], [ul]
        for layer in range(3):
            for index in range(self.num_blocks):
                us.append(self.block(f"up_layers.{layer}.u_stream.{index}", self.down, us[-1]))
                uls.append(self.block(f"up_layers.{layer}.ul_stream.{index}", self.down_right, uls[-1], us[-1]))
            if layer < 2:
                us.append(self.down(f"downsize_u_stream.{layer}.conv", us[-1], stride=2))
                uls.append(self.down_right(f"downsize_ul_stream.{layer}.conv", uls[-1], stride=2))
        u, ul = us.pop(), uls.pop()
        for layer in range(3):
            for index in range(self.num_blocks + (layer > 0)):
                u = self.block(f"down_layers.{layer}.u_stream.{index}", self.down, u, us.pop())
                skip = torch.cat((u, uls.pop()), dim=1)
                ul = self.block(f"down_layers.{layer}.ul_stream.{index}", self.down_right, ul, skip)
            if layer < 2:
                u = self.grow(f"upsize_u_stream.{layer}.deconv", u, left=1)
                ul = self.grow(f"upsize_ul_stream.{layer}.deconv", ul, left=0)
        assert not us
        return self.nin("nin_out.lin_a", F.elu(ul))


@pytest.fixture
def saved(tmp_path):
    """The path of a state dict that was saved as the course does, changed as asked."""

    def save_state(state):
        torch.save(state, tmp_path / "course.pth")
        return tmp_path / "course.pth"

    return save_state


@pytest.mark.parametrize("num_blocks", [1, 2])
def test_an_imported_network_computes_what_the_courses_does(num_blocks, saved):
    state = course_state(num_blocks)
    network = import_course_network(saved(state), image_size=(8, 12)).network.double()
    assert network.config.num_blocks == num_blocks
    x, label = to_x(random_images(4, network.config), 256, torch.float64), torch.tensor([0, 3, 1, 2])
    right = CourseNetwork(state)(x, label)
    torch.testing.assert_close(
        network(x, label), right, rtol=0, atol=1e-5 * right.abs().max().item()
    )  # kept in float32


def test_an_imported_network_is_a_checkpoint_like_any_other(saved, tmp_path):
    names = ("cheeseburger", "giant panda", "koala", "pizza")
    imported = import_course_network(saved(course_state(1)), image_size=(8, 12), class_names=names)
    save(imported, tmp_path / "best.safetensors")
    loaded = load(tmp_path)
    assert loaded.class_names == names
    assert loaded.preprocessing.image_size == (8, 12)
    assert loaded.about == {"imported_from": "course.pth"}
    x, label = to_x(random_images(2, loaded.network.config), 256), torch.tensor([0, 3])
    assert torch.equal(loaded.network.log_prob(x, label), imported.network.log_prob(x, label))


def test_a_square_image_and_numbers_for_names_are_understood(saved):
    imported = import_course_network(saved(course_state(1, size=(8, 8))))
    assert imported.network.config.image_size == (8, 8)
    assert imported.class_names == ("0", "1", "2", "3")


# Files it cannot be


class Malice:
    def __reduce__(self):
        return Path.touch, (Path("executed"),)


def test_pickled_code_is_refused_and_not_executed(saved, tmp_path, monkeypatch):
    path = saved({"embedding.weight": Malice()})
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"course.pth: not a state dict that can be read without executing code"):
        import_course_network(path)
    assert not Path("executed").exists()


@pytest.mark.parametrize("data", [b"", b"no network", b"PK\x03\x04"])
def test_a_file_that_torch_did_not_write_is_refused_by_name(data, tmp_path):
    (tmp_path / "course.pth").write_bytes(data)
    with pytest.raises(InputError, match=r"course.pth: not a state dict"):
        import_course_network(tmp_path / "course.pth")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"course.pth: there is no such file"):
        import_course_network(tmp_path / "course.pth")


def test_a_file_cut_short_is_refused_by_name(saved):
    path = saved(course_state(1))
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(InputError, match=r"course.pth: not a state dict"):
        import_course_network(path)


@pytest.mark.parametrize("content", [{}, [1, 2], torch.zeros(3), {"weight": torch.zeros(3)}, {"epoch": 1, "model": {}}])
def test_another_networks_file_is_refused_with_what_it_lacks(content, saved):
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
        ("u_init.conv.bias", "text", r"u_init.conv.bias"),
        ("embedding.weight", torch.ones(4, 7), r"an embedding of 7 numbers is no 3 x \(8, 12\) image"),
    ],
)
def test_a_state_dict_that_does_not_fit_is_refused_with_what_is_wrong(name, value, message, saved):
    state = course_state(1) | {name: value}
    if value is None:
        del state[name]
    with pytest.raises(InputError, match=f"course.pth: .*{message}"):
        import_course_network(saved(state), image_size=(8, 12))


def test_an_image_that_is_not_square_must_be_told(saved):
    with pytest.raises(InputError, match="an embedding of 288 numbers is no 3 x"):
        import_course_network(saved(course_state(1)))


def test_a_name_is_asked_for_each_class(saved):
    with pytest.raises(InputError, match="the network has 4 classes, but 2 names were given"):
        import_course_network(saved(course_state(1)), image_size=(8, 12), class_names=("a", "b"))


# Report 000's trained network


@pytest.mark.skipif(not WEIGHTS.is_file(), reason=f"needs {WEIGHTS}")
def test_the_trained_network_computes_its_recorded_outputs_and_nll():
    with np.load(WEIGHTS.with_name("input_add_vectors.npz")) as vectors:
        pixels, nll, params = (
            torch.from_numpy(vectors[name]) for name in ("pixels_uint8", "nll_uint8", "params_uint8_class1_first2")
        )
    network = import_course_network(WEIGHTS, dtype=torch.float64).network
    x = to_x(pixels, 256, torch.float64)
    found = network(x[:2], torch.tensor([1, 1]))
    torch.testing.assert_close(found, params.double(), rtol=1e-6, atol=0)
    found = torch.stack([-network.log_prob(x, torch.full((32,), label)) for label in range(4)], dim=1)
    torch.testing.assert_close(found, nll, rtol=1e-6, atol=0)


@pytest.mark.slow
@pytest.mark.skipif(not (WEIGHTS.is_file() and IMAGES.is_dir()), reason=f"needs {WEIGHTS} and {IMAGES}")
def test_the_trained_network_has_its_recorded_accuracy_and_bits_per_dim():
    data = load_data(DataConfig(source=f"csv:{IMAGES}", image_size=(32, 32)))
    figures = measure(import_course_network(WEIGHTS), data.splits["validation"]).figures()
    assert figures["accuracy"] == pytest.approx(0.7611, abs=0.004)
    assert figures["bits_per_dim"] == pytest.approx(4.760, abs=0.002)
