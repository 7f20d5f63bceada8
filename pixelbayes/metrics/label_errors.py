"""Label errors: how probable it is that the label of an image is wrong, given the out-of-sample posterior.

A label is the class of the image with probability 1 - r, else any other class. A classifier that is calibrated on such
labels computes the posterior of the label, not of the class:

    p(label = k | x) = (1 - r) q_k + r (1 - q_k) / (Y - 1),    q_k = p(class = k | x)

This is the uniform case of Sukhbaatar et al. (2015), Training convolutional networks with noisy labels,
https://arxiv.org/abs/1406.2080, section 3. The rate r comes from Northcutt, Jiang and Chuang (2021), Confident
learning: estimating uncertainty in dataset labels, https://arxiv.org/abs/1911.00068.
"""

import torch
from torch import Tensor

HIGHEST_RATE = 0.4  # of label errors; networks that were trained on worse labels cannot judge them


def class_thresholds(posterior: Tensor, labels: Tensor) -> Tensor:
    """The mean confidence t_c in each class c, over the images with this label (Northcutt et al., Eq. 2).

    Args:
        posterior: p(label = c | x), (N, Y), calibrated, by networks that were not trained on the image.
        labels: int64 (N,), 0 .. Y-1.

    Returns:
        float64 (Y,); infinite for a class without an image, which then no image can belong to.
    """
    posterior = posterior.double()
    of_class = torch.nn.functional.one_hot(labels, posterior.shape[1]).double()  # (N, Y)
    count = of_class.sum(dim=0)
    return torch.where(count > 0, (of_class * posterior).sum(dim=0) / count.clamp(min=1), torch.inf)


def confident_joint(posterior: Tensor, labels: Tensor) -> Tensor:
    """Estimate of the number of images of each label that belong to each class (Northcutt et al., Eq. 1 and 3).

    An image counts as one of class c if p(c | x) reaches the class's threshold t_c, and as one of the most probable
    such class if there are several. Because each class has its own threshold, rare and difficult classes, of which the
    classifier is less sure, do not lose their images. The counts of a label are scaled to all images with this label,
    because not all of them reach a threshold.

    Args:
        posterior: As in `class_thresholds`.
        labels: Likewise.

    Returns:
        float64 (Y, Y); row: label, column: class.
    """
    posterior = posterior.double()
    num_classes = posterior.shape[1]
    confident = posterior >= class_thresholds(posterior, labels) - 1e-9  # rounding of the mean of equal numbers
    counted = confident.any(dim=1)
    best = torch.where(confident, posterior, -1.0).argmax(dim=1)
    pair = labels[counted] * num_classes + best[counted]
    joint = torch.bincount(pair, minlength=num_classes**2).view(num_classes, num_classes).double()
    images = torch.bincount(labels, minlength=num_classes).double()
    return joint * (images / joint.sum(dim=1).clamp(min=1))[:, None]


def label_error_rate(posterior: Tensor, labels: Tensor) -> float:
    """r: the fraction of images that `confident_joint` counts to another class than their label, at most HIGHEST_RATE.

    It is too large where classes look alike, because it takes a part of their confusion for label errors.

    Args:
        posterior: As in `class_thresholds`.
        labels: Likewise, N at least 1.
    """
    joint = confident_joint(posterior, labels)
    return min(float(1 - joint.trace() / joint.sum()), HIGHEST_RATE)


def p_wrong(posterior: Tensor, labels: Tensor, rate: float) -> Tensor:
    """P(class is not the label | x, label), float64 (N,): 1 - (1 - r) q_k / p(label = k | x), with q_k as above.

    Where the posterior of the label is no more than chance gives, r / (Y - 1), the label is certainly wrong.

    Args:
        posterior: As in `class_thresholds`.
        labels: Likewise.
        rate: r, at least 0 and below (Y - 1) / Y, so that labels are better than chance.
    """
    of_label = posterior.double().gather(1, labels[:, None])[:, 0]
    chance = rate / (posterior.shape[1] - 1)
    q = ((of_label - chance) / (1 - rate - chance)).clamp(min=0)
    return (1 - (1 - rate) * q / of_label.clamp(min=torch.finfo(torch.float64).tiny)).clamp(0, 1)


def label_margin(scores: Tensor, labels: Tensor) -> Tensor:
    """The score of the label minus the best score of another class, (N,): negative where another class scores higher.

    Args:
        scores: (N, Y), Y at least 2; with log p(x | c) the margin is a log-likelihood ratio in nats.
        labels: int64 (N,), 0 .. Y-1.
    """
    of_label = scores.gather(1, labels[:, None])
    others = scores.scatter(1, labels[:, None], -torch.inf)
    return of_label[:, 0] - others.amax(dim=1)
