from dataclasses import replace

import pytest
from networks import tiny_model
from runs import QUICK, tiny_images

from pixelbayes.experiments.baseline import ClassifierArchitecture, build_classifier
from pixelbayes.experiments.sizes import network_size
from pixelbayes.inference.scoring import bytes_of_row


def count(network):
    return sum(weight.numel() for weight in network.parameters())


@pytest.mark.parametrize("fusion", ["film", "output-concat+film+class-head:hidden=5"])
def test_the_size_of_a_network_is_known_before_it_is_built(fusion):
    network = tiny_model(fusion, num_blocks=4).float()
    size = network_size(network.config)
    assert size.parameters == count(network)
    assert size.row == pytest.approx(bytes_of_row(network), abs=4)


def test_the_size_of_a_classifier_is_known_before_it_is_built():
    config = replace(QUICK, model=ClassifierArchitecture(widths=(4, 6, 5), blocks=(3, 1, 2)))
    network = build_classifier(config, tiny_images())
    assert network_size(network.config).parameters == count(network)
