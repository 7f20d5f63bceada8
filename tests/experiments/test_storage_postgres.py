"""PostgreSQL as the storage of Optuna: what a sweep relies on."""

import optuna
import pytest
from sqlalchemy.pool import NullPool


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_a_trial_outlives_a_restart_of_the_server(postgres, mode):
    study = optuna.create_study(storage=optuna.storages.RDBStorage(postgres.url, engine_kwargs={"poolclass": NullPool}))
    trial = study.ask()
    size = trial.suggest_int("size", 1, 9)
    postgres.restart(mode)
    study.tell(trial, 0.5)
    (found,) = study.trials
    assert (found.state, found.params, found.value) == (optuna.trial.TrialState.COMPLETE, {"size": size}, 0.5)
