"""Fusions that act at one site: after the first convolutions, at the bottleneck, or before the last layer."""

import torch
import torch.nn.functional as F
from torch import Tensor

from pixelbayes.models.conditioning import HEAD_SITE, OUTPUT_SITE, STEM_SITES, ConditioningPoint, Features, Site
from pixelbayes.models.fusion.base import FusionShape, Mlp, VectorFusion, add, append
from pixelbayes.models.layers import Conv2d


class StemAdd(VectorFusion):
    """Adds an embedding of F numbers after the first convolutions of each stack (report 001, the better variant)."""

    def __init__(self, shape: FusionShape, *, mlp: Mlp = "none"):
        super().__init__(shape, dict.fromkeys(STEM_SITES, shape.num_filters), 0.05, mlp)

    def apply_at(self, point: ConditioningPoint, h: Tensor, features: Features, site: Site) -> Tensor:
        return h + features[site] if point is ConditioningPoint.STEM else h


class Bottleneck(VectorFusion):
    """Adds an embedding of F numbers to each stack at the lowest resolution, where the up path begins."""

    def __init__(self, shape: FusionShape, *, mlp: Mlp = "none"):
        lowest = max(site.resolution for site in shape.blocks)
        first = [site for site in shape.blocks if (site.path, site.resolution, site.block) == ("up", lowest, 0)]
        super().__init__(shape, dict.fromkeys(first, shape.num_filters), 0.05, mlp)

    def apply_at(self, point: ConditioningPoint, h: Tensor, features: Features, site: Site) -> Tensor:
        acts = point is ConditioningPoint.BEFORE_BLOCK and site in features
        return h + features[site] if acts else h


class OutputAdd(VectorFusion):
    """Adds an embedding of F numbers before the last layer (late fusion)."""

    is_late = True

    def __init__(self, shape: FusionShape, *, mlp: Mlp = "none"):
        super().__init__(shape, {OUTPUT_SITE: shape.num_filters}, 0.05, mlp)

    def apply_at(self, point: ConditioningPoint, h: Tensor, features: Features, site: Site) -> Tensor:
        return add(h, features[site]) if point is ConditioningPoint.OUTPUT else h


class OutputConcat(VectorFusion):
    """Concatenates an embedding of D numbers, repeated at every pixel, before the last layer (late fusion).

    Args:
        width: D.
        mlp: As in `LabelVectors`.
    """

    is_late = True

    def __init__(self, shape: FusionShape, *, width: int = 32, mlp: Mlp = "none"):
        super().__init__(shape, {OUTPUT_SITE: width}, 1.0, mlp)
        self.output_channels = width

    def apply_at(self, point: ConditioningPoint, h: Tensor, features: Features, site: Site) -> Tensor:
        return append(h, features[site]) if point is ConditioningPoint.OUTPUT else h


class ClassHead(VectorFusion):
    """A class-conditional hidden layer before the last one; nothing before it depends on the label.

        u = W h,  e = V r,  output_c = SiLU(u (1 + gamma_c) + beta_c (1 + e)),

    with h the input of the last layer and r the pooled evidence among its channels (`EvidencePooling`). Evidence for
    class c, which beta_c reads in e, moves every later pixel's distribution under c. Without evidence pooling e is 0.
    All classes share everything up to u and e. Gamma is initialised to zero, beta to a standard deviation of 0.3.

    Args:
        hidden: Width of the hidden layer.
    """

    is_late = True

    def __init__(self, shape: FusionShape, *, hidden: int = 96):
        super().__init__(shape, {HEAD_SITE: 2 * hidden}, 0.3, "none")
        with torch.no_grad():
            self.vectors.by_label.embedding.weight[:, :hidden] = 0.0  # gamma
        self.head_channels = hidden
        self.evidence_channels = shape.evidence_channels
        self.mix = Conv2d(shape.head_channels, hidden, weight_norm=shape.weight_norm)
        self.read_evidence = (
            Conv2d(shape.evidence_channels, hidden, weight_norm=shape.weight_norm) if shape.evidence_channels else None
        )

    def apply_at(self, point: ConditioningPoint, h: Tensor, features: Features, site: Site) -> Tensor:
        if point is not ConditioningPoint.HEAD:
            return h
        gamma, beta = features[site].chunk(2, dim=1)  # (B, hidden, 1, 1) each
        scaled, shift = self.mix(h) * (1 + gamma), beta
        if self.read_evidence is not None:
            shift = beta * (1 + self.read_evidence(h[:, -self.evidence_channels :]))
        return F.silu(scaled + shift)
