import sys
from types import ModuleType

import pytest
import torch

from pixelbayes.features.registry import EXTRACTORS, make_extractor
from pixelbayes.utils.errors import InputError

FIDELITY = "torch_fidelity.feature_extractor_inceptionv3"


@pytest.fixture
def torch_fidelity(monkeypatch):
    """A network with the interface of torch-fidelity in its place."""

    class Network(torch.nn.Module):
        def __init__(self, name, features_list, feature_extractor_weights_path):
            super().__init__()
            assert features_list == ["2048"]
            if "Conv2d_1a_3x3.conv.weight" not in torch.load(feature_extractor_weights_path):
                raise RuntimeError("Error(s) in loading state_dict:\n Missing key(s)")

        def forward(self, pixels):
            assert (pixels.dtype, pixels.shape[1]) == (torch.uint8, 3)
            return (pixels.float().mean(dim=(2, 3)).repeat(1, 683)[:, :2048],)

    module = ModuleType(FIDELITY)
    module.FeatureExtractorInceptionV3 = Network
    for name in ("torch_fidelity", FIDELITY):
        monkeypatch.setitem(sys.modules, name, module)


@pytest.mark.usefixtures("torch_fidelity")
def test_each_name_makes_its_extractor(classifier, weights_file):
    made = [make_extractor(name, classifier=classifier, inception_weights=weights_file) for name in EXTRACTORS]
    names = [f"classifier-{classifier.digest[:8]}", "inception-64", "inception-192", "inception-2048"]
    assert [extractor.name for extractor in made] == names
    assert [extractor.dims for extractor in made] == [6, 64, 192, 2048]


def test_classifier_is_the_default_and_needs_a_classifier(classifier):
    assert make_extractor(classifier=classifier).dims == 6
    with pytest.raises(InputError, match="train one with `pixelbayes baseline`"):
        make_extractor()


def test_an_unknown_name_is_refused():
    expected = "features is 'inception', expected one of: classifier, inception-64, inception-192, inception-2048"
    with pytest.raises(InputError, match=expected):
        make_extractor("inception")


def test_without_torch_fidelity_the_message_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, FIDELITY, None)
    with pytest.raises(InputError, match="`inception-2048` need torch-fidelity; run `pip install torch-fidelity`"):
        make_extractor("inception-2048", inception_weights=tmp_path / "none.pth")


@pytest.mark.usefixtures("torch_fidelity")
def test_torch_fidelity_receives_8_bit_rgb(weights_file):
    grey = torch.tensor([0, 2], dtype=torch.uint8).view(2, 1, 1, 1)
    features = make_extractor("inception-2048", inception_weights=weights_file)(grey, levels=3)
    assert torch.equal(features, torch.tensor([[0.0], [255.0]]).double().expand(2, 2048))


@pytest.mark.usefixtures("torch_fidelity")
def test_an_error_of_torch_fidelity_becomes_one_line(tmp_path):
    torch.save({"conv": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(InputError, match=r"other.pth: not the FID Inception network \(Error\(s\) in loading") as caught:
        make_extractor("inception-2048", inception_weights=tmp_path / "other.pth")
    assert "\n" not in str(caught.value)
