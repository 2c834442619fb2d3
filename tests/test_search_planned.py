"""Which trials a search has, whom they concern, what they never touch, and what is refused."""

import shutil
from pathlib import Path

import pytest
import torch

from experiments import write_tiny
from harness import launch
from harness.config import load_experiment
from harness.episode_sequence import SourceSequence, evaluation_sequence
from harness.errors import ConfigError, PlanError
from harness.plan import plan
from harness.pools import open_pool
from harness.search.planned import STREAM, PlannedSearch
from harness.spec_reading import read_spec
from searched import TWO_METHODS, grid, planned_search, with_pools

RATES = "{'MAML.inner_lr': [0.1, 0.5], 'ANIL.inner_lr': [0.1, 0.5]}"


def search_of(tmp_path: Path, *lines: str) -> PlannedSearch:
    return planned_search(write_tiny(tmp_path, *lines), tmp_path / "cache")


def test_a_trial_is_the_experiment_with_its_values_on_one_seed_and_validation_episodes(
    tmp_path: Path,
) -> None:
    planned = search_of(
        tmp_path, *grid(RATES), "Experiment.seeds = [3, 4]", "Experiment.probes = [@Freeze()]"
    )
    assert [tuple(values.values()) for values in planned.values] == [
        ("0.1", "0.1"), ("0.1", "0.5"), ("0.5", "0.1"), ("0.5", "0.5"),
    ]  # fmt: skip
    assert [(slot.method_name, slot.trained_on) for slot in planned.slots] == [
        ("maml", "glyphs"), ("anil", "glyphs"), ("nil", "glyphs"),
    ]  # fmt: skip
    maml = planned.slots[0]
    assert [run.method.params["inner_lr"] for run in maml.trials] == [0.1, 0.1, 0.5, 0.5]
    for slot in planned.slots:
        for trial, finals in zip(slot.trials, slot.finals, strict=True):
            assert (trial.seed, trial.probes) == (3, ())
            (validation,) = trial.evaluations
            assert (validation.split, validation.n_episodes, validation.stream) == ("valid", 2, STREAM)
            assert validation.shape == trial.train.validation_shape
            assert [run.seed for run in finals] == [3, 4]
            assert [run.evaluations[0].split for run in finals] == ["test", "test"]
            assert finals[0].training_id == trial.training_id, "the chosen trial's training is not done again"


def test_what_does_not_concern_a_method_makes_no_more_runs_for_it(tmp_path: Path) -> None:
    planned = search_of(tmp_path, *grid(RATES))
    assert [slot.concerns for slot in planned.slots] == [
        ("MAML.inner_lr",), ("ANIL.inner_lr",), ("ANIL.inner_lr",),
    ]  # fmt: skip
    assert [len({run.run_id for run in slot.trials}) for slot in planned.slots] == [2, 2, 2]
    assert len(planned.trial_runs) == 6
    anil, nil = planned.slots[1:]
    assert [run.training_id for run in anil.trials] == [run.training_id for run in nil.trials]


def test_random_draws_concern_whom_they_change(tmp_path: Path) -> None:
    planned = search_of(
        tmp_path,
        "Experiment.search = @RandomSearch()",
        "RandomSearch.trials = 5",
        "RandomSearch.ranges = {'MAML.inner_lr': ('log_uniform', 0.01, 1.0), 'Regime.meta_batch': ('choice', [2, 3])}",
    )
    assert [slot.concerns for slot in planned.slots] == [
        ("MAML.inner_lr", "Regime.meta_batch"), ("Regime.meta_batch",), ("Regime.meta_batch",),
    ]  # fmt: skip
    assert [len({run.run_id for run in slot.trials}) for slot in planned.slots] == [5, 2, 2]
    assert planned.seed == 0


def test_the_choice_of_each_slot_gives_the_runs_of_its_trial(tmp_path: Path) -> None:
    planned = search_of(tmp_path, *grid(RATES), "Experiment.seeds = 2")
    chosen = planned.with_chosen([2, 1, None])
    assert [(run.method_name, run.method.params["inner_lr"], run.seed) for run in chosen.runs] == [
        ("maml", 0.5, 0), ("maml", 0.5, 1), ("anil", 0.5, 0), ("anil", 0.5, 1),
    ]  # fmt: skip


def test_a_search_may_have_its_own_seed_and_number_of_episodes(tmp_path: Path) -> None:
    planned = search_of(tmp_path, *grid(RATES), "GridSearch.seed = 9", "GridSearch.n_episodes = 50")
    assert {run.seed for run in planned.trial_runs} == {9}
    assert {run.evaluations[0].n_episodes for run in planned.trial_runs} == {50}
    assert {run.seed for slot in planned.slots for runs in slot.finals for run in runs} == {0}


def test_whoever_does_not_search_keeps_the_names_of_the_runs(tmp_path: Path) -> None:
    plain, _ = load_experiment(write_tiny(tmp_path))
    before = plan(plain, data_dir=None, cache=tmp_path / "cache").runs
    searching, _ = load_experiment(write_tiny(tmp_path, *grid(RATES)))
    base = plan(searching, data_dir=None, cache=tmp_path / "cache").runs
    assert [run.run_id for run in base] == [run.run_id for run in before]
    assert all("stream" not in one for run in before for one in run.to_json()["evaluations"])


def test_a_trials_spec_can_be_read_back(tmp_path: Path) -> None:
    run = search_of(tmp_path, *grid(RATES)).trial_runs[0]
    assert run.to_json()["evaluations"][0]["stream"] == STREAM
    assert read_spec(run.to_json(), "spec.json").run_id == run.run_id


@pytest.mark.slow
def test_no_trial_touches_a_test_class(tmp_path: Path) -> None:
    planned = search_of(tmp_path, TWO_METHODS, *grid("{'ANIL.inner_lr': [0.1, 0.5]}"))
    assert {one.split for run in planned.trial_runs for one in run.evaluations} == {"valid"}
    workspace = with_pools(planned, tmp_path, tmp_path / "cache")
    (test_pool,) = (need.key for need in planned.pools if need.split == "test")
    places = list(workspace.cache.rglob(test_pool))
    assert places
    for place in places:
        shutil.rmtree(place)
    trials = launch.launch(planned.trial_runs, workspace, backend="serial")
    assert [one.state for one in trials] == ["done"] * 4, "nothing of the test is needed"
    results = launch.launch(planned.with_chosen([0, 0]).runs, workspace, backend="serial")
    assert [one.state for one in results] == ["failed"] * 2, "while a test does need it"
    assert "test" in str(results[0].error)


def test_trials_are_scored_on_episodes_that_neither_select_nor_test(tmp_path: Path) -> None:
    planned = search_of(tmp_path, *grid(RATES))
    workspace = with_pools(planned, tmp_path, tmp_path / "cache")
    run = planned.trial_runs[0]
    (validation,) = run.evaluations
    pool = open_pool(workspace.cache, validation.source.pool_key("valid", run.images))
    scoring = evaluation_sequence(run, validation, pool)
    selecting, testing = (
        SourceSequence(pool, validation.shape, run.images, seed=run.seed, stream=stream)
        for stream in ("/selection", "")
    )
    for other in (selecting, testing):
        assert not torch.equal(scoring[0].task.support_x, other[0].task.support_x)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (grid("{'Regime.sources': [[@Glyphs()], [@Textures()]]}"), "changes what methods or regimes are called"),
        (grid("{'MAML.name': ['maml', 'other']}"), "with MAML.name = 'other' changes what methods"),
        (grid("{'EpisodeShape.n_shot': [1, 5]}"), "n_shot = 5 is scored on other validation episodes"),
        (grid("{'Regime.validation_episodes': [2, 5]}"), "is scored on other validation episodes than the rest"),
        (
            (*grid("{'test/EpisodeShape.n_shot': [1, 5]}"), "Evaluation.shape = @test/EpisodeShape()"),
            "with test/EpisodeShape.n_shot = 5 is tested on other episodes than the rest",
        ),
        (grid("{'Experiment.max_way': [60, 60.0]}"), "max_way must be a whole number"),
        (grid("{'MAML.inner_lr': [1, 1.0]}"), "'MAML.inner_lr' makes no difference to the training"),
    ],
)  # fmt: skip
def test_trials_that_cannot_be_compared_are_refused(
    tmp_path: Path, lines: tuple[str, ...], said: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        search_of(tmp_path, *lines)
    assert said in str(caught.value)
    assert str(caught.value).endswith(".")


def test_a_search_needs_validation(tmp_path: Path) -> None:
    lines = ("Regime.validation_sources = []", "Regime.selection = 'last'")
    with pytest.raises(PlanError) as caught:
        search_of(tmp_path, *grid(RATES), *lines)
    assert caught.value.problems == (
        "Experiment.search chooses on validation episodes, and the regime 'glyphs' has no validation source: name one "
        "in Regime.validation_sources, or leave out the search.",
    )


def test_a_trial_that_cannot_be_planned_says_which_it_is(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match=r"^With train/EpisodeShape\.n_shot = 30: .*glyphs"):
        search_of(
            tmp_path,
            *grid("{'train/EpisodeShape.n_shot': [1, 30]}"),
            "Regime.validation_shape = @EpisodeShape()",
        )


def test_untrained_methods_are_searched_too(tmp_path: Path) -> None:
    planned = search_of(
        tmp_path,
        "Experiment.methods = [@KNN()]",
        "KNN.trainer = @RandomFeatures()",
        *grid("{'KNN.k': [1, 2]}"),
    )
    (slot,) = planned.slots
    assert slot.concerns == ("KNN.k",)
    assert len({run.run_id for run in slot.trials}) == 2
    assert len({run.training_id for run in slot.trials}) == 1
    assert slot.trials[0].train.iterations == 0
