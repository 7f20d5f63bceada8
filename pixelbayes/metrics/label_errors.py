"""Label errors: how probable it is that the label of an image is wrong, given out-of-sample evidence for each class."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from pixelbayes.inference.classifier import log_posterior
from pixelbayes.metrics.temperature_scaling import LOG_BOUNDS, PRIOR_DEVIATION

NOISE_PRIOR = 5  # the rate of label errors has the prior Beta(1, NOISE_PRIOR), which prefers few errors


@dataclass(frozen=True)
class LabelNoise:
    """A model of labels that are sometimes wrong, and of evidence that is overconfident.

    The class c of an image has the posterior q_c = softmax(evidence_c / T + log p(c)). With probability 1 - r the label
    is the class, else any other class:

        p(label = k | x) = (1 - r) q_k + r (1 - q_k) / (Y - 1)

    This is the uniform case of Sukhbaatar et al. (2015), Training convolutional networks with noisy labels,
    https://arxiv.org/abs/1406.2080, section 3.

    Args:
        temperature: T.
        rate: r, the fraction of labels that are wrong, 0 to (Y - 1) / Y.
    """

    temperature: float
    rate: float

    def log_label(self, log_q: Tensor, labels: Tensor) -> Tensor:
        """log p(label | x), (N,), given log q, (N, Y), and labels, int64 (N,)."""
        of_label = log_q.gather(1, labels[:, None])[:, 0].exp()
        return ((1 - self.rate) * of_label + self.rate / (log_q.shape[1] - 1) * (1 - of_label)).log()

    def p_wrong(self, log_q: Tensor, labels: Tensor) -> Tensor:
        """P(class is not the label | x, label), float64 (N,), by Bayes' rule; arguments as for `log_label`."""
        of_label = log_q.gather(1, labels[:, None])[:, 0]
        right = math.log1p(-self.rate) + of_label - self.log_label(log_q, labels)
        return -torch.expm1(right.clamp(max=0))


def fit_label_noise(evidence: Tensor, log_prior: Tensor, labels: Tensor) -> LabelNoise:
    """The most probable T and r. The prior of log T is N(0, log(100)^2), as in `fit_temperature`; r ~ Beta(1, 5).

    Args:
        evidence: log p(x | c), (N, Y), in nats, or logits, by networks that were not trained on the image; Y > 1.
        log_prior: log p(c), (Y,); zeros for logits.
        labels: int64 (N,), 0 .. Y-1.
    """
    from scipy.optimize import minimize  # takes a second to import

    evidence, most = evidence.double(), 1 - 1 / evidence.shape[1]

    def noise(log_temperature: float, logit: float) -> LabelNoise:
        return LabelNoise(math.exp(log_temperature), most / (1 + math.exp(-logit)))

    def loss(point: tuple[float, float]) -> float:
        log_temperature, logit = max(LOG_BOUNDS[0], min(point[0], LOG_BOUNDS[1])), max(-30.0, min(point[1], 30.0))
        model = noise(log_temperature, logit)
        log_label = model.log_label(log_posterior(evidence, log_prior, model.temperature), labels)
        prior = 0.5 * (point[0] / PRIOR_DEVIATION) ** 2 - (NOISE_PRIOR - 1) * math.log1p(-model.rate)
        return float(-log_label.sum()) + prior

    starts = [(log_t, logit) for log_t in torch.linspace(*LOG_BOUNDS, 60).tolist() for logit in (-4.0, -2.0, 0.0)]
    best = minimize(loss, min(starts, key=loss), method="Nelder-Mead", options={"xatol": 1e-6, "fatol": 1e-9}).x
    return noise(*map(float, best))


def label_margin(scores: Tensor, labels: Tensor) -> Tensor:
    """The score of the label minus the best score of another class, (N,): negative where another class scores higher.

    Args:
        scores: (N, Y), Y at least 2; with log p(x | c) the margin is a log-likelihood ratio in nats.
        labels: int64 (N,), 0 .. Y-1.
    """
    of_label = scores.gather(1, labels[:, None])
    others = scores.scatter(1, labels[:, None], -torch.inf)
    return of_label[:, 0] - others.amax(dim=1)
