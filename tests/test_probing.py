"""Probes as a run measures them: which episodes, which rows, what is repeated and what is not."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from command_line import refused
from experiments import write_tiny
from harness import cli, probing
from harness.config import load_experiment
from harness.cost import estimate, probing_work
from harness.errors import PlanError
from harness.pairing import Comparison
from harness.plan import plan
from harness.progress import Progress
from harness.results import CONDITIONS, PROBE_COLUMNS
from harness.spec import RunSpec
from harness.statistics import DIFFERENCE_KEYS, with_shots
from harness.store import Workspace, read_probes, run_folders
from harness.verdicts import judge
from harness.worker import execute
from real_runs import elsewhere, numbers, silent

ALL = "[@Freeze(), @ReadOuts(), @Similarity(), @Movement(), @GradientFlow(), @Specialisation()]"
PROBES = (f"Experiment.probes = {ALL}", "Freeze.n_episodes = 1000", "Similarity.n_episodes = 2")
FREEZE = ("Experiment.probes = [@Freeze()]", "Experiment.methods = [@MAML()]")

Planned = Callable[..., dict[str, RunSpec]]


def probed(workspace: Workspace) -> pd.DataFrame:
    frame, left_out = read_probes(run_folders(workspace.runs))
    assert left_out == []
    return frame


def test_every_row_says_what_it_is_of(planned: Planned, workspace: Workspace) -> None:
    spec = planned(*PROBES)["anil"]
    execute(spec, workspace, silent)
    frame = probed(workspace)
    assert dict(frame.dtypes.astype(str)) == PROBE_COLUMNS
    assert list(frame.columns[-len(CONDITIONS) :]) == list(CONDITIONS)
    assert set(frame.probe) == {
        "freeze",
        "read_outs",
        "similarity",
        "movement",
        "gradient_flow",
        "specialisation",
    }
    assert (frame.value.isna() == (frame.reason != "")).all()
    assert (
        not frame.drop(columns=["episode", "step", "max_images_per_class"])
        .drop(columns="value")
        .isna()
        .any(axis=None)
    )
    episodes = pd.read_parquet(workspace.folder(spec.run_id).episodes)
    for column in ("run_id", "method", "network", "source", "split", "n_support", "n_query", *CONDITIONS):
        assert frame[column].drop_duplicates().tolist() == episodes[column].drop_duplicates().tolist() or (
            frame[column].isna().all() and episodes[column].isna().all()
        )
    counted = frame.dropna(subset="episode").groupby("probe").episode.nunique()
    assert counted["freeze"] == 3  # no more than are evaluated
    assert counted["similarity"] == 2
    pooled = frame[frame.episode.isna()]
    assert set(pooled.probe) == {"similarity", "specialisation"}
    assert pooled.quantity.str.startswith("pooled_").all()


def test_freezing_is_paired_with_evaluation_and_can_be_judged(planned: Planned, workspace: Workspace) -> None:
    spec = planned(*FREEZE, "Evaluation.n_episodes = 25")["maml"]
    execute(spec, workspace, silent)
    frame = probed(workspace).astype({"episode": "int64"})
    episodes = pd.read_parquet(workspace.folder(spec.run_id).episodes).set_index("episode")
    own = frame[frame.condition == "everything"].set_index("episode")
    assert (own.value == episodes.accuracy).all()
    masks = Comparison(
        condition="condition", keys=(*DIFFERENCE_KEYS, "method"), must_agree=("run_id", "n_query")
    )
    rows = with_shots(frame.rename(columns={"value": "accuracy"}))
    verdict = judge(rows, [("head only", "everything")], masks)
    assert verdict.n_episodes.tolist() == [25]
    expected = (frame[frame.condition == "head only"].set_index("episode").value - own.value).mean()
    assert verdict.difference[0] == pytest.approx(expected)


def test_a_method_that_cannot_adapt_says_so_once_and_the_rest_is_measured(
    planned: Planned, workspace: Workspace, tmp_path: Path
) -> None:
    execute(planned(*PROBES)["nil"], workspace, silent)
    frame = probed(workspace)
    absent = frame[frame.quantity == ""]
    assert sorted(absent.probe) == ["freeze", "gradient_flow", "movement", "similarity"]
    assert set(absent.reason) == {
        "The method 'nil' adapts nothing to a task, so there is nothing to measure."
    }
    assert absent[["episode", "n_way"]].isna().all(axis=None)
    assert frame[frame.condition == "nil, unadapted body"].value.notna().sum() == 3
    experiment, _ = load_experiment(tmp_path / "tiny.gin", PROBES)
    assert plan(experiment, data_dir=None, cache=workspace.cache).unprobed == (
        "nil adapts nothing to a task, so it has no rows of 'freeze', 'gradient_flow', 'movement', 'similarity'",
    )


def test_a_probe_that_finds_nothing_says_so(planned: Planned, workspace: Workspace) -> None:
    execute(
        planned("Experiment.probes = [@Movement()]", "ANIL.test_inner_steps = 0")["anil"], workspace, silent
    )
    (reason,) = probed(workspace).reason
    assert "no inner step" in reason


def test_probes_are_part_of_a_runs_identity_and_not_of_its_training(planned: Planned) -> None:
    without, with_probes = planned()["anil"], planned(*PROBES)["anil"]
    fewer = planned(*PROBES, "Similarity.n_episodes = 1")["anil"]
    assert len({run.run_id for run in (without, with_probes, fewer)}) == 3
    assert len({run.training_id for run in (without, with_probes, fewer)}) == 1
    assert (
        "probes" not in without.to_json()
    )  # runs without probes keep the names they had before there were any


def test_probes_change_nothing_else(planned: Planned, workspace: Workspace) -> None:
    other = elsewhere(workspace, "other")
    without, with_probes = planned()["maml"], planned(*PROBES)["maml"]
    execute(without, workspace, silent)
    execute(with_probes, other, silent)
    pd.testing.assert_frame_equal(numbers(without, workspace), numbers(with_probes, other))
    assert not workspace.folder(without.run_id).probes.exists()
    assert read_probes(run_folders(workspace.runs))[0].empty


def test_an_interrupted_run_measures_what_is_left(
    planned: Planned, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = ("Evaluation.sources = [@Glyphs(), @Digits()]", "EpisodeShape.n_query = 1")
    spec = planned(*FREEZE, *both)["maml"]
    folder = workspace.folder(spec.run_id)
    whole = elsewhere(workspace, "whole")
    execute(spec, whole, silent)

    def stop(progress: Progress) -> None:
        if progress.state == "probing" and folder.probe_part(0).exists():
            raise KeyboardInterrupt

    monkeypatch.setattr(probing, "REPORT_SECONDS", 0)
    with pytest.raises(KeyboardInterrupt):
        execute(spec, workspace, stop)
    assert folder.state == "interrupted"
    assert not folder.is_done
    evaluated = folder.episodes.stat().st_mtime_ns
    assert not folder.probes.exists()

    seen: list[Progress] = []
    execute(spec, workspace, seen.append)
    assert {progress.state for progress in seen} == {"probing"}
    assert seen[-1].done == seen[-1].total == 3  # one source of two
    assert folder.is_done
    assert folder.episodes.stat().st_mtime_ns == evaluated
    pd.testing.assert_frame_equal(probed(workspace), probed(whole))
    assert not list(folder.path.glob("probes_*.parquet"))
    status = folder.status()
    assert status["evaluation_seconds"] > 0
    assert status["probe_seconds"] > 0
    execute(spec, workspace, seen.append)
    assert {progress.state for progress in seen} == {"probing"}


def test_a_run_without_its_probes_is_not_done(planned: Planned, workspace: Workspace) -> None:
    spec = planned(*FREEZE)["maml"]
    execute(spec, workspace, silent)
    folder = workspace.folder(spec.run_id)
    before = probed(workspace)
    folder.probes.unlink()
    assert not folder.is_done
    execute(spec, workspace, silent)
    pd.testing.assert_frame_equal(probed(workspace), before)
    folder.probes.write_bytes(b"damaged")
    _, (left_out,) = read_probes(run_folders(workspace.runs))
    assert "probes.parquet is damaged" in left_out.reason


def test_episodes_of_varying_size_leave_pooled_sizes_empty(planned: Planned, workspace: Workspace) -> None:
    spec = planned(
        "Experiment.probes = [@Similarity()]", "Experiment.methods = [@ANIL()]", "Evaluation.shape = @VariableShape()",
        "VariableShape.min_way = 2", "VariableShape.max_way = 5", "Evaluation.n_episodes = 6",
    )["anil"]  # fmt: skip
    execute(spec, workspace, silent)
    frame = probed(workspace)
    assert frame[frame.episode.isna()][["n_way", "n_support"]].isna().all(axis=None)
    assert frame[frame.episode.notna()].n_way.nunique() > 1


def test_probes_are_counted_in_the_estimate(planned: Planned, workspace: Workspace) -> None:
    runs = {name: planned("Conv4.filters = 4", *lines)["maml"] for name, lines in {
        "none": (), "freeze": FREEZE[:1], "all": PROBES,
    }.items()}  # fmt: skip
    seconds = {name: estimate([run], workspace)[0].seconds for name, run in runs.items()}
    assert probing_work(runs["none"]) == 0
    assert seconds["none"] < seconds["freeze"] < seconds["all"]
    # Freezing adapts 2 + 3/2 whole networks in each of 3 episodes: 10 steps on 5 images, 10 queries.
    assert probing_work(runs["freeze"]) == 16**2 * 3 * 3.5 * (10 + 31 * 5)
    nil = planned(*FREEZE[:1])["nil"]
    assert probing_work(nil) == 0


def test_two_probes_of_one_name_are_refused(tmp_path: Path, cache: Path) -> None:
    experiment, _ = load_experiment(write_tiny(tmp_path), ["Experiment.probes = [@Freeze(), @Freeze()]"])
    with pytest.raises(PlanError, match="Two probes are called 'freeze'"):
        plan(experiment, data_dir=None, cache=cache)
    experiment, _ = load_experiment(
        write_tiny(tmp_path),
        [
            "Experiment.probes = [@Freeze(), @few/Freeze()]",
            "few/Freeze.name = 'few'",
            "few/Freeze.n_episodes = 2",
        ],
    )
    assert len(plan(experiment, data_dir=None, cache=cache).runs[0].probes) == 2


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("Experiment.probes = @Freeze()", "Experiment.probes must be a list, for example [@Freeze()]"),
        (
            "Experiment.probes = [@MAML()]",
            "Experiment.probes must hold a probe, written for example @Freeze()",
        ),
        ("Experiment.probes = [@Freeze]", "Experiment.probes holds the class Freeze"),
        ("Similarity.n_spare = 8", "Add @Similarity() to Experiment.probes, or remove the line"),
        ("Experiment.probes = [@Frieze()]", "Did you mean 'Freeze'?"),
    ],
)
def test_mistakes_are_named(line: str, message: str, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_tiny(home, line)
    assert message in refused(capsys, "plan", "tiny.gin")


def test_the_command_line_runs_all_probes_once(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_tiny(home, f"Experiment.probes = {ALL}", "Evaluation.n_episodes = 2")
    command = ("run", "tiny.gin", "--backend", "serial", "--out", "out")
    assert cli.main(command) == 0
    said = capsys.readouterr().out
    assert "probing" in said
    assert said.count("Not probed: nil adapts nothing to a task") == 1
    files = sorted((home / "out" / "runs").glob("*/probes.parquet"))
    assert len(files) == 3
    frame, left_out = read_probes(run_folders(home / "out" / "runs"))
    assert left_out == []
    assert set(frame.method) == {"maml", "anil", "nil"}
    curve = frame[(frame.probe == "freeze") & (frame.method == "maml")]
    assert curve.condition.drop_duplicates().tolist() == [
        "nothing", "head only", "from conv4", "from conv3", "from conv2", "body only", "everything",
    ]  # fmt: skip
    written = [path.stat().st_mtime_ns for path in files]
    assert cli.main(command) == 0
    assert "probing" not in capsys.readouterr().out.replace("Not probed", "")
    assert [path.stat().st_mtime_ns for path in files] == written


def test_the_command_line_lists_and_checks_probes(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["list", "probes"]) == 0
    assert "gradient_flow" in capsys.readouterr().out
    assert cli.main(["check", "probe", "freeze"]) == 0
    assert "rows fit the schema" in capsys.readouterr().out


def test_probe_fields_are_data(planned: Planned) -> None:
    spec = planned("Experiment.probes = [@GradientFlow()]", "GradientFlow.body_rates = [5]")["maml"]
    assert spec.probes[0].params["body_rates"] == (5.0,)
    assert dataclasses.replace(spec, probes=()).run_id == planned()["maml"].run_id
