"""What one chooses of a generative network's training."""

from dataclasses import dataclass
from typing import Literal

from pixelbayes.training.optimization import OptimizationConfig
from pixelbayes.utils.errors import InputError


@dataclass(frozen=True, kw_only=True)
class TrainingConfig(OptimizationConfig):
    """How a network is trained."""

    start: str = ""  # a run or weights file whose network is trained on; only views and changes may be told anew
    posterior_weight: float = 0.0  # lambda of the hybrid objective: of the Bayes posterior's cross-entropy; 0 for none
    posterior_from: float = 0.0  # share of the epochs that learn likelihood alone, which is faster, before that counts
    posterior_temperature: float = 60.0  # T to begin with of the softmax of log p(x | c) / T in it, in nats; learnt
    clean_likelihood: bool = False  # its bits per dimension are of clean images, its posterior of augmented ones
    label_dropout: float = 0.0  # share of images whose label is not told, so that log p(x) and guidance are learnt too
    select_by: Literal["bits_per_dim", "accuracy"] = "accuracy"  # what the best epoch is best at, on validation
    prior: Literal["uniform", "train"] = "uniform"  # p(c) of Bayes' rule: equal, or as often as in training
    sample_every: int = 10  # epochs between grids of samples; 0 for none
    samples_per_class: int = 4  # in those grids
    quality_every: int = 0  # epochs between FID and KID of samples against the validation images; 0 for none
    quality_samples: int = 25  # of each class, for those
    quality_features: Literal["domain", "inception-64", "inception-192", "inception-2048"] = "domain"  # compared by
    accumulate: int = 1  # a step sees batch_size x accumulate images and their mean loss, batch_size at a time
    compile: bool = False  # steps by torch.compile: a minute or two to begin with; worth it from some 1000 steps on
    devices: int = 1  # processes on this machine that share each batch; on a CPU its cores too

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.samples_per_class < 1:
            raise InputError(f"samples_per_class is {self.samples_per_class}, expected at least 1")
        for name in ("sample_every", "quality_every"):
            if getattr(self, name) < 0:
                raise InputError(f"{name} is {getattr(self, name)}, expected 0 or more")
        for name in ("accumulate", "devices", "quality_samples"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}, expected at least 1")
        if self.devices > self.batch_size:
            raise InputError(f"devices is {self.devices}, expected no more than batch_size, {self.batch_size}")
        if self.posterior_weight < 0:
            raise InputError(f"posterior_weight is {self.posterior_weight}, expected 0 or more")
        if not self.posterior_temperature > 0:
            raise InputError(f"posterior_temperature is {self.posterior_temperature}, expected a number above 0")
        if not 0 <= self.posterior_from < 1:
            raise InputError(f"posterior_from is {self.posterior_from}, expected at least 0 and below 1")
        if self.posterior_from and not self.posterior_weight:
            raise InputError("posterior_from is given, but posterior_weight is 0: no epoch learns from the posterior")
        if self.clean_likelihood and not self.posterior_weight:
            raise InputError(
                "clean_likelihood is true, but posterior_weight is 0: there is no posterior to augment for"
            )
        if self.posterior_weight and self.label_dropout:
            raise InputError("label_dropout and posterior_weight exclude each other: the posterior is told every class")
        if not 0 <= self.label_dropout <= 1:
            raise InputError(f"label_dropout is {self.label_dropout}, expected a probability")

    @property
    def generative_epochs(self) -> int:
        """Epochs that learn likelihood alone, before the posterior counts; the last is never one of them."""
        return int(self.posterior_from * self.epochs)
