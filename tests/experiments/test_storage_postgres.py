"""PostgreSQL as the storage of Optuna."""

import optuna
import pytest
from optuna.trial import TrialState
from sqlalchemy import exc, text
from sqlalchemy.pool import NullPool


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_a_trial_outlives_a_restart_of_the_server_that_ends_all_connections(postgres, mode):
    storage = optuna.storages.RDBStorage(postgres.url, engine_kwargs={"poolclass": NullPool})
    study = optuna.create_study(storage=storage)
    assert optuna.get_all_study_names(storage) == [study.study_name]  # the database was empty
    trial = study.ask()
    size = trial.suggest_int("size", 1, 9)
    with storage.engine.connect() as connection:
        postgres.restart(mode)
        with pytest.raises(exc.OperationalError):
            connection.execute(text("SELECT 1"))
    study.tell(trial, 0.5)
    (found,) = study.trials
    assert (found.state, found.params, found.value) == (TrialState.COMPLETE, {"size": size}, 0.5)
