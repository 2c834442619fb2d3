"""`harness retry` and `harness clean`."""

import json
from pathlib import Path

import pytest

from command_line import listing, refused
from experiments import write_tiny
from fake_runs import run_spec, write_run
from harness import cli
from harness.files import write_json
from harness.store import RunFolder


def experiment(folder: Path) -> dict[str, RunFolder]:
    """One finished, one failed, one of other settings; and what an interrupted write has left."""
    specs = {name: run_spec(name) for name in ("maml", "anil", "nil")}
    found = {name: write_run(folder / "runs", specs[name], 0.8) for name in ("maml", "nil")}
    found["anil"] = RunFolder(folder / "runs" / specs["anil"].run_id)
    found["anil"].begin(specs["anil"])
    found["anil"].write_status("failed", error="ValueError: lost")
    for run in found.values():
        run.checkpoint.write_bytes(b"x" * 2**20)
    found["maml"].snapshot(10).write_bytes(b"x")
    (found["maml"].path / ".status.json.7.partial").write_text("{")
    (folder / "runs" / "my_notes").mkdir()
    (folder / "runs" / "my_notes" / "thesis.txt").write_text("mine")
    write_json(
        folder / "runs" / "experiment.json", {"runs": [specs[name].run_id for name in ("maml", "anil")]}
    )
    return found


def test_clean_says_what_may_go_and_deletes_leftovers_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = experiment(tmp_path)
    before = listing(tmp_path)
    assert cli.main(["clean", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "--failed: 1 (1.0 MB): runs that failed or stopped. Left here, they resume" in said
    assert "--unused: 1 (1.0 MB): " in said
    assert "--checkpoints: 2 (1.0 MB): " in said
    partial = (found["maml"].path / ".status.json.7.partial").relative_to(tmp_path)
    assert before - listing(tmp_path) == {str(partial)}


@pytest.mark.parametrize(
    ("option", "gone", "left"),
    [
        ("--failed", ["anil"], ["maml", "nil"]),
        ("--unused", ["nil"], ["maml", "anil"]),
        ("--checkpoints", [], ["maml", "anil", "nil"]),
    ],
)
def test_clean_deletes_what_it_is_told_and_nothing_else(
    tmp_path: Path, option: str, gone: list[str], left: list[str]
) -> None:
    found = experiment(tmp_path)
    assert cli.main(["clean", str(tmp_path), option]) == 0
    assert all(not found[name].path.exists() for name in gone)
    assert all(found[name].path.exists() for name in left)
    assert found["maml"].is_done
    assert (tmp_path / "runs" / "my_notes" / "thesis.txt").read_text() == "mine"
    assert found["maml"].checkpoint.exists() == (option != "--checkpoints")
    assert not list(found["maml"].path.glob("snapshot*")) or option != "--checkpoints"


def test_what_is_no_experiment_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "is no folder of an experiment" in refused(capsys, "clean", str(tmp_path / "nowhere"))
    assert "start with `harness run CONFIG" in refused(capsys, "retry", str(tmp_path))
    (tmp_path / "experiment.json").write_text('{"runs": ["a"], "command": "harness run x.gin"}')
    for command in ("clean", "status", "show"):
        said = refused(capsys, command, str(tmp_path))
        assert "are not here, only its report: `harness run x.gin` makes them again" in said


@pytest.mark.slow
def test_retry_carries_on_without_the_gin_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    config = write_tiny(tmp_path)
    arguments = ["--backend", "serial", "--cache", str(tmp_path / "cache")]
    assert cli.main(["run", "tiny.gin", "--set", "Evaluation.n_episodes=4", *arguments]) == 0
    folder = tmp_path / "reports" / "tiny"
    broken = next(RunFolder(path) for path in (folder / "runs").iterdir() if path.name.startswith("anil"))
    before = {path: path.read_bytes() for path in folder.rglob("episodes.parquet")}
    report = (folder / "leaderboard.csv").read_bytes()
    broken.episodes.unlink()
    broken.write_status("failed", error="ValueError: lost")
    config.unlink()
    capsys.readouterr()
    assert cli.main(["retry", str(folder), *arguments]) == 0
    said = capsys.readouterr().out
    assert "2 of them done already" in said
    assert f"done {broken.path.name}" in said
    assert (folder / "leaderboard.csv").read_bytes() == report
    assert json.loads((folder / "experiment.json").read_text())["command"] == (
        "harness run tiny.gin --set Evaluation.n_episodes=4"
    )
    assert set(folder.rglob("episodes.parquet")) == set(before)
