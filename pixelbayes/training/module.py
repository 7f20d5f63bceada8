"""Lightning modules: training of any network, and of a PixelCNN++."""

import math
from abc import abstractmethod
from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar, Generic, TypeVar

import lightning as L
import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torchmetrics import CatMetric, MeanMetric

from pixelbayes.checkpoints.provenance import Provenance
from pixelbayes.checkpoints.trained import TrainedNetwork, TrainedPixelCNN
from pixelbayes.data import AugmentationConfig, ImageData, augment, is_augmented
from pixelbayes.images.pixels import to_x
from pixelbayes.images.views import apply_view
from pixelbayes.inference import BayesClassifier, Scorer
from pixelbayes.metrics.temperature_scaling import fitted_nll
from pixelbayes.models.fusion import NO_LABEL
from pixelbayes.models.layers import initialise_from_data
from pixelbayes.models.likelihood import bits_per_dim
from pixelbayes.models.pixelcnn import PixelCNN
from pixelbayes.training.batches import OrderedBatches, ShuffledBatches
from pixelbayes.training.config import TrainingConfig
from pixelbayes.training.ema import ExponentialMovingAverage
from pixelbayes.training.finite_check import FiniteCheck
from pixelbayes.training.objectives import Batch, HybridLoss, Objective, make_objective, phases
from pixelbayes.training.optimization import OptimizationConfig, learning_rate_factor, make_optimizer, network_groups
from pixelbayes.training.teacher import Teacher
from pixelbayes.utils.compile import compile_training_step
from pixelbayes.utils.randomness import Key

Network = TypeVar("Network", bound=nn.Module)
Config = TypeVar("Config", bound=OptimizationConfig)

Loss = Callable[[Tensor], Tensor]
"""Maps the indices of training images, int64 (B,), to their loss, as in `Objective`."""

NO_AUGMENTATION = AugmentationConfig()


def class_prior(data: ImageData, kind: str) -> tuple[float, ...]:
    """p(c), Y numbers: 1 / Y for "uniform", the class frequencies of the labelled training images for "train"."""
    count = len(data.class_names)
    if kind == "uniform":
        return (1 / count,) * count
    labels = data.split("train").labels
    counts = torch.bincount(labels[labels != NO_LABEL], minlength=count).double()
    return tuple((counts / counts.sum()).tolist())


class NetworkModule(L.LightningModule, Generic[Network, Config]):
    """Trains a network. The moving average of its weights is validated and saved.

    All images are held on the device of the weights, as uint8.

    Args:
        network: The network with its initial weights.
        config: How to train it.
        data: Images; the splits "train" and "validation" are used.
        seed: Random seed of shuffling, augmentation and dropout.
        augmentation: Augmentation of the training images.
    """

    metric: ClassVar[str]
    """the loss metric: the history has it as train/... and val/..."""
    command: ClassVar[str]
    """the subcommand that resumes such a run"""
    remedies: ClassVar[str] = "A lower learning_rate or a lower gradient_clip may help"
    """advice for a run that diverged"""

    train_pixels: Tensor
    train_labels: Tensor
    validation_pixels: Tensor
    validation_labels: Tensor

    def __init__(self, network: Network, config: Config, data: ImageData, seed: int, augmentation: AugmentationConfig):
        super().__init__()
        self.network = network
        self.config = config
        self.seed = seed
        self.data = data
        self.augmentation = augmentation
        self.ema = ExponentialMovingAverage(network, config.ema_decay)
        for name in ("train", "validation"):
            self.register_buffer(f"{name}_pixels", data.split(name).pixels, persistent=False)
            self.register_buffer(f"{name}_labels", data.split(name).labels, persistent=False)
        # "disable", because the finite check reports NaNs; no sync, because every process has the loss of all images
        self.train_metric = MeanMetric(nan_strategy="disable", sync_on_compute=False)
        self.train_metric.persistent(True)  # a resumed epoch reports the mean over all its steps
        self.validation_metric = MeanMetric(nan_strategy="disable")
        self.validation_accuracy = MeanMetric(nan_strategy="disable")
        self.finite_check = FiniteCheck(self.remedies)

    @abstractmethod
    def loss(self, index: Tensor) -> Tensor:
        """The loss of the training images `index`, int64 (B,), as in `Objective`."""

    def phase_losses(self) -> "tuple[Loss, ...]":
        """The loss of each phase of training, in the order of `OptimizationConfig.phase_epochs`."""
        return (self.loss,)

    def prepare(self) -> None:
        """Prepares the first step; called once the weights are on their device."""

    def on_fit_start(self) -> None:
        self.prepare()

    @abstractmethod
    def as_trained(self, provenance: Provenance) -> TrainedNetwork:
        """The averaged network, with everything that is needed to use it."""

    @property
    def average(self) -> Network:
        """The network with the moving average of the weights."""
        return self.ema.module

    @property
    def weight_dtype(self) -> torch.dtype:
        return next(self.network.parameters()).dtype

    @property
    def accumulate_grad_batches(self) -> int:
        """Number of batches per step."""
        return 1

    @property
    def devices(self) -> int:
        """Number of processes on this machine."""
        return 1

    @property
    def images_per_pass(self) -> int:
        """Number of images that one process takes through the network at a time; fewer at the end of an epoch."""
        return -(-self.config.batch_size // self.trainer.world_size)

    @property
    def steps_per_epoch(self) -> int:
        """Number of steps per epoch; the last one may have fewer images."""
        return -(-len(self.train_pixels) // (self.config.batch_size * self.accumulate_grad_batches))

    def train_dataloader(self) -> ShuffledBatches:
        """All images of each step; they do not depend on the number of processes."""
        size = self.config.batch_size * self.accumulate_grad_batches
        return ShuffledBatches(
            len(self.train_pixels), size, self.seed, lambda: self.trainer.global_step, self.train_pixels.device
        )

    def val_dataloader(self) -> OrderedBatches:
        return OrderedBatches(len(self.validation_pixels), self.config.batch_size, self.validation_pixels.device)

    def key(self, stream: str, index: Tensor) -> Key:
        """Random key of the images `index` at this step; `stream` separates its uses."""
        return Key.of(self.seed, stream, self.global_step, index)

    def training_batch(self, index: Tensor) -> Batch:
        """The training images `index`, augmented."""
        levels = self.data.preprocessing.image_shape.levels
        pixels = augment(self.train_pixels[index], levels, self.augmentation, self.key("augmentation", index))
        return Batch(pixels, self.train_labels[index])

    def to_x(self, pixels: Tensor) -> Tensor:
        """Converts levels to [-1, 1], in the precision of the weights."""
        return to_x(pixels, self.data.preprocessing.image_shape.levels, self.weight_dtype)

    def training_step(self, index: Tensor, _: int) -> Tensor:
        """Computes the gradient of the mean loss over the images of a step, one pass after another.

        Lightning averages the gradients over the processes and runs the backward pass of the returned loss. The loss of
        each pass is weighted by its number of images. So neither `accumulate_grad_batches` nor the number of processes
        changes the objective. The value of the returned loss is that of all images of the step, for the range test. Its
        gradient is that of the last pass.
        """
        own = index.tensor_split(self.trainer.world_size)[self.trainer.global_rank]  # the images of this process
        weight = self.trainer.world_size / len(index)  # of one image
        # a process without images computes a loss of weight 0, because the others wait for its gradient
        *first, last = torch.split(own, self.images_per_pass) if len(own) else (index[:1],)
        total = torch.zeros(1, dtype=self.weight_dtype, device=self.device)
        for part in first:
            losses = self.loss(part).reshape(-1) * (len(part) * weight)
            losses[0].backward()
            total = total + losses.detach()
        losses = self.loss(last).reshape(-1) * (len(last) * weight if len(own) else 0.0)
        means = self.trainer.strategy.reduce(total + losses.detach(), reduce_op="mean")
        assert isinstance(means, Tensor)
        self.finite_check.record("loss", means[0], self.global_step + 1)
        # expanded, because MeanMetric ignores `weight` when nan_strategy="disable"
        self.train_metric.update(means[-1].expand(len(index)))
        self.log("train/loss", means[0], on_step=True)
        return losses[0] + (means[0] - losses[0].detach())

    def optimizer_zero_grad(self, *_: Any) -> None:
        """Does nothing, because Lightning calls it before the last backward pass of a step; see `optimizer_step`."""

    def epoch_metrics(self) -> dict[str, float]:
        """Metrics of the epoch that ends; resets them.

        Raises:
            DivergedError: If a loss is not finite.
        """
        metrics = {
            f"train/{self.metric}": float(self.train_metric.compute()),
            f"val/{self.metric}": float(self.validation_metric.compute()),
            "val/accuracy": float(self.validation_accuracy.compute()),
            "learning_rate": self.config.learning_rate * self.learning_rate_factor(self.global_step - 1),  # last step
        }
        self.finite_check.record("validation loss", torch.tensor(metrics[f"val/{self.metric}"]), self.global_step)
        self.finite_check.check()
        for metric in (self.train_metric, self.validation_metric, self.validation_accuracy):
            metric.reset()
        return metrics

    def configure_optimizers(self) -> OptimizerLRScheduler:
        optimizer = make_optimizer(self.config, self.parameter_groups(), self.device)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, self.learning_rate_factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Parameter groups of the optimizer."""
        return network_groups(self.config, self.network)

    def learning_rate_factor(self, step: int) -> float:
        return learning_rate_factor(self.config, step, self.steps_per_epoch)

    def configure_gradient_clipping(self, *_: Any, **__: Any) -> None:
        limit = self.config.gradient_clip or math.inf
        norm = torch.nn.utils.clip_grad_norm_(self.network.parameters(), limit)
        self.finite_check.record("gradient norm", norm, self.global_step + 1)  # before the weights change

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        updates = self.global_step
        super().optimizer_step(*args, **kwargs)
        self.ema.update(self.network, updates)  # here, so that every hook that saves finds weights and average in step
        self.zero_grad()  # of the whole module, because an objective may have parameters too


class TrainingModule(NetworkModule[PixelCNN, TrainingConfig]):
    """Trains a PixelCNN++. The moving average of its weights is validated, sampled and saved.

    Args:
        network: The network with its initial weights.
        config: How to train it.
        data: Images; the splits "train" and "validation" are used.
        seed: Random seed of shuffling, augmentation and dropout.
        objective: The objective; None for that of the config.
        augmentation: Augmentation of the training images.
        teacher: Makes the targets of the classification terms; None for the labels.
    """

    metric = "bits_per_dim"
    command = "train"
    remedies = "A lower learning_rate, a lower gradient_clip or weight_norm: false may help"

    def __init__(
        self,
        network: PixelCNN,
        config: TrainingConfig,
        data: ImageData,
        seed: int,
        objective: Objective | None = None,
        augmentation: AugmentationConfig = NO_AUGMENTATION,
        teacher: Teacher | None = None,
    ):
        super().__init__(network, config, data, seed, augmentation)
        self.teacher = teacher  # not a submodule, so a saved training state does not contain it
        self.prior = class_prior(data, config.prior)
        self.objective = objective or make_objective(config, self.prior, network.config.image_shape.dims)
        self.compiled_objectives: dict[Objective, Objective] = {}
        # no sync, because every process validates all images, in their order
        self.validation_log_prob = CatMetric(nan_strategy="disable", sync_on_compute=False)
        self.classifier = BayesClassifier(Scorer(self.average, training=True), torch.tensor(self.prior).log())

    @property
    def accumulate_grad_batches(self) -> int:
        return self.config.accumulate_grad_batches

    @property
    def devices(self) -> int:
        return self.config.devices

    def prepare(self) -> None:
        if self.teacher is not None:
            self.teacher.to(self.device)
        if self.config.compile:
            self.compiled_objectives = {
                objective: compile_training_step(objective, self.device) for objective in phases(self.objective)
            }

    def on_train_start(self) -> None:  # not on_fit_start, where the step of a resumed run is not yet restored
        if self.global_step == 0 and self.network.config.weight_norm and not self.config.init_from:
            index = next(iter(self.train_dataloader())).to(self.device)
            batch = self.training_batch(index)
            x, key = self.to_x(batch.pixels), self.key("initialisation", index)
            initialise_from_data(self.network, x, batch.condition, key)
            self.average.load_state_dict(self.network.state_dict())

    def training_batch(self, index: Tensor) -> Batch:
        """The training images `index`: augmented, in a random view, some without their label (`label_dropout`)."""
        batch = super().training_batch(index)
        keeps_label, _ = self.key("label dropout", index).keep(1 - self.config.label_dropout)
        label = torch.where(keeps_label.bool(), batch.label, NO_LABEL)
        architecture = self.network.config
        pixels, view, clean = batch.pixels, torch.zeros_like(index), None
        target = None if self.teacher is None else self.teacher.targets(pixels, label)
        if architecture.views > 1:
            view = (self.key("view", index).uniform() * architecture.views).long()
            pixels = apply_view(pixels, view)
        if self.config.clean_likelihood:
            clean = Batch(apply_view(self.train_pixels[index], view), label, view, target)
        if architecture.condition_on_augmentation:
            view = view + architecture.views * is_augmented(self.augmentation, self.key("augmentation", index))
        return Batch(pixels, label, view, target, clean)

    def phase_losses(self) -> tuple[Loss, ...]:
        return tuple(
            partial(self.loss_of, self.compiled_objectives.get(objective, objective))
            for objective in phases(self.objective)
        )

    def loss(self, index: Tensor) -> Tensor:
        objectives = phases(self.objective)
        objective = objectives[0] if self.current_epoch < self.config.likelihood_epochs else objectives[-1]
        if len(index) == self.images_per_pass:  # the smaller batch at the end of an epoch is not worth compiling
            objective = self.compiled_objectives.get(objective, objective)
        return self.loss_of(objective, index)

    def loss_of(self, objective: Objective, index: Tensor) -> Tensor:
        """An objective on the training images `index`."""
        return objective(self.network, self.training_batch(index), self.key("training", index))

    def validation_step(self, index: Tensor, _: int) -> None:
        label = self.validation_labels[index]
        with torch.autocast(self.device.type, enabled=False):  # bf16 rounds the difference between classes by nats
            log_prob = self.classifier.log_prob(self.to_x(self.validation_pixels[index]))  # (B, Y)
        nll = -self.classifier.log_prob_of(log_prob, label)
        self.validation_metric.update(bits_per_dim(nll, self.network.config.image_shape.dims))
        predicted = self.classifier.posterior(log_prob).argmax(dim=1)
        self.validation_accuracy.update((predicted == label)[label != NO_LABEL].double())
        self.validation_log_prob.update(log_prob)

    def parameter_groups(self) -> list[dict[str, Any]]:
        groups = super().parameter_groups()
        if isinstance(self.objective, HybridLoss):
            groups.append({"params": self.objective.parameters(), "weight_decay": 0.0})  # decay would pull T towards 1
        return groups

    def epoch_metrics(self) -> dict[str, float]:
        more = {"val/nll": self._validation_nll()}
        more |= {f"fusion/{name}": value for name, value in self.average.fusion.statistics().items()}
        if isinstance(self.objective, HybridLoss):
            more["train/temperature"] = self.objective.temperature
        return {**super().epoch_metrics(), **more}

    def _validation_nll(self) -> float:
        """NLL of the classes at its best temperature, in nats; NaN without labels or with a single class."""
        log_prior, label = self.classifier.log_prior.cpu(), self.validation_labels.cpu()
        log_prob = self.validation_log_prob.compute().reshape(-1, len(log_prior)).cpu()  # (N, Y)
        self.validation_log_prob.reset()
        if len(log_prior) < 2 or not bool((label != NO_LABEL).any()):
            return math.nan
        return fitted_nll(log_prob, log_prior, label)

    def as_trained(self, provenance: Provenance) -> TrainedPixelCNN:
        return TrainedPixelCNN(
            network=self.average,
            class_names=self.data.class_names,
            preprocessing=self.data.preprocessing,
            prior=self.prior,
            provenance=provenance,
        )
