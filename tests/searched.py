"""Small searches for tests."""

from pathlib import Path

from harness.config import load_experiment
from harness.plan import plan
from harness.pools import ensure_pool
from harness.search.planned import PlannedSearch, plan_search
from harness.store import Workspace

TWO_METHODS = "Experiment.methods = [@ANIL(), @NIL()]"


def grid(text: str) -> tuple[str, str]:
    """The lines that search a grid."""
    return "Experiment.search = @GridSearch()", f"GridSearch.grid = {text}"


def planned_search(config: Path, cache: Path) -> PlannedSearch:
    """The search of a gin file."""
    experiment, _ = load_experiment(config)
    assert experiment.search is not None
    base = plan(experiment, data_dir=None, cache=cache)
    return plan_search(
        experiment.search,
        base,
        lambda trial: load_experiment(config, trial=trial)[0],
        data_dir=None,
        cache=cache,
    )


def with_pools(planned: PlannedSearch, folder: Path, cache: Path) -> Workspace:
    """A workspace whose pools are all prepared."""
    for need in planned.pools:
        ensure_pool(need.dataset, need.source, need.split, need.images, data_dir=None, cache=cache)
    (folder / "runs").mkdir(exist_ok=True)
    return Workspace(runs=folder / "runs", cache=cache)
