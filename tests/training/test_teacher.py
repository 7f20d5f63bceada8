import pytest
import torch
from networks import random_images, tiny_model
from runs import CLASSES

from pixelbayes.checkpoints.provenance import Provenance
from pixelbayes.checkpoints.trained import TrainedClassifier
from pixelbayes.images.pixels import to_x
from pixelbayes.images.preprocessing import Preprocessing
from pixelbayes.models.resnet import ResNet, ResNetConfig
from pixelbayes.training.teacher import Teacher

SHAPE = tiny_model().config.image_shape


def classifier(seed, flip):
    torch.manual_seed(seed)
    network = ResNet(ResNetConfig(widths=(4,), blocks=(1,), num_classes=3, image_shape=SHAPE)).eval()
    return TrainedClassifier(
        network=network,
        class_names=CLASSES,
        preprocessing=Preprocessing(image_shape=SHAPE),
        prior=(1 / 3,) * 3,
        provenance=Provenance(config={"augmentation": {"flip": flip}}),
    )


@pytest.mark.parametrize("weight", [0.0, 0.7, 1.0])
def test_a_target_mixes_the_label_with_the_mean_of_the_classifiers_over_the_flips_that_they_know(weight):
    classifiers = [classifier(0, flip=0.5), classifier(1, flip=0.0)]
    pixels, label = random_images(3, tiny_model().config), torch.tensor([2, 0, -1])
    x = to_x(pixels, 5, torch.float32)
    first, second = (each.network for each in classifiers)
    logits = (first(x) + first(x.flip(3))) / 4 + second(x) / 2
    soft = logits.softmax(dim=1)
    hard = torch.stack((torch.tensor([0.0, 0.0, 1.0]), torch.tensor([1.0, 0.0, 0.0]), soft[2]))
    found = Teacher(classifiers, weight).targets(pixels, label)
    torch.testing.assert_close(found, (1 - weight) * hard + weight * soft)
    assert not found.requires_grad
