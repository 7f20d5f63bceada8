import pytest
import torch
from networks import EVERY_FUSION, random_x, randomised, tiny_model
from torch.overrides import TorchFunctionMode

from pixelbayes.inference.all_classes import score_classes
from pixelbayes.models.fusion import Condition
from pixelbayes.models.layers import Conv2d
from pixelbayes.utils.randomness import Key

CLASSES = torch.tensor([2, 0, 1])


def log_prob_of_classes(model, x, **options):
    with torch.no_grad():
        return score_classes(model, x, CLASSES, **options).log_prob


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
        found = log_prob_of_classes(model, x)
        torch.testing.assert_close(found, one_by_one(model, x), rtol=1e-12, atol=1e-10)


@pytest.mark.parametrize("batch", [3, 4, 10])  # the numbers of colours, of filters and of parameters per mixture
def test_a_batch_as_large_as_a_layer_is_wide_is_not_confused_with_it(batch):
    model = randomised(tiny_model("one-hot-map+film+bottleneck+output-add"))
    x = random_x(model, batch)
    torch.testing.assert_close(log_prob_of_classes(model, x), one_by_one(model, x))


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
    batches = {name: len(h) for name, h in inputs(model, lambda: log_prob_of_classes(model, x)).items()}
    assert batches == {name: 6 if name in depend else 2 for name in of_label[0]}


def test_a_late_fusion_shares_nearly_all_layers_between_the_classes_and_an_early_one_none():
    shared = {}
    for fusion in ("none", "input-add", "stem-add", "bottleneck", "output-add"):
        network = tiny_model(fusion)
        x = random_x(network, 2)
        found = inputs(network, lambda network=network, x=x: log_prob_of_classes(network, x))
        shared[fusion] = {name for name, h in found.items() if len(h) == 2}
        layers = set(found)
    assert shared["none"] == layers
    assert shared["output-add"] == layers - {"to_params"}
    assert {name for name in layers if name.startswith(("stem", "down"))} < shared["bottleneck"]
    assert shared["stem-add"] == {"stem_vertical", "stem_above", "stem_left"}
    assert not shared["input-add"]


def test_dropout_masks_are_shared_by_the_labels_of_an_image_and_gradients_reach_every_weight():
    model = randomised(tiny_model("output-add+class-head", dropout=0.5, views=2, auxiliary_head=True))
    x, key, view = random_x(model, 3), Key.of(0, "test", 0, torch.arange(3)), torch.tensor([0, 1, 1])
    scores = score_classes(model, x, CLASSES, view, key)
    expected = [model.outputs(x, Condition(label.expand(3), view), key) for label in CLASSES]
    each = [model.likelihood(outputs.params).log_prob(x).sum(dim=(1, 2)) for outputs in expected]
    torch.testing.assert_close(scores.log_prob, torch.stack(each, dim=1), rtol=1e-12, atol=1e-10)
    torch.testing.assert_close(scores.class_logits, expected[0].class_logits)
    (scores.log_prob.sum() + scores.class_logits.square().sum()).backward()
    assert all(weight.grad is not None for weight in model.parameters())


def test_views_do_not_expand_what_does_not_depend_on_the_label():
    model = randomised(tiny_model("class-head", views=2))
    view = torch.tensor([1, 0])
    found = inputs(model, lambda: log_prob_of_classes(model, random_x(model, 2), view=view))
    assert {name for name, h in found.items() if len(h) == 6} == {"to_params"}


def test_nothing_is_expanded_unless_an_operation_combines_images_and_rows():
    model = tiny_model("output-add")
    repeated = []

    class RecordRepeats(TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            if func is torch.Tensor.repeat_interleave:
                repeated.append(tuple(args[0].shape))
            return func(*args, **(kwargs or {}))

    x = random_x(model, 2)
    with RecordRepeats():
        log_prob_of_classes(model, x)
    assert repeated[0] == (2, 4, 8, 12)  # the input of OUTPUT; then the image, for the likelihood, in parts
    assert all(shape[1] in (1, 2, 3) for shape in repeated[1:])


def test_the_network_itself_takes_one_label_per_image():
    model = tiny_model("film")
    with pytest.raises(ValueError, match="label has shape"):
        model(random_x(model, 2), Condition(CLASSES))
