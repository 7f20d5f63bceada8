import pytest
import torch
from networks import EVERY_FUSION, random_images, randomised, tiny_model
from torch.overrides import TorchFunctionMode

from pixelbayes.images.pixels import to_x
from pixelbayes.inference.all_classes import growing, log_prob_of_classes
from pixelbayes.models.fusion import Condition
from pixelbayes.models.layers import Conv2d

CLASSES = torch.tensor([2, 0, 1])
TOLD = torch.stack((CLASSES, torch.zeros(3, dtype=torch.long)), dim=1)  # as they are


def images(model, batch):
    return to_x(random_images(batch, model.config), model.config.levels, torch.float64)


def one_by_one(model, x, classes=CLASSES):
    with torch.no_grad():
        return torch.stack([model.log_prob(x, label.expand(len(x))) for label in classes], dim=1)


@pytest.mark.parametrize("likelihood", ["logistics", "categorical"])
@pytest.mark.parametrize("fusion", EVERY_FUSION)
def test_all_classes_in_one_pass_score_as_one_class_after_another(fusion, likelihood):
    model = randomised(tiny_model(fusion, likelihood=likelihood))
    for batch in (1, 2, 3):  # 3 images and 3 classes: neither count may be taken for the other
        x = images(model, batch)
        found = log_prob_of_classes(growing(model), x, TOLD)
        torch.testing.assert_close(found, one_by_one(model, x), rtol=1e-12, atol=1e-10)


@pytest.mark.parametrize("batch", [3, 4, 10])  # as many as channels, filters and outputs of a layer
def test_a_batch_as_large_as_a_layer_is_wide_confuses_nothing(batch):
    model = randomised(tiny_model("one-hot-map+film+bottleneck+output-add"))
    x = images(model, batch)
    torch.testing.assert_close(log_prob_of_classes(growing(model), x, TOLD), one_by_one(model, x))


def inputs(network, run):
    """What each convolution is given while `run()` runs, by the layer's name."""
    found = {}
    hooks = [
        layer.register_forward_hook(lambda _, given, __, name=name: found.update({name: given[0].detach()}))
        for name, layer in network.named_modules()
        if isinstance(layer, Conv2d)
    ]
    run()
    for hook in hooks:
        hook.remove()
    return found


@pytest.mark.parametrize("fusion", EVERY_FUSION)
def test_layers_that_no_label_reaches_see_each_image_once_and_the_others_once_a_class(fusion):
    model = randomised(tiny_model(fusion))
    x = images(model, 2)
    told = [inputs(model, lambda label=label: model(x, torch.full((2,), label))) for label in range(3)]
    reached = {name for name, given in told[0].items() if any(not torch.equal(given, other[name]) for other in told)}
    network = growing(model)
    batches = {name: len(h) for name, h in inputs(network, lambda: log_prob_of_classes(network, x, TOLD)).items()}
    assert batches == {name: 6 if name in reached else 2 for name in told[0]}


def test_a_late_label_leaves_nearly_all_to_be_done_once_and_an_early_one_nothing():
    shared = {}
    for fusion in ("none", "input-add", "stem-add", "bottleneck", "output-add"):
        network = growing(tiny_model(fusion))
        x = images(network, 2)
        given = inputs(network, lambda network=network, x=x: log_prob_of_classes(network, x, TOLD))
        shared[fusion] = {name for name, h in given.items() if len(h) == 2}
        layers = set(given)
    assert shared["none"] == layers
    assert shared["output-add"] == layers - {"to_params"}
    assert {name for name in layers if name.startswith(("stem", "down", "shrink"))} < shared["bottleneck"]
    assert shared["stem-add"] == {"stem_vertical", "stem_above", "stem_left"}
    assert not shared["input-add"]


def test_a_label_is_prepared_once_for_a_class_and_not_for_each_image():
    model = tiny_model("film")
    prepare, told = model.fusion.prepare, []
    model.fusion.prepare = lambda condition: told.append(condition.label.tolist()) or prepare(condition)
    network = growing(model)
    told.clear()
    log_prob_of_classes(network, images(model, 5), TOLD)
    assert told == [CLASSES.tolist()]


def test_the_network_itself_stays_as_it_is():
    model = randomised(tiny_model("film"))
    fusion, x = model.fusion, images(model, 2)
    before = one_by_one(model, x)
    network = growing(model)
    log_prob_of_classes(network, x, TOLD)
    assert model.fusion is fusion
    assert torch.equal(one_by_one(model, x), before)
    with torch.no_grad():
        model.to_params.bias.add_(0.5)  # the weights are shared: what the one learns, the other has learnt
    torch.testing.assert_close(log_prob_of_classes(network, x, TOLD), one_by_one(model, x))


def test_nothing_grows_where_no_rows_meet_images():
    model = tiny_model("output-add")
    repeated = []

    class Watch(TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            if func is torch.Tensor.repeat_interleave:
                repeated.append(tuple(args[0].shape))
            return func(*args, **(kwargs or {}))

    network, x = growing(model), images(model, 2)
    with Watch():
        log_prob_of_classes(network, x, TOLD)
    assert repeated[0] == (2, 4, 8, 12)  # what the output door is given; then the image, for the likelihood, in parts
    assert all(shape[1] in (1, 2, 3) for shape in repeated[1:])


def test_the_plain_network_asks_for_one_label_an_image():
    model = tiny_model("film")
    with pytest.raises(ValueError, match="label has shape"):
        model(images(model, 2), Condition(CLASSES))
