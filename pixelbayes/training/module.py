"""One network in training, as Lightning sees it."""

import math
from abc import abstractmethod
from typing import Any, ClassVar

import lightning as L
import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torchmetrics import MeanMetric

from pixelbayes.checkpoints.checkpoint import Checkpoint, Trained
from pixelbayes.data import AugmentationConfig, ImageData, augment, changes
from pixelbayes.images.pixels import to_x
from pixelbayes.images.views import turned
from pixelbayes.inference import BayesClassifier, Scorer
from pixelbayes.models.fusion import NO_LABEL, Condition
from pixelbayes.models.layers import initialise_from_data
from pixelbayes.models.likelihood import bits_per_dim
from pixelbayes.models.pixelcnn import PixelCNN
from pixelbayes.training.batches import OrderedBatches, ShuffledBatches
from pixelbayes.training.config import TrainingConfig
from pixelbayes.training.ema import MovingAverage
from pixelbayes.training.finite_check import Watch
from pixelbayes.training.objectives import Batch, Hybrid, Objective, chosen_objective, phases
from pixelbayes.training.optimization import OptimizationConfig, learning_rate_factor
from pixelbayes.utils.compile import compiled
from pixelbayes.utils.randomness import Key


def class_prior(data: ImageData, kind: str) -> tuple[float, ...]:
    """p(c), Y numbers: all equal for "uniform", the shares of the labelled training images for "train"."""
    count = len(data.class_names)
    if kind == "uniform":
        return (1 / count,) * count
    labels = data.split("train").labels
    shares = torch.bincount(labels[labels != NO_LABEL], minlength=count).double()
    return tuple((shares / shares.sum()).tolist())


class NetworkModule(L.LightningModule):
    """Trains `network` and keeps its moving average, which is what is validated and saved.

    The images live beside the weights, on the same device, as uint8.

    Args:
        network: The network to train.
        config: How.
        data: Its splits "train" and "validation" are used.
        seed: Of shuffling, augmentation and dropout.
        augmentation: What may happen to a training image.
    """

    measure: ClassVar[str]  # what training and validation are measured in: "train/..." and "val/..." of the history
    command: ClassVar[str]  # of the command line, that resumes such a run
    remedies: ClassVar[str] = "A lower learning_rate or a lower gradient_clip may help"  # of a loss that diverges

    train_pixels: Tensor
    train_labels: Tensor
    validation_pixels: Tensor
    validation_labels: Tensor

    def __init__(
        self,
        network: nn.Module,
        config: OptimizationConfig,
        data: ImageData,
        seed: int,
        augmentation: AugmentationConfig,
    ):
        super().__init__()
        self.network = network
        self.config = config
        self.seed = seed
        self.data = data
        self.augmentation = augmentation
        self.averaged = MovingAverage(network, config.ema_decay)
        for name in ("train", "validation"):
            self.register_buffer(f"{name}_pixels", data.split(name).pixels, persistent=False)
            self.register_buffer(f"{name}_labels", data.split(name).labels, persistent=False)
        # every process has the loss of the whole step; what is not a number is the watch's affair
        self.train_measure = MeanMetric(nan_strategy="disable", sync_on_compute=False)
        self.train_measure.persistent(True)  # an epoch resumed in its middle reports the whole of it
        self.validation_measure = MeanMetric(nan_strategy="disable")
        self.validation_accuracy = MeanMetric(nan_strategy="disable")
        self.watch = Watch(self.remedies)

    @abstractmethod
    def loss(self, index: Tensor) -> Tensor:
        """What to minimise, of the training images `index`."""

    @abstractmethod
    def as_checkpoint(self, about: dict[str, Any]) -> Trained:
        """The averaged network, with what is needed to use it."""

    @property
    def dtype_of_weights(self) -> torch.dtype:
        return next(self.network.parameters()).dtype

    @property
    def accumulate(self) -> int:
        """Batches in a step."""
        return 1

    @property
    def devices(self) -> int:
        """Processes on this machine."""
        return 1

    @property
    def images_at_a_time(self) -> int:
        """Images of a batch that each process takes, those of an epoch's last aside."""
        return -(-self.config.batch_size // self.trainer.world_size)

    def train_dataloader(self) -> ShuffledBatches:
        """The images of each step, whatever the number of processes."""
        size = self.config.batch_size * self.accumulate
        return ShuffledBatches(
            len(self.train_pixels), size, self.seed, lambda: self.trainer.global_step, self.train_pixels.device
        )

    def val_dataloader(self) -> OrderedBatches:
        return OrderedBatches(len(self.validation_pixels), self.config.batch_size, self.validation_pixels.device)

    def share(self, index: Tensor) -> Tensor:
        """This process's part of the images of a step."""
        return index.tensor_split(self.trainer.world_size)[self.trainer.global_rank]

    def key(self, stream: str, index: Tensor) -> Key:
        return Key.of(self.seed, stream, self.global_step, index)

    def batch(self, index: Tensor) -> Batch:
        """Training images, augmented."""
        pixels = augment(
            self.train_pixels[index], self.data.preprocessing.levels, self.augmentation, self.key("augmentation", index)
        )
        return Batch(pixels, self.train_labels[index])

    def x(self, pixels: Tensor) -> Tensor:
        return to_x(pixels, self.data.preprocessing.levels, self.dtype_of_weights)

    def training_step(self, index: Tensor, _: int) -> Tensor:
        """Adds up gradients of the mean loss over a step's images, a part of them at a time; the last is Lightning's.

        Each part weighs as many as its images, so that neither `accumulate` nor the number of processes, whose
        gradients Lightning averages, changes what is minimised.
        """
        mine = self.share(index)
        share = self.trainer.world_size / len(index)
        # a process left without an image takes one that does not count: the others wait for its gradients
        *others, last = mine.split(self.images_at_a_time) if len(mine) else (index[:1],)
        total = torch.zeros(1, dtype=self.dtype_of_weights, device=self.device)
        for part in others:
            terms = torch.atleast_1d(self.loss(part)) * (len(part) * share)
            terms[0].backward()
            total = total + terms.detach()
        terms = torch.atleast_1d(self.loss(last)) * (len(last) * share if len(mine) else 0.0)
        means = self.trainer.strategy.reduce(total + terms.detach(), reduce_op="mean")
        assert isinstance(means, Tensor)
        self.watch.note("loss", means[0], self.global_step + 1)
        self.train_measure.update(means[-1].expand(len(index)))  # so, for with its NaNs "disable"d it forgets weights
        self.log("train/loss", means[0], on_step=True)
        return terms[0]

    def optimizer_zero_grad(self, *_: Any) -> None:
        """Nothing: Lightning asks between a step's last loss and its gradient, when those of the others are there."""

    def epoch_figures(self) -> dict[str, float]:
        """What the epoch that ends has measured; resets the measures."""
        figures = {
            f"train/{self.measure}": float(self.train_measure.compute()),
            f"val/{self.measure}": float(self.validation_measure.compute()),
            "val/accuracy": float(self.validation_accuracy.compute()),
            "learning_rate": self.config.learning_rate * self.learning_rate_factor(self.global_step - 1),  # the last
        }
        self.watch.note("loss on validation", torch.tensor(figures[f"val/{self.measure}"]), self.global_step)
        self.watch.check()
        for metric in (self.train_measure, self.validation_measure, self.validation_accuracy):
            metric.reset()
        return figures

    def configure_optimizers(self) -> OptimizerLRScheduler:
        config = self.config
        kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[config.optimizer]
        optimizer = kind(
            self.learnt(),
            lr=config.learning_rate,
            weight_decay=config.weight_decay,
            fused=self.device.type in ("cpu", "cuda"),
        )
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: self.learning_rate_factor(step))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def learnt(self) -> list[dict[str, Any]]:
        """Groups of parameters for the optimizer."""
        return [{"params": self.network.parameters()}]

    def learning_rate_factor(self, step: int) -> float:
        return learning_rate_factor(self.config, step, len(self.train_dataloader()))

    def configure_gradient_clipping(self, *_: Any, **__: Any) -> None:
        limit = self.config.gradient_clip or math.inf
        norm = torch.nn.utils.clip_grad_norm_(self.network.parameters(), limit)
        self.watch.note("gradient's norm", norm, self.global_step + 1)  # before it spoils the weights

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        updates = self.global_step
        super().optimizer_step(*args, **kwargs)
        self.averaged.update(self.network, updates)  # here, so that every hook that saves finds both moved
        self.zero_grad()  # of all that is learnt: an objective may have parameters too


class TrainingModule(NetworkModule):
    """Trains a PixelCNN++; its moving average, `average`, is what is validated, sampled and saved.

    Args:
        network: The network to train.
        config: How.
        data: Its splits "train" and "validation" are used.
        seed: Of shuffling, augmentation and dropout.
        objective: What to minimise, bits per dimension and more; what the config says if not given.
        augmentation: What may happen to a training image.
    """

    measure = "bits_per_dim"
    command = "train"
    remedies = "A lower learning_rate, a lower gradient_clip or weight_norm: false may help"
    network: PixelCNN
    config: TrainingConfig

    def __init__(
        self,
        network: PixelCNN,
        config: TrainingConfig,
        data: ImageData,
        seed: int,
        objective: Objective | None = None,
        augmentation: AugmentationConfig = AugmentationConfig(),  # noqa: B008 (it is frozen)
    ):
        super().__init__(network, config, data, seed, augmentation)
        self.prior = class_prior(data, config.prior)
        self.objective = objective or chosen_objective(config, self.prior)
        self.compiled_objectives: dict[Objective, Objective] = {}
        self.classifier = BayesClassifier(Scorer(self.average, learning=True), torch.tensor(self.prior).log())

    @property
    def average(self) -> PixelCNN:
        network = self.averaged.module
        assert isinstance(network, PixelCNN)
        return network

    @property
    def accumulate(self) -> int:
        return self.config.accumulate

    @property
    def devices(self) -> int:
        return self.config.devices

    def on_fit_start(self) -> None:
        if self.config.compile:  # each when it is first called
            self.compiled_objectives = {each: compiled(each, self.device) for each in phases(self.objective)}

    def on_train_start(self) -> None:  # not on_fit_start, where a resumed run's step is not yet known
        if self.global_step == 0 and self.network.config.weight_norm and not self.config.start:
            index = next(iter(self.train_dataloader())).to(self.device)
            batch = self.batch(index)
            told = Condition(batch.label, batch.view)
            initialise_from_data(self.network, self.x(batch.pixels), told, self.key("initialisation", index))
            self.average.load_state_dict(self.network.state_dict())

    def batch(self, index: Tensor) -> Batch:
        """Training images, augmented and turned; of some the label is not told."""
        batch = super().batch(index)
        told, _ = self.key("label dropout", index).keep(1 - self.config.label_dropout)
        label = torch.where(told.bool(), batch.label, NO_LABEL)
        shape = self.network.config
        pixels, view, clean = batch.pixels, torch.zeros_like(index), None
        if shape.views > 1:
            view = (self.key("view", index).uniform() * shape.views).long()
            pixels = turned(pixels, view)
        if self.config.clean_likelihood:
            clean = Batch(turned(self.train_pixels[index], view), label, view)
        if shape.tell_changed:
            view = view + shape.views * changes(self.augmentation, self.key("augmentation", index))
        return Batch(pixels, label, view, clean)

    def loss(self, index: Tensor) -> Tensor:
        early, late = phases(self.objective)
        objective = early if self.current_epoch < self.config.generative_epochs else late
        if len(index) == self.images_at_a_time:  # an epoch's last images are not worth compiling for their number
            objective = self.compiled_objectives.get(objective, objective)
        return objective(self.network, self.batch(index), self.key("training", index))

    def validation_step(self, index: Tensor, _: int) -> None:
        label = self.validation_labels[index]
        with torch.autocast(self.device.type, enabled=False):  # in bf16 classes differ by nats that rounding makes up
            log_prob = self.classifier.log_prob(self.x(self.validation_pixels[index]))  # (B, Y)
        self.validation_measure.update(
            bits_per_dim(-self.classifier.log_prob_of(log_prob, label), self.network.config.dims)
        )
        predicted = self.classifier.posterior(log_prob).argmax(dim=1)
        self.validation_accuracy.update((predicted == label)[label != NO_LABEL].double())

    def learnt(self) -> list[dict[str, Any]]:
        groups = super().learnt()
        if isinstance(self.objective, Hybrid):
            groups.append({"params": self.objective.parameters(), "weight_decay": 0.0})  # T has no reason to be 1
        return groups

    def epoch_figures(self) -> dict[str, float]:
        statistics = {f"fusion/{name}": value for name, value in self.average.fusion.statistics().items()}
        if isinstance(self.objective, Hybrid):
            statistics["train/temperature"] = self.objective.temperature
        return {**super().epoch_figures(), **statistics}

    def as_checkpoint(self, about: dict[str, Any]) -> Checkpoint:
        return Checkpoint(
            network=self.average,
            class_names=self.data.class_names,
            preprocessing=self.data.preprocessing,
            prior=self.prior,
            about=about,
        )
