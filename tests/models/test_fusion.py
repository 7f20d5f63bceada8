import inspect
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from networks import (
    COMBINED,
    EVERY_FUSION,
    OPTIONS,
    WHOLE_IMAGE,
    WITH_THE_IMAGE,
    dependence,
    names_of,
    random_images,
    randomised,
    receptive_fields,
    tiny_model,
)

from pixelbayes.images.pixels import to_x
from pixelbayes.models.fusion import FUSIONS, NO_LABEL, Condition, Fusion, fusion_maker
from pixelbayes.models.fusion.base import DOORS, INPUT, OUTPUT, STEM, LabelEmbedding
from pixelbayes.models.fusion.composition import Composition
from pixelbayes.models.layers import Doors, GatedResNet
from pixelbayes.utils.errors import InputError

LABELLED = [fusion for fusion in EVERY_FUSION if fusion != "none"]
ALL_LABELS = torch.tensor([0, 1, 2, NO_LABEL])
FILM = ["film", *(fusion for fusion in OPTIONS if fusion.startswith("film:")), "film:at=shortcut,bounded,mlp=one-hot"]
CROSS_ATTENTION = ["cross-attention", *(fusion for fusion in OPTIONS if fusion.startswith("cross-attention:"))]
ADALN_UNGATED = ["adaln:gate=false", "adaln:gate=false,mlp=one-hot"]
ADALN_GATED = ["adaln", "adaln:mlp=one-hot", "adaln:mlp=embedding"]


def images(model, batch=3):
    return to_x(random_images(batch, model.config), model.config.levels, torch.float64)


def normal(*shape, seed=3):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def blocks(model):
    """Every GatedResNet with its site, in no order."""
    for module in model.modules():
        for stack in ("vertical", "horizontal"):
            if hasattr(module, f"{stack}_site"):
                yield getattr(module, f"{stack}_site"), getattr(module, stack)


def doors_and_widths(model):
    """Every door with each site it serves and the channels that pass there, as the network's own layers have it."""
    filters = model.config.num_filters
    yield "at_input", INPUT, model.config.channels
    yield "at_output", OUTPUT, filters
    for site in STEM:
        yield "at_stem", site, filters
    for site, block in blocks(model):
        widths = dict.fromkeys(Doors._fields, filters) | {"before_gate": 2 * filters, "at_shortcut": 0}
        if block.conv_shortcut is not None:
            widths["at_shortcut"] = block.conv_shortcut.v.shape[1] // 2
        yield from ((door, site, width) for door, width in widths.items() if width)


def cut(features, place, rows, columns):
    """Features as they go with a crop at one place: vectors (B, n, 1, 1) hold everywhere, maps are cut."""
    return {
        site: feature[..., rows, columns] if site[:4] == place[:4] and feature.shape[-2:] != (1, 1) else feature
        for site, feature in features.items()
    }


# The doors


def test_the_network_opens_every_door_that_a_fusion_has():
    assert DOORS[2:-1] == Doors._fields
    filters = {site: block.conv_shortcut for site, block in blocks(tiny_model("none", num_filters=6))}
    shape = caught_shape(num_filters=6)
    assert set(shape.blocks) == set(filters)
    for site, conv in filters.items():
        assert shape.shortcut_filters(site) == (conv.v.shape[1] // 2 if conv is not None else 0)


def caught_shape(**changes):
    """What a fusion is told of the network around it."""
    shapes = []

    class Catch(Fusion):
        def __init__(self, shape):
            super().__init__(shape)
            shapes.append(shape)

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(FUSIONS, "catch", Catch)
        tiny_model("catch", **changes)
    return shapes[0]


@pytest.mark.parametrize("fusion", EVERY_FUSION)
def test_a_door_on_a_crop_gives_the_crop_of_the_whole(fusion):
    model = randomised(tiny_model(fusion))
    features = model.fusion.prepare(Condition(torch.tensor([0, 2])))
    served = set()
    for name, site, channels in doors_and_widths(model):
        height, width = (size // 2**site.resolution for size in model.config.image_size)
        h = normal(2, channels, height, width)
        door = getattr(model.fusion, name)
        whole = door(h, features, site)
        appended = {"at_input": model.fusion.input_channels, "at_output": model.fusion.output_channels}.get(name, 0)
        assert whole.shape == (2, channels + appended, height, width)
        for rows, columns in [
            (slice(1, 2), slice(None)),  # a row
            (slice(height - 1, height), slice(2, 3)),  # a pixel
            (slice(0, 2), slice(1, width)),
        ]:
            here = cut(features, site, rows, columns)
            torch.testing.assert_close(door(h[..., rows, columns], here, site), whole[..., rows, columns])
        if appended or not torch.equal(whole, h):
            served.add((name, site))
    assert bool(served) == (fusion != "none")


@pytest.mark.parametrize("fusion", EVERY_FUSION)
def test_what_depends_on_the_label_alone_is_computed_once_for_each_image(fusion):
    model = randomised(tiny_model(fusion))
    calls = []
    of_labels = [module for module in model.fusion.modules() if isinstance(module, LabelEmbedding | torch.nn.Linear)]
    for layer in of_labels:
        layer.register_forward_hook(lambda layer, *_: calls.append(layer))
    for fusion in (part for part in model.fusion.modules() if isinstance(part, Fusion)):
        fusion.prepare = partial(lambda prepare, condition: calls.append(prepare) or prepare(condition), fusion.prepare)
    model(images(model), torch.tensor([0, 1, 2]))
    assert len(calls) == len(set(calls))
    assert set(calls) >= set(of_labels)


@pytest.mark.parametrize("fusion", EVERY_FUSION)
def test_the_features_of_a_label_do_not_depend_on_the_rest_of_the_batch(fusion):
    fusion = randomised(tiny_model(fusion)).fusion
    together = fusion.prepare(Condition(ALL_LABELS))
    for index, label in enumerate(ALL_LABELS):
        alone = fusion.prepare(Condition(label[None]))
        assert alone.keys() == together.keys()
        for site, feature in alone.items():
            torch.testing.assert_close(together[site][index : index + 1], feature)


# What the label reaches


@pytest.mark.parametrize("fusion", LABELLED)
@pytest.mark.parametrize("other", [1, NO_LABEL])
def test_a_pixels_parameters_depend_on_its_own_label_and_no_other_images(fusion, other):
    model = randomised(tiny_model(fusion))
    x = images(model)
    with torch.no_grad():
        params, changed = (model(x, torch.tensor([2, label, 0])) for label in (2, other))
    moved = (params != changed).any(dim=1)  # (B, H, W)
    reached = torch.ones(8, 12) > 0
    if names_of(fusion) <= WITH_THE_IMAGE:  # the label reaches a pixel as its past does, so never the first pixel
        reached = receptive_fields(1, 8, 12).any(dim=(2, 3))
    assert torch.equal(moved, torch.stack([reached & False, reached, reached & False]))


@pytest.mark.parametrize("fusion", LABELLED)
def test_every_weight_of_the_fusion_moves_the_likelihood_and_a_labels_row_that_of_its_label_alone(fusion):
    model = randomised(tiny_model(fusion))
    x, weights = images(model, 4), dict(model.fusion.named_parameters())
    tables = {f"{name}.weight" for name, m in model.fusion.named_modules() if isinstance(m, LabelEmbedding)}
    if not weights:
        return

    def moved(label):
        gradients = torch.autograd.grad(model.log_prob(x, label).sum(), list(weights.values()))
        return dict(zip(weights, (gradient != 0 for gradient in gradients), strict=True))

    size = (model.config.channels, *model.config.image_size)
    seen = receptive_fields(1, *size[1:]).any(dim=(0, 1)).expand(size).flatten()  # all but the last pixel
    for elements in moved(ALL_LABELS).values():
        if names_of(fusion) & WHOLE_IMAGE and seen.numel() in elements.shape:  # a number for each place of the image
            elements = elements[..., seen] if elements.shape[-1] == seen.numel() else elements[seen]
        assert elements.all()
    for name, elements in moved(torch.full((4,), 1)).items():
        if name in tables:
            assert elements.any(dim=1).tolist() == [False, False, True, False]


def test_the_unconditional_network_ignores_its_labels():
    model = randomised(tiny_model("none"))
    x = images(model)
    assert torch.equal(model(x, torch.tensor([0, 1, 2])), model(x))


@pytest.mark.parametrize("fusion", EVERY_FUSION)
def test_no_label_is_a_value_that_can_be_told_or_left_out(fusion):
    model = randomised(tiny_model(fusion))
    x = images(model)
    told = model(x, torch.full((3,), NO_LABEL))
    assert torch.equal(told, model(x))
    assert torch.equal(told, model(x, Condition(torch.full((3,), NO_LABEL))))
    mixed = model(x, torch.tensor([0, NO_LABEL, 1]))
    torch.testing.assert_close(mixed[1], told[1])


@pytest.mark.parametrize("fusion", EVERY_FUSION)
def test_a_network_without_classes_takes_images_without_labels(fusion):
    model = randomised(tiny_model(fusion, num_classes=0))
    assert model.log_prob(images(model)).isfinite().all()
    if fusion != "none":
        with pytest.raises(IndexError):
            model(images(model), torch.zeros(3).long())


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


@pytest.mark.parametrize("fusion", ["input-add", "input-concat:mlp=one-hot", "one-hot-map+input-concat+film"])
@pytest.mark.parametrize("size", [(8, 11), (4, 12), (1, 12), (1, 1), (12, 8), (9, 13)])
def test_a_whole_image_embedding_refuses_images_of_another_size(fusion, size):
    model = tiny_model(fusion)
    message = f"image is {size[0]} x {size[1]}, expected 8 x 12: the whole-image embedding ties the network to its size"
    with pytest.raises(ValueError, match=message):
        model(torch.zeros(2, 3, *size, dtype=torch.float64), torch.tensor([0, 1]))
    with pytest.raises(ValueError, match=r"image is 5 x 7, expected 1 x 1"):
        tiny_model(fusion, image_size=(1, 1))(torch.zeros(2, 3, 5, 7, dtype=torch.float64))


# Where training starts


def unconditional(model):
    """The network with the same weights and no fusion."""
    plain = tiny_model("none")
    plain.load_state_dict({name: w for name, w in model.state_dict().items() if not name.startswith("fusion.")})
    return plain


def moved_but_for_the_fusion(fusion):
    """A network whose fusion alone is as training finds it."""
    model, start = randomised(tiny_model(fusion)), tiny_model(fusion)
    model.fusion.load_state_dict(start.fusion.state_dict())
    return model


@pytest.mark.parametrize("fusion", ["none", *FILM, *CROSS_ATTENTION, "film+cross-attention", "film+film:bounded"])
def test_training_starts_exactly_as_the_unconditional_network(fusion):
    model = moved_but_for_the_fusion(fusion)
    x, plain = images(model, 4), unconditional(model)
    for label in (None, ALL_LABELS):
        assert torch.equal(model(x, label), plain(x))


@pytest.mark.parametrize("fusion", [*ADALN_UNGATED, *ADALN_GATED])
def test_adaln_starts_the_same_for_all_labels_but_not_as_the_unconditional_network(fusion):
    model = moved_but_for_the_fusion(fusion)
    x = images(model)
    for label in ALL_LABELS:
        assert torch.equal(model(x, label.expand(3)), model(x))
    assert not torch.allclose(model(x), unconditional(model)(x))


@pytest.mark.parametrize("fusion", ADALN_GATED)
def test_adaln_with_its_gate_starts_with_blocks_that_are_the_identity_and_carry_no_short_cut(fusion):
    model = moved_but_for_the_fusion(fusion)
    unmoved = []
    for _, block in blocks(model):
        block.register_forward_hook(lambda _, inputs, output: unmoved.append(torch.equal(inputs[0], output)))
    without_blocks = receptive_fields(1, 8, 12, block=lambda field, *_: field)
    assert torch.equal(dependence(model, torch.tensor(1)), without_blocks)
    assert unmoved == [True] * sum(isinstance(module, GatedResNet) for module in model.modules())
    opened = randomised(tiny_model(fusion))
    assert (without_blocks & ~dependence(opened, torch.tensor(1))).sum() == 0
    assert not torch.equal(without_blocks, dependence(opened, torch.tensor(1)))


@pytest.mark.parametrize("fusion", ADALN_UNGATED)
def test_adaln_without_its_gate_starts_with_every_short_cut_open(fusion):
    assert torch.equal(dependence(moved_but_for_the_fusion(fusion), torch.tensor(1)), receptive_fields(1, 8, 12))


@pytest.mark.parametrize(
    ("fusion", "deviation"),
    [
        *((name, 0.05) for name in ("input-add", "input-concat", "stem-add", "before-block", "gate-add")),
        *((name, 0.05) for name in ("bottleneck", "output-add")),
        ("channel-concat:width=400", 1.0),
        ("output-concat:width=400", 1.0),
        ("after-block", 0.1),  # alpha times 1
        ("film", 0.0),
        ("adaln", 0.0),
    ],
)
def test_the_vectors_of_classes_start_with_their_deviation_and_that_of_no_label_at_zero(fusion, deviation):
    made = tiny_model(fusion, num_filters=160).fusion
    vectors = torch.cat([feature.flatten(1) for feature in made.prepare(Condition(ALL_LABELS)).values()], dim=1)
    assert not vectors[3].any()
    assert vectors[:3].std(dim=1).tolist() == pytest.approx([deviation] * 3, rel=0.15)


@pytest.mark.parametrize("mlp", ["one-hot", "embedding"])
def test_an_mlp_keeps_the_size_of_the_vectors_it_makes(mlp):
    features = tiny_model(f"gate-add:mlp={mlp}", num_filters=160).fusion.prepare(Condition(ALL_LABELS))
    vectors = torch.cat([feature.flatten(1) for feature in features.values()], dim=1)
    assert (vectors[:3].std(dim=1) / 0.05).log2().abs().max() < 2  # within a factor of four
    assert not vectors[3].any() or mlp == "embedding"


# What each does


def alone(fusion, **changes):
    """A fusion with its features for all labels, all weights moved."""
    fusion = randomised(tiny_model(fusion, **changes)).fusion
    return fusion, fusion.prepare(Condition(ALL_LABELS))


def test_film_multiplies_by_one_plus_gamma_and_adds_beta():
    fusion, features = alone("film")
    h = normal(4, 4, 3, 5)
    for site, feature in features.items():
        gamma, beta = feature[:, :4], feature[:, 4:]
        torch.testing.assert_close(fusion.before_block(h, features, site), h + gamma * h + beta)


@pytest.mark.parametrize("fusion", ["film:bounded", "film:bounded,at=shortcut", "film:bounded,mlp=embedding"])
def test_a_bounded_gamma_keeps_films_factor_between_0_and_2(fusion):
    plain, free = alone(fusion.replace("bounded", "bounded=false"))
    bounded, features = alone(fusion)
    door = "at_shortcut" if plain.at == "shortcut" else "before_block"
    for site in features:
        width = features[site].shape[1] // 2
        ones, zeros = torch.ones(4, width, 1, 1).double(), torch.zeros(4, width, 1, 1).double()
        beta = getattr(bounded, door)(zeros, features, site)
        factor = getattr(bounded, door)(ones, features, site) - beta
        assert factor.min() > 0
        assert factor.max() < 2
        torch.testing.assert_close(factor, 1 + free[site][:, :width].tanh())
        torch.testing.assert_close(beta, free[site][:, width:])
    with torch.no_grad():
        for weight in bounded.parameters():
            weight.mul_(1000)
    for feature in bounded.prepare(Condition(ALL_LABELS)).values():
        assert feature[:, : feature.shape[1] // 2].abs().max() == 1  # saturated: a factor of 0 or 2, never beyond


def test_film_in_place_of_the_short_cut_reaches_every_short_cut_and_nothing_else():
    fusion, features = alone("film:at=shortcut")
    model = tiny_model()
    for site, block in blocks(model):
        h = normal(4, 4, 3, 5)
        assert torch.equal(fusion.before_block(h, features, site), h)
        assert (site in features) == (block.conv_shortcut is not None)


def test_adaln_normalises_over_the_channels_of_each_position_then_scales_shifts_and_gates():
    fusion, features = alone("adaln")
    h, ungated = 7 * normal(4, 4, 3, 5) + 2, alone("adaln:gate=false")[0]
    for site, feature in features.items():
        shift, scale, gate = feature.split(4, dim=1)
        normed = F.layer_norm(h.movedim(1, -1), (4,), eps=1e-6).movedim(-1, 1)
        torch.testing.assert_close(fusion.before_branch(h, features, site), normed * (1 + scale) + shift)
        torch.testing.assert_close(fusion.scale_residual(h, features, site), gate * h)
        assert torch.equal(ungated.scale_residual(h, features, site), h)


@pytest.mark.parametrize("tokens", [1, 2, 5])
def test_cross_attention_adds_a_mean_of_the_classs_values_weighted_by_query_and_key(tokens):
    fusion, features = alone(f"cross-attention:tokens={tokens}")
    h = normal(4, 4, 3, 5)
    for site, feature in features.items():
        keys, values = feature.view(4, 2, tokens, 4).unbind(dim=1)
        query = torch.einsum("oi,bihw->bohw", fusion.queries[site.name].weight[..., 0, 0], h)
        weights = (torch.einsum("bchw,btc->bthw", query, keys) / 4**0.5).softmax(dim=1)
        read = torch.einsum("bthw,btc->bchw", weights, values)
        torch.testing.assert_close(fusion.after_block(h, features, site), h + read)


@pytest.mark.parametrize(("fusion", "count"), [("after-block", 1), ("after-block:alphas=block", 16)])
def test_after_every_block_comes_alpha_times_its_vector(fusion, count):
    fusion, features = alone(fusion)
    assert fusion.alpha.shape == (count,)
    vectors = fusion.vectors(Condition(ALL_LABELS))
    for site, alpha in zip(caught_shape().blocks, fusion.alpha.expand(16), strict=True):
        torch.testing.assert_close(features[site], alpha * vectors[site])


def test_a_one_hot_map_is_one_for_the_own_class_and_nothing_for_no_label():
    fusion, features = alone("one-hot-map")
    x = normal(4, 3, 2, 5)
    maps = fusion.at_input(x, features, INPUT)
    assert torch.equal(maps[:, :3], x)
    expected = torch.tensor([[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 0]]).double()
    assert torch.equal(maps[:, 3:], expected[..., None, None].expand(-1, -1, 2, 5))


def test_an_mlp_reads_the_one_hot_label_or_an_embedding():
    one_hot, features = alone("gate-add:mlp=one-hot")
    table, last = one_hot.vectors.by_label.embedding.weight, one_hot.vectors.by_label.mlp[-1]
    rows = torch.eye(4).double()[[1, 2, 3, 0]]  # no label comes first
    expected = F.silu(rows @ table) @ last.weight.T + last.bias
    torch.testing.assert_close(torch.cat(list(features.values()), dim=1)[..., 0, 0], expected)

    embedding, features = alone("gate-add:mlp=embedding")
    table, (first, _, last) = embedding.vectors.by_label.embedding.weight, embedding.vectors.by_label.mlp
    hidden = F.silu((rows @ table) @ first.weight.T + first.bias)
    torch.testing.assert_close(torch.cat(list(features.values()), dim=1)[..., 0, 0], hidden @ last.weight.T + last.bias)


# Several at once


PAIRS = [
    ("one-hot-map", "after-block"),
    ("film", "adaln"),
    ("adaln", "film:at=shortcut"),
    ("film", "film:bounded"),
    ("cross-attention", "after-block"),
    ("gate-add", "gate-add:mlp=one-hot"),
    ("channel-concat", "input-add"),
    ("input-add", "input-concat"),
    ("output-concat:width=5", "output-add"),
    ("stem-add", "stem-add"),
    ("bottleneck", "before-block"),
]


@pytest.mark.parametrize("pair", PAIRS)
def test_a_composition_is_its_parts_in_turn_each_with_features_of_its_own(pair):
    model = randomised(tiny_model(pair))
    condition = Condition(torch.tensor([0, 2]))
    features = model.fusion.prepare(condition)
    first, second = model.fusion.parts
    assert [type(part) for part in (first, second)] == [FUSIONS[name.partition(":")[0]] for name in pair]
    own = [part.prepare(condition) for part in (first, second)]
    assert len(features) == len(own[0]) + len(own[1])
    for name, site, channels in doors_and_widths(model):
        h = normal(2, channels, *(size // 2**site.resolution for size in model.config.image_size))
        by_hand = getattr(second, name)(getattr(first, name)(h, own[0], site), own[1], site)
        torch.testing.assert_close(getattr(model.fusion, name)(h, features, site), by_hand, rtol=0, atol=0)


def test_appended_channels_add_up():
    model = tiny_model("one-hot-map+channel-concat:width=5+input-concat+output-concat:width=6+output-concat:width=7")
    assert model.fusion.input_channels == 3 + 5 + 3
    assert model.fusion.output_channels == 6 + 7
    assert model.stem_vertical.v.shape[1] == 3 + 11 + 1
    assert model.to_params.v.shape[1] == 4 + 13
    params = model(images(model), torch.tensor([0, 1, 2]))
    assert params.shape == (3, 20, 8, 12)


@pytest.mark.parametrize("kind", ["stem-add", "before-block", "gate-add", "bottleneck", "output-add", "input-add"])
def test_two_of_a_kind_that_add_are_one_that_adds_their_sum(kind):
    model, single = randomised(tiny_model((kind, kind))), tiny_model(kind)
    tables = [part.vectors.by_label.embedding.weight for part in model.fusion.parts]
    assert not torch.equal(*tables)
    weights = {name: w for name, w in model.state_dict().items() if not name.startswith("fusion.")}
    single.load_state_dict(weights | {"fusion.vectors.by_label.embedding.weight": sum(tables)})
    x, label = images(model, 4), ALL_LABELS
    torch.testing.assert_close(model(x, label), single(x, label))


@pytest.mark.parametrize("fusion", FUSIONS)
def test_none_beside_another_changes_nothing(fusion):
    model, alone = randomised(tiny_model(("none", fusion))), tiny_model(fusion)
    alone.load_state_dict({name.replace("fusion.parts.1.", "fusion."): w for name, w in model.state_dict().items()})
    x = images(model, 4)
    assert torch.equal(model(x, ALL_LABELS), alone(x, ALL_LABELS))


# Names


def test_a_list_and_a_name_with_pluses_mean_the_same():
    forms = [
        "one-hot-map+film:at=shortcut,bounded+output-concat:width=3",
        " one-hot-map + film: at = shortcut, bounded + output-concat: width = 3".replace(" = ", "="),
        ("one-hot-map", "film:bounded=true,at=shortcut", "output-concat:width=3"),
        ["one-hot-map", "film:at=shortcut,bounded", "output-concat:width=3"],
        ("one-hot-map+film:at=shortcut,bounded", "output-concat:width=3"),
    ]
    models = [randomised(tiny_model(form)) for form in forms]
    x, label = images(models[0]), torch.tensor([0, 1, 2])
    for model in models:
        assert torch.equal(model(x, label), models[0](x, label))


@pytest.mark.parametrize("fusion", FUSIONS)
def test_one_name_is_the_fusion_itself_and_several_a_composition(fusion):
    for form in (fusion, (fusion,), [fusion]):
        assert type(tiny_model(form).fusion) is FUSIONS[fusion]
    assert type(tiny_model((fusion, fusion)).fusion) is Composition


@pytest.mark.parametrize(
    ("fusion", "settings"),
    [
        ("film", {"at": "block", "bounded": False}),
        ("film:at=shortcut", {"at": "shortcut", "bounded": False}),
        ("film:bounded", {"at": "block", "bounded": True}),
        ("film:bounded=true", {"bounded": True}),
        ("film:bounded=false", {"bounded": False}),
        ("film:bounded,bounded=false", {"bounded": False}),
        ("adaln", {"gate": True}),
        ("adaln:gate=false", {"gate": False}),
        ("channel-concat:width=3", {"input_channels": 3}),
        ("output-concat:width=12", {"output_channels": 12}),
    ],
)
def test_options_reach_the_class(fusion, settings):
    made = tiny_model(fusion).fusion
    assert {name: getattr(made, name) for name in settings} == settings


@pytest.mark.parametrize(
    ("fusion", "message"),
    [
        ("flim", "fusion is 'flim'; did you mean film?"),
        ("Film", "fusion is 'Film'; did you mean film?"),
        ("onehot-map+film", "fusion is 'onehot-map'; did you mean one-hot-map?"),
        (("film", "output_add"), "fusion is 'output_add'; did you mean output-add?"),
        ("xyzzy", f"fusion is 'xyzzy'; expected one of: {', '.join(FUSIONS)}"),
        ("", "fusion is ''; expected one of: none, "),
        ("film+", "fusion is ''"),
        ((), "fusion is empty, expected one or more of: none, "),
        ([], "fusion is empty"),
        ("film:bound", "fusion film has no option 'bound'; did you mean bounded?"),
        ("film:tokens=3", "fusion film has no option 'tokens'; expected one of: at, bounded, mlp"),
        ("film:shape=3", "fusion film has no option 'shape'; "),
        ("none:mlp=one-hot", "fusion none has no option 'mlp'; expected one of: none"),
        ("one-hot-map:mlp=one-hot", "fusion one-hot-map has no option 'mlp'"),
        ("film:at=gate", "option at of fusion film is 'gate', expected block or shortcut"),
        ("film:at", "option at of fusion film is 'true', expected block or shortcut"),
        ("film:mlp=onehot", "option mlp of fusion film is 'onehot', expected none or one-hot or embedding"),
        ("film:bounded=yes", "option bounded of fusion film is 'yes', expected true or false"),
        ("adaln:gate=", "option gate of fusion adaln is '', expected true or false"),
        ("channel-concat:width=0", "option width of fusion channel-concat is '0', expected a whole number above 0"),
        ("channel-concat:width=-3", "is '-3', expected a whole number above 0"),
        ("cross-attention:tokens=2.5", "option tokens of fusion cross-attention is '2.5', expected a whole number"),
        ("cross-attention:tokens", "option tokens of fusion cross-attention is 'true', expected a whole number"),
        ("after-block:alphas=two", "option alphas of fusion after-block is 'two', expected one or block"),
    ],
)
def test_a_fusion_that_cannot_be_made_is_refused_with_the_nearest_right_name(fusion, message):
    with pytest.raises(InputError) as error:
        fusion_maker(fusion)
    assert message in str(error.value)


def test_an_option_may_be_a_number_with_a_point(monkeypatch):
    class Loud(Fusion):
        def __init__(self, shape, *, volume: "float" = 1.0):
            super().__init__(shape)
            self.volume = volume

    monkeypatch.setitem(FUSIONS, "loud", Loud)
    assert tiny_model("loud:volume=0.25").fusion.volume == 0.25
    for text in ("-1", "0", "nan", "loud"):
        with pytest.raises(InputError, match=f"option volume of fusion loud is '{text}', expected a number above 0"):
            fusion_maker(f"loud:volume={text}")


def test_every_fusion_every_option_and_compositions_are_tried_here():
    options = {(name, option) for name in FUSIONS for option in inspect.signature(FUSIONS[name]).parameters}
    tried = {(fusion.partition(":")[0], fusion.partition(":")[2].partition("=")[0]) for fusion in OPTIONS}
    assert {(name, option) for name, option in options if option != "shape"} == tried
    assert len(EVERY_FUSION) == len(FUSIONS) + len(OPTIONS) + len(COMBINED)
