import pytest
import torch
from networks import EVERY_FUSION, random_x, randomised, tiny_model
from torch.overrides import TorchFunctionMode

from pixelbayes.inference.all_classes import expand_over_classes, log_prob_of_classes
from pixelbayes.models.fusion import Condition
from pixelbayes.models.layers import Conv2d

CLASSES = torch.tensor([2, 0, 1])
CONDITIONS = torch.stack((CLASSES, torch.zeros(3, dtype=torch.long)), dim=1)  # all in view 0


def one_by_one(model, x):
    with torch.no_grad():
        return torch.stack([model.log_prob(x, label.expand(len(x))) for label in CLASSES], dim=1)


@pytest.mark.parametrize(
    ("fusion", "likelihood"), [*((fusion, "logistics") for fusion in EVERY_FUSION), ("film", "categorical")]
)
def test_all_classes_in_one_pass_score_as_one_class_after_the_other(fusion, likelihood):
    model = randomised(tiny_model(fusion, likelihood=likelihood))
    for batch in (1, 2, 3):  # with 3 images and 3 classes the two must not be confused
        x = random_x(model, batch)
        found = log_prob_of_classes(expand_over_classes(model), x, CONDITIONS)
        torch.testing.assert_close(found, one_by_one(model, x), rtol=1e-12, atol=1e-10)


@pytest.mark.parametrize("batch", [3, 4, 10])  # the numbers of colours, of filters and of parameters per mixture
def test_a_batch_as_large_as_a_layer_is_wide_is_not_confused_with_it(batch):
    model = randomised(tiny_model("one-hot-map+film+bottleneck+output-add"))
    x = random_x(model, batch)
    torch.testing.assert_close(log_prob_of_classes(expand_over_classes(model), x, CONDITIONS), one_by_one(model, x))


def inputs(network, run):
    """The input of each convolution during `run()`, by the name of the layer."""
    found = {}
    hooks = [
        layer.register_forward_hook(lambda _, args, __, name=name: found.update({name: args[0].detach()}))
        for name, layer in network.named_modules()
        if isinstance(layer, Conv2d)
    ]
    run()
    for hook in hooks:
        hook.remove()
    return found


@pytest.mark.parametrize("fusion", EVERY_FUSION)
def test_layers_that_do_not_depend_on_the_label_run_once_per_image_and_the_others_once_per_class(fusion):
    model = randomised(tiny_model(fusion))
    x = random_x(model, 2)
    of_label = [inputs(model, lambda label=label: model(x, torch.full((2,), label))) for label in range(3)]
    depend = {name for name, h in of_label[0].items() if any(not torch.equal(h, other[name]) for other in of_label)}
    network = expand_over_classes(model)
    batches = {name: len(h) for name, h in inputs(network, lambda: log_prob_of_classes(network, x, CONDITIONS)).items()}
    assert batches == {name: 6 if name in depend else 2 for name in of_label[0]}


def test_a_late_fusion_shares_nearly_all_layers_between_the_classes_and_an_early_one_none():
    shared = {}
    for fusion in ("none", "input-add", "stem-add", "bottleneck", "output-add"):
        network = expand_over_classes(tiny_model(fusion))
        x = random_x(network, 2)
        found = inputs(network, lambda network=network, x=x: log_prob_of_classes(network, x, CONDITIONS))
        shared[fusion] = {name for name, h in found.items() if len(h) == 2}
        layers = set(found)
    assert shared["none"] == layers
    assert shared["output-add"] == layers - {"to_params"}
    assert {name for name in layers if name.startswith(("stem", "down"))} < shared["bottleneck"]
    assert shared["stem-add"] == {"stem_vertical", "stem_above", "stem_left"}
    assert not shared["input-add"]


def test_features_are_prepared_once_per_class_and_not_for_each_image():
    model = tiny_model("film")
    prepare, labels = model.fusion.prepare, []
    model.fusion.prepare = lambda condition: labels.append(condition.label.tolist()) or prepare(condition)
    network = expand_over_classes(model)
    labels.clear()
    log_prob_of_classes(network, random_x(model, 5), CONDITIONS)
    assert labels == [CLASSES.tolist()]


def test_the_network_itself_is_unchanged_and_shares_its_weights():
    model = randomised(tiny_model("film"))
    fusion, x = model.fusion, random_x(model, 2)
    before = one_by_one(model, x)
    network = expand_over_classes(model)
    log_prob_of_classes(network, x, CONDITIONS)
    assert model.fusion is fusion
    assert torch.equal(one_by_one(model, x), before)
    with torch.no_grad():
        model.to_params.bias.add_(0.5)
    torch.testing.assert_close(log_prob_of_classes(network, x, CONDITIONS), one_by_one(model, x))


def test_nothing_is_expanded_unless_an_operation_combines_images_and_rows():
    model = tiny_model("output-add")
    repeated = []

    class RecordRepeats(TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            if func is torch.Tensor.repeat_interleave:
                repeated.append(tuple(args[0].shape))
            return func(*args, **(kwargs or {}))

    network, x = expand_over_classes(model), random_x(model, 2)
    with RecordRepeats():
        log_prob_of_classes(network, x, CONDITIONS)
    assert repeated[0] == (2, 4, 8, 12)  # the input of OUTPUT; then the image, for the likelihood, in parts
    assert all(shape[1] in (1, 2, 3) for shape in repeated[1:])


def test_the_network_itself_takes_one_label_per_image():
    model = tiny_model("film")
    with pytest.raises(ValueError, match="label has shape"):
        model(random_x(model, 2), Condition(CLASSES))
