import pytest
import torch
from networks import randomised

from pixelbayes.checkpoints.trained import TrainedClassifier
from pixelbayes.features.inception import inception_stem
from pixelbayes.images.preprocessing import Preprocessing
from pixelbayes.images.shape import ImageShape
from pixelbayes.models.resnet import ResNet, ResNetConfig

SHAPE = ImageShape(height=8, width=12, levels=5)


@pytest.fixture(scope="session")
def classifier():
    """A dedicated classifier with random weights, in float64: 3 classes, 6 features."""
    torch.manual_seed(0)
    config = ResNetConfig(widths=(4, 6), blocks=(1, 1), num_classes=3, image_shape=SHAPE)
    return TrainedClassifier(
        network=randomised(ResNet(config).double()).eval(),
        class_names=("ant", "bee", "cow"),
        preprocessing=Preprocessing(image_shape=SHAPE),
        prior=(1 / 3,) * 3,
    )


@pytest.fixture(scope="session")
def inception_weights():
    """A state dict with the names of the public weights, random values, and layers that are not used."""
    generator = torch.Generator().manual_seed(0)
    state = {}
    for name, tensor in inception_stem(192).state_dict().items():
        deviation = 1 / tensor[0].numel() ** 0.5 if tensor.ndim == 4 else 0.3
        state[name] = deviation * torch.randn(tensor.shape, generator=generator)
        if name.endswith("running_var"):
            state[name] = 0.001 + state[name].square()  # so small that the epsilon of the normalisation matters
    state = {name: value for name, value in state.items() if not name.endswith("num_batches_tracked")}
    return state | {"Mixed_5b.branch1x1.conv.weight": torch.zeros(64, 192, 1, 1), "fc.weight": torch.zeros(1008, 1)}


@pytest.fixture(scope="session")
def weights_file(tmp_path_factory, inception_weights):
    """A file of these weights; to be read, not changed."""
    file = tmp_path_factory.mktemp("inception") / "weights.pth"
    torch.save(inception_weights, file)
    return file
