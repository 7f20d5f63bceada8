"""Training configs of the two kinds of network."""

from dataclasses import dataclass
from typing import Literal

from pixelbayes.training.optimization import OptimizationConfig
from pixelbayes.utils.config_docs import documented
from pixelbayes.utils.errors import InputError, check_fields


@documented
@dataclass(frozen=True, kw_only=True)
class TrainingConfig(OptimizationConfig):
    """How a PixelCNN++ is trained.

    Raises:
        InputError: If a value is out of its range, or fields contradict each other.
    """

    init_from: str = ""
    """run or weights file to start from; the architecture must be the same, apart from dropout and added views"""
    classification_weight: float = 0.0
    """weight of the classification term: cross-entropy of the Bayes posterior; 0 trains on the likelihood only"""
    classification_start: float = 0.0
    """fraction of the epochs, at least 0 and below 1, that train on the likelihood only, which is faster"""
    classification_temperature: float | None = None
    """initial temperature T of the posterior in the classification term, in nats, above 0; by default a fortieth of
    the number of colour values of an image; training learns T"""
    auxiliary_weight: float = 0.3
    """weight of the cross-entropy of the auxiliary head, if the network has one"""
    teacher: tuple[str, ...] = ()
    """runs or weights files of dedicated classifiers, whose soft labels join the classification terms, or auto, which
    trains one first"""
    teacher_epochs: int = 60
    """number of epochs of the classifier that teacher auto trains, at least 1"""
    teacher_weight: float = 0.7
    """weight of the soft labels in the targets of the classification terms, 0 to 1; the labels have the rest"""
    clean_likelihood: bool = False
    """compute the likelihood on images without augmentation, and the classification term on augmented images"""
    label_dropout: float = 0.0
    """probability of hiding the label of a training image, so that the network also learns log p(x) for guidance"""
    monitor: Literal["bits_per_dim", "accuracy"] = "accuracy"
    """validation metric that selects the best epoch"""
    prior: Literal["uniform", "train"] = "uniform"
    """prior p(c) of Bayes' rule: uniform, or the class frequencies of the training images"""
    sample_every: int = 10
    """number of epochs between sample grids; 0 for none"""
    samples_per_class: int = 4
    """number of samples per class in a sample grid, at least 1"""
    fid_every: int = 0
    """number of epochs between measurements of FID and KID on the validation images; 0 for none"""
    fid_samples: int = 25
    """number of samples per class for FID and KID, at least 1"""
    fid_features: Literal["classifier", "inception-64", "inception-192", "inception-2048"] = "classifier"
    """features for FID and KID"""
    accumulate_grad_batches: int = 1
    """number of batches per step, at least 1; the loss is the mean over all their images"""
    compile: bool | None = None
    """compile the training step with torch.compile, which takes a minute or more; by default if it is faster, as
    measured before a run of an hour or more"""
    devices: int = 1
    """number of processes on this machine that share each batch, at most batch_size; on a CPU they share its cores"""

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least_1 = ("samples_per_class", "accumulate_grad_batches", "devices", "fid_samples", "teacher_epochs")
        check_fields(self, at_least_1, lambda n: n >= 1, "at least 1")
        at_least_0 = ("sample_every", "fid_every", "classification_weight", "auxiliary_weight")
        check_fields(self, at_least_0, lambda n: n >= 0, "0 or more")
        check_fields(self, ("teacher_weight",), lambda weight: 0 <= weight <= 1, "0 to 1")
        check_fields(
            self, ("devices",), lambda n: n <= self.batch_size, f"no more than batch_size, which is {self.batch_size}"
        )
        check_fields(self, ("classification_temperature",), lambda t: t is None or t > 0, "a number above 0")
        check_fields(self, ("classification_start",), lambda share: 0 <= share < 1, "at least 0 and below 1")
        check_fields(self, ("label_dropout",), lambda p: 0 <= p <= 1, "a probability")
        if self.classification_weight:
            if self.label_dropout:
                raise InputError(
                    f"label_dropout is {self.label_dropout}, expected 0 with classification_weight, because the "
                    "posterior needs the likelihood under every label"
                )
            return
        for name in ("classification_start", "clean_likelihood"):
            if value := getattr(self, name):
                raise InputError(f"{name} is {value}, but classification_weight is 0; give both or neither")

    @property
    def likelihood_epochs(self) -> int:
        """Number of epochs that train on the likelihood only, before `classification_start`; less than `epochs`."""
        return int(self.classification_start * self.epochs)

    @property
    def phase_epochs(self) -> tuple[int, ...]:
        """Number of epochs on the likelihood only, and with the classification term."""
        if not self.classification_weight:
            return (self.epochs,)
        return self.likelihood_epochs, self.epochs - self.likelihood_epochs


@documented
@dataclass(frozen=True, kw_only=True)
class ClassifierTrainingConfig(OptimizationConfig):
    """How a dedicated classifier is trained.

    Raises:
        InputError: If a value is out of its range.
    """

    epochs: int = 60
    batch_size: int = 64
    optimizer: Literal["adam", "adamw", "muon"] = "adamw"
    learning_rate: float = 2e-3
    weight_decay: float = 0.05
    pretrained_learning_rate: float = 2e-4
    """peak learning rate of pre-trained layers, above 0; their last layer, which is new, has learning_rate"""
    ema_decay: float = 0.995
    monitor: Literal["cross_entropy", "accuracy"] = "accuracy"
    label_smoothing: float = 0.1
    """fraction of the target probability that is spread evenly over all classes, at least 0 and below 1"""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_fields(self, ("pretrained_learning_rate",), lambda rate: rate > 0, "a number above 0")
        check_fields(self, ("label_smoothing",), lambda share: 0 <= share < 1, "at least 0 and below 1")
