import pytest
import torch

from pixelbayes.models.resnet import Block, ResNet, ResNetArchitecture, ResNetConfig
from pixelbayes.utils.errors import InputError


def network(**changes):
    torch.manual_seed(0)
    return ResNet(ResNetConfig(num_classes=4, **changes))


@pytest.mark.parametrize("size", [(8, 8), (9, 13), (32, 32), (64, 64)])
@pytest.mark.parametrize("channels", [1, 3])
def test_images_of_any_size_become_features_and_logits(size, channels):
    net = network(channels=channels, image_size=size)
    x = torch.rand(2, channels, *size)
    assert net.embed(x).shape == (2, 128)
    assert net(x).shape == (2, 4)
    torch.testing.assert_close(net.to_logits(net.embed(x)), net(x))


def test_it_has_about_a_million_parameters():
    assert 900_000 < sum(weight.numel() for weight in network().parameters()) < 1_100_000


@pytest.mark.parametrize(("channels", "stride"), [(4, 1), (4, 2), (6, 1), (6, 2)])
def test_a_block_starts_as_its_short_cut(channels, stride):
    torch.manual_seed(0)
    block, h = Block(4, channels, stride), torch.rand(2, 4, 8, 12)
    assert torch.equal(block(h), block.shortcut(h))
    assert block(h).shape == (2, channels, 8 // stride, 12 // stride)
    if (channels, stride) == (4, 1):
        assert torch.equal(block(h), h)


def test_in_evaluation_an_image_is_read_alone():
    net = network(image_size=(8, 12)).double()
    x = torch.rand(5, 3, 8, 12, dtype=torch.float64)
    net(x)  # moves the running statistics
    net.eval()
    torch.testing.assert_close(net(x)[3:4], net(x[3:4]))


@pytest.mark.parametrize(("widths", "blocks"), [((8, 16), (1,)), ((), ()), ((0, 8), (1, 1)), ((8, 16), (1, 0))])
def test_stages_that_cannot_be_are_refused(widths, blocks):
    with pytest.raises(InputError, match="widths are"):
        ResNetArchitecture(widths=widths, blocks=blocks)
