"""Draws the pictures of the README and docs/ with the package itself: `python docs/make_pictures.py`, one minute.

One function draws one picture and has the name of its file. Every number in the pictures is computed here.
"""
# ruff: noqa: RUF001 - the pictures contain mathematical symbols

import sys
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from functools import cache
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, LogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import PercentFormatter
from torch import Tensor

import pixelbayes
import pixelbayes.models.pixelcnn
from pixelbayes.data import DataConfig, Split, load_data
from pixelbayes.evaluation.explanation import Explanation, contrast_classes, log_likelihood_ratio
from pixelbayes.images.pixels import to_x
from pixelbayes.images.shape import ImageShape
from pixelbayes.inference import BayesClassifier, sample_reference, sampling_noise
from pixelbayes.metrics.calibration import Calibration
from pixelbayes.metrics.fid import Moments, frechet_distance
from pixelbayes.metrics.kid import squared_mmd
from pixelbayes.metrics.ood import ood_scores
from pixelbayes.models.conditioning import Features
from pixelbayes.models.context_dropout import fixed_masks
from pixelbayes.models.fusion import NO_LABEL
from pixelbayes.models.layers import (
    DownRightShiftedConv2d,
    DownShiftedConv2d,
    down_shift,
    initialise_from_data,
    right_shift,
)
from pixelbayes.models.likelihood import MixtureOfLogistics, bits_per_dim, draw
from pixelbayes.models.pixelcnn import PixelCNN, PixelCNNConfig, Stacks
from pixelbayes.plots import explanations, image_grid
from pixelbayes.plots.confusion import SHADES
from pixelbayes.plots.style import BLUE, INK, PALE, QUIET, SOFT, VERMILLION, save_figure, styled

PICTURES = Path(__file__).parent / "pictures"
GREEN = "#009e73"  # from the palette of Okabe and Ito
DEPENDENCE = LinearSegmentedColormap.from_list("pale to dark blue", ["#e3eff7", "#a9cde5", "#0072b2", "#00304d"])
STRENGTH = LogNorm(1e-5, 1)  # magnitude of a gradient, divided by the largest

SIDE = 16  # height and width of the images in the receptive-field pictures
HERE = 11, 6  # row and column of the output pixel
MASKED_LAYERS = 20
TRAINING_STEPS = 250  # of the networks that are trained for a picture


# 1. Exact log-likelihood


@styled
def order() -> Figure:
    """The raster order, and the order of the colours within a pixel."""
    figure = Figure(figsize=(6.4, 2.2), layout="constrained")
    grid, pixel = figure.subplots(1, 2, width_ratios=(1, 1.6))

    side, row, column = 7, 3, 3
    for i, j in np.ndindex(side, side):
        past, here = (i, j) < (row, column), (i, j) == (row, column)
        colour = "#a9cde5" if past else VERMILLION if here else PALE
        grid.add_patch(Rectangle((j, i), 1, 1, facecolor=colour, edgecolor="white", linewidth=1.5))
    for i in range(row + 1):
        end = column - 0.1 if i == row else side - 0.2
        grid.annotate("", (end, i + 0.5), (0.2, i + 0.5), arrowprops={"arrowstyle": "->", "color": BLUE, "lw": 0.9})
    _bare(grid, (0, side), (side, 0))
    grid.set_aspect("equal")
    grid.set_title("pixels in raster order")

    for i, (name, given) in enumerate([("red", ""), ("green", "red"), ("blue", "red, green")]):
        shade = (VERMILLION, GREEN, BLUE)[i]
        pixel.add_patch(Rectangle((1.5 * i, 0.9), 1, 1, facecolor=shade, edgecolor="white"))
        pixel.text(1.5 * i + 0.5, 1.4, name, color="white", ha="center", va="center_baseline", weight="bold")
        factor = f"p({name} | {given + ', ' if given else ''}past, c)"
        pixel.text(1.5 * i + 0.5, 0.62, factor.replace(", past", ",\npast"), ha="center", va="top", size=8, color=QUIET)
        if i:
            arrow = {"arrowstyle": "->", "color": INK, "lw": 1}
            pixel.annotate("", (1.5 * i - 0.03, 1.4), (1.5 * i - 0.47, 1.4), arrowprops=arrow)
    _bare(pixel, (-0.4, 4.4), (-0.4, 2.6))
    pixel.set_title("colours of the orange pixel")
    return figure


@styled
def saturation() -> Figure:
    """The posterior of two classes against their difference in bits per dimension."""
    figure = Figure(figsize=(5.6, 2.8), layout="constrained")
    axes = figure.add_subplot()
    difference = torch.linspace(-0.01, 0.01, 1001, dtype=torch.float64)
    sizes = [("8×8 grey", 64, SOFT, (0.0065, 0.5)), ("16×16 grey", 256, BLUE, (0.0065, 0.68))]
    sizes.append(("32×32 RGB", 3072, VERMILLION, (0.0021, 0.92)))
    for name, dims, colour, place in sizes:
        axes.plot(difference, torch.sigmoid(difference * dims * np.log(2)), color=colour)
        axes.text(*place, name, color=QUIET if colour == SOFT else colour, size=8)
    axes.set(xlabel="advantage of class 1 over class 0 in bits per dimension", ylabel="p(class 1 | x)")
    axes.set(xlim=(-0.01, 0.01), xticks=[-0.01, -0.005, 0, 0.005, 0.01], ylim=(-0.02, 1.02))
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.grid(axis="y")
    axes.tick_params(length=0)
    return figure


# 2. Causal convolutions


@styled
def kernels() -> Figure:
    """The inputs that affect one output of each shifted convolution, found by changing one input at a time."""
    vertical = DownShiftedConv2d(1, 8, (2, 3))
    above, left = DownShiftedConv2d(1, 8, (1, 3)), DownRightShiftedConv2d(1, 8, (2, 1))
    corner = DownRightShiftedConv2d(1, 8, (2, 2))
    panels: list[tuple[str, Callable[[Tensor], Tensor]]] = [
        ("DownShiftedConv2d,\n2×3", vertical),
        ("vertical stem:\ndown_shift of 2×3", lambda x: down_shift(vertical(x))),
        ("DownRightShiftedConv2d,\n2×2", corner),
        ("down_shift of 1×3 +\nright_shift of 2×1", lambda x: down_shift(above(x)) + right_shift(left(x))),
    ]
    figure = Figure(figsize=(7.2, 2.2), layout="constrained")
    side, row, column = 5, 3, 2
    for axes, (title, layer) in zip(figure.subplots(1, 4), panels, strict=True):
        impulses = torch.eye(side**2).view(-1, 1, side, side)
        with torch.no_grad():
            change = layer(impulses) - layer(torch.zeros_like(impulses))
        affects = change[:, :, row, column].abs().sum(dim=1).view(side, side) > 0
        for i, j in np.ndindex(side, side):
            colour = BLUE if affects[i, j] else PALE
            axes.add_patch(Rectangle((j, i), 1, 1, facecolor=colour, edgecolor="white", linewidth=1.5))
        _frame(axes, row, column)
        _bare(axes, (0, side), (side, 0))
        axes.set_aspect("equal")
        axes.set_title(title, size=8)
    return figure


@styled
def receptive_field() -> Figure:
    """Receptive fields of both stacks and of the whole network, with one block per resolution and with two."""
    figure = Figure(figsize=(7.2, 4.1), layout="constrained")
    grid = figure.subplots(2, 3)
    for num_blocks, row in zip((1, 2), grid, strict=True):
        panels = {
            "vertical stack": (PixelCNN, True),
            "horizontal stack": (HorizontalOnly, False),
            "whole network": (PixelCNN, False),
        }
        for axes, (title, (kind, vertical)) in zip(row, panels.items(), strict=True):
            strength = dependence(network(kind, num_blocks), vertical=vertical)
            _heat(axes, strength, f"{title}: {_seen(strength)}")
        row[0].set_ylabel(f"num_blocks {num_blocks}", color=INK)
    _strength_key(figure, grid)
    return figure


@styled
def without_shift() -> Figure:
    """The receptive field of the correct network, and with one of its two shifts replaced by the identity."""
    figure = Figure(figsize=(7.2, 2.3), layout="constrained")
    grid = figure.subplots(1, 3)
    _heat(grid[0], dependence(network()), "correct network")
    sees = {"right_shift": "sees itself", "down_shift": "sees itself and its future"}
    for axes, (shift, effect) in zip(grid[1:], sees.items(), strict=True):
        with patch.object(pixelbayes.models.pixelcnn, shift, identity):
            _heat(axes, dependence(network()), f"no {shift}: {effect}")
    _strength_key(figure, grid)
    return figure


@styled
def leak() -> Figure:
    """Bits per dimension and samples with and without the shifts, after TRAINING_STEPS steps on the digits."""
    data = load_data(DataConfig(source="digits"))
    levels = data.preprocessing.image_shape.levels
    train, validation = (to_x(data.split(name).pixels, levels) for name in ("train", "validation"))
    figure = Figure(figsize=(7.2, 1.6), layout="constrained")
    for axes, shift in zip(figure.subplots(1, 3), ("", "right_shift", "down_shift"), strict=True):
        with patch.object(pixelbayes.models.pixelcnn, shift, identity) if shift else nullcontext():
            model = trained_briefly(train, levels)
            with torch.no_grad():
                bits = bits_per_dim(-model.log_prob(validation).mean(), model.config.image_shape.dims)
            noise = sampling_noise(model, seed=0, index=torch.arange(10))
            digits = sample_reference(model, None, noise)  # (10, 1, 8, 8)
        sheet = F.pad(digits[:, 0], (0, 1, 0, 1), value=levels - 1).unflatten(0, (2, 5))  # (2, 5, 9, 9)
        axes.imshow(sheet.transpose(1, 2).flatten(2).flatten(0, 1)[:-1, :-1].numpy(), cmap="gray")
        axes.set_title(f"{'no ' + shift if shift else 'correct network'}: {bits:.2f} bits per dim", size=8)
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
    return figure


def identity(h: Tensor) -> Tensor:
    """h itself, in place of a shift."""
    return h


def trained_briefly(x: Tensor, levels: int, labels: Tensor | None = None) -> PixelCNN:
    """A small network after TRAINING_STEPS steps on grey images.

    Args:
        x: Images in [-1, 1], (N, 1, H, W).
        levels: Number of values a colour can take.
        labels: int64 (N,); None trains an unconditional network.
    """
    torch.manual_seed(0)
    model = PixelCNN(
        PixelCNNConfig(
            num_classes=0 if labels is None else int(labels.max()) + 1,
            fusion="none" if labels is None else "film",
            image_shape=ImageShape(height=x.shape[2], width=x.shape[3], channels=1, levels=levels),
            num_filters=16,
            num_mixtures=3,
            dropout=0,
        )
    )
    initialise_from_data(model, x[:128])
    optimiser = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(TRAINING_STEPS):
        batch = torch.randint(len(x), (32,))
        loss = -model.log_prob(x[batch], None if labels is None else labels[batch]).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return model


@styled
def blind_spot() -> Figure:
    """The blind spot of stacked masked 3×3 convolutions, and the receptive field of the two stacks."""
    figure = Figure(figsize=(5.4, 2.3), layout="constrained")
    grid = figure.subplots(1, 2)
    torch.manual_seed(0)
    strength = dependence(masked_convolutions)
    _heat(grid[0], strength, f"{MASKED_LAYERS} masked convolutions: {_seen(strength)}")
    strength = dependence(network(num_blocks=2))
    _heat(grid[1], strength, f"two stacks: {_seen(strength)}")
    _strength_key(figure, grid)
    return figure


class HorizontalOnly(PixelCNN):
    """A PixelCNN that blocks the gradient through its vertical stack."""

    def stem(self, x: Tensor, features: Features, visible: Tensor | None = None) -> Stacks:
        vertical, horizontal = super().stem(x, features, visible)
        return vertical.detach(), horizontal


def network(kind: type[PixelCNN] = PixelCNN, num_blocks: int = 1) -> PixelCNN:
    """An untrained network after data-dependent initialisation, here on noise."""
    torch.manual_seed(0)
    config = PixelCNNConfig(
        num_classes=0, image_shape=ImageShape(height=SIDE, width=SIDE, channels=1), fusion="none", num_filters=16,
        num_blocks=num_blocks, num_mixtures=2, dropout=0,
    )  # fmt: skip
    model = kind(config).double()
    initialise_from_data(model, noise_images(32))
    return model


def noise_images(count: int) -> Tensor:
    """Uniform grey noise in [-1, 1], (count, 1, SIDE, SIDE)."""
    generator = torch.Generator().manual_seed(1)
    return 2 * torch.rand(count, 1, SIDE, SIDE, generator=generator, dtype=torch.float64) - 1


def masked_convolutions(x: Tensor) -> Tensor:
    """A single stack of masked 3×3 convolutions, as in the first PixelCNN (van den Oord et al., 2016a)."""
    past = torch.tensor([[1.0, 1, 1], [1, 0, 0], [0, 0, 0]], dtype=x.dtype)
    itself = torch.tensor([[0.0, 0, 0], [0, 1, 0], [0, 0, 0]], dtype=x.dtype)
    h = F.conv2d(x, torch.randn(16, 1, 3, 3, dtype=x.dtype) * past, padding=1)  # mask A
    for _ in range(MASKED_LAYERS - 1):
        weight = torch.randn(16, 16, 3, 3, dtype=x.dtype) * (past + itself)  # mask B
        h = h + 0.1 * F.conv2d(F.elu(h), weight / weight[0].norm(), padding=1)
    return h


def dependence(model: Callable[[Tensor], Tensor], *, vertical: bool = False) -> Tensor:
    """The norm over outputs of the Jacobian of the parameters at pixel HERE with respect to each pixel, (H, W).

    Args:
        model: The network.
        vertical: Whether to use the last features of the vertical stack in place of the parameters.
    """
    x = noise_images(1).requires_grad_()
    seen: list[Tensor] = []
    if vertical:
        model.up[0][-1].vertical.register_forward_hook(lambda module, inputs, output: seen.append(output))
    outputs = model(x)
    rows = [
        torch.autograd.grad(output, x, retain_graph=True)[0] for output in (seen[0] if seen else outputs)[0, :, *HERE]
    ]
    return torch.stack(rows).square().sum(dim=(0, 1, 2)).sqrt()


def _past() -> Tensor:
    """Mask of the pixels that precede HERE, bool (H, W)."""
    return (torch.arange(SIDE**2) < HERE[0] * SIDE + HERE[1]).view(SIDE, SIDE)


def _seen(strength: Tensor) -> str:
    return f"{(strength[_past()] > 0).sum()} of {_past().sum()}"


def _heat(axes: Axes, strength: Tensor, title: str) -> None:
    """Draws gradient magnitudes, (H, W); pixels with gradient 0 are grey in the past and near white in the future."""
    past, relative = _past(), strength / strength.max()
    for i, j in np.ndindex(SIDE, SIDE):
        unseen = SOFT if past[i, j] else "#f7f8f9"
        colour = DEPENDENCE(STRENGTH(max(relative[i, j].item(), STRENGTH.vmin))) if strength[i, j] > 0 else unseen
        axes.add_patch(Rectangle((j, i), 1, 1, facecolor=colour, edgecolor="white", linewidth=0.4))
    row, column = HERE
    _bare(axes, (0, SIDE), (row + 3, 0))  # the rows further below are all future
    _frame(axes, row, column)
    axes.set_aspect("equal")
    axes.set_title(title, size=8)


def _frame(axes: Axes, row: int, column: int) -> None:
    axes.add_patch(Rectangle((column, row), 1, 1, fill=False, edgecolor=VERMILLION, linewidth=1.8, zorder=4))


def _bare(axes: Axes, xlim: tuple[float, float], ylim: tuple[float, float]) -> None:
    axes.set(xlim=xlim, ylim=ylim, xticks=[], yticks=[])
    axes.spines[:].set_visible(False)


def _strength_key(figure: Figure, grid: Iterable[Axes]) -> None:
    key = figure.colorbar(ScalarMappable(STRENGTH, DEPENDENCE), ax=grid, extend="min", shrink=0.8, aspect=24)
    key.set_label("gradient, relative to the largest", size=8)
    key.ax.tick_params(length=0)
    key.ax.minorticks_off()
    key.ax.set_yticks([1, 1e-1, 1e-2, 1e-3, 1e-4, 1e-5], ["1", "0.1", "0.01", "10⁻³", "10⁻⁴", "10⁻⁵"])
    key.outline.set_visible(False)


# 3. Discretised mixture of logistics


def grey_params(weights: list[float], means: list[float], log_scales: list[float]) -> Tensor:
    """The network output for one grey pixel, (1, 3K, 1, 1), float64."""
    logits = [float(np.log(weight)) for weight in weights]
    return torch.tensor([*logits, *means, *log_scales], dtype=torch.float64).view(1, -1, 1, 1)


MIXTURE = grey_params([0.3, 0.45, 0.25], [-0.55, 0.2, 0.95], [-2.3, -1.6, -2.2])


def level_log_prob(params: Tensor, levels: int) -> Tensor:
    """Log-probability of every level of one grey pixel, (L,)."""
    x = to_x(torch.arange(levels), levels, params.dtype).view(-1, 1, 1, 1)  # (L, 1, 1, 1)
    return MixtureOfLogistics(params.expand(levels, -1, -1, -1), channels=1, levels=levels).log_prob(x).flatten()


@styled
def mixture() -> Figure:
    """Three logistics, their sum, and the masses of 17 and of 256 levels."""
    figure = Figure(figsize=(6.8, 2.7), layout="constrained")
    at = MixtureOfLogistics(MIXTURE, channels=1, levels=2)
    x = torch.linspace(-1.4, 1.45, 600, dtype=torch.float64)[:, None]
    z = (x - at.means.flatten()) / at.log_scales.flatten().exp()
    density = at.log_weights().flatten().exp() * torch.sigmoid(z) * torch.sigmoid(-z) / at.log_scales.flatten().exp()
    for axes, levels in zip(figure.subplots(1, 2), (17, 256), strict=True):
        width = 2 / (levels - 1)
        mass = level_log_prob(MIXTURE, levels).exp().numpy()
        centres = to_x(torch.arange(levels), levels, torch.float64).numpy()
        axes.stairs(mass[1:-1], centres[:-1] + width / 2, fill=True, color="#a9cde5")
        if levels < 100:
            axes.vlines(centres[1:-1] + width / 2, 0, mass[1:-1], color="white", linewidth=2)
        axes.bar(centres[[0, -1]], mass[[0, -1]], width=max(0.86 * width, 0.012), color=VERMILLION)
        axes.plot(x, density * width, color=QUIET, linewidth=0.9, linestyle=(0, (4, 2)))
        axes.plot(x, density.sum(dim=1) * width, color=BLUE)
        top = 1.6 * mass[1:-1].max()
        label = {"color": VERMILLION, "size": 8, "va": "top"}
        axes.text(-1.07, mass[0] + 0.02 * top, f"{mass[0]:.4f}", ha="right", **label)
        axes.text(1.08, min(mass[-1], 0.98 * top), f"{mass[-1]:.4f}" + " ↑" * bool(mass[-1] > top), **label)
        axes.set_title(f"{levels} levels")
        axes.set(xlabel="x", xlim=(-1.4, 1.45), ylim=(0, top), xticks=[-1, 0, 1])
        axes.tick_params(length=0)
    figure.axes[0].set_ylabel("mass per level; density × bin width")
    return figure


@styled
def edges() -> Figure:
    """Error in float32 of three ways to compute log(sigmoid(a) - sigmoid(b))."""
    figure = Figure(figsize=(7.2, 3.0), layout="constrained")
    not_finite = 30.0  # the height at which results that are not finite are drawn
    log_scale = torch.linspace(-7, 7, 71)
    x = to_x(torch.arange(1, 255), 256)[:, None]  # every inner level; the plot shows the largest error
    colours = ((VERMILLION, 1.2), (SOFT, 1.2), (BLUE, 1.8))
    for axes, mean in zip(figure.subplots(1, 2, sharey=True), (0.0, 30.0), strict=True):
        exact = log_masses(x.double(), mean, log_scale.double())["product, a − b from the scale"]
        for (name, value), (colour, width) in zip(log_masses(x, mean, log_scale).items(), colours, strict=True):
            error = (value.double() - exact).abs().nan_to_num(not_finite, posinf=not_finite).amax(dim=0)
            axes.semilogy(log_scale, error, color=colour, linewidth=width, label=name)
        axes.set_title(f"mean {mean:g}" + ", far outside [−1, 1]" * bool(mean > 1))
        axes.set(xlabel="log-scale", xticks=[-7, 0, 7], ylim=(1e-7, 60))
        axes.grid(axis="y")
        axes.tick_params(length=0)
        axes.set_yticks([1e-6, 1e-4, 1e-2, 1, not_finite], ["10⁻⁶", "10⁻⁴", "10⁻²", "1", "∞"])
        axes.minorticks_off()
    figure.axes[0].set_ylabel("largest error of log p (nats)")
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def log_masses(x: Tensor, mean: float, log_scale: Tensor) -> dict[str, Tensor]:
    """Three ways to compute log(sigmoid(a) - sigmoid(b)), with a and b the scaled edges of one of 256 levels."""
    half_bin = 1 / 255
    a = (x + half_bin - mean) * torch.exp(-log_scale)
    b = (x - half_bin - mean) * torch.exp(-log_scale)
    product = F.logsigmoid(a) + F.logsigmoid(-b)
    return {
        "σ(a) − σ(b), direct": torch.log(a.sigmoid() - b.sigmoid()),
        "product, a − b by subtraction": product + torch.log(-torch.expm1(b - a)),
        "product, a − b from the scale": product + torch.log(-torch.expm1(-2 * half_bin * torch.exp(-log_scale))),
    }


@styled
def coefficients() -> Figure:
    """Joint mass of red and green of one pixel, for three values of the coefficient."""
    levels = 48
    figure = Figure(figsize=(7.2, 2.7), layout="constrained")
    darkest = red_and_green(0.0, levels).max().item()
    for axes, coefficient in zip(figure.subplots(1, 3, sharey=True), (0.0, 0.9, -0.9), strict=True):
        mass = red_and_green(coefficient, levels)  # (L, L)
        axes.imshow(mass.T.numpy(), origin="lower", extent=(-1, 1, -1, 1), vmin=0, vmax=darkest, cmap=SHADES)
        axes.set(xlabel="red", xticks=[-1, 0, 1], yticks=[-1, 0, 1])
        axes.set_title(f"coefficient {coefficient:g}".replace("-", "−"))
        axes.tick_params(length=0)
        axes.spines[:].set_visible(True)
    figure.axes[0].set_ylabel("green")
    return figure


def red_and_green(coefficient: float, levels: int) -> Tensor:
    """p(red, green) of one pixel with two components, (L, L), red first."""
    rgb = torch.zeros(1, 3, 3, 2, dtype=torch.float64)  # (1, C, 3, K): means, log-scales, coefficients
    rgb[0, :, 0] = torch.tensor([-0.3, 0.35])
    rgb[0, :, 1] = torch.tensor([-2.8, -2.5])
    rgb[0, 1, 0] = torch.tensor([-0.2, 0.2])
    rgb[0, 0, 2] = np.arctanh(coefficient)  # c0; the mixture applies tanh to it
    params = torch.cat((torch.zeros(1, 2, dtype=torch.float64), rgb.flatten(1)), dim=1)  # (1, 20)
    params = params.view(1, -1, 1, 1).expand(-1, -1, 1, levels)  # one position per value of red
    x = torch.zeros(1, 3, 1, levels, dtype=torch.float64)
    x[0, 0, 0] = to_x(torch.arange(levels), levels, torch.float64)
    pixel = MixtureOfLogistics(params, channels=3, levels=levels)
    red = pixel.level_log_prob(0, x)[0, :, 0, 0]  # (K, L), the same at every position
    green = pixel.level_log_prob(1, x)[0, :, 0]  # (K, L, L), given the red of the position
    weights = pixel.log_weights()[0, :, 0, 0]
    return (weights[:, None, None] + red[:, :, None] + green).logsumexp(dim=0).exp()


# 4. Sampling


@styled
def inverse_cdf() -> Figure:
    """Inverse-CDF sampling from 17 levels, and their masses at three temperatures."""
    levels, noise = 17, 0.62
    log_prob = level_log_prob(MIXTURE, levels)
    mass = log_prob.exp().numpy()
    cdf = mass.cumsum()
    level = int(draw(log_prob, torch.tensor(noise)))
    figure = Figure(figsize=(7.2, 3.0), layout="constrained")
    stairs, masses = figure.subplots(1, 2)

    stairs.stairs(cdf, np.arange(levels + 1) - 0.5, baseline=None, color=BLUE, linewidth=1.6)
    stairs.bar(range(levels), mass, bottom=cdf - mass, width=1, color="#dcebf5")
    arrow = {"arrowstyle": "-|>", "color": VERMILLION, "lw": 1.2, "shrinkA": 0, "shrinkB": 0}
    stairs.annotate("", (level, noise), (-0.5, noise), arrowprops=arrow)
    stairs.annotate("", (level, 0), (level, noise), arrowprops=arrow)
    stairs.text(-0.3, noise + 0.02, f"u = {noise}", color=VERMILLION, size=8)
    stairs.text(level + 0.3, 0.03, f"level {level}", color=VERMILLION, size=8)
    stairs.set_title("lowest level whose cumulative sum exceeds u")
    stairs.set(
        xlabel="level", ylabel="cumulative probability", xlim=(-0.5, 16.5), ylim=(0, 1.02), xticks=range(0, 17, 4)
    )

    for temperature, colour in ((0.5, VERMILLION), (1, BLUE), (2, SOFT)):
        label, sharpened = f"T = {temperature:g}", torch.softmax(log_prob / temperature, dim=0).numpy()
        masses.stairs(sharpened, np.arange(levels + 1) - 0.5, baseline=None, color=colour, linewidth=1.6, label=label)
    masses.set_title("masses at three temperatures")
    masses.set(xlabel="level", xlim=(-0.5, 16.6), ylim=(0, None), xticks=range(0, 17, 4))
    masses.legend(loc="upper left")
    for axes in (stairs, masses):
        axes.tick_params(length=0)
    return figure


@styled
def context() -> Figure:
    """Digits, and the visible part of them under two masks of context dropout."""
    data = load_data(DataConfig(source="digits"))
    levels, pixels = data.preprocessing.image_shape.levels, data.split("test").pixels[:8]
    masks = fixed_masks(2, 0.5, 2, *pixels.shape[2:])
    masked = torch.where(masks[:, None] == 1, pixels, levels // 2)  # grey
    rows = ("digits", "mask 1", "mask 2")
    return image_grid(torch.cat((pixels[None], masked.to(pixels.dtype))), levels, rows)


# 5. Evaluation metrics


@styled
def few_images() -> Figure:
    """ECE, FID and KID against the number of images, in cases where their true value is 0."""
    generator = torch.Generator().manual_seed(0)

    def features(n: int) -> Tensor:
        return torch.randn(n, 128, generator=generator, dtype=torch.float64)

    figure = Figure(figsize=(7.2, 2.5), layout="constrained")
    errors, frechet, kernel = figure.subplots(1, 3)
    sizes = [30, 100, 269, 1000, 3000]
    calibrations = [calibrated_posterior(n, generator) for n in sizes]
    mean = [found.ece_if_calibrated for found in calibrations]
    upper = [found.ece_if_calibrated_95 for found in calibrations]
    errors.plot(sizes, upper, color=SOFT, marker="o", markersize=3)
    errors.plot(sizes, mean, color=BLUE, marker="o", markersize=3)
    errors.annotate("95th percentile", (100, upper[1]), (6, 4), textcoords="offset points", size=8, color=QUIET)
    errors.annotate("mean", (100, mean[1]), (-24, -9), textcoords="offset points", size=8, color=BLUE)
    errors.set_title("ECE of a calibrated posterior")

    real = features(1000)
    counts = [25, 50, 100, 250, 1000]
    samples = {n: [features(n) for _ in range(10)] for n in counts}
    for axes, title, measure in (
        (frechet, "FID of equal distributions", lambda x: frechet_distance(Moments.of(x), Moments.of(real))),
        (kernel, "KID of equal distributions", lambda x: squared_mmd(x, real)),
    ):
        values = np.array([[measure(x) for x in samples[n]] for n in counts])  # (5, 10)
        axes.plot(counts, values, color=SOFT, marker=".", markersize=4, linestyle="none")
        axes.plot(counts, values.mean(axis=1), color=BLUE)
        axes.axhline(0, color=VERMILLION, linewidth=1, zorder=1)
        axes.set_title(title)
    for axes, ticks in ((errors, sizes), (frechet, counts), (kernel, counts)):
        axes.set(xscale="log", xlabel="images")
        axes.set_xticks(ticks, [f"{n:,}" for n in ticks], minor=False)
        axes.minorticks_off()
        axes.grid(axis="y")
        axes.tick_params(length=0)
    for axes in (errors, frechet):
        axes.set_ylim(bottom=0)
    return figure


def calibrated_posterior(n: int, generator: torch.Generator) -> Calibration:
    """Calibration metrics of n images whose labels are drawn from their posterior over ten classes."""
    log_posterior = torch.log_softmax(3 * torch.randn(n, 10, generator=generator, dtype=torch.float64), dim=1)
    labels = torch.multinomial(log_posterior.exp(), 1, generator=generator).flatten()
    found = Calibration.of(log_posterior, labels)
    assert found is not None
    return found


@styled
def ood() -> Figure:
    """The three OOD scores of digits, constant grey images and noise, from a network trained on digits."""
    levels, test, model = digits_network()
    generator = torch.Generator().manual_seed(0)
    sets = {
        "held-out digits": test.pixels,
        "constant grey": torch.arange(levels, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 1, 8, 8),
        "noise": torch.randint(levels, (269, 1, 8, 8), generator=generator).to(torch.uint8),
    }
    classifier = BayesClassifier(model, torch.zeros(10))
    marginal = {}
    for name, pixels in sets.items():
        log_prob = classifier.log_prob(to_x(pixels, levels))  # (N, 10)
        marginal[name] = classifier.log_prob_of(log_prob, torch.full((len(pixels),), NO_LABEL))
    typical = float(bits_per_dim(-marginal["held-out digits"].double(), 64).mean())
    scores = {name: ood_scores(marginal[name], pixels, levels, typical) for name, pixels in sets.items()}
    figure = Figure(figsize=(7.2, 2.4), layout="constrained")
    for axes, score in zip(figure.subplots(1, 3, sharey=True), scores["noise"], strict=True):
        for row, (name, colour) in enumerate(zip(sets, (BLUE, VERMILLION, SOFT), strict=True)):
            values = scores[name][score].numpy()
            jitter = np.random.default_rng(0).uniform(-0.22, 0.22, len(values))
            axes.plot(values, row + jitter, ".", color=colour, markersize=3, alpha=0.7, markeredgewidth=0)
        black = float(scores["constant grey"][score][0])
        axes.text(black, 1.42, "black", size=8, color=VERMILLION)
        axes.axvline(scores["held-out digits"][score].quantile(0.99), color=BLUE, linewidth=0.8, linestyle="--")
        axes.set_title(score)
        axes.set(ylim=(2.5, -0.5), yticks=range(3), xlabel="bits per dimension")
        axes.tick_params(length=0)
    figure.axes[0].set_yticklabels(sets)
    return figure


def explanation() -> Figure:
    """Two held-out digits: one classified correctly, and one misclassified."""
    levels, test, model = digits_network()
    classifier = BayesClassifier(model, torch.zeros(10))
    x = to_x(test.pixels, levels)
    log_posterior = classifier.log_posterior(classifier.log_prob(x))  # (N, 10)
    wrong = log_posterior.argmax(dim=1) != test.labels
    chosen = torch.stack([(~wrong).nonzero()[0, 0], wrong.nonzero()[0, 0]])
    pairs = contrast_classes(log_posterior[chosen], test.labels[chosen])
    ratios = log_likelihood_ratio(model, x[chosen], *torch.tensor(pairs).T)
    p = log_posterior[chosen].exp()
    found = [
        Explanation(test.pixels[i], ratio, *pair, (float(row[pair[0]]), float(row[pair[1]])))
        for i, ratio, pair, row in zip(chosen.tolist(), ratios, pairs, p, strict=True)
    ]
    return explanations(found, levels, [str(digit) for digit in range(10)])


@cache
def digits_network() -> tuple[int, Split, PixelCNN]:
    """Number of levels of the digits, their test split, and a class-conditional network trained on the others."""
    data = load_data(DataConfig(source="digits"))
    levels, train = data.preprocessing.image_shape.levels, data.split("train")
    return levels, data.split("test"), trained_briefly(to_x(train.pixels, levels), levels, train.labels).eval()


# 6. Bundled networks


def food_and_fur() -> Figure:
    """The first samples of each class, not selected."""
    trained = pixelbayes.load("food-and-fur")
    pixels = pixelbayes.sample_classes(
        trained.network, range(len(trained.class_names)), pixelbayes.SamplingConfig(count=10, seed=0)
    )
    return image_grid(pixels, trained.preprocessing.image_shape.levels, trained.class_names)


THEORY = (
    order, saturation, kernels, receptive_field, without_shift, leak, blind_spot, mixture, edges, coefficients,
    inverse_cdf, context,
)  # fmt: skip
EVALUATION = (few_images, explanation, ood)
BUNDLED = (food_and_fur,)


def main(folder: Path = PICTURES, drawings: Iterable[Callable[[], Figure]] = THEORY) -> None:
    """Writes pictures to a folder."""
    for drawing in drawings:
        save_figure(drawing(), folder / f"{drawing.__name__}.png")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]), drawings=THEORY + EVALUATION + BUNDLED)
