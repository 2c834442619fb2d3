"""Every command on control experiments: at a URL, tried again, cleaned, beside the paper, or refused in a sentence."""

import json
import math
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import t

from command_line import refused
from control_experiments import needs_entry_points, write_control
from faulty_files import URL, FaultyFileSystem, faulty
from harness import cli
from harness.control.meta_training import MetaTraining, Update
from harness.papers.returns import measured_returns
from harness.remote import lease_object
from harness.remote import objects as objects_module
from harness.remote.objects import Objects
from harness.store import RunFolder

pytestmark = needs_entry_points

RUN = ("run", "tiny.gin", "--backend", "serial")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with tiny.gin and a cache of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    write_control(tmp_path)
    return tmp_path


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[FaultyFileSystem]]:
    monkeypatch.setattr(objects_module, "PAUSE_SECONDS", 0.001)
    monkeypatch.setattr(lease_object, "SETTLE_SECONDS", 0.05)
    with faulty() as system:
        yield system


def tables(runs: Path) -> dict[str, pd.DataFrame]:
    return {
        path.parent.name: pd.read_parquet(path).drop(columns="seconds")
        for path in sorted(runs.glob("*/episodes.parquet"))
    }


def test_a_run_at_a_url_is_the_run_in_a_folder_and_its_report_is_written_from_there(
    files: type[FaultyFileSystem],
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.main([*RUN, "--out", "local"]) == 0
    assert cli.main([*RUN, "--out", URL]) == 0
    listing = Objects(url=URL).listing()
    written = {"report.html", "report.md", "leaderboard.csv", "returns.csv", "tasks.csv", "verdicts.csv"}
    assert {*written, "config.gin", "experiment.json"} <= listing.keys()
    assert {"figures/curves-navigation2d.png", "figures/paths-maml.png"} <= listing.keys()
    record = json.loads(Objects(url=URL).read("runs/experiment.json") or b"")
    assert {f"runs/{run_id}/paths.npz" for run_id in record["runs"]} <= listing.keys()

    monkeypatch.setenv("HARNESS_CACHE", str(place / "second"))
    Objects(url=URL).delete(["report.md", "figures/paths-maml.png"])
    assert cli.main(["report", URL]) == 0
    capsys.readouterr()
    assert cli.main(["status", URL]) == 0
    assert f"{URL}: 2 runs: 2 done." in capsys.readouterr().out
    assert cli.main(["plan", "tiny.gin", "--out", URL]) == 0
    assert "2 runs; all done." in capsys.readouterr().out
    assert cli.main(["paper", URL, "--out", "paper"]) == 0
    listing = Objects(url=URL).listing()
    assert {"report.md", "report.html", "figures/paths-maml.png"} <= listing.keys()
    (copy,) = (place / "second" / "mirrors").glob("*-copy")
    copies, originals = tables(copy / "runs"), tables(place / "local" / "runs")
    assert copies.keys() == originals.keys()
    for run_id, frame in originals.items():
        pd.testing.assert_frame_equal(copies[run_id], frame)


def test_another_machine_goes_on_from_the_checkpoint_at_the_url(
    files: type[FaultyFileSystem], place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_control(place, "ControlExperiment.resources = @Resources()", "Resources.checkpoint_seconds = 1e-9")
    assert cli.main([*RUN, "--out", "whole"]) == 0
    update, made = MetaTraining.update, list[int]()

    def interrupted(self: MetaTraining) -> Update:
        if self.iteration == 2:
            raise KeyboardInterrupt
        return update(self)

    def counted(self: MetaTraining) -> Update:
        made.append(self.iteration)
        return update(self)

    monkeypatch.setattr(MetaTraining, "update", interrupted)
    assert cli.main([*RUN, "--out", URL]) == 130
    monkeypatch.setenv("HARNESS_CACHE", str(place / "second"))
    monkeypatch.setattr(MetaTraining, "update", counted)
    assert cli.main(["retry", URL, "--backend", "serial"]) == 0
    assert made == [2, 3, 0, 1, 2, 3]  # the first run goes on, the second had not begun
    (mirror,) = (place / "second" / "mirrors").glob("*[!e]/runs")
    for run_id, frame in tables(place / "whole" / "runs").items():
        pd.testing.assert_frame_equal(tables(mirror)[run_id], frame)
    shutil.rmtree(place / "second")
    assert cli.main([*RUN, "--out", URL, "--fresh"]) == 0
    assert made[6:] == [0, 1, 2, 3] * 2


def test_what_failed_is_tried_again_and_what_is_unused_can_go(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    update = MetaTraining.update

    def broken(self: MetaTraining) -> Update:
        raise RuntimeError("out of order")

    monkeypatch.setattr(MetaTraining, "update", broken)
    assert cli.main([*RUN, "--out", "out"]) == 1
    assert "out of order" in capsys.readouterr().err
    assert not Path("out/report.md").exists()
    assert cli.main(["status", "out"]) == 1
    assert "2 failed" in capsys.readouterr().out
    monkeypatch.setattr(MetaTraining, "update", update)
    assert cli.main(["retry", "out", "--backend", "serial"]) == 0
    record = json.loads(Path("out/experiment.json").read_text())
    assert record["command"] == "harness run tiny.gin --out out"
    assert record["kind"] == "control"
    assert record["seconds"] > 0

    before = {path.name for path in Path("out/runs").glob("maml-*")}
    capsys.readouterr()
    assert cli.main([*RUN, "--out", "out", "--set", "ControlEvaluation.n_tasks = 4"]) == 0
    assert "2 runs of other settings leave it" in capsys.readouterr().out
    assert cli.main(["clean", "out", "--unused", "--checkpoints"]) == 0
    left = {path.name for path in Path("out/runs").glob("maml-*")}
    assert len(left) == 1
    assert not left & before
    assert not list(Path("out/runs").rglob("*.pt"))
    assert cli.main(["report", "out"]) == 0


COMPUTE = ("ControlExperiment.compute = @Compute()",)


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (
            ("ControlExperiment.resources = @Resources()", "Resources.evaluation_shards = 2"),
            "a run on control tasks is not shared",
        ),
        (("ControlExperiment.resources = @Resources()", "Resources.gpus = 1"), "computed on the CPU"),
        (
            ("ControlExperiment.search = @GridSearch()", "GridSearch.grid = {'MAML.inner_lr': [0.1, 0.2]}"),
            "ControlExperiment has no parameter 'search', which is for experiments on images alone: leave it out.",
        ),
        (
            ("ControlExperiment.trackers = [@TensorBoard(), @TensorBoard()]",),
            "ControlExperiment.trackers names TensorBoard twice: remove one.",
        ),
        (
            ("ControlExperiment.trackers = [@MAML()]",),
            "must hold a Tracker, written for example @TensorBoard()",
        ),
        (
            ("MLflow.experiment = 'mine'",),
            "Add @MLflow() to ControlExperiment.trackers, or remove the line.",
        ),
        (("Compute.device = 'cuda'",), "Add the line `ControlExperiment.compute = @Compute()`."),
        ((*COMPUTE, "Compute.training_workers = 2"), "the training of a policy is not shared"),
        ((*COMPUTE, "Compute.precision = 'bfloat16'"), "which is for convolutions"),
        pytest.param(
            (*COMPUTE, "Compute.device = 'cuda'"),
            "PyTorch finds no NVIDIA GPU",
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here"),
        ),
        (("Resources.hours = 2.0",), "Add the line `ControlExperiment.resources = @Resources()`."),
        (("FOMAML.inner_lr = 0.2",), "Add @FOMAML() to ControlExperiment.methods, or remove the line."),
    ],
)
def test_what_control_runs_cannot_have_is_refused(
    place: Path, capsys: pytest.CaptureFixture[str], lines: tuple[str, ...], words: str
) -> None:
    write_control(place, *lines)
    assert words in refused(capsys, *RUN, "--out", "out")
    assert not Path("out").exists()


def test_what_is_about_images_alone_is_refused(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "leave it out" in refused(capsys, *RUN, "--out", "out", "--demo")
    assert "have no data to prepare" in refused(capsys, "data", "prepare", "tiny.gin")
    assert sorted(path.name for path in place.iterdir()) == ["tiny.gin"]


def test_the_papers_tables_have_the_mean_return_after_adaptation(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    published = ("--set", "ControlExperiment.seeds = 3", "--set", "Navigation2D.horizon = 100")
    assert cli.main([*RUN, "--out", "out", *published]) == 0
    capsys.readouterr()
    assert cli.main(["paper", "out", "--out", "paper", "--tolerance", "15"]) == 0
    assert "reinforcement learning, mean return: 2 of 6 cells measured" in capsys.readouterr().out
    rows = pd.concat(pd.read_parquet(path) for path in Path("out/runs").glob("anil-*/episodes.parquet"))
    rows = rows[rows["source"] == "navigation2d"]
    means = rows.groupby("seed")["return_after"].mean()
    cells = pd.read_csv("paper/paper.csv").set_index(["method", "setting"])
    one = cells.loc[("anil", "2D-Navigation")]
    assert one["published"] == -20.1
    assert one["here"] == pytest.approx(means.mean(), rel=1e-5)
    assert one["here_sd"] == pytest.approx(means.std(ddof=1), rel=1e-5)
    assert (one["n_seeds"], one["n_episodes"]) == (3, 9)
    there = float(t.ppf(0.975, 2)) * 2.3 / math.sqrt(3)
    assert one["difference_ci95"] == pytest.approx(math.hypot(one["here_ci95"], there), rel=1e-4)
    text = Path("paper/paper.md").read_text(encoding="utf-8")
    assert "mlp of 8 units, 3 seeds" in text
    assert "harness run gin/halfcheetah" in text
    assert "within 15 points (or units of return)" in text


def test_returns_are_compared_with_published_ones_of_their_own_horizon_only(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = ("--set", "Navigation2D.horizon = 100")
    longer = ("--set", "ControlRegime.iterations = 5")
    assert cli.main([*RUN, "--out", "short", *longer]) == 0
    assert cli.main(["paper", "short", "--out", "paper"]) == 0
    assert "reinforcement learning, mean return: 0 of 6 cells measured" in capsys.readouterr().out
    text = Path("paper/paper.md").read_text(encoding="utf-8")
    assert "| not compared: 8 steps |" in text
    assert "each of 3 trajectories of 8 steps" in text
    cells = pd.read_csv("paper/paper.csv").set_index(["method", "setting"])
    one = cells.loc[("anil", "2D-Navigation")]
    assert one["verdict"] == "not compared"
    assert math.isnan(one["difference"])
    assert not math.isnan(one["here"])
    assert cells.loc[("anil", "HalfCheetah-Velocity")]["verdict"] == "not run"
    # A shorter training at the published horizon comes before it.
    assert cli.main([*RUN, "--out", "whole", *whole]) == 0
    assert cli.main(["paper", "short", "whole", "--out", "paper"]) == 0
    assert "4 updates of 2 tasks, each of 3 trajectories of 100 steps" in Path("paper/paper.md").read_text(
        encoding="utf-8"
    )
    assert "not compared" not in Path("paper/paper.csv").read_text(encoding="utf-8")


def test_the_longest_training_counts_and_only_tests_of_the_tasks_it_had(place: Path) -> None:
    longer = ("--set", "ControlRegime.iterations = 5")
    elsewhere = ("--set", "far/Navigation2D.name = 'navigation2d'", "--set", "Navigation2D.horizon = 9")
    for out, more in (("a", ()), ("b", longer), ("c", elsewhere)):
        assert cli.main([*RUN, "--out", out, *more]) == 0
    runs = {out: [RunFolder(path) for path in sorted(Path(out, "runs").glob("*-s0-*"))] for out in "abc"}
    found, left_out = measured_returns([*runs["a"], *runs["b"]])
    assert not left_out
    assert {place[0] for place in found} == {"maml", "anil"}
    for one in found.values():
        assert one.trained.startswith("5 updates of 2 tasks")
        assert math.isnan(one.sd)
    only, _ = measured_returns(runs["c"])
    rows = pd.read_parquet(next(run for run in runs["c"] if run.path.name.startswith("maml")).episodes)
    mean = only["maml", "navigation2d", "navigation2d", None, None].mean
    assert len(rows) == 6
    assert mean in [pytest.approx(np.mean(half["return_after"])) for half in (rows[:3], rows[3:])]
    assert mean != pytest.approx(np.mean(rows["return_after"]))
    runs["a"][0].episodes.unlink()
    _, left_out = measured_returns(runs["a"])
    assert [one.run_id for one in left_out] == [runs["a"][0].path.name]
