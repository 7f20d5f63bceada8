"""Writes original_nll.npz: images, network outputs and the nll of the authors' formula for them, in float64.

The formula is `discretized_mix_logistic_loss` of https://github.com/openai/pixel-cnn, rewritten in numpy, with channels
last as there. It has two thresholds: one decides which levels are the ends, the other one when the density at the
middle of a bin replaces its mass. The images and outputs here stay clear of both.

Run from the root of the repository: python tests/vectors/make_original_nll.py
"""

from pathlib import Path

import numpy as np

MIXTURES, BATCH, HEIGHT, WIDTH = 3, 2, 4, 6


def softplus(z):
    return np.logaddexp(0, z)


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def log_sum_exp(z):
    top = z.max(axis=-1, keepdims=True)
    return top[..., 0] + np.log(np.exp(z - top).sum(axis=-1))


def original_nll(x, params):
    """Nll of images x in [-1, 1], (B, H, W, 3), with parameters (B, H, W, 10K): (B,), in nats."""
    k = params.shape[-1] // 10
    logits, rest = params[..., :k], params[..., k:].reshape(*x.shape, 3 * k)
    means, log_scales, coeffs = rest[..., :k], np.maximum(rest[..., k : 2 * k], -7), np.tanh(rest[..., 2 * k :])
    x = x[..., None]  # (B, H, W, 3, 1)
    red, green, blue = (means[..., colour, :] for colour in range(3))
    green = green + coeffs[..., 0, :] * x[..., 0, :]
    blue = blue + coeffs[..., 1, :] * x[..., 0, :] + coeffs[..., 2, :] * x[..., 1, :]
    centred = x - np.stack([red, green, blue], axis=-2)
    plus, minus = np.exp(-log_scales) * (centred + 1 / 255), np.exp(-log_scales) * (centred - 1 / 255)
    mass = sigmoid(plus) - sigmoid(minus)
    inside = (x >= -0.999) & (x <= 0.999)
    assert mass[np.broadcast_to(inside, mass.shape)].min() > 1e-5, "the mass of a bin is below the threshold"
    log_probs = np.where(x < -0.999, plus - softplus(plus), np.where(x > 0.999, -softplus(minus), np.log(mass)))
    weighted = log_probs.sum(axis=-2) + logits - log_sum_exp(logits)[..., None]
    return -log_sum_exp(weighted).sum(axis=(1, 2))


def main():
    draw = np.random.default_rng(0)
    pixels = draw.integers(0, 256, (BATCH, HEIGHT, WIDTH, 3), dtype=np.uint8)
    pixels[0, 0] = [[0, 255, 0], [255, 0, 255], [0, 0, 0], [255, 255, 255], [1, 254, 128], [254, 1, 127]]
    spread = draw.standard_normal((BATCH, HEIGHT, WIDTH, 10 * MIXTURES))
    kind = np.array([0] * MIXTURES + ([1] * MIXTURES + [2] * MIXTURES + [3] * MIXTURES) * 3)
    params = spread * np.choose(kind, [1.0, 0.3, 0.3, 0.5]) - 0.3 * (kind == 2)
    params = params.astype(np.float32)  # exact in either precision
    nll = original_nll(pixels * (2 / 255) - 1, params.astype(np.float64))
    first = [0, 3, 1, 2]  # channels first, as in the package
    np.savez_compressed(
        Path(__file__).with_name("original_nll.npz"),
        pixels=pixels.transpose(first),
        params=params.transpose(first),
        nll=nll,
    )


if __name__ == "__main__":
    main()
