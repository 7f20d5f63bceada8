import pytest
import torch
from networks import random_images, randomised, receptive_fields, tiny_model

from pixelbayes.fusion import FUSIONS, NO_LABEL, Condition
from pixelbayes.fusion.base import INPUT, OUTPUT, STEM
from pixelbayes.layers import Doors
from pixelbayes.pixels import to_x

LABELLED = [name for name in FUSIONS if name != "none"]
THROUGH_THE_IMAGE = {"input-add"}  # their label reaches a pixel as its past does, so never the first pixel
UNCONDITIONAL_AT_FIRST = ["none", "film"]


def images(model, batch=3):
    return to_x(random_images(batch, model.config), model.config.levels, torch.float64)


def doors_and_widths(model):
    """Every door with each site it serves and the channels that pass there."""
    filters = model.config.num_filters
    yield "at_input", INPUT, model.config.channels
    yield "at_output", OUTPUT, filters
    for site in STEM:
        yield "at_stem", site, filters
    for module in model.modules():
        for site in (getattr(module, f"{stack}_site", None) for stack in ("vertical", "horizontal")):
            for door in Doors._fields if site else ():
                yield door, site, 2 * filters if door == "before_gate" else filters


def cut(feature, rows, columns):
    """Features of a crop: vectors (B, n, 1, 1) hold everywhere, maps are cut."""
    return feature if feature.shape[-2:] == (1, 1) else feature[..., rows, columns]


@pytest.mark.parametrize("fusion", FUSIONS)
def test_a_door_on_a_crop_gives_the_crop_of_the_whole(fusion):
    model = randomised(tiny_model(fusion))
    features = model.fusion.prepare(Condition(torch.tensor([0, 2])))
    generator = torch.Generator().manual_seed(3)
    served = set()
    for name, site, channels in doors_and_widths(model):
        height, width = (size // 2**site.resolution for size in model.config.image_size)
        h = torch.randn(2, channels, height, width, generator=generator, dtype=torch.float64)
        door = getattr(model.fusion, name)
        whole = door(h, features, site)
        assert whole.shape[2:] == h.shape[2:]
        for rows, columns in [
            (slice(1, 2), slice(None)),  # a row
            (slice(height - 1, height), slice(2, 3)),  # a pixel
            (slice(0, 2), slice(1, width)),
        ]:
            here = features | {site: cut(features[site], rows, columns)} if site in features else features
            torch.testing.assert_close(door(h[..., rows, columns], here, site), whole[..., rows, columns])
        if not torch.equal(whole[:, :channels], h):
            served.add(site)
    assert bool(served) == (fusion != "none")


@pytest.mark.parametrize("fusion", FUSIONS)
def test_the_features_of_a_label_do_not_depend_on_the_rest_of_the_batch(fusion):
    fusion = randomised(tiny_model(fusion)).fusion
    together = fusion.prepare(Condition(torch.tensor([0, 2, NO_LABEL])))
    for index, label in enumerate((0, 2, NO_LABEL)):
        for site, feature in fusion.prepare(Condition(torch.tensor([label]))).items():
            torch.testing.assert_close(together[site][index : index + 1], feature)


@pytest.mark.parametrize("fusion", LABELLED)
@pytest.mark.parametrize("other", [1, NO_LABEL])
def test_a_pixels_parameters_depend_on_its_own_label_and_no_other_images(fusion, other):
    model = randomised(tiny_model(fusion))
    x = images(model)
    with torch.no_grad():
        params, changed = (model(x, torch.tensor([2, label, 0])) for label in (2, other))
    moved = (params != changed).any(dim=1)  # (B, H, W)
    reached = receptive_fields(1, 8, 12).any(dim=(2, 3)) if fusion in THROUGH_THE_IMAGE else torch.ones(8, 12) > 0
    assert torch.equal(moved, torch.stack([reached & False, reached, reached & False]))


@pytest.mark.parametrize("fusion", LABELLED)
def test_every_weight_of_the_fusion_moves_the_likelihood_of_its_label_alone(fusion):
    model = randomised(tiny_model(fusion))
    x = images(model, 2)
    weights = dict(model.fusion.named_parameters())
    gradients = torch.autograd.grad(model.log_prob(x, torch.tensor([1, 1])).sum(), list(weights.values()))
    for gradient in gradients:
        rows = gradient.abs().sum(dim=1) > 0  # a table: a row for no label, then one for each class
        assert rows.tolist() == [False, False, True, False]


def test_the_unconditional_network_ignores_its_labels():
    model = randomised(tiny_model("none"))
    x = images(model)
    assert torch.equal(model(x, torch.tensor([0, 1, 2])), model(x))


@pytest.mark.parametrize("fusion", UNCONDITIONAL_AT_FIRST)
def test_training_starts_exactly_as_the_unconditional_network(fusion):
    model, plain = tiny_model(fusion), tiny_model("none")
    plain.load_state_dict({name: w for name, w in model.state_dict().items() if not name.startswith("fusion.")})
    x = images(model)
    for label in (None, *(torch.full((3,), label) for label in (0, 1, 2, NO_LABEL))):
        assert torch.equal(model(x, label), plain(x))


@pytest.mark.parametrize("fusion", FUSIONS)
def test_no_label_is_a_value_that_can_be_told_or_left_out(fusion):
    model = randomised(tiny_model(fusion))
    x = images(model)
    told = model(x, torch.full((3,), NO_LABEL))
    assert torch.equal(told, model(x))
    assert torch.equal(told, model(x, Condition(torch.full((3,), NO_LABEL))))
    mixed = model(x, torch.tensor([0, NO_LABEL, 1]))
    torch.testing.assert_close(mixed[1], told[1])


@pytest.mark.parametrize("fusion", FUSIONS)
def test_a_network_without_classes_takes_images_without_labels(fusion):
    model = tiny_model(fusion, num_classes=0)
    assert model.log_prob(images(model)).isfinite().all()


@pytest.mark.parametrize("fusion", FUSIONS)
@pytest.mark.parametrize(
    ("label", "message"),
    [
        (torch.tensor([0, 1]), r"label has shape \(2,\) and torch.int64, expected \(3,\) whole numbers"),
        (torch.tensor(1), r"label has shape \(\) and torch.int64"),
        (torch.tensor([[0], [1], [2]]), r"label has shape \(3, 1\) and torch.int64"),
        (torch.tensor([0.0, 1.0, 2.0]), r"label has shape \(3,\) and torch.float32, expected \(3,\) whole numbers"),
    ],
)
def test_labels_that_are_not_one_whole_number_an_image_are_refused(fusion, label, message):
    model = tiny_model(fusion)
    for condition in (label, Condition(label)):
        with pytest.raises(ValueError, match=message):
            model(images(model), condition)


@pytest.mark.parametrize("fusion", LABELLED)
@pytest.mark.parametrize("label", [3, -2])
def test_a_label_beyond_the_classes_is_an_error_and_not_taken_for_another(fusion, label):
    model = tiny_model(fusion)
    with pytest.raises(IndexError):
        model(images(model), torch.tensor([0, label, 1]))
