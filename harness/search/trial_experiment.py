"""The experiment of a config file with the values of one trial of its search."""

from collections.abc import Sequence
from pathlib import Path

from harness.errors import ConfigError
from harness.experiment import Experiment


def trial_experiment(config: Path, bindings: Sequence[str], trial: Sequence[str]) -> Experiment:
    """`bindings` as of --set, then those of the trial. Raises ConfigError for mistakes in any of them."""
    from harness.config import load_experiment

    experiment, _ = load_experiment(config, bindings, trial=trial)
    if not isinstance(experiment, Experiment):
        raise ConfigError(
            f"{config} searches the hyperparameters of a control experiment; a search needs images, whose validation "
            "episodes score its trials. Remove the search."
        )
    return experiment
