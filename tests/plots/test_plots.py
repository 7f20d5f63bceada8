from io import BytesIO
from itertools import pairwise

import matplotlib
import numpy as np
import pytest
import torch
from matplotlib import pyplot
from matplotlib.colors import to_rgb
from matplotlib.text import Text
from PIL import Image

from pixelbayes.metrics.classification import Classification
from pixelbayes.plots import confusion_matrix, curves, image_grid, posteriors, save_figure, to_png
from pixelbayes.plots.style import BLUE, VERMILLION

NAMES = ["burger", "giant panda", "koala"]
COLUMNS = ["epoch", "train/bits_per_dim", "val/bits_per_dim", "val/accuracy", "learning_rate"]
HISTORY = [  # as a csv reader gives it: strings, and holes
    dict(zip(COLUMNS, row, strict=False))
    for row in (
        ("0", "6.5", "", None, "1e-4"),
        ("1", "5.5", "5.6", "0.5", "2e-4"),
        ("2", "5.0", "5.7", "", "1e-4"),
    )
]


def rendered(figure):
    return np.array(Image.open(BytesIO(to_png(figure))).convert("RGB"))  # (height, width, 3)


def texts(figure):
    return [text.get_text() for text in figure.findobj(Text) if text.get_visible() and text.get_text()]


def random_pixels(*shape, levels=256):
    return torch.randint(0, levels, shape, generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


def classification(num_classes=3, n=60):
    generator = torch.Generator().manual_seed(0)
    labels, guesses = torch.randint(0, num_classes, (2, n), generator=generator)
    predicted = torch.where(torch.rand(n, generator=generator) < 0.7, labels, guesses)
    return Classification.of(predicted, labels, [f"class {c}" for c in range(num_classes)])


# image_grid


@pytest.mark.parametrize("height_width", [(8, 12), (32, 32), (5, 3), (200, 160)])
def test_the_grid_shows_every_pixel_as_a_square_of_its_own_colour(height_width):
    pixels = random_pixels(2, 3, 3, *height_width)
    sheet = image_grid(pixels, 256, row_labels=["cat", "dog"])
    (axes,) = sheet.axes
    shown = rendered(sheet)
    box = axes.get_window_extent()
    left, top = round(box.x0), round(shown.shape[0] - box.y1)
    height, width = height_width
    zoom = max(1, round(128 / max(height, width)))
    for row in range(2):
        for column in range(3):
            y, x = top + row * (height * zoom + 8), left + column * (width * zoom + 8)
            tile = shown[y : y + height * zoom, x : x + width * zoom]
            expected = pixels[row, column].permute(1, 2, 0).numpy().repeat(zoom, axis=0).repeat(zoom, axis=1)
            np.testing.assert_array_equal(tile, expected)
            assert (shown[y : y + height * zoom, x - 8 : x] == 255).all() or column == 0  # white between


def test_the_grid_scales_few_levels_to_black_and_white_and_one_colour_to_grey():
    pixels = torch.tensor([0, 8, 16], dtype=torch.uint8).reshape(1, 1, 1, 1, 3)
    colours = {tuple(colour) for colour in rendered(image_grid(pixels, levels=17)).reshape(-1, 3).tolist()}
    assert colours == {(0, 0, 0), (128, 128, 128), (255, 255, 255)}


def test_the_grid_names_rows_and_columns():
    sheet = image_grid(random_pixels(3, 2, 1, 8, 8), 256, row_labels=NAMES, column_labels=["first", "second"])
    assert [label.get_text() for label in sheet.axes[0].get_yticklabels()] == NAMES
    assert [label.get_text() for label in sheet.axes[0].get_xticklabels()] == ["first", "second"]


def test_no_text_of_a_grid_or_matrix_is_cut_off():
    long = ["a name as long as some data sets have them", "b"]
    for figure in (
        image_grid(random_pixels(2, 1, 3, 8, 8), 256, long, ["a title far wider than its image"]),
        confusion_matrix(classification(2), long),
        confusion_matrix(classification(100, n=900)),
    ):
        box = figure.get_tightbbox().padded(-0.01).get_points() * figure.dpi
        assert (box >= 0).all()
        assert (box <= np.array(figure.bbox.size)).all()


def test_the_grid_refuses_labels_and_channels_that_do_not_fit():
    with pytest.raises(ValueError, match="1 row labels for 2 rows"):
        image_grid(random_pixels(2, 1, 3, 8, 8), 256, ["cat"])
    with pytest.raises(ValueError, match="expected 1 or 3 channels"):
        image_grid(random_pixels(2, 1, 2, 8, 8), 256)


# curves


def test_curves_show_what_was_logged_and_skip_the_holes():
    bits, accuracy, rate = curves(HISTORY).axes
    train, validation = bits.get_lines()
    np.testing.assert_array_equal(train.get_xydata(), [[0, 6.5], [1, 5.5], [2, 5.0]])
    np.testing.assert_array_equal(validation.get_xydata(), [[1, 5.6], [2, 5.7]])
    np.testing.assert_array_equal(accuracy.get_lines()[0].get_xydata(), [[1, 0.5]])
    np.testing.assert_array_equal(rate.get_lines()[0].get_ydata(), [1e-4, 2e-4, 1e-4])
    assert [text.get_text() for text in bits.get_legend().get_texts()] == ["train", "validation"]
    assert accuracy.get_lines()[0].get_marker() == "."  # one point alone makes no line


def test_the_selected_epoch_is_marked_in_every_panel_and_named():
    figure = curves(HISTORY, best_epoch=1)
    assert "selected: epoch 1" in texts(figure)
    for axes in figure.axes:
        assert [1, 1] in [list(line.get_xdata()) for line in axes.get_lines()]  # a vertical line
    (dot,) = [line for line in figure.axes[0].get_lines() if line.get_marker() == "o"]
    np.testing.assert_array_equal(dot.get_xydata(), [[1, 5.6]])
    assert not any("selected" in text for text in texts(curves(HISTORY)))


def test_a_panel_without_values_is_left_out():
    figure = curves([{"epoch": 0, "train/bits_per_dim": 4.0}, {"epoch": 1, "train/bits_per_dim": 3.0}])
    assert [axes.get_ylabel() for axes in figure.axes] == ["bits per dimension"]
    with pytest.raises(ValueError, match="holds no bits per dimension"):
        curves([{"epoch": 0}])


@pytest.mark.parametrize("epochs", [1, 2, 3])
def test_epochs_are_ticked_in_whole_numbers_however_few(epochs):
    axes = curves(HISTORY[:epochs], best_epoch=0).axes[-1]
    low, high = axes.get_xlim()
    assert [tick for tick in axes.get_xticks() if low <= tick <= high] == list(range(epochs))


# confusion_matrix


def test_the_matrix_writes_each_count_in_its_cell_with_true_classes_down():
    result = Classification.of(torch.tensor([0, 1, 1, 1]), torch.tensor([0, 0, 0, 1]), ["cat", "dog"])
    axes = confusion_matrix(result).axes[0]
    assert {text.get_position(): text.get_text() for text in axes.texts} == {
        (0, 0): "1", (1, 0): "2", (0, 1): "0", (1, 1): "1",
    }  # fmt: skip
    np.testing.assert_allclose(axes.images[0].get_array(), [[1 / 3, 2 / 3], [0, 1]])
    assert [label.get_text() for label in axes.get_yticklabels()] == ["cat", "dog"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted class", "true class")


@pytest.mark.parametrize("num_classes", [2, 10, 20, 21, 100])
def test_the_matrix_stays_readable_from_2_to_100_classes(num_classes):
    figure = confusion_matrix(classification(num_classes, n=9 * num_classes))
    axes = figure.axes[0]
    assert len(axes.texts) == (num_classes**2 if num_classes <= 20 else 0)
    assert max(figure.get_size_inches()) < 13
    names = [label.get_window_extent() for label in axes.get_yticklabels()]
    assert all(upper.y0 >= lower.y0 + 0.8 * lower.height for upper, lower in pairwise(names))


def test_an_absent_class_gives_an_empty_row_and_no_warning():
    result = Classification.of(torch.tensor([0, 1]), torch.tensor([0, 0]), NAMES)
    assert confusion_matrix(result).axes[0].images[0].get_array()[1].sum() == 0


# posteriors

POSTERIOR = torch.tensor([[0.7, 0.2, 0.1], [0.0004, 0.9, 0.0996], [0.3, 0.3, 0.4]])


def test_posteriors_mark_the_right_class_and_the_mistakes():
    figure = posteriors(random_pixels(3, 3, 8, 12), 256, POSTERIOR, NAMES, torch.tensor([0, 2, -1]))
    assert len(figure.axes) == 6
    pictures, charts = figure.axes[::2], figure.axes[1::2]
    assert [axes.get_title(loc="left") for axes in pictures] == ["burger", "✗ giant panda, in truth koala", "koala"]
    assert [axes.spines["left"].get_visible() for axes in pictures] == [False, True, False]
    ticked = [[label.get_text() for label in axes.get_yticklabels()] for axes in charts]
    assert ticked == [["✓ burger", *NAMES[1:]], [*NAMES[:2], "✓ koala"], NAMES]
    for chart, p, colour in zip(charts, POSTERIOR, (BLUE, VERMILLION, BLUE), strict=True):
        bars = chart.containers[1]
        np.testing.assert_allclose([bar.get_width() for bar in bars], p, rtol=1e-6)
        assert bars[int(p.argmax())].get_facecolor()[:3] == to_rgb(colour)
    assert [text.get_text() for text in charts[1].texts] == ["<0.001", "0.900", "0.100"]


def test_posteriors_show_the_pixels_they_were_given():
    pixels = random_pixels(1, 3, 8, 12)
    figure = posteriors(pixels, 256, POSTERIOR[:1], NAMES)
    shown, box = rendered(figure), figure.axes[0].get_window_extent()
    tile = shown[round(shown.shape[0] - box.y1) : round(shown.shape[0] - box.y0), round(box.x0) : round(box.x1)]
    np.testing.assert_array_equal(tile, pixels[0].permute(1, 2, 0).numpy().repeat(12, axis=0).repeat(12, axis=1))


def test_posteriors_write_log_probabilities_beside_the_bars_if_given():
    log_probs = torch.tensor([[-9400.25, -9401.5, -9402.0]])
    assert "-9401.5" in texts(posteriors(random_pixels(1, 1, 8, 8), 256, POSTERIOR[:1], NAMES, log_probs=log_probs))


def test_of_many_classes_the_likeliest_are_shown_and_the_right_one():
    p = torch.arange(1.0, 31.0).div(465)[None]
    figure = posteriors(random_pixels(1, 3, 8, 8), 256, p, [f"c{c}" for c in range(30)], torch.tensor([3]))
    assert [label.get_text() for label in figure.axes[1].get_yticklabels()] == [
        "c29",
        "c28",
        "c27",
        "c26",
        "c25",
        "✓ c3",
    ]


def test_posteriors_refuse_what_does_not_fit():
    with pytest.raises(ValueError, match="2 images and 3 class names"):
        posteriors(random_pixels(2, 3, 8, 8), 256, POSTERIOR, NAMES)


# all of them


def test_figures_leave_the_global_state_of_matplotlib_alone():
    before = dict(matplotlib.rcParams)
    to_png(curves(HISTORY))
    assert dict(matplotlib.rcParams) == before
    assert pyplot.get_fignums() == []


def test_names_are_written_as_they_are_and_not_as_mathematics():
    save = to_png(image_grid(random_pixels(2, 1, 1, 4, 4), 256, ["$5_bill$", r"\frac{"]))
    assert save.startswith(b"\x89PNG")


def test_a_saved_figure_is_whole_and_repeats_byte_by_byte(tmp_path):
    save_figure(curves(HISTORY, 1), tmp_path / "figures" / "curves.png")
    assert (tmp_path / "figures" / "curves.png").read_bytes() == to_png(curves(HISTORY, 1))
    assert [path.name for path in (tmp_path / "figures").iterdir()] == ["curves.png"]
