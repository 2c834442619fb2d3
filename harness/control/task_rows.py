"""The schema of what is measured on control tasks: one row a task, in a run's episodes.parquet."""

from collections.abc import Mapping
from typing import Any

from harness.control.run_spec import ControlEvaluationSpec, ControlRunSpec
from harness.control.task_evaluation import TaskOutcome
from harness.spec import canonical, digest

TASK_COLUMNS: dict[str, str] = {
    "run_id": "string",
    "method": "string",
    "trained_on": "string",
    "network": "string",
    "source": "string",
    "split": "string",
    "seed": "int64",
    "episode": "int64",  # the task's number: the same is the same task for every method of the same seed
    "task": "string",  # its parameters, such as `goal_x 0.12, goal_y -0.4`
    "return_before": "float64",  # mean over trajectories of the sum of rewards, not discounted
    "return_after": "float64",  # the same after all inner steps
    "adaptation_steps": "int64",
    "horizon": "int64",
    "trajectories": "int64",  # before each inner step, and after the last
    "dropped": "int64",  # whose dynamics broke down, of all
    "steps": "int64",  # taken
    "protocol_version": "int64",
    "fingerprint": "string",  # of the source's content and parameters
    "seconds": "float64",
}

CURVE = ("iteration", "return_before", "return_after", "kl", "share", "dropped", "seconds")
"""Keys of a line of curve.jsonl: means over the updates since the last line; seconds of training so far."""


def source_fingerprint(plugin: str, params: Mapping[str, Any], content: str) -> str:
    """Equal for sources whose tasks are drawn alike, whatever they are called; content: the source's own fingerprint.

    Task k of two names is not the same task: the name is in the stream that it is drawn from.
    """
    named = {key: value for key, value in params.items() if key != "name"}
    return digest([plugin, canonical(named), content], 12)


def task_row(
    spec: ControlRunSpec,
    evaluation: ControlEvaluationSpec,
    outcome: TaskOutcome,
    *,
    network: str,
    horizon: int,
) -> dict[str, object]:
    """One row of TASK_COLUMNS."""
    source = evaluation.source
    return {
        "run_id": spec.run_id,
        "method": spec.method_name,
        "trained_on": spec.trained_on,
        "network": network,
        "source": source.name,
        "split": evaluation.split,
        "seed": spec.seed,
        "episode": outcome.task.index,
        "task": ", ".join(f"{name} {value:.4g}" for name, value in outcome.task.parameters.items()),
        "return_before": outcome.before,
        "return_after": outcome.after,
        "adaptation_steps": len(outcome.returns) - 1,
        "horizon": horizon,
        "trajectories": outcome.trajectories,
        "dropped": outcome.dropped,
        "steps": outcome.steps,
        "protocol_version": spec.protocol_version,
        "fingerprint": source_fingerprint(
            source.component.plugin, source.component.params, source.fingerprint
        ),
        "seconds": outcome.seconds,
    }
