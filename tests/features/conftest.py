import pytest
import torch
from networks import randomised

from pixelbayes.checkpoints.checkpoint import BaselineCheckpoint
from pixelbayes.features.inception import inception_stem
from pixelbayes.images.preprocessing import Preprocessing
from pixelbayes.models.resnet import ResNet, ResNetConfig

SIZE, LEVELS = (8, 12), 5


@pytest.fixture(scope="session")
def classifier():
    """A dedicated classifier of random weights, in float64: 3 classes, 6 features."""
    torch.manual_seed(0)
    config = ResNetConfig(widths=(4, 6), blocks=(1, 1), num_classes=3, levels=LEVELS, image_size=SIZE)
    return BaselineCheckpoint(
        network=randomised(ResNet(config).double()).eval(),
        class_names=("ant", "bee", "cow"),
        preprocessing=Preprocessing(image_size=SIZE, levels=LEVELS),
        prior=(1 / 3,) * 3,
    )


@pytest.fixture(scope="session")
def inception_weights():
    """A state dict with the public weights' names, random values, and layers that are not needed."""
    generator = torch.Generator().manual_seed(0)
    state = {}
    for name, tensor in inception_stem(192).state_dict().items():
        spread = 1 / tensor[0].numel() ** 0.5 if tensor.ndim == 4 else 0.3
        state[name] = spread * torch.randn(tensor.shape, generator=generator)
        if name.endswith("running_var"):
            state[name] = 0.001 + state[name].square()  # so small that the normalisation's epsilon shows
    state = {name: value for name, value in state.items() if not name.endswith("num_batches_tracked")}
    return state | {"Mixed_5b.branch1x1.conv.weight": torch.zeros(64, 192, 1, 1), "fc.weight": torch.zeros(1008, 1)}


@pytest.fixture
def weights_file(tmp_path, inception_weights):
    torch.save(inception_weights, tmp_path / "weights.pth")
    return tmp_path / "weights.pth"
