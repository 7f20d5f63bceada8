import pytest

from pixelbayes.training import ClassifierTrainingConfig, OptimizationConfig, TrainingConfig
from pixelbayes.utils.errors import InputError


@pytest.mark.parametrize(
    ("config", "settings", "message"),
    [
        (OptimizationConfig, {"epochs": 0}, "epochs is 0, expected at least 1"),
        (OptimizationConfig, {"batch_size": 0}, "batch_size is 0, expected at least 1"),
        (OptimizationConfig, {"max_seconds": -1.0}, "max_seconds is -1.0, expected 0 or more"),
        (OptimizationConfig, {"patience": -1}, "patience is -1, expected 0 or more"),
        (OptimizationConfig, {"warmup_steps": -1}, "warmup_steps is -1, expected 0 or more"),
        (OptimizationConfig, {"gradient_clip": -1.0}, "gradient_clip is -1.0, expected 0 or more"),
        (OptimizationConfig, {"checkpoint_minutes": -1.0}, "checkpoint_minutes is -1.0, expected 0 or more"),
        (OptimizationConfig, {"learning_rate": 0.0}, "learning_rate is 0.0, expected a number above 0"),
        (OptimizationConfig, {"learning_rate": float("nan")}, "learning_rate is nan, expected a number above 0"),
        (
            OptimizationConfig,
            {"learning_rate_decay": 1.5},
            "learning_rate_decay is 1.5, expected above 0 and at",
        ),
        (OptimizationConfig, {"ema_decay": 1.0}, "ema_decay is 1.0, expected at least 0 and below 1"),
        (OptimizationConfig, {"weight_decay": -0.1, "optimizer": "adamw"}, "weight_decay is -0.1, expected 0 or more"),
        (OptimizationConfig, {"weight_decay": 0.1}, "weight_decay is 0.1, .* use optimizer adamw"),
        (ClassifierTrainingConfig, {"label_smoothing": 1.0}, "label_smoothing is 1.0, expected at least 0 and below 1"),
        (TrainingConfig, {"samples_per_class": 0}, "samples_per_class is 0, expected at least 1"),
        (TrainingConfig, {"fid_samples": 0}, "fid_samples is 0, expected at least 1"),
        (TrainingConfig, {"sample_every": -1}, "sample_every is -1, expected 0 or more"),
        (TrainingConfig, {"fid_every": -1}, "fid_every is -1, expected 0 or more"),
        (TrainingConfig, {"accumulate_grad_batches": 0}, "accumulate_grad_batches is 0, expected at least 1"),
        (TrainingConfig, {"devices": 0}, "devices is 0, expected at least 1"),
        (TrainingConfig, {"devices": 8, "batch_size": 4}, "devices is 8, expected no more than batch_size, which is 4"),
        (TrainingConfig, {"label_dropout": 1.5}, "label_dropout is 1.5, expected a probability"),
        (TrainingConfig, {"classification_weight": -1.0}, "classification_weight is -1.0, expected 0 or more"),
        (TrainingConfig, {"classification_temperature": 0.0}, "classification_temperature is 0.0, .* above 0"),
        (
            TrainingConfig,
            {"classification_weight": 1.0, "classification_start": 1.0},
            "classification_start .* below 1",
        ),
        (TrainingConfig, {"classification_start": 0.5}, "classification_start is 0.5, but classification_weight is 0"),
        (TrainingConfig, {"clean_likelihood": True}, "clean_likelihood is True, but classification_weight is 0"),
        (TrainingConfig, {"classification_weight": 1.0, "label_dropout": 0.1}, "label_dropout is 0.1, expected 0 with"),
    ],
)
def test_a_value_out_of_range_is_an_input_error_that_names_the_field(config, settings, message):
    with pytest.raises(InputError, match=message):
        config(**settings)


def test_epochs_with_likelihood_only_are_a_fraction_of_all_epochs():
    hybrid = {"classification_weight": 1.0, "epochs": 7}
    assert TrainingConfig(**hybrid).likelihood_epochs == 0
    assert TrainingConfig(**hybrid, classification_start=0.5).likelihood_epochs == 3
    assert TrainingConfig(**hybrid, classification_start=0.999).likelihood_epochs == 6


def test_every_field_is_documented():
    for config in (OptimizationConfig, TrainingConfig, ClassifierTrainingConfig):
        documented = {line.split(":")[0].strip() for line in config.__doc__.partition("Attributes:")[2].splitlines()}
        assert documented >= set(config.__dataclass_fields__)
