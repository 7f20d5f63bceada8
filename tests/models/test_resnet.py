import pytest
import torch

from pixelbayes.images.shape import ImageShape
from pixelbayes.models.resnet import Block, ResNet, ResNetArchitecture, ResNetConfig
from pixelbayes.utils.errors import InputError


def network(height=32, width=32, channels=3):
    torch.manual_seed(0)
    shape = ImageShape(height=height, width=width, channels=channels)
    return ResNet(ResNetConfig(num_classes=4, image_shape=shape))


@pytest.mark.parametrize(("size", "channels"), [((8, 8), 1), ((9, 13), 3), ((32, 32), 3), ((64, 64), 1)])
def test_images_of_any_size_become_features_and_logits(size, channels):
    net = network(*size, channels)
    x = torch.rand(2, channels, *size)
    assert net.embed(x).shape == (2, 128)
    assert net(x).shape == (2, 4)
    torch.testing.assert_close(net.to_logits(net.embed(x)), net(x))


def test_it_has_about_a_million_weights():
    assert 900_000 < sum(weight.numel() for weight in network().parameters()) < 1_100_000


def test_the_stem_halves_images_from_48_pixels_on_the_shorter_side():
    assert network(47, 80).stem.stride == (1, 1)
    assert network(48, 80).stem.stride == (2, 2)


@pytest.mark.parametrize(("channels", "stride"), [(4, 1), (4, 2), (6, 1), (6, 2)])
def test_a_block_starts_as_its_short_cut(channels, stride):
    torch.manual_seed(0)
    block, h = Block(4, channels, stride), torch.rand(2, 4, 8, 12)
    assert torch.equal(block(h), block.shortcut(h))
    assert block(h).shape == (2, channels, 8 // stride, 12 // stride)
    if (channels, stride) == (4, 1):
        assert torch.equal(block(h), h)


def test_a_block_adds_its_residual_to_its_short_cut():
    torch.manual_seed(0)
    block, h = Block(4, 6, 2), torch.rand(2, 4, 8, 12)
    torch.nn.init.normal_(block.residual[-1].weight)
    assert not torch.equal(block(h), block.shortcut(h))
    torch.testing.assert_close(block(h), block.shortcut(h) + block.residual(h))


def test_in_evaluation_mode_an_image_does_not_depend_on_its_batch():
    net = network(8, 12).double()
    x = torch.rand(5, 3, 8, 12, dtype=torch.float64)
    net(x)  # changes the running statistics
    net.eval()
    torch.testing.assert_close(net(x)[3:4], net(x[3:4]))


@pytest.mark.parametrize(("widths", "blocks"), [((8, 16), (1,)), ((), ()), ((0, 8), (1, 1)), ((8, 16), (1, 0))])
def test_stages_without_blocks_or_channels_are_rejected(widths, blocks):
    with pytest.raises(InputError, match="widths are"):
        ResNetArchitecture(widths=widths, blocks=blocks)
