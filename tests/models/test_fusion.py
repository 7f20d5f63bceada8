import dataclasses
import inspect
from functools import cache, partial
from typing import Literal, get_args, get_origin

import pytest
import torch
import torch.nn.functional as F
from networks import (
    AT_INPUT,
    COMBINED,
    EVERY_FUSION,
    WHOLE_IMAGE,
    dependence,
    names_of,
    normal,
    random_x,
    randomised,
    receptive_fields,
    tiny_model,
)

from pixelbayes.models.conditioning import HEAD_SITE, INPUT_SITE, OUTPUT_SITE, STEM_SITES, ConditioningPoint
from pixelbayes.models.fusion import FUSIONS, NO_LABEL, Condition, Fusion, ViewFiLM, fusion_maker, is_late
from pixelbayes.models.fusion.base import LabelEmbedding, LabelVectors
from pixelbayes.models.fusion.composition import Composition
from pixelbayes.models.layers import GatedResNet
from pixelbayes.models.pixelcnn import BlockPair
from pixelbayes.utils.errors import InputError

LABELLED = [fusion for fusion in EVERY_FUSION if fusion != "none"]
WITH_WEIGHTS = [fusion for fusion in LABELLED if fusion != "one-hot-map"]
ALL_LABELS = torch.tensor([0, 1, 2, NO_LABEL])


def blocks(model):
    """The site of every GatedResNet, and the block itself."""
    for pair in model.modules():
        if isinstance(pair, BlockPair):
            yield pair.vertical_site, pair.vertical
            yield pair.horizontal_site, pair.horizontal


def points_and_widths(model):
    """Every conditioning point with each of its sites and the channels that pass there, from the network's layers."""
    filters = model.config.num_filters
    yield ConditioningPoint.INPUT, INPUT_SITE, model.config.image_shape.channels
    yield ConditioningPoint.OUTPUT, OUTPUT_SITE, filters
    yield ConditioningPoint.HEAD, HEAD_SITE, filters + model.fusion.output_channels + model.config.evidence_channels
    for site in STEM_SITES:
        yield ConditioningPoint.STEM, site, filters
    for site, block in blocks(model):
        for point in ("BEFORE_BLOCK", "BEFORE_BRANCH", "RESIDUAL", "AFTER_BLOCK"):
            yield ConditioningPoint[point], site, filters
        yield ConditioningPoint.BEFORE_GATE, site, 2 * filters
        if block.conv_shortcut is not None:
            yield ConditioningPoint.SHORTCUT, site, block.conv_shortcut.v.shape[1] // 2


class Recorder(Fusion):
    """Records where it is called, and with features of which shape."""

    def __init__(self, shape):
        super().__init__(shape)
        self.shape = shape
        self.calls = []

    def apply_at(self, point, h, features, site):
        self.calls.append((point, site, tuple(h.shape)))
        return h


def recording_model(**changes):
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(FUSIONS, "recorder", Recorder)
        return tiny_model("recorder", **changes)


@cache
def network_shape():
    """The FusionShape of `tiny_model`."""
    return recording_model().fusion.shape


def alone(fusion):
    """A fusion without its network, with every weight changed, and its features for all labels."""
    torch.manual_seed(0)
    fusion = randomised(fusion_maker(fusion)(network_shape()).double()).requires_grad_(False)
    return fusion, fusion.prepare(Condition(ALL_LABELS))


# Conditioning points


def test_the_network_calls_apply_at_once_at_each_point_of_each_site_in_the_order_of_the_computation():
    model = recording_model(num_filters=6, image_size=(7, 10), evidence_channels=3)
    model(random_x(model, 2))
    calls = model.fusion.calls
    expected = {}
    for point, site, width in points_and_widths(model):
        height, columns = (8 >> site.resolution, 12 >> site.resolution)  # padded to multiples of 4
        unpadded = (ConditioningPoint.INPUT, ConditioningPoint.OUTPUT, ConditioningPoint.HEAD)
        size = (7, 10) if point in unpadded else (height, columns)
        expected[point, site] = (2, width, *size)
    assert len(calls) == len(expected)
    assert {(point, site): shape for point, site, shape in calls} == expected
    assert {point for point, _, _ in calls} == set(ConditioningPoint)

    points = list(ConditioningPoint)
    assert [site for point, site, _ in calls if point is ConditioningPoint.BEFORE_BLOCK] == list(
        model.fusion.shape.blocks
    )
    for block in model.fusion.shape.blocks:
        order = [points.index(point) for point, site, _ in calls if site == block]
        assert order == sorted(order)
    assert [calls[0][1], calls[-2][1], calls[-1][1]] == [INPUT_SITE, OUTPUT_SITE, HEAD_SITE]


def test_a_fusion_is_given_the_width_of_every_short_cut():
    model = recording_model(num_filters=6)
    shape = model.fusion.shape
    assert (shape.num_classes, shape.image_shape, shape.num_filters) == (3, model.config.image_shape, 6)
    for site, block in blocks(model):
        width = 0 if block.conv_shortcut is None else block.conv_shortcut.v.shape[1] // 2
        assert shape.shortcut_filters(site) == width


@pytest.mark.parametrize(
    ("fusion", "points"),
    [
        ("none", set()),
        *((name, {"INPUT"}) for name in sorted(AT_INPUT)),
        ("stem-add", {"STEM"}),
        ("before-block", {"BEFORE_BLOCK"}),
        ("film", {"BEFORE_BLOCK"}),
        ("bottleneck", {"BEFORE_BLOCK"}),
        ("film:at=shortcut", {"SHORTCUT"}),
        ("adaln", {"BEFORE_BRANCH", "RESIDUAL"}),
        ("adaln:gate=false", {"BEFORE_BRANCH"}),
        ("gate-add", {"BEFORE_GATE"}),
        ("after-block", {"AFTER_BLOCK"}),
        ("cross-attention", {"AFTER_BLOCK"}),
        ("output-add", {"OUTPUT"}),
        ("output-concat", {"OUTPUT"}),
    ],
)
def test_a_fusion_acts_at_its_points_and_returns_its_input_everywhere_else(fusion, points):
    model = randomised(tiny_model(fusion))
    features = model.fusion.prepare(Condition(torch.tensor([0, 2])))
    acts, everywhere = set(), set()
    for point, site, width in points_and_widths(model):
        h = normal(2, width, 8 >> site.resolution, 12 >> site.resolution)
        if point.name in points:
            everywhere.add((point, site))
        if model.fusion.apply_at(point, h, features, site) is not h:  # identity lets a scorer share the work
            acts.add((point, site))
    if fusion == "bottleneck":  # the first block of the up path, in each stack
        everywhere = {(point, site) for point, site in everywhere if (site.path, *site[2:4]) == ("up", 2, 0)}
        assert len(everywhere) == 2
    assert acts == everywhere


def crop(features, at, rows, columns):
    """Features for a crop of one site: vectors (B, n, 1, 1) hold at every position, maps are cropped."""
    return {
        site: feature[..., rows, columns] if site[:4] == at[:4] and feature.shape[-2:] != (1, 1) else feature
        for site, feature in features.items()
    }


@pytest.mark.parametrize("fusion", EVERY_FUSION)
def test_apply_at_on_a_crop_gives_the_crop_of_the_whole(fusion):
    model = randomised(tiny_model(fusion))
    features = model.fusion.prepare(Condition(torch.tensor([0, 2])))
    appended = {
        ConditioningPoint.INPUT: model.fusion.input_channels,
        ConditioningPoint.OUTPUT: model.fusion.output_channels,
    }
    for point, site, channels in points_and_widths(model):
        height, width = (size // 2**site.resolution for size in model.config.image_shape.size)
        h = normal(2, channels, height, width)
        whole = model.fusion.apply_at(point, h, features, site)
        at_head = point is ConditioningPoint.HEAD and model.fusion.head_channels
        assert whole.shape == (2, at_head or channels + appended.get(point, 0), height, width)
        for rows, columns in [
            (slice(1, 2), slice(None)),  # a row
            (slice(height - 1, height), slice(2, 3)),  # a pixel
            (slice(0, 2), slice(1, width)),
        ]:
            cropped = model.fusion.apply_at(point, h[..., rows, columns], crop(features, site, rows, columns), site)
            torch.testing.assert_close(cropped, whole[..., rows, columns])


@pytest.mark.parametrize("fusion", EVERY_FUSION)
def test_what_depends_on_the_label_only_is_computed_once_per_batch(fusion):
    model = randomised(tiny_model(fusion))
    calls = []
    of_labels = [module for module in model.fusion.modules() if isinstance(module, LabelEmbedding | torch.nn.Linear)]
    for layer in of_labels:
        layer.register_forward_hook(lambda layer, *_: calls.append(layer))
    for part in (module for module in model.fusion.modules() if isinstance(module, Fusion)):
        part.prepare = partial(lambda prepare, condition: calls.append(prepare) or prepare(condition), part.prepare)
    model(random_x(model), torch.tensor([0, 1, 2]))
    assert len(calls) == len(set(calls))
    assert set(calls) >= set(of_labels)


@pytest.mark.parametrize("fusion", EVERY_FUSION)
def test_a_fusion_is_late_if_the_pooled_evidence_does_not_depend_on_the_label(fusion):
    model = randomised(tiny_model(fusion, evidence_channels=3))
    evidence = []
    model.evidence.register_forward_hook(lambda *inputs: evidence.append(inputs[-1]))
    x = random_x(model, 1)
    for label in (-1, 0, 1):
        model(x, torch.tensor([label]))
    assert is_late(fusion) == all(torch.equal(evidence[0], other) for other in evidence)


def test_a_class_head_is_worked_by_hand():
    model = randomised(tiny_model("class-head:hidden=5"))
    fusion, h = model.fusion, normal(1, 7, 2, 3)
    gamma, beta = fusion.vectors.by_label.embedding.weight[1 + 2].chunk(2)  # of class 2
    u = torch.einsum("oi,bihw->bohw", fusion.mix.weight[:, :, 0, 0], h) + fusion.mix.bias[:, None, None]
    evidence = torch.einsum("oi,bihw->bohw", fusion.read_evidence.weight[:, :, 0, 0], h[:, 4:])
    evidence = evidence + fusion.read_evidence.bias[:, None, None]
    inner = u * (1 + gamma[:, None, None]) + beta[:, None, None] * (1 + evidence)
    features = fusion.prepare(Condition(torch.tensor([2])))
    found = fusion.apply_at(ConditioningPoint.HEAD, h, features, HEAD_SITE)
    torch.testing.assert_close(found, inner * torch.sigmoid(inner))


# What depends on the label


@pytest.mark.parametrize("fusion", LABELLED)
def test_the_parameters_of_an_image_depend_on_its_own_label_and_on_no_other_image(fusion):
    model = randomised(tiny_model(fusion))
    x, affected = random_x(model), torch.ones(8, 12, dtype=torch.bool)
    if names_of(fusion) <= AT_INPUT:  # the label reaches a pixel through the pixels before it, so never the first one
        affected = receptive_fields(1, 8, 12).any(dim=(2, 3))
    none = torch.zeros_like(affected)
    with torch.no_grad():
        params = model(x, torch.tensor([2, 2, 0]))
        for other in (1, NO_LABEL):
            changed = (model(x, torch.tensor([2, other, 0])) != params).any(dim=1)  # (B, H, W)
            assert torch.equal(changed, torch.stack([none, affected, none]))
        torch.testing.assert_close(model(x[1:2], torch.tensor([2])), params[1:2], rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("fusion", WITH_WEIGHTS)
def test_every_weight_of_the_fusion_affects_the_likelihood_and_a_row_of_a_class_that_of_its_class_only(fusion):
    model = randomised(tiny_model(fusion))
    x, weights = random_x(model, 4), dict(model.fusion.named_parameters())
    tables = {f"{name}.weight" for name, m in model.fusion.named_modules() if isinstance(m, LabelEmbedding)}

    def affect(label):
        gradients = torch.autograd.grad(model.log_prob(x, label).sum(), list(weights.values()))
        return dict(zip(weights, (gradient != 0 for gradient in gradients), strict=True))

    shape = model.config.image_shape
    used = receptive_fields(1, *shape.size).any(dim=(0, 1)).expand(shape.chw).flatten()  # no pixel depends on the last
    for elements in affect(ALL_LABELS).values():
        if names_of(fusion) & WHOLE_IMAGE and used.numel() in elements.shape:  # one number per value of the image
            elements = elements[..., used] if elements.shape[-1] == used.numel() else elements[used]
        assert elements.all()
    for name, elements in affect(torch.full((4,), 1)).items():
        if name in tables:
            assert elements.any(dim=1).tolist() == [False, False, True, False]


@pytest.mark.parametrize("fusion", EVERY_FUSION)
def test_no_label_is_a_label_of_its_own_and_the_default(fusion):
    model = randomised(tiny_model(fusion))
    x = random_x(model)
    without = model(x, torch.full((3,), NO_LABEL))
    assert torch.equal(without, model(x))
    assert torch.equal(without, model(x, Condition(torch.full((3,), NO_LABEL))))
    torch.testing.assert_close(model(x, torch.tensor([0, NO_LABEL, 1]))[1], without[1])
    assert torch.equal(model(x, torch.tensor([0, 1, 2])), without) == (fusion == "none")


@pytest.mark.parametrize("fusion", ["none", "one-hot-map", "film:mlp=one-hot", "cross-attention", COMBINED[0]])
def test_a_network_without_classes_takes_images_without_labels(fusion):
    model = randomised(tiny_model(fusion, num_classes=0))
    assert model.log_prob(random_x(model)).isfinite().all()
    if fusion != "none":
        with pytest.raises(IndexError):
            model(random_x(model), torch.zeros(3).long())


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        (torch.tensor([0, 1]), r"label has shape \(2,\) and torch.int64, expected \(3,\) integers"),
        (Condition(torch.tensor([0, 1])), r"label has shape \(2,\) and torch.int64, expected \(3,\) integers"),
        (torch.tensor(1), r"label has shape \(\) and torch.int64"),
        (torch.tensor([[0], [1], [2]]), r"label has shape \(3, 1\) and torch.int64"),
        (torch.tensor([0.0, 1.0, 2.0]), r"label has shape \(3,\) and torch.float32, expected \(3,\) integers"),
        (Condition(torch.tensor([0, 1, 2]), torch.tensor([0])), r"view has shape \(1,\), expected \(3,\)"),
    ],
)
def test_a_condition_that_does_not_fit_the_batch_is_rejected(condition, message):
    model = tiny_model()
    with pytest.raises(ValueError, match=message):
        model(random_x(model), condition)


@pytest.mark.parametrize("fusion", ["film", "one-hot-map"])
@pytest.mark.parametrize("label", [3, -2])
def test_a_label_out_of_range_is_an_error_instead_of_another_label(fusion, label):
    model = tiny_model(fusion)
    with pytest.raises(IndexError):
        model(random_x(model), torch.tensor([0, label, 1]))


@pytest.mark.parametrize("fusion", ["input-add", "one-hot-map+input-concat:mlp=one-hot+film"])
@pytest.mark.parametrize("size", [(8, 11), (4, 12), (1, 1), (12, 8)])
def test_a_whole_image_embedding_rejects_images_of_another_size(fusion, size):
    model = tiny_model(fusion)
    message = f"image is {size[0]} x {size[1]}, expected 8 x 12: the whole-image embedding ties the network to its size"
    with pytest.raises(ValueError, match=message):
        model(torch.zeros(2, 3, *size, dtype=torch.float64), torch.tensor([0, 1]))


def test_a_whole_image_embedding_of_one_pixel_is_not_repeated():
    model = tiny_model("input-add", image_size=(1, 1))
    with pytest.raises(ValueError, match=r"image is 5 x 7, expected 1 x 1"):
        model(torch.zeros(2, 3, 5, 7, dtype=torch.float64), torch.tensor([0, 1]))


# Initialisation


def without_fusion(model):
    """The network with the same weights and no fusion."""
    other = tiny_model("none")
    other.load_state_dict({name: w for name, w in model.state_dict().items() if not name.startswith("fusion.")})
    return other


def with_initial_fusion(fusion):
    """A network with every weight changed, except that the fusion has its initial weights."""
    model, initial = randomised(tiny_model(fusion)), tiny_model(fusion)
    model.fusion.load_state_dict(initial.fusion.state_dict())
    return model


@pytest.mark.parametrize(
    "fusion",
    [
        "film",
        "film:at=shortcut,bounded,mlp=one-hot",
        "cross-attention:mlp=embedding",
        "film+cross-attention",
    ],
)
def test_training_starts_exactly_from_the_unconditional_network(fusion):
    model = with_initial_fusion(fusion)
    x, other = random_x(model, 4), without_fusion(model)
    for label in (None, ALL_LABELS):
        assert torch.equal(model(x, label), other(x))


@pytest.mark.parametrize("fusion", ["adaln", "adaln:gate=false,mlp=one-hot"])
def test_adaln_starts_identically_for_all_labels_but_not_as_the_unconditional_network(fusion):
    model = with_initial_fusion(fusion)
    x = random_x(model)
    for label in ALL_LABELS:
        assert torch.equal(model(x, label.expand(3)), model(x))
    assert not torch.allclose(model(x), without_fusion(model)(x))


def test_adaln_with_its_gate_starts_with_blocks_that_are_the_identity_and_short_cuts_without_effect():
    model = with_initial_fusion("adaln")
    is_identity = []
    for _, block in blocks(model):
        block.register_forward_hook(lambda _, inputs, output: is_identity.append(torch.equal(inputs[0], output)))
    without_blocks = receptive_fields(1, 8, 12, block=lambda field, *_: field)
    assert torch.equal(dependence(model, torch.tensor(1)), without_blocks)
    assert is_identity == [True] * sum(isinstance(module, GatedResNet) for module in model.modules())
    assert not torch.equal(without_blocks, receptive_fields(1, 8, 12))


def test_adaln_without_its_gate_starts_with_every_short_cut_in_effect():
    model = with_initial_fusion("adaln:gate=false,mlp=embedding")
    assert torch.equal(dependence(model, torch.tensor(1)), receptive_fields(1, 8, 12))


def initial_vectors(fusion):
    """All initial features of each label, (4, D)."""
    shape = dataclasses.replace(network_shape(), num_filters=160)
    torch.manual_seed(0)
    features = fusion_maker(fusion)(shape).prepare(Condition(ALL_LABELS))
    return torch.cat([feature.flatten(1) for feature in features.values()], dim=1)


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
    vectors = initial_vectors(fusion)
    assert not vectors[3].any()
    assert vectors[:3].std(dim=1).tolist() == pytest.approx([deviation] * 3, rel=0.15)


@pytest.mark.parametrize("mlp", ["one-hot", "embedding"])
def test_the_vectors_of_an_mlp_start_with_about_the_same_deviation(mlp):
    vectors = initial_vectors(f"gate-add:mlp={mlp}")
    assert (vectors[:3].std(dim=1) / 0.05).log2().abs().max() < 2  # within a factor of four
    assert not vectors[3].any() or mlp == "embedding"


# The equation of each fusion


@pytest.mark.parametrize(
    ("fusion", "point"),
    [
        ("input-add", "INPUT"),
        ("stem-add", "STEM"),
        ("before-block", "BEFORE_BLOCK"),
        ("bottleneck", "BEFORE_BLOCK"),
        ("gate-add", "BEFORE_GATE"),
        ("output-add", "OUTPUT"),
    ],
)
def test_an_adding_fusion_adds_its_vector_or_map_to_the_channels_of_the_network(fusion, point):
    made, features = alone(fusion)
    assert features
    for site, feature in features.items():
        h = normal(4, feature.shape[1], 8, 12)
        torch.testing.assert_close(made.apply_at(ConditioningPoint[point], h, features, site), h + feature)
        if point in ("INPUT", "OUTPUT"):  # channels that another fusion has appended
            more = torch.cat((h, normal(4, 2, 8, 12, seed=5)), dim=1)
            expected = torch.cat((h + feature, more[:, -2:]), dim=1)
            torch.testing.assert_close(made.apply_at(ConditioningPoint[point], more, features, site), expected)


@pytest.mark.parametrize(
    ("fusion", "point"),
    [("input-concat", "INPUT"), ("channel-concat:width=3", "INPUT"), ("output-concat:width=3", "OUTPUT")],
)
def test_a_concatenating_fusion_appends_its_vector_at_every_position_or_its_map(fusion, point):
    made, features = alone(fusion)
    ((site, feature),) = features.items()
    h = normal(4, 5, 8, 12)
    appended = made.apply_at(ConditioningPoint[point], h, features, site)
    assert torch.equal(appended[:, :5], h)
    assert torch.equal(appended[:, 5:], feature.expand(4, 3, 8, 12))


def test_a_one_hot_map_is_one_for_the_own_class_and_zero_for_no_label():
    fusion, features = alone("one-hot-map")
    x = normal(4, 3, 2, 5)
    maps = fusion.apply_at(ConditioningPoint.INPUT, x, features, INPUT_SITE)
    assert torch.equal(maps[:, :3], x)
    expected = torch.tensor([[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 0]]).double()
    assert torch.equal(maps[:, 3:], expected[..., None, None].expand(-1, -1, 2, 5))


def test_film_multiplies_by_one_plus_gamma_and_adds_beta():
    fusion, features = alone("film")
    h = normal(4, 4, 3, 5)
    for site, feature in features.items():
        gamma, beta = feature[:, :4], feature[:, 4:]
        modulated = fusion.apply_at(ConditioningPoint.BEFORE_BLOCK, h, features, site)
        torch.testing.assert_close(modulated, h + gamma * h + beta)


@pytest.mark.parametrize(
    ("options", "point"), [("", "BEFORE_BLOCK"), (",at=shortcut,mlp=embedding", "SHORTCUT")], ids=["block", "shortcut"]
)
def test_a_bounded_gamma_keeps_the_factor_of_film_between_0_and_2(options, point):
    _, unbounded = alone(f"film:bounded=false{options}")
    fusion, features = alone(f"film:bounded{options}")
    for site in features:
        width = features[site].shape[1] // 2
        ones, zeros = torch.ones(4, width, 1, 1).double(), torch.zeros(4, width, 1, 1).double()
        beta = fusion.apply_at(ConditioningPoint[point], zeros, features, site)
        factor = fusion.apply_at(ConditioningPoint[point], ones, features, site) - beta
        assert factor.min() > 0
        assert factor.max() < 2
        torch.testing.assert_close(factor, 1 + unbounded[site][:, :width].tanh())
        torch.testing.assert_close(beta, unbounded[site][:, width:])
    with torch.no_grad():
        for weight in fusion.parameters():
            weight.mul_(1000)
    for feature in fusion.prepare(Condition(ALL_LABELS)).values():
        assert feature[:, : feature.shape[1] // 2].abs().max() == 1  # saturated: the factor is 0 or 2, never beyond


def test_film_at_the_short_cut_has_features_for_every_block_with_a_short_cut():
    _, features = alone("film:at=shortcut")
    assert features.keys() == {site for site, block in blocks(tiny_model()) if block.conv_shortcut is not None}


def test_adaln_normalises_over_the_channels_of_each_position_then_scales_shifts_and_gates():
    fusion, features = alone("adaln")
    h = 7 * normal(4, 4, 3, 5) + 2
    for site, feature in features.items():
        shift, scale, gate = feature.split(4, dim=1)
        normed = F.layer_norm(h.movedim(1, -1), (4,), eps=1e-6).movedim(-1, 1)
        branch = fusion.apply_at(ConditioningPoint.BEFORE_BRANCH, h, features, site)
        torch.testing.assert_close(branch, normed * (1 + scale) + shift)
        torch.testing.assert_close(fusion.apply_at(ConditioningPoint.RESIDUAL, h, features, site), gate * h)


@pytest.mark.parametrize("tokens", [1, 3])
def test_cross_attention_adds_a_mean_of_the_values_of_the_class_weighted_by_query_and_key(tokens):
    fusion, features = alone(f"cross-attention:tokens={tokens}")
    assert len(fusion.queries) == len(features) == 16  # one per block
    h = normal(4, 4, 3, 5)
    for site, feature in features.items():
        keys, values = feature.view(4, 2, tokens, 4).unbind(dim=1)
        query = torch.einsum("oi,bihw->bohw", fusion.queries[site.name].weight[..., 0, 0], h)
        weights = (torch.einsum("bchw,btc->bthw", query, keys) / 4**0.5).softmax(dim=1)
        attended = torch.einsum("bthw,btc->bchw", weights, values)
        torch.testing.assert_close(fusion.apply_at(ConditioningPoint.AFTER_BLOCK, h, features, site), h + attended)


@pytest.mark.parametrize(("name", "count"), [("after-block", 1), ("after-block:alphas=block", 16)])
def test_after_every_block_alpha_times_its_vector_is_added(name, count):
    fusion, features = alone(name)
    assert fusion.alpha.shape == (count,)
    vectors = fusion.vectors(Condition(ALL_LABELS))
    h = normal(4, 4, 3, 5)
    for site, alpha in zip(network_shape().blocks, fusion.alpha.expand(16), strict=True):
        added = fusion.apply_at(ConditioningPoint.AFTER_BLOCK, h, features, site)
        torch.testing.assert_close(added, h + alpha * vectors[site])


def test_an_mlp_takes_the_one_hot_label_or_an_embedding():
    rows = torch.eye(4).double()[[1, 2, 3, 0]]  # NO_LABEL is row 0
    one_hot = randomised(LabelVectors(3, 7, 0.5, "one-hot", hidden=5).double())
    last = one_hot.mlp[-1]
    expected = F.silu(rows @ one_hot.embedding.weight) @ last.weight.T + last.bias
    torch.testing.assert_close(one_hot(ALL_LABELS)[..., 0, 0], expected)

    embedding = randomised(LabelVectors(3, 7, 0.5, "embedding", hidden=5).double())
    first, _, last = embedding.mlp
    hidden = F.silu((rows @ embedding.embedding.weight) @ first.weight.T + first.bias)
    torch.testing.assert_close(embedding(ALL_LABELS)[..., 0, 0], hidden @ last.weight.T + last.bias)

    table = randomised(LabelVectors(3, 7, 0.5).double())
    torch.testing.assert_close(table(ALL_LABELS)[..., 0, 0], rows @ table.embedding.weight)


def test_class_vectors_are_all_features_of_each_class():
    for name, width in (("none", None), ("one-hot-map", 3), ("film", 16 * 8), ("one-hot-map+none+output-add", 3 + 4)):
        fusion, _ = alone(name)
        vectors = fusion.class_vectors(3)
        if width is None:
            assert vectors is None
        else:
            features = fusion.prepare(Condition(torch.arange(3)))
            expected = torch.cat([feature.flatten(1) for feature in features.values()], dim=1).float()
            assert vectors.shape == (3, width)
            assert torch.equal(vectors, expected)
    views = ViewFiLM(network_shape(), num_conditions=4)
    assert views.class_vectors(3) is None
    assert views.statistics() == {}


def test_the_statistics_of_film_are_means_and_deviations_of_gamma_and_beta_over_the_classes():
    fusion, features = alone("one-hot-map+film")
    statistics = fusion.statistics()
    assert statistics.keys() == {"1_gamma_mean", "1_gamma_std", "1_beta_mean", "1_beta_std"}
    gamma = torch.cat([feature[:3, :4] for site, feature in features.items() if site.part == 1])
    beta = torch.cat([feature[:3, 4:] for site, feature in features.items() if site.part == 1])
    expected = [gamma.mean(), gamma.std(), beta.mean(), beta.std()]
    assert list(statistics.values()) == pytest.approx([float(value) for value in expected])


# Compositions


@pytest.mark.parametrize(
    "pair",
    [
        ("film", "adaln"),
        ("gate-add", "gate-add:mlp=one-hot"),
        ("channel-concat", "input-add"),
        ("output-concat:width=5", "output-add"),
    ],
)
def test_a_composition_applies_its_parts_in_order_each_with_its_own_features(pair):
    model = randomised(tiny_model(pair))
    condition = Condition(torch.tensor([0, 2]))
    features = model.fusion.prepare(condition)
    first, second = model.fusion.parts
    assert [type(part) for part in (first, second)] == [FUSIONS[name.partition(":")[0]] for name in pair]
    own = [part.prepare(condition) for part in (first, second)]
    assert len(features) == len(own[0]) + len(own[1])
    for point, site, channels in points_and_widths(model):
        h = normal(2, channels, *(size // 2**site.resolution for size in model.config.image_shape.size))
        by_hand = second.apply_at(point, first.apply_at(point, h, own[0], site), own[1], site)
        torch.testing.assert_close(model.fusion.apply_at(point, h, features, site), by_hand, rtol=0, atol=0)


def test_appended_channels_add_up():
    model = tiny_model("one-hot-map+channel-concat:width=5+input-concat+output-concat:width=6+output-concat:width=7")
    assert model.fusion.input_channels == 3 + 5 + 3
    assert model.fusion.output_channels == 6 + 7
    assert model.stem_vertical.v.shape[1] == 3 + 11 + 1
    assert model.to_params.v.shape[1] == 4 + 13
    params = model(random_x(model), torch.tensor([0, 1, 2]))
    assert params.shape == (3, 20, 8, 12)


@pytest.mark.parametrize("fusion", ["one-hot-map", "film"])
def test_none_beside_another_fusion_changes_nothing(fusion):
    model, single = randomised(tiny_model(("none", fusion))), tiny_model(fusion)
    single.load_state_dict({name.replace("fusion.parts.1.", "fusion."): w for name, w in model.state_dict().items()})
    x = random_x(model, 4)
    assert torch.equal(model(x, ALL_LABELS), single(x, ALL_LABELS))


# Names and options


def test_a_list_and_a_name_with_pluses_mean_the_same():
    forms = [
        "one-hot-map+film:at=shortcut,bounded+output-concat:width=3",
        " one-hot-map + film: at=shortcut, bounded + output-concat: width=3",
        ("one-hot-map", "film:bounded=true,at=shortcut", "output-concat:width=3"),
        ["one-hot-map", "film:at=shortcut,bounded", "output-concat:width=3"],
        ("one-hot-map+film:at=shortcut,bounded", "output-concat:width=3"),
    ]
    models = [randomised(tiny_model(form)) for form in forms]
    x, label = random_x(models[0]), torch.tensor([0, 1, 2])
    for model in models:
        assert torch.equal(model(x, label), models[0](x, label))


def test_one_name_makes_the_fusion_itself_and_several_a_composition():
    shape = network_shape()
    for name, kind in FUSIONS.items():
        for form in (name, (name,), [name]):
            assert type(fusion_maker(form)(shape)) is kind
        assert type(fusion_maker(("film", name))(shape)) is Composition


@pytest.mark.parametrize(
    ("fusion", "attributes"),
    [
        ("film", {"point": ConditioningPoint.BEFORE_BLOCK, "bounded": False}),
        ("film:at=shortcut", {"point": ConditioningPoint.SHORTCUT, "bounded": False}),
        ("film:bounded", {"point": ConditioningPoint.BEFORE_BLOCK, "bounded": True}),
        ("film:bounded=true", {"bounded": True}),
        ("film:bounded,bounded=false", {"bounded": False}),
        ("adaln", {"gate": True}),
        ("adaln:gate=false", {"gate": False}),
        ("channel-concat:width=3", {"input_channels": 3}),
        ("output-concat:width=12", {"output_channels": 12}),
    ],
)
def test_an_option_is_passed_to_the_class(fusion, attributes):
    made, _ = alone(fusion)
    assert {name: getattr(made, name) for name in attributes} == attributes


def options():
    """Each option of each fusion at each value that is not its default, `name:option=value`, from the signatures."""
    for name, fusion in FUSIONS.items():
        for option, parameter in inspect.signature(fusion, eval_str=True).parameters.items():
            if get_origin(parameter.annotation) is Literal:
                values = [value for value in get_args(parameter.annotation) if value != parameter.default]
            elif parameter.annotation is bool:
                values = [str(not parameter.default).lower()]
            else:
                values = [2] if parameter.annotation is int else []
            yield from ((name, f"{name}:{option}={value}") for value in values)


def test_every_option_of_every_fusion_changes_its_weights_or_its_features():
    for name, with_option in options():
        (default, features), (changed, other_features) = alone(name), alone(with_option)
        weights, others = ([weight.shape for weight in made.parameters()] for made in (default, changed))
        same_features = features.keys() == other_features.keys() and all(
            feature.shape == other_features[site].shape and torch.equal(feature, other_features[site])
            for site, feature in features.items()
        )
        assert weights != others or not same_features, f"{with_option} is the same as {name}"


def test_an_mlp_option_gives_all_label_vectors_of_the_fusion_layers():
    for with_option in (one for _, one in options() if ":mlp=" in one):
        made, _ = alone(with_option)
        layers = [len(vectors.mlp) for vectors in made.modules() if isinstance(vectors, LabelVectors)]
        assert layers, with_option
        assert min(layers) > 0, with_option


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
def test_an_unknown_name_or_option_is_rejected_with_the_closest_known_one(fusion, message):
    with pytest.raises(InputError) as error:
        fusion_maker(fusion)
    assert message in str(error.value)


def test_an_option_may_be_a_decimal_number(monkeypatch):
    class Scaled(Fusion):
        def __init__(self, shape, *, factor: "float" = 1.0):
            super().__init__(shape)
            self.factor = factor

    monkeypatch.setitem(FUSIONS, "scaled", Scaled)
    assert tiny_model("scaled:factor=0.25").fusion.factor == 0.25
    for text in ("-1", "0", "nan", "loud"):
        with pytest.raises(InputError, match=f"option factor of fusion scaled is '{text}', expected a number above 0"):
            fusion_maker(f"scaled:factor={text}")
