import sys

import fake_timm
import pytest
import torch
from safetensors.torch import save_file

from pixelbayes.images.shape import ImageShape
from pixelbayes.models.pretrained import pretrained_network
from pixelbayes.utils.errors import InputError, MissingPackageError


def network_of(name="tiny", weights="", *, height=8, width=12, channels=3, smallest_batch=2, load=True):
    shape = ImageShape(height=height, width=width, channels=channels)
    return pretrained_network(name, str(weights), 3, shape, smallest_batch=smallest_batch, load=load)


@pytest.fixture
def file(tmp_path):
    """Writes the random weights of a network of the stand-in with a number of classes."""

    def write(name="tiny", num_classes=5, suffix="pth"):
        torch.manual_seed(0)
        record = fake_timm.RECORDS[name]
        weights = fake_timm.Network({}, num_classes, record.stride).state_dict()
        path = tmp_path / f"{name}.{suffix}"
        save_file(weights, path) if suffix == "safetensors" else torch.save(weights, path)
        return path

    return write


@pytest.mark.usefixtures("timm")
def test_images_are_standardised_as_in_pre_training_and_grey_becomes_three_equal_channels():
    network, grey = network_of().eval(), network_of(channels=1).eval()
    x = torch.tensor([-1.0, 0.0, 1.0]).view(1, 3, 1, 1)
    torch.testing.assert_close(network.standardised(x).flatten(), torch.tensor([-1.0, 1.0, 0.875]))
    x = torch.rand(2, 1, 8, 12)
    grey.load_state_dict(network.state_dict())
    torch.testing.assert_close(grey(x), network(x.repeat(1, 3, 1, 1)))


@pytest.mark.usefixtures("timm")
def test_the_logits_are_the_last_layer_of_the_features():
    network = network_of().eval()
    x = torch.rand(2, 3, 8, 12)
    features = network.embed(x)
    assert features.shape == (2, network.num_features)
    torch.testing.assert_close(network.last_layers[0](features), network(x))


@pytest.mark.usefixtures("timm")
@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
@pytest.mark.parametrize("num_classes", [5, 3, 0])
def test_the_weights_of_a_file_are_loaded_except_for_the_last_layer(file, suffix, num_classes):
    path = file(num_classes=num_classes, suffix=suffix)
    network = network_of(weights=path)
    stored = fake_timm.load_state_dict(str(path), weights_only=True)
    body = network.body.state_dict()
    assert all(torch.equal(body[name], weight) for name, weight in stored.items() if not name.startswith("fc."))
    assert body["fc.weight"].shape == (3, 4)
    assert num_classes != 3 or not torch.equal(body["fc.weight"], stored["fc.weight"])
    assert (network.config.name, network.config.pretrained) == ("tiny", f"tiny.{suffix}")
    assert "state_dict" not in network.body.pretrained_cfg


@pytest.mark.usefixtures("timm")
def test_without_a_file_the_weights_are_those_of_timm_and_their_tag_says_what_they_were_trained_on():
    network = network_of()
    assert (network.body.conv.weight == fake_timm.DOWNLOADED).all()
    assert network.config.name == "tiny.a1_in21k_ft_in1k"
    assert network.config.pretrained == "ImageNet-21k, then ImageNet-1k"
    assert not (network_of(load=False).body.conv.weight == fake_timm.DOWNLOADED).any()


@pytest.mark.usefixtures("timm")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "tinny"}, r"timm:tinny: timm 1.0 has no such network; did you mean tiny\?"),
        ({"name": "tiny.b2"}, "timm:tiny.b2: timm has no such weights; it has tiny.a1_in21k_ft_in1k"),
        ({"name": "untrained"}, "timm:untrained: timm has no weights for it; name a file of them with --weights"),
        (
            {"name": "patches", "width": 13},
            "timm:patches.in1k cannot be trained on images of 8 x 13 .* 20 x 20",
        ),
        ({"name": "coarse", "smallest_batch": 1}, "timm:coarse.* cannot be trained on a batch of one image of 8 x 12"),
        ({"weights": "missing.pth"}, "weights missing.pth: no such file"),
    ],
)
def test_what_timm_does_not_have_or_take_is_said_in_one_line(options, message):
    with pytest.raises(InputError, match=message) as caught:
        network_of(**options)
    assert "\n" not in str(caught.value)


@pytest.mark.usefixtures("timm")
def test_a_file_of_another_network_or_of_no_weights_is_refused_in_one_line(file, tmp_path):
    weights = torch.load(file())
    del weights["norm.bias"]
    torch.save(weights, tmp_path / "partial.pth")
    (tmp_path / "text.pth").write_text("no weights")
    torch.save(torch.nn.Linear(2, 2), tmp_path / "program.pth")  # unpickling it calls a function of the file's choice
    for name, message in {
        "partial": r"partial.pth: does not fit timm:tiny \(.*norm.bias",
        "text": "text.pth: no weights can be read from it",
        "program": "program.pth: no weights can be read from it",
    }.items():
        with pytest.raises(InputError, match=message) as caught:
            network_of(weights=tmp_path / f"{name}.pth")
        assert "\n" not in str(caught.value)


def test_weights_that_cannot_be_downloaded_are_a_matter_of_one_line(timm, monkeypatch):
    def offline(name, pretrained=False, **options):
        if pretrained:
            raise OSError("no connection\nplease check it")
        return fake_timm.create_model(name, **options)

    monkeypatch.setattr(timm, "create_model", offline)
    message = (
        r"timm:tiny.a1_.*: the weights cannot be loaded; name a file with --weights \(no connection please check it\)"
    )
    with pytest.raises(InputError, match=message):
        network_of()


def test_without_timm_or_with_a_torchvision_of_another_build_the_message_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(MissingPackageError, match=r"needs the timm package: pip install 'pixelbayes\[timm\]'"):
        network_of()
    monkeypatch.delitem(sys.modules, "timm")
    (tmp_path / "timm.py").write_text("raise RuntimeError('operator torchvision::nms does not exist')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(InputError, match=r"torchvision::nms does not exist\); install torch and torchvision"):
        network_of()


@pytest.mark.parametrize("name", ["test_resnet", "test_vit"])
def test_the_timm_that_is_installed_does_what_the_stand_in_does(name, tmp_path):
    timm = pytest.importorskip("timm", reason="timm is not installed")
    weights = timm.create_model(name, num_classes=5).state_dict()
    torch.save(weights, tmp_path / "weights.pth")
    network = network_of(name, tmp_path / "weights.pth", height=32, width=48, channels=1).eval()
    body, last = (
        network.body.state_dict(),
        {id(weight) for layer in network.last_layers for weight in layer.parameters()},
    )
    loaded = [key for key, weight in network.body.named_parameters() if id(weight) not in last and key != "pos_embed"]
    assert loaded
    assert all(torch.equal(body[key], weights[key]) for key in loaded)
    x = torch.rand(2, 1, 32, 48)
    features = network.embed(x)
    assert features.shape == (2, network.num_features)
    torch.testing.assert_close(network.last_layers[0](features), network(x))
    again = network_of(name, tmp_path / "weights.pth", height=32, width=48, channels=1, load=False).eval()
    again.load_state_dict(network.state_dict())
    torch.testing.assert_close(again(x), network(x))
    with pytest.raises(InputError, match=r"did you mean .*test_"):
        network_of("test_resnett")
