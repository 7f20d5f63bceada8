"""Fusions that act in every gated residual block."""

from torch import Tensor

from pixelbayes.fusion.base import BlockTable, Condition, Features, Fusion, FusionShape, Site


class GateAdd(Fusion):
    """A projection of the one-hot label added before every gate: (a, b) <- (a, b) + W y, W ~ N(0, 0.05).

    Van den Oord et al. (2016), https://arxiv.org/abs/1606.05328, Eq. 4; Salimans et al. (2017) in
    their code.
    """

    def __init__(self, shape: FusionShape):
        super().__init__(shape)
        self.projection = BlockTable(shape, 2 * shape.num_filters, std=0.05)

    def prepare(self, condition: Condition) -> Features:
        return self.projection(condition)

    def before_gate(self, h: Tensor, features: Features, site: Site) -> Tensor:
        return h + features[site]


class FiLM(Fusion):
    """Feature-wise linear modulation, h <- (1 + gamma) h + beta, before every block.

    Perez et al. (2018), https://arxiv.org/abs/1709.07871, Eq. 2. Gamma and beta start at zero, so training starts from
    the unconditional network.
    """

    def __init__(self, shape: FusionShape):
        super().__init__(shape)
        self.gamma_beta = BlockTable(shape, 2 * shape.num_filters, std=0.0)

    def prepare(self, condition: Condition) -> Features:
        return self.gamma_beta(condition)

    def before_block(self, h: Tensor, features: Features, site: Site) -> Tensor:
        gamma, beta = features[site].chunk(2, dim=1)  # (B, F, 1, 1) each
        return (1 + gamma) * h + beta
