import pytest
import torch
import torch.nn.functional as F

from pixelbayes.features.inception import InceptionFeatures, inception_stem, load_stem
from pixelbayes.utils.errors import InputError

LAYERS = {  # stride, padding
    "Conv2d_1a_3x3": (2, 0),
    "Conv2d_2a_3x3": (1, 0),
    "Conv2d_2b_3x3": (1, 1),
    "Conv2d_3b_1x1": (1, 0),
    "Conv2d_4a_3x3": (1, 0),
}
BEFORE_POOLING = ("Conv2d_2b_3x3", "Conv2d_4a_3x3")


def by_definition(weights, x, dims):
    """The stem of x (B, 3, H, W), from the definition of each layer."""
    for name, (stride, padding) in list(LAYERS.items())[: 3 if dims == 64 else 5]:
        h = F.conv2d(x, weights[f"{name}.conv.weight"], stride=stride, padding=padding)
        gamma, beta, mean, var = (
            weights[f"{name}.bn.{part}"][:, None, None] for part in ("weight", "bias", "running_mean", "running_var")
        )
        x = ((h - mean) / (var + 0.001).sqrt() * gamma + beta).clamp(min=0)
        if name in BEFORE_POOLING:
            x = x.unfold(2, 3, 2).unfold(3, 3, 2).amax(dim=(4, 5))
    return x


def test_each_layer_has_the_shape_of_the_paper():
    h, shapes = torch.zeros(1, 3, 299, 299), {}
    for name, layer in inception_stem(192).named_children():
        h = layer(h)
        shapes[name] = tuple(h.shape[1:])
    assert shapes == {
        "Conv2d_1a_3x3": (32, 149, 149),
        "Conv2d_2a_3x3": (32, 147, 147),
        "Conv2d_2b_3x3": (64, 147, 147),
        "pool_1": (64, 73, 73),
        "Conv2d_3b_1x1": (80, 73, 73),
        "Conv2d_4a_3x3": (192, 71, 71),
        "pool_2": (192, 35, 35),
    }


def test_the_stem_has_the_number_of_weights_of_the_paper_and_none_is_trainable():
    def count(dims):
        return sum(weight.numel() for weight in inception_stem(dims).parameters())

    assert count(64) == 9 * (3 * 32 + 32 * 32 + 32 * 64) + 2 * (32 + 32 + 64)  # only the normalisations have biases
    assert count(192) == count(64) + 64 * 80 + 9 * 80 * 192 + 2 * (80 + 192)
    assert not any(weight.requires_grad for weight in inception_stem(64).parameters())
    with pytest.raises(ValueError, match="dims is 768, expected 64 or 192"):
        inception_stem(768)


@pytest.mark.parametrize("dims", [64, 192])
def test_the_stem_computes_each_layer_by_its_definition(dims, inception_weights, weights_file):
    generator = torch.Generator().manual_seed(1)
    x = 2 * torch.rand(1, 3, 61, 45, generator=generator, dtype=torch.float64) - 1
    weights = {name: tensor.double() for name, tensor in inception_weights.items()}
    torch.testing.assert_close(load_stem(dims, weights_file).double()(x), by_definition(weights, x, dims))


def test_features_are_the_mean_over_positions_of_the_resized_image(inception_weights, weights_file):
    generator = torch.Generator().manual_seed(2)
    pixels = torch.randint(256, (2, 3, 8, 12), generator=generator, dtype=torch.uint8)
    resized = F.interpolate(pixels / 255, size=(299, 299), mode="bilinear", align_corners=False)
    extractor = InceptionFeatures(64, weights_file)
    features = extractor(pixels, 256)
    expected = by_definition(inception_weights, 2 * resized - 1, 64).mean(dim=(2, 3))
    torch.testing.assert_close(features, expected.double(), rtol=1e-4, atol=1e-5)
    assert (extractor.name, extractor.dims, features.dtype) == ("inception-64", 64, torch.float64)


def test_grey_images_of_few_levels_are_converted_to_8_bit_rgb(weights_file):
    grey = torch.tensor([0, 1, 2, 0, 2, 2], dtype=torch.uint8).view(1, 1, 2, 3)
    extractor = InceptionFeatures(64, weights_file)
    rgb = torch.tensor([0, 128, 255])[grey.long()].to(torch.uint8).expand(-1, 3, -1, -1)
    assert torch.equal(extractor(grey, 3), extractor(rgb, 256))


def test_images_of_two_channels_are_refused(weights_file):
    with pytest.raises(InputError, match=r"images have 2 channels, the Inception network takes 1 \(grey\) or 3"):
        InceptionFeatures(64, weights_file)(torch.zeros(1, 2, 8, 8, dtype=torch.uint8), 256)


def test_weights_of_another_network_are_refused_with_the_tensor_that_differs(tmp_path, inception_weights):
    incomplete = {name: tensor for name, tensor in inception_weights.items() if name != "Conv2d_2b_3x3.bn.running_var"}
    messages = {
        r"other.pth: not the FID Inception network, it has no Conv2d_1a_3x3\.conv\.weight; use https": {
            "conv1.weight": torch.zeros(2)
        },
        r"other.pth: not the FID Inception network, it has no Conv2d_2b_3x3\.bn\.running_var": incomplete,
        r"other.pth: Conv2d_1a_3x3\.conv\.weight has shape \(32, 1, 3, 3\), expected \(32, 3, 3, 3\)": (
            inception_weights | {"Conv2d_1a_3x3.conv.weight": torch.zeros(32, 1, 3, 3)}
        ),
    }
    for message, state in messages.items():
        torch.save(state, tmp_path / "other.pth")
        with pytest.raises(InputError, match=message) as caught:
            load_stem(64, tmp_path / "other.pth")
        assert "\n" not in str(caught.value)


def test_a_file_in_the_old_format_of_the_public_weights_is_read(tmp_path, inception_weights, weights_file):
    torch.save(inception_weights, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    old, new = (load_stem(192, file).state_dict() for file in (tmp_path / "old.pth", weights_file))
    assert all(torch.equal(old[name], new[name]) for name in new)


def test_64_dimensions_need_no_weights_of_the_layers_after_them(tmp_path, inception_weights):
    torch.save({name: t for name, t in inception_weights.items() if "3b" not in name}, tmp_path / "part.pth")
    load_stem(64, tmp_path / "part.pth")
    with pytest.raises(InputError, match="it has no Conv2d_3b_1x1"):
        load_stem(192, tmp_path / "part.pth")
