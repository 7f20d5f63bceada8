import numpy as np
import pytest
from figures import texts

from pixelbayes.plots import curves, overlaid_curves, quality_curves, range_test

NAN = float("nan")
HISTORY = [
    {"epoch": 0, "train/bits_per_dim": 6.5, "val/bits_per_dim": NAN, "val/accuracy": NAN, "learning_rate": 1e-4},
    {"epoch": 1, "train/bits_per_dim": 5.5, "val/bits_per_dim": 5.6, "val/accuracy": 0.5, "learning_rate": 2e-4},
    {"epoch": 2, "train/bits_per_dim": 5.0, "val/bits_per_dim": 5.7, "learning_rate": 1e-4},
]


def test_curves_show_the_measured_values():
    bits, accuracy, rate = curves(HISTORY).axes
    train, validation = bits.get_lines()
    np.testing.assert_array_equal(train.get_xydata(), [[0, 6.5], [1, 5.5], [2, 5.0]])
    np.testing.assert_array_equal(validation.get_xydata(), [[1, 5.6], [2, 5.7]])
    np.testing.assert_array_equal(accuracy.get_lines()[0].get_xydata(), [[1, 0.5]])
    np.testing.assert_array_equal(rate.get_lines()[0].get_ydata(), [1e-4, 2e-4, 1e-4])
    assert [text.get_text() for text in bits.get_legend().get_texts()] == ["train", "validation"]
    assert accuracy.get_lines()[0].get_marker() == "."  # a line through a single point is invisible


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
    with pytest.raises(ValueError, match="the history contains none of train/bits_per_dim, "):
        curves([{"epoch": 0}])


@pytest.mark.parametrize("epochs", [1, 2, 3])
def test_epochs_have_integer_ticks(epochs):
    axes = curves(HISTORY[:epochs], best_epoch=0).axes[-1]
    low, high = axes.get_xlim()
    assert [tick for tick in axes.get_xticks() if low <= tick <= high] == list(range(epochs))


def test_several_runs_share_the_panels():
    first = [{"epoch": e, "val/bits_per_dim": 2 - e / 9, "val/accuracy": e / 9} for e in (1, 2)]
    second = [{"epoch": e, "val/bits_per_dim": 4 - e / 9, "val/accuracy": e / 9} for e in (1, 2, 3)]
    other = [{"epoch": 1, "val/accuracy": 0.5, "val/cross_entropy": 1.0}]
    figure = overlaid_curves({"mean of two": [first, second], "other": [other]})
    assert [axes.get_ylabel() for axes in figure.axes] == ["bits per dimension", "cross-entropy (nats)", "accuracy"]
    assert [len(axes.get_lines()) for axes in figure.axes] == [1, 1, 2]
    np.testing.assert_allclose(figure.axes[0].get_lines()[0].get_xydata(), [[1, 3 - 1 / 9], [2, 3 - 2 / 9]])
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["mean of two", "other"]
    with pytest.raises(ValueError, match="the histories contain none of val/bits_per_dim"):
        overlaid_curves({"one": [[{"epoch": 1}]]})


def test_quality_has_a_line_for_all_samples_and_one_per_class_at_the_measured_epochs():
    rows = [
        {"epoch": 1, "quality/fid": 9.0, "quality/fid/ant": 8.0, "quality/fid/bee": NAN},
        {"epoch": 2, "quality/fid": NAN, "quality/fid/ant": NAN, "quality/fid/bee": NAN},
        {"epoch": 3, "quality/fid": 5.0, "quality/fid/ant": 4.0, "quality/fid/bee": NAN},
    ]
    (axes,) = quality_curves(rows).axes
    drawn = [line.get_xydata().tolist() for line in axes.get_lines() if len(line.get_xdata())]
    assert drawn == [[[1, 8.0], [3, 4.0]], [[1, 9.0], [3, 5.0]]]
    assert [text.get_text() for text in axes.texts] == ["ant"]
    with pytest.raises(ValueError, match="the history contains none of quality/fid"):
        quality_curves([{"epoch": 1, "quality/fid": NAN}])


def test_a_range_test_shows_the_losses_up_to_that_of_its_first_steps():
    losses = [3.0, 3.2, 2.0, 2.5, 400.0, NAN]
    figure = range_test([{"learning_rate": 10.0**-x, "loss": loss} for x, loss in enumerate(losses)], found=0.05)
    (axes,) = figure.axes
    np.testing.assert_array_equal(axes.get_lines()[0].get_ydata(), losses)
    assert axes.get_ylim() == pytest.approx((2.0 - 0.06, 3.2 + 0.06))
    assert "found: 0.05" in texts(figure)
    figure.draw_without_rendering()
    assert "0.001" in [tick.get_text() for tick in axes.get_xticklabels()]
