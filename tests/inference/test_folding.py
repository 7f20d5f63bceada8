import torch
from networks import random_images, randomised, tiny_model

from pixelbayes.images.pixels import to_x
from pixelbayes.inference.folding import folded


def test_a_folded_network_computes_the_same_and_leaves_the_original_alone():
    model = randomised(tiny_model())
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    x = to_x(random_images(2, model.config), model.config.levels, torch.float64)
    label = torch.tensor([0, 2])
    light = folded(model)
    torch.testing.assert_close(light(x, label), model(x, label), rtol=1e-12, atol=1e-12)
    assert not [name for name, _ in light.named_parameters() if name.endswith("gain")]
    assert not any(weight.requires_grad for weight in light.parameters())
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())
