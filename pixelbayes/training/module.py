"""One network in training, as Lightning sees it."""

import math
from abc import abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

import lightning as L
import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torchmetrics import MeanMetric

from pixelbayes.checkpoint import Checkpoint, Trained
from pixelbayes.data import AugmentationConfig, ImageData, augment
from pixelbayes.errors import DivergedError
from pixelbayes.fusion import NO_LABEL
from pixelbayes.inference import BayesClassifier
from pixelbayes.layers import initialise_from_data
from pixelbayes.likelihood import bits_per_dim
from pixelbayes.model import PixelCNN
from pixelbayes.pixels import to_x
from pixelbayes.randomness import Key
from pixelbayes.training.averaging import moving_average
from pixelbayes.training.batches import OrderedBatches, ShuffledBatches
from pixelbayes.training.config import TrainingConfig
from pixelbayes.training.objectives import Batch, generative
from pixelbayes.training.optimization import OptimizationConfig
from pixelbayes.training.schedule import learning_rate_factor


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
        self.averaged = moving_average(network, config.ema_decay)
        for name in ("train", "validation"):
            self.register_buffer(f"{name}_pixels", data.split(name).pixels, persistent=False)
            self.register_buffer(f"{name}_labels", data.split(name).labels, persistent=False)
        self.train_measure = MeanMetric()
        self.train_measure.persistent(True)  # an epoch resumed in its middle reports the whole of it
        self.validation_measure = MeanMetric()
        self.validation_accuracy = MeanMetric()

    @abstractmethod
    def loss(self, index: Tensor) -> Tensor:
        """What to minimise, of the training images `index`."""

    @abstractmethod
    def as_checkpoint(self, about: dict[str, Any]) -> Trained:
        """The averaged network, with what is needed to use it."""

    @property
    def dtype_of_weights(self) -> torch.dtype:
        return next(self.network.parameters()).dtype

    def train_dataloader(self) -> ShuffledBatches:
        return ShuffledBatches(
            len(self.train_pixels), self.config.batch_size, self.seed, lambda: self.trainer.global_step
        )

    def val_dataloader(self) -> OrderedBatches:
        return OrderedBatches(len(self.validation_pixels), self.config.batch_size)

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
        loss = self.loss(index)
        self.check_finite("loss", loss.item(), self.global_step + 1)
        self.train_measure.update(loss.detach(), len(index))
        self.log("train/loss", loss.detach(), on_step=True)
        return loss

    def check_finite(self, name: str, value: float, step: int) -> None:
        if not math.isfinite(value):
            raise DivergedError(
                f"the {name} became {value} at step {step}; the last good weights are kept. {self.remedies}"
            )

    def epoch_figures(self) -> dict[str, float]:
        """What the epoch that ends has measured; resets the measures."""
        figures = {
            f"train/{self.measure}": float(self.train_measure.compute()),
            f"val/{self.measure}": float(self.validation_measure.compute()),
            "val/accuracy": float(self.validation_accuracy.compute()),
            "learning_rate": self.config.learning_rate * self.learning_rate_factor(self.global_step - 1),  # the last
        }
        self.check_finite("loss on validation", figures[f"val/{self.measure}"], self.global_step)
        for metric in (self.train_measure, self.validation_measure, self.validation_accuracy):
            metric.reset()
        return figures

    def configure_optimizers(self) -> OptimizerLRScheduler:
        config = self.config
        kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[config.optimizer]
        optimizer = kind(self.network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: self.learning_rate_factor(step))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def learning_rate_factor(self, step: int) -> float:
        return learning_rate_factor(self.config, step, len(self.train_dataloader()))

    def configure_gradient_clipping(self, *_: Any, **__: Any) -> None:
        limit = self.config.gradient_clip or math.inf
        norm = torch.nn.utils.clip_grad_norm_(self.network.parameters(), limit)
        self.check_finite("gradient's norm", norm.item(), self.global_step + 1)  # before it spoils the weights

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        super().optimizer_step(*args, **kwargs)
        self.averaged.update_parameters(self.network)  # here, so that every hook that saves finds both moved


class TrainingModule(NetworkModule):
    """Trains a PixelCNN++; its moving average, `average`, is what is validated, sampled and saved.

    Args:
        network: The network to train.
        config: How.
        data: Its splits "train" and "validation" are used.
        seed: Of shuffling, augmentation and dropout.
        objective: What to minimise, in bits per dimension.
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
        objective: Callable[[PixelCNN, Batch, Key], Tensor] = generative,
        augmentation: AugmentationConfig = AugmentationConfig(),  # noqa: B008 (it is frozen)
    ):
        super().__init__(network, config, data, seed, augmentation)
        self.objective = objective
        self.prior = class_prior(data, config.prior)
        self.classifier = BayesClassifier(self.average, torch.tensor(self.prior).log())

    @property
    def average(self) -> PixelCNN:
        network = self.averaged.module
        assert isinstance(network, PixelCNN)
        return network

    def on_train_start(self) -> None:  # not on_fit_start, where a resumed run's step is not yet known
        if self.global_step == 0 and self.network.config.weight_norm:
            index = next(iter(self.train_dataloader())).to(self.device)
            pixels, label = self.batch(index)
            initialise_from_data(self.network, self.x(pixels), label, self.key("initialisation", index))
            self.average.load_state_dict(self.network.state_dict())

    def batch(self, index: Tensor) -> Batch:
        """Training images, augmented; of some the label is not told."""
        batch = super().batch(index)
        told, _ = self.key("label dropout", index).keep(1 - self.config.label_dropout)
        return batch._replace(label=torch.where(told, batch.label, NO_LABEL))

    def loss(self, index: Tensor) -> Tensor:
        return self.objective(self.network, self.batch(index), self.key("training", index))

    def validation_step(self, index: Tensor, _: int) -> None:
        label = self.validation_labels[index]
        log_prob = self.classifier.log_prob(self.x(self.validation_pixels[index]))  # (B, Y)
        self.validation_measure.update(
            bits_per_dim(-self.classifier.log_prob_of(log_prob, label), self.network.config.dims)
        )
        predicted = self.classifier.posterior(log_prob).argmax(dim=1)
        self.validation_accuracy.update((predicted == label)[label != NO_LABEL].double())

    def epoch_figures(self) -> dict[str, float]:
        statistics = {f"fusion/{name}": value for name, value in self.average.fusion.statistics().items()}
        return {**super().epoch_figures(), **statistics}

    def as_checkpoint(self, about: dict[str, Any]) -> Checkpoint:
        return Checkpoint(
            network=self.average,
            class_names=self.data.class_names,
            preprocessing=self.data.preprocessing,
            prior=self.prior,
            about=about,
        )
