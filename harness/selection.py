"""Which checkpoint of a training counts, by name. The rule's name is in every row."""

from torch import Tensor

from harness.checkpoint import TrainingState
from harness.errors import ConfigError, named_choices
from harness.experiment import SELECTIONS
from harness.learner import Learner


def select(rule: str, learner: Learner, state: TrainingState) -> tuple[dict[str, Tensor], int]:
    """The learner's state under `rule`, and the iteration it is from.

    last: after the last iteration. best_valid: the first checkpoint with the highest mean accuracy on the
    fixed validation episodes of the training sources; the test split plays no part.
    Raises ConfigError for an unknown rule.
    """
    if rule == "last":
        return learner.state_dict(), state.iteration
    if rule == "best_valid":
        return state.best, state.best_iteration
    raise ConfigError(f"Unknown selection rule {rule!r}; known: {named_choices(SELECTIONS)}.")
