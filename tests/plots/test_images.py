import numpy as np
import pytest
import torch
from figures import rendered, texts
from matplotlib.colors import to_rgb

from pixelbayes.data import AugmentationConfig
from pixelbayes.evaluation.explanation import Explanation
from pixelbayes.metrics.classification import Classification
from pixelbayes.metrics.nearest import Neighbours
from pixelbayes.plots import (
    augmentations,
    confusion_matrix,
    explanations,
    image_grid,
    nearest_neighbours,
    posteriors,
)
from pixelbayes.plots.style import BLUE, VERMILLION

NAMES = ["burger", "giant panda", "koala"]
POSTERIOR = torch.tensor([[0.7, 0.2, 0.1], [0.0004, 0.9, 0.0996], [0.3, 0.3, 0.4]])


def random_pixels(*shape, levels=256):
    return torch.randint(0, levels, shape, generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


# Grid


@pytest.mark.parametrize("size", [(8, 12), (5, 3), (200, 160)])
def test_the_grid_shows_every_pixel_as_a_square_of_its_colour(size):
    height, width = size
    pixels = random_pixels(2, 3, 3, height, width)
    grid = image_grid(pixels, 256, row_labels=["cat", "dog"])
    (axes,) = grid.axes
    shown = rendered(grid)
    box = axes.get_window_extent()
    left, top = round(box.x0), round(shown.shape[0] - box.y1)
    zoom = max(1, round(128 / max(height, width)))
    for row in range(2):
        for column in range(3):
            y, x = top + row * (height * zoom + 8), left + column * (width * zoom + 8)
            tile = shown[y : y + height * zoom, x : x + width * zoom]
            expected = pixels[row, column].permute(1, 2, 0).numpy().repeat(zoom, axis=0).repeat(zoom, axis=1)
            np.testing.assert_array_equal(tile, expected)
            assert (shown[y : y + height * zoom, x - 8 : x] == 255).all() or column == 0  # the gap is white


def test_the_grid_scales_levels_to_black_and_white_and_shows_one_channel_in_grey():
    pixels = torch.tensor([0, 8, 16], dtype=torch.uint8).reshape(1, 1, 1, 1, 3)
    colours = {tuple(colour) for colour in rendered(image_grid(pixels, levels=17)).reshape(-1, 3).tolist()}
    assert colours == {(0, 0, 0), (128, 128, 128), (255, 255, 255)}


def test_the_grid_has_names_of_rows_and_columns():
    grid = image_grid(random_pixels(3, 2, 1, 8, 8), 256, row_labels=NAMES, column_labels=["first", "second"])
    assert [label.get_text() for label in grid.axes[0].get_yticklabels()] == NAMES
    assert [label.get_text() for label in grid.axes[0].get_xticklabels()] == ["first", "second"]


def test_no_text_of_a_grid_or_matrix_is_cut_off():
    long = ["a name as long as some data sets have them", "b"]
    predicted, labels = torch.tensor([0, 1, 1]), torch.tensor([0, 0, 1])
    many = torch.arange(30)
    for figure in (
        image_grid(random_pixels(2, 1, 3, 8, 8), 256, long, ["a title far wider than its image"]),
        confusion_matrix(Classification.of(predicted, labels, long)),
        confusion_matrix(Classification.of(many, many.flip(0), [f"class {c}" for c in range(30)])),
    ):
        box = figure.get_tightbbox().padded(-0.01).get_points() * figure.dpi
        assert (box >= 0).all()
        assert (box <= np.array(figure.bbox.size)).all()


def test_the_grid_refuses_labels_and_channels_that_do_not_fit():
    with pytest.raises(ValueError, match="1 row labels for 2 rows"):
        image_grid(random_pixels(2, 1, 3, 8, 8), 256, ["cat"])
    with pytest.raises(ValueError, match="expected 1 or 3 channels"):
        image_grid(random_pixels(2, 1, 2, 8, 8), 256)


# Augmentations


def test_the_first_column_shows_the_images_and_the_others_augmentations():
    pixels = random_pixels(2, 3, 8, 12)
    still, moving = (
        augmentations(pixels, 256, config, draws=3).axes[0].images[0].get_array()
        for config in (AugmentationConfig(), AugmentationConfig(brightness=1.0))
    )
    width = (still.shape[1] - 3 * 8) // 4
    columns = [slice(i * (width + 8), i * (width + 8) + width) for i in range(4)]
    assert all((still[:, column] == still[:, columns[0]]).all() for column in columns)
    assert (moving[:, columns[0]] == still[:, columns[0]]).all()
    assert all((moving[:, column] != still[:, column]).any() for column in columns[1:])


# Nearest neighbours


def test_the_nearest_pairs_are_shown_first_with_their_distances():
    samples, training = random_pixels(12, 3, 8, 12, levels=5), random_pixels(20, 3, 8, 12, levels=5)
    neighbours = Neighbours(torch.arange(12) + 3, torch.linspace(1.2, 0.1, 12, dtype=torch.float64))
    (axes,) = nearest_neighbours(samples, training, neighbours, 5).axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["sample", "nearest in training"]
    distances = [label.get_text() for label in axes.get_xticklabels()]
    assert distances == [f"{0.1 * step:.3f}" for step in range(1, 11)]


def test_a_copy_looks_like_its_original():
    training = random_pixels(5, 3, 8, 12, levels=5)
    neighbours = Neighbours(torch.tensor([2, 3]), torch.zeros(2).double())
    grid = nearest_neighbours(training[2:4], training, neighbours, 5).axes[0].images[0].get_array()
    height = (grid.shape[0] - 8) // 2
    assert (grid[:height] == grid[-height:]).all()


# Posteriors


def test_posteriors_mark_the_true_class_and_the_errors():
    figure = posteriors(random_pixels(3, 3, 8, 12), 256, POSTERIOR, NAMES, torch.tensor([0, 2, -1]))
    assert len(figure.axes) == 6
    images, bars = figure.axes[::2], figure.axes[1::2]
    assert [axes.get_title(loc="left") for axes in images] == ["burger", "✗ giant panda, true class koala", "koala"]
    assert [axes.spines["left"].get_visible() for axes in images] == [False, True, False]
    ticks = [[label.get_text() for label in axes.get_yticklabels()] for axes in bars]
    assert ticks == [["✓ burger", *NAMES[1:]], [*NAMES[:2], "✓ koala"], NAMES]
    for axes, p, colour in zip(bars, POSTERIOR, (BLUE, VERMILLION, BLUE), strict=True):
        container = axes.containers[1]
        np.testing.assert_allclose([bar.get_width() for bar in container], p, rtol=1e-6)
        assert container[int(p.argmax())].get_facecolor()[:3] == to_rgb(colour)
    assert [text.get_text() for text in bars[1].texts] == ["<0.001", "0.900", "0.100"]


def test_posteriors_show_the_pixels():
    pixels = random_pixels(1, 3, 8, 12)
    figure = posteriors(pixels, 256, POSTERIOR[:1], NAMES)
    shown, box = rendered(figure), figure.axes[0].get_window_extent()
    tile = shown[round(shown.shape[0] - box.y1) : round(shown.shape[0] - box.y0), round(box.x0) : round(box.x1)]
    np.testing.assert_array_equal(tile, pixels[0].permute(1, 2, 0).numpy().repeat(12, axis=0).repeat(12, axis=1))


def test_posteriors_show_log_probabilities_next_to_the_bars():
    log_probs, pixels = torch.tensor([[-9400.25, -9401.5, -9402.0]]), random_pixels(1, 1, 8, 8)
    for is_mean, heading in ((False, "   log p(x | c) in nats"), (True, "mean log p(x | c) of the passes in nats")):
        words = texts(posteriors(pixels, 256, POSTERIOR[:1], NAMES, log_probs=log_probs, is_mean=is_mean))
        assert "-9401.5" in words
        assert any(heading in text for text in words)


def test_of_many_classes_the_most_probable_and_the_true_one_have_a_bar():
    p = torch.arange(1.0, 31.0).div(465)[None]
    figure = posteriors(random_pixels(1, 3, 8, 8), 256, p, [f"c{c}" for c in range(30)], torch.tensor([3]))
    bars = [label.get_text() for label in figure.axes[1].get_yticklabels()]
    assert bars == ["c29", "c28", "c27", "c26", "c25", "✓ c3"]


def test_posteriors_refuse_shapes_that_do_not_fit():
    with pytest.raises(ValueError, match="2 images and 3 class names"):
        posteriors(random_pixels(2, 3, 8, 8), 256, POSTERIOR, NAMES)


# Explanations


def explained(ratio, pixels=None, label=0, other=2):
    ratio = torch.as_tensor(ratio, dtype=torch.float64)
    pixels = torch.full((1, *ratio.shape), 255, dtype=torch.uint8) if pixels is None else pixels
    return Explanation(pixels, ratio, label, other, (0.75, 0.015))


def overlay(figure, number=0):
    return figure.axes[2 * number + 1].images[0].get_array()  # (H, W, 3), in 0 .. 1


def test_evidence_for_the_first_class_is_blue_and_for_the_second_vermillion():
    shown = overlay(explanations([explained([[3.0, -3.0, 0.0], [1.5, 0.0, 0.0]])], 256, NAMES))
    np.testing.assert_allclose(shown[0, 0], to_rgb(BLUE), atol=0.01)
    np.testing.assert_allclose(shown[0, 1], to_rgb(VERMILLION), atol=0.01)
    np.testing.assert_allclose(shown[0, 2], (1, 1, 1), atol=0.01)
    np.testing.assert_allclose(shown[1, 0], (np.array(to_rgb(BLUE)) + 1) / 2, atol=0.02)


def test_pixels_without_evidence_show_the_image():
    pixels = torch.tensor([[[0, 255, 128]]], dtype=torch.uint8)
    grey = overlay(explanations([explained([[0.0, 0.0, 0.0]], pixels)], 256, NAMES))[0, :, 0]
    assert grey[0] < grey[2] < grey[1]


def test_all_explanations_share_one_scale():
    strong, weak = explained([[4.0] * 3] * 2), explained([[1.0] * 3] * 2)
    figure = explanations([strong, weak], 256, NAMES)
    np.testing.assert_allclose(1 - overlay(figure, 1), (1 - overlay(figure, 0)) / 4, atol=0.01)


def test_titles_contain_classes_nats_and_posterior():
    words = texts(explanations([explained([[1.0, 2.5]]), explained([[-1.0, -2.5]], label=1)], 256, NAMES))
    assert "burger rather than koala: +3.5 nats" in words
    assert "giant panda rather than koala: -3.5 nats" in words
    assert "p(burger | x): 0.750, p(koala | x): 0.015" in words


@pytest.mark.parametrize(
    ("count", "name"), [(1, "a name far longer than any image is wide"), (3, "a"), (5, "a long name")]
)
def test_no_part_of_an_explanation_is_cut_off(count, name):
    figure = explanations([explained([[1.0] * 12] * 8)] * count, 256, [name, "b", name])
    shown = rendered(figure)
    for edge in (shown[:4], shown[-4:], shown[:, :4], shown[:, -4:]):
        assert (edge == 255).all()


def test_at_least_one_explanation_is_required():
    with pytest.raises(ValueError, match="no explanation, expected one or more"):
        explanations([], 256, NAMES)
