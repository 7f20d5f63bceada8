"""Fusions that act in every gated residual block."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pixelbayes.models.conditioning import ConditioningPoint, Features, Site
from pixelbayes.models.fusion.base import Condition, FusionShape, Mlp, SiteVectors, VectorFusion


class BeforeBlock(VectorFusion):
    """Adds an embedding of F numbers to the features before every block (report 003)."""

    def __init__(self, shape: FusionShape, *, mlp: Mlp = "none"):
        super().__init__(shape, dict.fromkeys(shape.blocks, shape.num_filters), 0.05, mlp)

    def apply_at(self, point: ConditioningPoint, h: Tensor, features: Features, site: Site) -> Tensor:
        return h + features[site] if point is ConditioningPoint.BEFORE_BLOCK else h


class AfterBlock(VectorFusion):
    """Adds alpha times an embedding of F numbers after every block of both paths (report 002, middle fusion).

    Args:
        alphas: "one" trainable scalar for all blocks, as in the report, or one per "block".
        mlp: As in `LabelVectors`.
    """

    def __init__(self, shape: FusionShape, *, alphas: Literal["one", "block"] = "one", mlp: Mlp = "none"):
        super().__init__(shape, dict.fromkeys(shape.blocks, shape.num_filters), 1.0, mlp)
        self.alpha_index = {site: i if alphas == "block" else 0 for i, site in enumerate(shape.blocks)}
        self.alpha = nn.Parameter(torch.full((1 + max(self.alpha_index.values()),), 0.1))

    def prepare(self, condition: Condition) -> Features:
        vectors = super().prepare(condition)
        return {site: self.alpha[self.alpha_index[site]] * vector for site, vector in vectors.items()}

    def apply_at(self, point: ConditioningPoint, h: Tensor, features: Features, site: Site) -> Tensor:
        return h + features[site] if point is ConditioningPoint.AFTER_BLOCK else h


class GateAdd(VectorFusion):
    """Adds a projection of the one-hot label before every gate: (a, b) <- (a, b) + W y, W ~ N(0, 0.05).

    Van den Oord et al. (2016), https://arxiv.org/abs/1606.05328, Eq. 4; the authors' code of Salimans et al. (2017).
    """

    def __init__(self, shape: FusionShape, *, mlp: Mlp = "none"):
        super().__init__(shape, dict.fromkeys(shape.blocks, 2 * shape.num_filters), 0.05, mlp)

    def apply_at(self, point: ConditioningPoint, h: Tensor, features: Features, site: Site) -> Tensor:
        return h + features[site] if point is ConditioningPoint.BEFORE_GATE else h


class FiLM(VectorFusion):
    """Feature-wise linear modulation, h <- (1 + gamma) h + beta, in every block.

    Perez et al. (2018), https://arxiv.org/abs/1709.07871, Eq. 2. Gamma and beta are initialised to zero, so training
    starts from the unconditional network.

    Args:
        at: "block" modulates the input of the block; "shortcut" modulates the input of its short-cut (report 004).
        bounded: gamma <- tanh(gamma), which keeps the factor between 0 and 2.
        mlp: As in `LabelVectors`; report 004 uses "one-hot".
    """

    def __init__(
        self,
        shape: FusionShape,
        *,
        at: Literal["block", "shortcut"] = "block",
        bounded: bool = False,
        mlp: Mlp = "none",
    ):
        filters = shape.shortcut_filters if at == "shortcut" else lambda site: shape.num_filters
        super().__init__(shape, {site: 2 * filters(site) for site in shape.blocks}, 0.0, mlp)
        self.point = ConditioningPoint.SHORTCUT if at == "shortcut" else ConditioningPoint.BEFORE_BLOCK
        self.bounded = bounded
        self.num_classes = shape.num_classes

    def prepare(self, condition: Condition) -> Features:
        features = super().prepare(condition)
        if not self.bounded:
            return features
        halves = {site: feature.chunk(2, dim=1) for site, feature in features.items()}
        return {site: torch.cat((gamma.tanh(), beta), dim=1) for site, (gamma, beta) in halves.items()}

    @torch.no_grad()
    def statistics(self) -> dict[str, float]:
        """Mean and standard deviation of gamma and beta over classes, blocks and channels."""
        device = next(self.parameters()).device
        features = self.prepare(Condition(torch.arange(self.num_classes, device=device))).values()
        gamma, beta = (torch.cat(parts, dim=1) for parts in zip(*(v.chunk(2, dim=1) for v in features), strict=True))
        return {
            f"{name}_{kind}": float(statistic(values))
            for name, values in (("gamma", gamma), ("beta", beta))
            for kind, statistic in (("mean", torch.mean), ("std", torch.std))
        }

    def apply_at(self, point: ConditioningPoint, h: Tensor, features: Features, site: Site) -> Tensor:
        if point is not self.point:
            return h
        gamma, beta = features[site].chunk(2, dim=1)  # (B, F, 1, 1) each
        return (1 + gamma) * h + beta


class AdaLN(VectorFusion):
    """adaLN-Zero: normalises, scales and shifts the input of a block's convolutions, and gates its residual.

    Peebles and Xie (2023), https://arxiv.org/abs/2212.09748, section 3.2. The normalisation is over the channels at
    each position, because normalising over height and width would show a pixel its own future. Shift, scale and gate
    are initialised to zero. With the gate every block therefore starts as the identity, and no short-cut carries
    information at first: neither from the vertical to the horizontal stack, nor from the down path to the up path. Each
    short-cut takes effect as its gate opens. Without the gate training starts from a network that normalises,
    identically for all labels.

    Args:
        gate: Whether to gate the residual.
        mlp: As in `LabelVectors`.
    """

    def __init__(self, shape: FusionShape, *, gate: bool = True, mlp: Mlp = "none"):
        super().__init__(shape, dict.fromkeys(shape.blocks, (2 + gate) * shape.num_filters), 0.0, mlp)
        self.gate = gate

    def apply_at(self, point: ConditioningPoint, h: Tensor, features: Features, site: Site) -> Tensor:
        if point is ConditioningPoint.BEFORE_BRANCH:
            shift, scale, *_ = torch.split(features[site], h.shape[1], dim=1)
            centred = h - h.mean(dim=1, keepdim=True)
            normed = centred * torch.rsqrt(centred.square().mean(dim=1, keepdim=True) + 1e-6)
            return (1 + scale) * normed + shift
        if point is ConditioningPoint.RESIDUAL and self.gate:
            return torch.split(features[site], h.shape[1], dim=1)[2] * h
        return h


class CrossAttention(VectorFusion):
    """After every block, each position attends to a few learned tokens of its class and adds the result.

    Vaswani et al. (2017), https://arxiv.org/abs/1706.03762, Eq. 1, with one head. Keys and values are computed from the
    label once per image. The values are initialised to zero, so training starts from the unconditional network.

    Args:
        tokens: Number of learned tokens per class.
        mlp: As in `LabelVectors`.
    """

    def __init__(self, shape: FusionShape, *, tokens: int = 4, mlp: Mlp = "none"):
        filters = shape.num_filters
        super().__init__(shape, dict.fromkeys(shape.blocks, tokens * filters), 0.0, mlp)  # values
        keys = dict.fromkeys(shape.blocks, tokens * filters)
        self.keys = SiteVectors(keys, shape.num_classes, 1.0, mlp)
        self.queries = nn.ModuleDict({site.name: nn.Conv2d(filters, filters, 1, bias=False) for site in shape.blocks})

    def prepare(self, condition: Condition) -> Features:
        values = super().prepare(condition)
        return {site: torch.cat((keys, values[site]), dim=1) for site, keys in self.keys(condition).items()}

    def apply_at(self, point: ConditioningPoint, h: Tensor, features: Features, site: Site) -> Tensor:
        if point is not ConditioningPoint.AFTER_BLOCK:
            return h
        _, filters, height, width = h.shape
        tokens = features[site].shape[1] // (2 * filters)
        query = self.queries[site.name](h).flatten(2).transpose(1, 2)[:, None]  # (B, one head, h w, F)
        key, value = features[site].reshape(-1, 2, 1, tokens, filters).unbind(dim=1)  # (B, one head, tokens, F) each
        attended = F.scaled_dot_product_attention(query, key, value)  # (B, one head, h w, F)
        return h + attended.transpose(2, 3).reshape(-1, filters, height, width)
