"""Several kinds of episodes whose shapes the protocol draws, side by side: nothing mixes them, and each is named."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from experiments import write_tiny
from fake_probes import Truth, write_probes
from fake_runs import episode_rows, run_spec, write_run
from harness import cli
from harness.config import load_experiment
from harness.episode import VariableShape
from harness.errors import ConfigError, PlanError
from harness.leaderboard.groups import ranked_groups
from harness.papers.frozen import with_body_frozen
from harness.papers.measured import measured, of_one_source
from harness.plan import plan
from harness.report.accuracy_figure import draw_accuracy
from harness.report.build import build_report
from harness.report.gather import FinishedRun, read_run
from harness.report.interactive import accuracy_spec
from harness.report.panels import panels
from harness.report.reuse_numbers import unmeasured
from harness.report.sizes import SHOTS, by_size
from harness.report.style import styles
from harness.spec import RunSpec
from harness.statistics import interval, leaderboard, with_shots
from harness.store import RunFolder, Workspace
from harness.tracking.run_files import tracked_run
from harness.tracking.tracker import DONE
from harness.worker import execute
from real_runs import silent

FEWER_QUERIES = VariableShape(n_way=5, max_query=5)


def drawn(level: float, ways: int, **values: object) -> pd.DataFrame:
    """40 episodes of a fixed number of ways and varying shots, one parameter of which is not Meta-Dataset's."""
    rows = episode_rows([level] * 40, n_way=ways, n_query=5 * ways, protocol=FEWER_QUERIES.protocol, **values)
    return rows.assign(n_support=ways * (1 + rows["episode"] % 5))


def test_a_fixed_number_of_ways_is_kept_apart_whatever_else_is_changed() -> None:
    frame = pd.concat([drawn(0.8, 5), drawn(0.5, 20, method="anil")])
    board = leaderboard(frame)
    assert board["n_way"].tolist() == [20, 5]
    assert [panel.heading for panel in panels(frame)] == [
        "5-way, shots as in Meta-Dataset with max_query=5, test split",
        "20-way, shots as in Meta-Dataset with max_query=5, test split",
    ]
    both = panels(pd.concat([drawn(0.8, 5), drawn(0.5, 20)]))
    assert len(both) == 2


def test_a_source_is_tested_at_two_numbers_of_ways_but_not_twice_at_one(tmp_path: Path) -> None:
    lines = (
        "Experiment.evaluations = [@Evaluation(), @more/Evaluation()]",
        "Evaluation.shape = @VariableShape()",
        "VariableShape.n_way = 5",
        "more/Evaluation.shape = @more/VariableShape()",
    )
    for ways in (5, 7):
        experiment, _ = load_experiment(write_tiny(tmp_path, *lines, f"more/VariableShape.n_way = {ways}"))
        if ways == 7:
            assert plan(experiment, data_dir=None, cache=tmp_path / "cache").runs
            continue
        with pytest.raises(PlanError, match=r"glyphs/test, 5-way protocol fixed_way_.*, is evaluated twice"):
            plan(experiment, data_dir=None, cache=tmp_path / "cache")


def test_trackers_get_each_result_under_its_own_name(tmp_path: Path) -> None:
    spec = run_spec()
    folder = RunFolder(tmp_path / spec.run_id)
    folder.begin(spec)
    folder.write_episodes(pd.concat([drawn(0.8, ways, run_id=spec.run_id) for ways in (5, 20)]))
    folder.write_status("done", selected_iteration=3)
    names = [name for name in tracked_run(folder, {}, DONE).results if "accuracy" in name]
    assert sorted(names) == [f"test_accuracy/glyphs_{ways}way_{FEWER_QUERIES.protocol}" for ways in (20, 5)]


def test_what_guessing_gets_is_said_and_drawn_source_by_source(tmp_path: Path) -> None:
    ways = {"few": [5, 5], "many": [20, 50]}
    frame = pd.concat(
        episode_rows([0.5, 0.6], source=source, protocol="meta_dataset").assign(n_way=own)
        for source, own in ways.items()
    )
    (panel,) = panels(frame)
    assert panel.guessing == "3.5 to 20.0 % from source to source"
    spec = accuracy_spec(panel, "glyphs", {}, styles(["maml"]))
    lines = spec["layer"][0]["data"]["values"]
    assert {line["source"]: line["chance"] for line in lines} == {"few": 20.0, "many": 3.5}
    draw_accuracy(panel, {}, styles(["maml"]), tmp_path / "figure")
    (alike,) = panels(frame[frame["source"] == "few"])
    assert alike.guessing == "20.0 %"
    (line,) = accuracy_spec(alike, "glyphs", {}, styles(["maml"]))["layer"][0]["data"]["values"]
    assert line["chance"] == 20.0


def test_both_pages_say_what_guessing_gets_in_a_sentence(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "runs", run_spec(evaluated_on=("glyphs", "digits")), 0.6)
    rows = pd.read_parquet(folder.episodes)
    ways = rows["n_way"].mask(rows["source"] == "digits", 20)
    folder.write_episodes(rows.assign(protocol="meta_dataset", n_way=ways))
    build_report(tmp_path, title="T", claim="", command="")
    for page in ("report.md", "report.html"):
        text = (tmp_path / page).read_text(encoding="utf-8")
        assert "guessing gets 5.0 to 20.0 % from source to source." in text


def test_points_of_a_size_have_the_interval_of_their_seeds() -> None:
    frame = pd.concat(drawn(level, 5, seed=seed) for seed, level in enumerate((0.9, 0.5)))
    points = by_size(panels(frame)[0], "glyphs", SHOTS)
    half = 100 * interval(np.array([0.9, 0.5] * 8), np.array([0, 1] * 8))
    assert half > 200, "two seeds that disagree"
    assert len(points) > 1
    assert points["ci"].tolist() == pytest.approx([half] * len(points), abs=0.1)


def test_reasons_that_differ_in_numbers_alone_are_one() -> None:
    frame = pd.DataFrame({"probe": "similarity", "method": "maml", "trained_on": "glyphs"}, index=range(9))
    few = [f"{points} data points are too few for 6 directions." for points in (59, 59, 41, 42, 43, 44)]
    frame = frame.assign(value=[np.nan] * 8 + [1.0], reason=[*few, "constant", "constant", ""])
    assert unmeasured(frame)[["extent", "reason"]].to_numpy().tolist() == [
        [
            "6 of 9 values are missing",
            "59 data points are too few for 6 directions (or the like, with other numbers).",
        ],
        ["2 of 9 values are missing", "constant"],
    ]


def test_a_refusal_to_rank_names_the_protocols_in_full() -> None:
    rows = [
        episode_rows([0.5] * 30, method=method, protocol=protocol)
        for method, protocol in (
            ("maml", "meta_dataset"),
            ("anil", "meta_dataset(max_way=8, max_support=40)"),
        )
    ]
    with pytest.raises(
        ConfigError, match=r"differ in protocol \(meta_dataset, meta_dataset\(max_way=8, max_support=40\)\)"
    ):
        ranked_groups(with_shots(pd.concat(rows).assign(images="channels 1")))


def trained_on_drawn(runs: Path, shape: VariableShape) -> FinishedRun:
    spec = run_spec(trained_on=("omniglot",), evaluated_on=("omniglot",))
    spec = replace(spec, train=replace(spec.train, shape=shape))
    found, _ = read_run(write_run(runs, spec, 0.6))
    assert found is not None
    return replace(found, episodes=found.episodes.assign(protocol="meta_dataset"))


def test_paper_tables_know_trainings_on_drawn_shapes(tmp_path: Path) -> None:
    whole = trained_on_drawn(tmp_path / "a", VariableShape())
    narrowed = trained_on_drawn(tmp_path / "b", VariableShape(max_way=8, max_support=40))
    assert not of_one_source(whole)
    place = ("maml", "omniglot", "omniglot", None, None)
    assert place in measured([(whole, ())])
    assert measured([(narrowed, ())]) == {}


def test_a_probe_s_rows_are_those_of_their_own_protocol(tmp_path: Path) -> None:
    spec = run_spec()
    folder = write_run(tmp_path / "runs", spec, 0.6, n_episodes=60)
    write_probes(folder, spec, Truth(body_gain={"glyphs": 0.0}))
    rows, probed = pd.read_parquet(folder.episodes), pd.read_parquet(folder.probes)
    other = "meta_dataset(max_support=40)"
    folder.write_episodes(pd.concat([rows, rows.assign(protocol=other)]))
    pd.concat([probed, probed.assign(protocol=other)]).to_parquet(folder.probes)
    run, _ = read_run(folder)
    assert run is not None
    object.__setattr__(
        run, "spec", {**run.spec, "probes": [{"plugin": "freeze", "params": {"name": "freeze"}}]}
    )
    frozen = with_body_frozen(run)
    assert frozen.groupby("protocol").size().to_dict() == {"fixed": 60, other: 60}
    assert build_report(tmp_path, title="T", claim="", command="").path.exists()


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_run_of_several_kinds_of_episodes_is_shown(
    planned: Callable[..., dict[str, RunSpec]],
    workspace: Workspace,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    spec = planned(
        "Experiment.evaluations = [@Evaluation(), @drawn/Evaluation(), @narrow/Evaluation()]",
        "drawn/Evaluation.n_episodes = 9",
        "drawn/Evaluation.shape = @VariableShape()",
        "VariableShape.max_way = 8",
        "narrow/Evaluation.n_episodes = 9",
        "narrow/Evaluation.shape = @narrow/VariableShape()",
        "narrow/VariableShape.max_support = 20",
    )["anil"]
    execute(spec, workspace, silent)
    folder = workspace.folder(spec.run_id)
    arguments = ["show", str(folder.path), "--cache", str(workspace.cache), "--out", str(tmp_path / "out")]
    assert cli.main(arguments) == 0
    shown = capsys.readouterr().out
    assert shown.count("varying") == 4, "two kinds, ways and shots of each"
    assert "max_way=8" in shown
    assert "Most often confused on glyphs, in 3 episodes" in shown
