"""Fusions that act in every gated residual block."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pixelbayes.models.fusion.base import Condition, Features, FusionShape, Mlp, Site, SiteVectors, VectorFusion


class BeforeBlock(VectorFusion):
    """An embedding of F numbers added to the features before every block (report 003)."""

    def __init__(self, shape: FusionShape, *, mlp: Mlp = "none"):
        super().__init__(shape, dict.fromkeys(shape.blocks, shape.num_filters), 0.05, mlp)

    def before_block(self, h: Tensor, features: Features, site: Site) -> Tensor:
        return h + features[site]


class AfterBlock(VectorFusion):
    """alpha times an embedding of F numbers added after every block of both passes (report 002, middle).

    Args:
        alphas: "one" trainable scalar for all blocks, as the report, or one for each "block".
    """

    def __init__(self, shape: FusionShape, *, alphas: Literal["one", "block"] = "one", mlp: Mlp = "none"):
        super().__init__(shape, dict.fromkeys(shape.blocks, shape.num_filters), 1.0, mlp)
        self.place = {site: i if alphas == "block" else 0 for i, site in enumerate(shape.blocks)}
        self.alpha = nn.Parameter(torch.full((1 + max(self.place.values()),), 0.1))

    def prepare(self, condition: Condition) -> Features:
        return {site: self.alpha[self.place[site]] * vector for site, vector in super().prepare(condition).items()}

    def after_block(self, h: Tensor, features: Features, site: Site) -> Tensor:
        return h + features[site]


class GateAdd(VectorFusion):
    """A projection of the one-hot label added before every gate: (a, b) <- (a, b) + W y, W ~ N(0, 0.05).

    Van den Oord et al. (2016), https://arxiv.org/abs/1606.05328, Eq. 4; Salimans et al. (2017) in their code.
    """

    def __init__(self, shape: FusionShape, *, mlp: Mlp = "none"):
        super().__init__(shape, dict.fromkeys(shape.blocks, 2 * shape.num_filters), 0.05, mlp)

    def before_gate(self, h: Tensor, features: Features, site: Site) -> Tensor:
        return h + features[site]


class FiLM(VectorFusion):
    """Feature-wise linear modulation, h <- (1 + gamma) h + beta, for every block.

    Perez et al. (2018), https://arxiv.org/abs/1709.07871, Eq. 2. Gamma and beta start at zero, so training starts from
    the unconditional network.

    Args:
        at: "block", before the block; or "shortcut" (report 004), on what the block's short-cut reads.
        bounded: gamma <- tanh(gamma), so that the factor stays within 0 and 2.
        mlp: As in `LabelVectors`; "one-hot" is report 004's.
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
        self.at = at
        self.bounded = bounded
        self.num_classes = shape.num_classes

    def prepare(self, condition: Condition) -> Features:
        features = super().prepare(condition)
        if not self.bounded:
            return features
        halves = {site: feature.chunk(2, dim=1) for site, feature in features.items()}
        return {site: torch.cat((gamma.tanh(), beta), dim=1) for site, (gamma, beta) in halves.items()}

    def statistics(self) -> dict[str, float]:
        """Mean and deviation of gamma (as it stands beside 1) and of beta, over classes, blocks and channels."""
        device = next(self.parameters()).device
        features = self.prepare(Condition(torch.arange(self.num_classes, device=device))).values()
        gamma, beta = (torch.cat(parts, dim=1) for parts in zip(*(v.chunk(2, dim=1) for v in features), strict=True))
        figures = {"gamma": gamma, "beta": beta}
        return {
            f"{name}_{kind}": float(measure(values))
            for name, values in figures.items()
            for kind, measure in (("mean", torch.mean), ("std", torch.std))
        }

    def modulate(self, h: Tensor, gamma_beta: Tensor) -> Tensor:
        gamma, beta = gamma_beta.chunk(2, dim=1)  # (B, F, 1, 1) each
        return (1 + gamma) * h + beta

    def before_block(self, h: Tensor, features: Features, site: Site) -> Tensor:
        return self.modulate(h, features[site]) if self.at == "block" else h

    def at_shortcut(self, h: Tensor, features: Features, site: Site) -> Tensor:
        return self.modulate(h, features[site]) if self.at == "shortcut" else h


class AdaLN(VectorFusion):
    """adaLN-Zero: what a block's convolutions read is normalised, scaled and shifted; what it adds is gated.

    Peebles and Xie (2023), https://arxiv.org/abs/2212.09748, section 3.2. The norm is over the channels at each
    position alone: over height and width it would show a pixel its own future. Shift, scale and gate start at zero.
    With the gate every block then starts as the identity, so that at first no short-cut carries anything: neither what
    the vertical stack tells the horizontal one, nor what the way down has kept for the way up; each comes in as its
    gate opens. Without the gate training starts from a network that normalises, the same for all labels.

    Args:
        gate: Whether there is one.
    """

    def __init__(self, shape: FusionShape, *, gate: bool = True, mlp: Mlp = "none"):
        super().__init__(shape, dict.fromkeys(shape.blocks, (2 + gate) * shape.num_filters), 0.0, mlp)
        self.gate = gate

    def before_branch(self, h: Tensor, features: Features, site: Site) -> Tensor:
        shift, scale, *_ = features[site].split(h.shape[1], dim=1)
        centred = h - h.mean(dim=1, keepdim=True)
        normed = centred * torch.rsqrt(centred.square().mean(dim=1, keepdim=True) + 1e-6)
        return (1 + scale) * normed + shift

    def scale_residual(self, h: Tensor, features: Features, site: Site) -> Tensor:
        return features[site].split(h.shape[1], dim=1)[2] * h if self.gate else h


class CrossAttention(VectorFusion):
    """After every block, each position attends to a few learned tokens of its class and adds what it reads.

    Vaswani et al. (2017), https://arxiv.org/abs/1706.03762, Eq. 1, one head; the attention the reports asked for. Keys
    and values are computed from the label once per image; values start at zero, so training starts from the
    unconditional network.

    Args:
        tokens: Learned tokens a class.
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

    def after_block(self, h: Tensor, features: Features, site: Site) -> Tensor:
        batch, filters, height, width = h.shape
        query = self.queries[site.name](h).flatten(2).transpose(1, 2)  # (B, h w, F)
        key, value = features[site].reshape(batch, 2, -1, filters).unbind(dim=1)  # (B, tokens, F) each
        read = F.scaled_dot_product_attention(query, key, value)  # (B, h w, F)
        return h + read.transpose(1, 2).reshape(batch, filters, height, width)
