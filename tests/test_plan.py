from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from experiments import write_tiny
from harness import plugins
from harness.config import load_experiment
from harness.cost import GUESSED_RATE, estimate, evaluation_work, training_work
from harness.episode import EpisodeShape
from harness.errors import PlanError
from harness.experiment import Evaluation, Experiment, Images, Regime
from harness.networks import Conv4
from harness.plan import plan
from harness.pools import ensure_pool
from harness.spec import RunSpec
from harness.store import Workspace
from harness_datasets.digits import Digits
from harness_datasets.glyphs import Glyphs
from harness_datasets.omniglot import Omniglot
from harness_datasets.textures import Textures
from harness_methods.anil import ANIL
from harness_methods.maml import MAML
from harness_methods.nil import NIL

GLYPHS = Glyphs(n_classes=40)
SHAPE = EpisodeShape(n_way=5, n_query=2)


@dataclass(frozen=True)
class _Unregistered:
    """A method that no package registers."""

    name: str | None = "mine"
    layers: object = None


def experiment(**changes: object) -> Experiment:
    regime = Regime(sources=[GLYPHS], shape=SHAPE, iterations=4, meta_batch=2)
    whole = Experiment(
        name="tiny",
        methods=[MAML(), ANIL(), NIL()],
        network=Conv4(filters=4),
        regimes=[regime],
        evaluations=[Evaluation(sources=[GLYPHS], shape=SHAPE, n_episodes=3)],
        images=Images(size=16),
    )
    return replace(whole, **changes)  # type: ignore[arg-type]


def problems(asked: Experiment, cache: Path) -> tuple[str, ...]:
    with pytest.raises(PlanError) as caught:
        plan(asked, data_dir=None, cache=cache)
    assert not list(cache.iterdir()), "a plan writes nothing"
    return caught.value.problems


def test_every_method_regime_and_seed_is_a_run(tmp_path: Path) -> None:
    asked = experiment(seeds=2)
    two = replace(asked, regimes=[*asked.regimes, replace(asked.regimes[0], name="again")])
    planned = plan(two, data_dir=None, cache=tmp_path)
    assert len(planned.runs) == 3 * 2 * 2
    assert len({run.run_id for run in planned.runs}) == len(planned.runs)
    assert {need.split for need in planned.pools} == {"train", "valid", "test"}
    assert not list(tmp_path.iterdir())


def test_the_plan_is_a_function_of_the_file(tmp_path: Path) -> None:
    config = write_tiny(tmp_path)
    first, second = (
        plan(load_experiment(config)[0], data_dir=None, cache=tmp_path / "cache") for _ in range(2)
    )
    assert first.runs == second.runs


def test_nil_shares_the_training_of_anil(tmp_path: Path) -> None:
    maml, anil, nil = plan(experiment(), data_dir=None, cache=tmp_path).runs
    assert nil.training_id == anil.training_id != maml.training_id
    assert nil.run_id != anil.run_id


@pytest.mark.parametrize(
    ("sources", "asked", "channels"),
    [([GLYPHS], None, 1), ([GLYPHS, Textures()], None, 3), ([GLYPHS, Textures()], 1, 1)],
)
def test_channels_are_three_if_any_source_has_colour(
    tmp_path: Path, sources: list[object], asked: int | None, channels: int
) -> None:
    evaluation = Evaluation(sources=sources, shape=SHAPE, n_episodes=3)  # type: ignore[arg-type]
    whole = experiment(evaluations=[evaluation], images=Images(size=16, channels=asked))
    assert {run.images.channels for run in plan(whole, data_dir=None, cache=tmp_path).runs} == {channels}


def test_all_problems_are_listed_at_once(tmp_path: Path) -> None:
    regime = Regime(sources=[Digits()], shape=EpisodeShape(n_way=5, n_query=2), iterations=1, name="bad name")
    evaluations = [
        Evaluation(sources=[GLYPHS], shape=EpisodeShape(n_way=50)),
        Evaluation(sources=[GLYPHS], shape=EpisodeShape(n_way=5, n_shot=10, n_query=15)),
        Evaluation(sources=[Omniglot()], shape=SHAPE),
    ]
    whole = experiment(
        methods=[MAML(), MAML(inner_lr=0.5)],
        regimes=[regime],
        evaluations=evaluations,
        network=Conv4(filters=4, downsample="max_pool"),
        max_way=3,
        images=Images(size=8),
    )
    found = problems(whole, tmp_path)
    for said in (
        "Two methods are called 'maml'",
        "'digits' has no train split",
        "'digits' has no valid split",
        "fewer than the 50 ways",
        "fewer than the 25 that 10 support + 15 query",
        "omniglot is not there",
        "Experiment.max_way is 3",
        "'bad name'",
        "8 pixels are too few",
    ):
        assert any(said in problem for problem in found), said
    assert len(found) == len(set(found))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"methods": [MAML(), MAML()]}, "Two methods are called 'maml': give one a name with a scope"),
        (
            {"full_adaptation": "mamll"},
            "Experiment.full_adaptation must be the name of a method of the experiment",
        ),
        ({"methods": [MAML(name="../x")]}, "becomes part of a folder's name"),
        ({"methods": [MAML(name="")]}, "becomes part of a folder's name"),
        ({"methods": [_Unregistered(name=None)]}, "The method name None becomes part of a folder's name"),
        (
            {"regimes": [Regime(sources=[GLYPHS], shape=SHAPE)] * 2},
            "Two regimes are called 'glyphs'",
        ),
        (
            {"evaluations": [Evaluation(sources=[GLYPHS], shape=SHAPE)] * 2},
            "glyphs/test, 5-way 1-shot, is evaluated twice",
        ),
        (
            {"evaluations": [Evaluation(sources=[Glyphs(n_classes=80)], shape=SHAPE)]},
            "Two sources of different settings are both called 'glyphs'",
        ),
        ({"seeds": [1, 1]}, "lists 1 twice"),
        ({"regimes": [Regime(sources=[GLYPHS], shape=SHAPE, name="x" * 250)]}, "is too long for a folder"),
        (
            {"regimes": [Regime(sources=[GLYPHS], shape=SHAPE, validation_shape=EpisodeShape(n_way=30))]},
            "fewer than the 30 ways",
        ),
    ],
)
def test_each_problem_says_what_to_do(tmp_path: Path, changes: dict[str, object], said: str) -> None:
    assert any(said in problem for problem in problems(experiment(**changes), tmp_path))


def test_a_parameter_that_is_no_data_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_Unregistered, "trainer", MAML(), raising=False)
    monkeypatch.setattr(plugins, "plugin_name", lambda *_: "mine")
    found = problems(experiment(methods=[_Unregistered(layers={1})]), tmp_path)
    assert "cannot be part of a run's identity" in found[0]


def test_a_bug_in_a_plugin_is_not_taken_for_a_wrong_parameter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def build(network: Conv4, in_channels: int, image_size: int) -> None:
        raise TypeError("a mistake in the program")

    monkeypatch.setattr(Conv4, "build", build)
    with pytest.raises(TypeError, match="a mistake in the program"):
        plan(experiment(), data_dir=None, cache=tmp_path)


def test_raw_data_may_be_gone_once_the_pools_are_there(tmp_path: Path, data_dir: Path) -> None:
    source = Omniglot()
    shape = EpisodeShape(n_way=5, n_query=1)
    whole = experiment(
        regimes=[Regime(sources=[source], shape=shape)],
        evaluations=[Evaluation(sources=[source], shape=shape, split="valid")],
    )
    with pytest.raises(PlanError, match="omniglot is not there"):
        plan(whole, data_dir=None, cache=tmp_path)
    planned = plan(whole, data_dir=data_dir, cache=tmp_path)
    for need in planned.pools:
        if need.split == "valid":
            ensure_pool(need.dataset, need.source, need.split, need.images, data_dir=data_dir, cache=tmp_path)
    with pytest.raises(PlanError, match="omniglot is not there"):
        plan(whole, data_dir=None, cache=tmp_path)  # the train pool is still to be prepared
    for need in planned.pools:
        ensure_pool(need.dataset, need.source, need.split, need.images, data_dir=data_dir, cache=tmp_path)
    assert plan(whole, data_dir=None, cache=tmp_path).runs == planned.runs


def test_an_estimate_charges_a_shared_training_once(tmp_path: Path) -> None:
    runs = plan(experiment(), data_dir=None, cache=tmp_path).runs
    maml, anil, nil = estimate(runs, Workspace(runs=tmp_path, cache=tmp_path))
    assert maml.seconds > anil.seconds > nil.seconds > 0
    assert not maml.measured
    assert training_work(runs[0]) > training_work(runs[1]) == training_work(runs[2])


def test_an_estimate_uses_the_rate_of_finished_runs(tmp_path: Path) -> None:
    run: RunSpec = plan(experiment(methods=[ANIL()]), data_dir=None, cache=tmp_path).runs[0]
    workspace = Workspace(runs=tmp_path, cache=tmp_path)
    folder = workspace.folder(run.run_id)
    folder.begin(run)
    folder.write_status("done", training_seconds=100.0)
    folder.episodes.write_bytes(b"made up, PAR1")
    other = replace(run, seed=1)
    finished, guess = estimate([run, other], workspace)
    assert finished.seconds == 0
    assert guess.measured
    expected = 100 * (1 + evaluation_work(run) / training_work(run))
    assert guess.seconds == pytest.approx(expected)


def test_an_estimate_does_not_charge_a_training_that_is_finished(tmp_path: Path) -> None:
    _, anil, nil = plan(experiment(), data_dir=None, cache=tmp_path).runs
    workspace = Workspace(runs=tmp_path, cache=tmp_path)
    folder = workspace.folder(anil.run_id)
    folder.begin(anil)
    folder.write_status("done", training_seconds=100.0)
    whole = training_work(nil) + evaluation_work(nil)
    (guess,) = estimate([nil], workspace)
    assert guess.seconds == pytest.approx(whole / GUESSED_RATE), "done without episodes is not done"
    folder.episodes.write_bytes(b"made up, PAR1")
    (guess,) = estimate([nil], workspace)
    assert guess.seconds == pytest.approx(evaluation_work(nil) / GUESSED_RATE)


def test_an_unregistered_method_says_how_to_register_it(tmp_path: Path) -> None:
    found = problems(experiment(methods=[_Unregistered()]), tmp_path)
    assert "pip install -e ." in found[0]
