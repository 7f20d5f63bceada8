"""What one chooses of a generative network's training."""

from dataclasses import dataclass
from typing import Literal

from pixelbayes.errors import InputError
from pixelbayes.training.optimization import OptimizationConfig


@dataclass(frozen=True, kw_only=True)
class TrainingConfig(OptimizationConfig):
    """How a network is trained."""

    label_dropout: float = 0.0  # share of images whose label is not told, so that log p(x) and guidance are learnt too
    select_by: Literal["bits_per_dim", "accuracy"] = "accuracy"  # what the best epoch is best at, on validation
    prior: Literal["uniform", "train"] = "uniform"  # p(c) of Bayes' rule: equal, or as often as in training
    sample_every: int = 10  # epochs between grids of samples; 0 for none
    samples_per_class: int = 4  # in those grids
    accumulate: int = 1  # a step sees batch_size x accumulate images and their mean loss, batch_size at a time
    compile: bool = False  # steps by torch.compile: a minute or two to begin with; worth it from some 1000 steps on
    devices: int = 1  # processes on this machine that share each batch; on a CPU its cores too

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.samples_per_class < 1:
            raise InputError(f"samples_per_class is {self.samples_per_class}, expected at least 1")
        if self.sample_every < 0:
            raise InputError(f"sample_every is {self.sample_every}, expected 0 or more")
        for name in ("accumulate", "devices"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}, expected at least 1")
        if self.devices > self.batch_size:
            raise InputError(f"devices is {self.devices}, expected no more than batch_size, {self.batch_size}")
        if not 0 <= self.label_dropout <= 1:
            raise InputError(f"label_dropout is {self.label_dropout}, expected a probability")
