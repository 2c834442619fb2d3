"""What a gin file says of a search: what is drawn, and what is refused."""

import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from experiments import write_tiny
from harness.config import load_experiment
from harness.errors import ConfigError
from harness.networks import Conv4
from harness.search.settings import GridSearch, RandomSearch
from harness_datasets.digits import Digits

RANGES = {
    "MAML.inner_lr": ("log_uniform", 0.01, 1.0),
    "Regime.learning_rate": ("uniform", 0.001, 0.003),
    "inner_steps": ("whole", 1, 4),
    "Conv4.filters": ("choice", [16, 32, 64]),
}


def drawn(name: str, n: int = 1000, seed: int = 0) -> list[str]:
    search = RandomSearch(trials=n, ranges={name: RANGES[name]})
    return [trial[name] for trial in next(search.rounds(seed))]


def test_a_grid_is_every_combination_the_last_binding_fastest() -> None:
    search = GridSearch(grid={"MAML.inner_lr": [0.1, 0.5], "inner_steps": (1, 5, None)})
    assert search.bindings == ("MAML.inner_lr", "inner_steps")
    assert [tuple(trial.values()) for trial in next(search.rounds(3))] == [
        ("0.1", "1"), ("0.1", "5"), ("0.1", "None"), ("0.5", "1"), ("0.5", "5"), ("0.5", "None"),
    ]  # fmt: skip


def test_draws_are_spread_over_their_range_as_they_say() -> None:
    logs = [math.log10(float(text)) for text in drawn("MAML.inner_lr")]
    assert -2 <= min(logs) < -1.99
    assert -0.01 < max(logs) <= 0
    assert stats.kstest(logs, stats.uniform(-2, 2).cdf).pvalue > 0.01
    plain = [float(text) for text in drawn("Regime.learning_rate")]
    assert 0.001 <= min(plain) < max(plain) <= 0.003
    assert stats.kstest(plain, stats.uniform(0.001, 0.002).cdf).pvalue > 0.01
    for name, allowed in (("inner_steps", "1 2 3 4"), ("Conv4.filters", "16 32 64")):
        counts = Counter(drawn(name))
        assert sorted(counts) == sorted(allowed.split())
        assert stats.chisquare(list(counts.values())).pvalue > 0.01


def test_a_draw_depends_on_seed_binding_and_trial_alone() -> None:
    few = next(RandomSearch(trials=3, ranges=RANGES).rounds(7))
    assert next(RandomSearch(trials=3, ranges=RANGES).rounds(7)) == few
    assert next(RandomSearch(trials=9, ranges=RANGES).rounds(7))[:3] == few, (
        "a larger budget changes no trial"
    )
    assert next(RandomSearch(trials=3, ranges=RANGES).rounds(8)) != few
    name = "MAML.inner_lr"
    assert drawn(name, 3, 7) == [trial[name] for trial in few], "another range changes nothing"
    two = next(
        RandomSearch(trials=500, ranges={"a.x": ("uniform", 0, 1), "b.x": ("uniform", 0, 1)}).rounds(0)
    )
    pairs = np.array([[float(text) for text in trial.values()] for trial in two])
    assert abs(np.corrcoef(pairs.T)[0, 1]) < 0.15, "two ranges do not go together"


def test_drawn_numbers_can_be_typed_and_stay_within_their_ends() -> None:
    assert all(len(text.lstrip("0.").replace(".", "")) <= 6 for text in drawn("MAML.inner_lr"))
    narrow = RandomSearch(trials=200, ranges={"MAML.inner_lr": ("uniform", 0.12345678, 0.12345679)})
    assert {float(t["MAML.inner_lr"]) for t in next(narrow.rounds(0))} <= {0.12345678, 0.12345679}


def test_references_and_macros_are_tried_as_they_are_written(tmp_path: Path) -> None:
    config = write_tiny(
        tmp_path,
        "Experiment.search = @GridSearch()",
        "GridSearch.grid = {'Experiment.network': [@Conv4(), @wide/Conv4()], 'MAML.inner_lr': [%slow],",
        "                   'Regime.validation_sources': [[@Glyphs()], [@Digits(), @Glyphs()]]}",
        "wide/Conv4.filters = 8",
        "slow = 0.05",
    )
    experiment, text = load_experiment(config)
    assert experiment.search is not None
    trials = next(experiment.search.rounds(0))
    assert trials[3] == {
        "Experiment.network": "@wide/Conv4()",
        "MAML.inner_lr": "%slow",
        "Regime.validation_sources": "[@Digits(), @Glyphs()]",
    }
    tried, _ = load_experiment(config, trial=[f"{name} = {value}" for name, value in trials[3].items()])
    assert tried.network == Conv4(filters=8)
    assert tried.methods[0].inner_lr == 0.05  # type: ignore[attr-defined]
    assert type(tried.regimes[0].validated_on[0]) is Digits
    (tmp_path / "again.gin").write_text(text)
    assert load_experiment(tmp_path / "again.gin") == (experiment, text), "config.gin repeats the search"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("GridSearch.grid = {}", ":26: GridSearch.grid is empty or no dictionary: write, for example, {'MAML"),
        ("GridSearch.grid = [1]", ":26: GridSearch.grid is empty or no dictionary"),
        ("GridSearch.grid = {'MAML.inner_lr': []}", "'MAML.inner_lr' must have a list of at least one value"),
        ("GridSearch.grid = {'MAML.inner_lr': 0.1}", "must have a list of at least one value, such as [0.1"),
        ("GridSearch.grid = {'MAML.inner_lr': [0.1, 0.1]}", "'MAML.inner_lr' lists 0.1 twice: remove one"),
        ("GridSearch.grid = {3: [0.1]}", "3 is no name of a parameter, such as 'MAML.inner_lr'"),
        ("GridSearch.grid = {'MAML inner_lr': [0.1]}", "'MAML inner_lr' is no name of a parameter"),
        ("GridSearch.grid = {'Experiment.seeds': [1, 2]}", "'Experiment.seeds' cannot be searched"),
        ("GridSearch.grid = {'Experiment.netwrk': [1, 2]}", "Did you mean 'network'?"),
        ("GridSearch.grid = {'a/Evaluation.n_episodes': [5, 6]}", "cannot be searched: it says what is run"),
        ("GridSearch.grid = %grid\ngrid = {'Experiment.network': [@Conv4()]}", "comes through a macro"),
        ("GridSearch.grid = {'MAML.inner_lr': [%slwo]}\nslow = 1", "%slwo has no value. Did you mean 'slow'?"),
        ("GridSearch.grd = {'MAML.inner_lr': [1]}", "Did you mean 'grid'?"),
        ("GridSearch.seed = -1", ":26: GridSearch.seed must be a whole number of at least 0"),
        ("GridSearch.n_episodes = 0", ":26: GridSearch.n_episodes must be a whole number of at least 1"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_grid_is_one_sentence(tmp_path: Path, line: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_experiment(write_tiny(tmp_path, "Experiment.search = @GridSearch()", line))
    assert said in str(caught.value)
    assert "tiny.gin" in str(caught.value)


@pytest.mark.parametrize(
    ("ranges", "said"),
    [
        ("{}", "RandomSearch.ranges is empty"),
        ("{'MAML.inner_lr': ('log_uniform', 1.0, 0.1)}", "'MAML.inner_lr' is upside down or empty: its lower end 1.0"),
        ("{'MAML.inner_lr': ('uniform', 1, 1)}", "upside down or empty"),
        ("{'MAML.inner_lr': ('log_uniform', 0, 1)}", "must begin above 0 to be drawn by its logarithm; got 0"),
        ("{'MAML.inner_lr': ('loguniform', 0.1, 1)}", "got 'loguniform'. Did you mean 'log_uniform'?"),
        ("{'MAML.inner_lr': [0.1, 1.0]}", "must be a range, such as ('uniform', 0.0, 0.5)"),
        ("{'MAML.inner_lr': ('uniform', 0.1)}", "must have two finite numbers, its ends, written ('uniform'"),
        ("{'inner_steps': ('whole', 1, 2.5)}", "must have two whole numbers, its ends, written ('whole', 1, 10)"),
        ("{'inner_steps': ('choice', [])}", "must choose from a list with at least one value"),
        ("{'inner_steps': ('choice', 1, 2)}", "written ('choice', [16, 32]); got ('choice', 1, 2)"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_range_is_one_sentence(tmp_path: Path, ranges: str, said: str) -> None:
    lines = ("Experiment.search = @RandomSearch()", f"RandomSearch.ranges = {ranges}")
    with pytest.raises(ConfigError) as caught:
        load_experiment(write_tiny(tmp_path, *lines))
    assert said in str(caught.value)
    assert "tiny.gin:26: " in str(caught.value)


def test_budgets_and_grids_without_end_are_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"RandomSearch\.trials must be a whole number from 1 to 1000; got 0"
    ):
        RandomSearch(trials=0, ranges=RANGES)
    wide = {f"MAML.p{i}": list(range(9)) for i in range(5)}
    with pytest.raises(
        ConfigError, match=r"makes 59,049 trials, more than 1,000: list fewer values, or use @R"
    ):
        GridSearch(grid=wide)


def test_a_search_has_its_own_place(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"Experiment.search must hold a Search, written for example @GridS"
    ):
        load_experiment(write_tiny(tmp_path, "Experiment.search = 'grid'"))
    with pytest.raises(ConfigError, match=r"Add `Experiment\.search = @GridSearch\(\)`, or remove the line"):
        load_experiment(write_tiny(tmp_path, "GridSearch.grid = {'MAML.inner_lr': [0.1, 0.2]}"))


@pytest.mark.parametrize(
    ("binding", "said"),
    [
        ("MAML.innr_lr = 1", "MAML has no parameter 'innr_lr'. Did you mean 'inner_lr'?"),
        ("MALM.inner_lr = 1", "Unknown name 'MALM'. Did you mean 'MAML'?"),
        ("MAML.inner_lr = -1", "MAML.inner_lr must be a number above 0; got -1.0."),
        ("inner_setps = 1", "this has no effect: nothing uses %inner_setps. Did you mean 'inner_steps'?"),
        ("Textures.n_classes = 30", "this has no effect: nothing in the experiment is made by @Textures()"),
        ("wide/MAML.inner_lr = 1", "this has no effect: no reference has the scope 'wide'"),
    ],
)
def test_a_trial_that_cannot_be_names_the_line_of_the_search(tmp_path: Path, binding: str, said: str) -> None:
    config = write_tiny(
        tmp_path,
        "Experiment.search = @GridSearch()",
        "GridSearch.grid = {'MAML.inner_lr': [0.1, 0.2]}",
        "inner_steps = 1",
        "MAML.inner_steps = %inner_steps",
    )
    with pytest.raises(ConfigError) as caught:
        load_experiment(config, trial=[binding])
    assert str(caught.value).startswith(f"trial of {config}:26: {binding!r}: ")
    assert said in str(caught.value)
