"""`harness run` where experiment.json is damaged: the damaged one is kept beside the one that is written again."""

import json
from pathlib import Path
from typing import Any

import pytest

from command_line import refused
from control_experiments import needs_entry_points, write_control
from experiments import write_tiny
from fake_runs import write_run
from harness import cli, worker
from harness.damaged_record import put_aside
from harness.errors import WorkspaceError
from harness.progress import Report
from harness.record import read_record
from harness.spec import RunSpec
from harness.store import Workspace

COMMAND = ("run", "tiny.gin", "--backend", "serial", "--out", "out")
RUNS = Path("out/runs")
DAMAGES = {
    "torn": b'{"name": "tiny", "runs": ["maml-',
    "no text": b"\xff\xfe\x00",
    "no record": b"[1, 2]",
    "names that lead elsewhere": b'{"runs": ["../elsewhere"]}',
    "another kind of claim": b'{"runs": [], "claim": ["a"]}',
    "another kind of command": b'{"runs": [], "command": null}',
    "verdicts that are a text": b'{"runs": [], "verdicts": "yes"}',
    "sources left out that are no list": b'{"runs": [], "left_out": {"a": 1}}',
    "comparisons that are numbers": b'{"runs": [], "across": [3]}',
    "a torn search": b'{"runs": [], "search": {"kind": "grid search"}}',
}


@pytest.fixture
def made(home: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """The record of an experiment that is done; its runs are made up."""

    def execute(run: RunSpec, place: Workspace, report: Report, **named: Any) -> None:
        write_run(place.runs, run, 0.5)

    monkeypatch.setattr(worker, "execute", execute)
    write_tiny(home, "Experiment.methods = [@ANIL()]")
    assert cli.main(COMMAND) == 0
    return dict(json.loads((RUNS / "experiment.json").read_text()))


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_no_record_is_put_aside_and_what_is_one_stays(damage: str, tmp_path: Path) -> None:
    record = tmp_path / "runs" / "experiment.json"
    record.parent.mkdir()
    record.write_bytes(DAMAGES[damage])
    (tmp_path / "experiment.json").write_text('{"runs": ["maml"]}')
    kept = record.with_name("experiment.damaged.json")
    assert put_aside(tmp_path) == [(record, kept)]
    assert kept.read_bytes() == DAMAGES[damage]
    assert read_record(tmp_path) == {"runs": ["maml"]}
    assert put_aside(tmp_path) == []


def test_the_place_of_the_damage_is_named(tmp_path: Path) -> None:
    wrong = {
        "left_out": [{"source": "mnist", "where": "here", "reason": 3}],
        "verdicts": {"margin_points": "1"},
    }
    (tmp_path / "experiment.json").write_text(json.dumps(wrong))
    with pytest.raises(
        WorkspaceError, match=r"another kind of left_out.0.reason, verdicts.margin_points\. Run the"
    ):
        read_record(tmp_path)


def test_a_damaged_record_is_kept_and_written_again_by_the_same_command(
    made: dict[str, object], capsys: pytest.CaptureFixture[str]
) -> None:
    (RUNS / "experiment.json").write_bytes(b"torn")
    capsys.readouterr()
    said = refused(capsys, "status", "out")
    assert (
        "Run the same `harness run` again: it writes it anew, and keeps this one under another name." in said
    )
    assert cli.main(COMMAND) == 0
    shown = capsys.readouterr()
    assert shown.out.count(" is damaged: it is kept as experiment.damaged.json, and written again") == 1
    assert "1 run, 1 of them done already" in shown.out
    assert (RUNS / "experiment.damaged.json").read_bytes() == b"torn"
    assert json.loads((RUNS / "experiment.json").read_text()) == made, "the report's copy knows the time"


def test_each_damaged_record_is_kept_and_the_time_is_then_said_to_be_missing(
    made: dict[str, object], capsys: pytest.CaptureFixture[str]
) -> None:
    for content in (b"one", b"two"):
        for place in (RUNS, RUNS.parent):
            (place / "experiment.json").write_bytes(content)
        assert cli.main(COMMAND) == 0
    for place in (RUNS, RUNS.parent):
        assert (place / "experiment.damaged.json").read_bytes() == b"one"
        assert (place / "experiment.damaged-2.json").read_bytes() == b"two"
    after = json.loads((RUNS / "experiment.json").read_text())
    assert after["time_missing"] is True
    assert after["runs"] == made["runs"]


def test_a_command_that_ends_before_it_has_written_the_record_again_does_not_lock_the_next_out(
    made: dict[str, object],
) -> None:
    for place in (RUNS, RUNS.parent):
        (place / "experiment.json").write_bytes(b"torn")
    assert [kept.name for _, kept in put_aside(RUNS.parent)] == ["experiment.damaged.json"] * 2
    assert cli.main(COMMAND) == 0
    assert json.loads((RUNS / "experiment.json").read_text())["runs"] == made["runs"]


@needs_entry_points
def test_a_damaged_record_of_a_control_experiment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_control(tmp_path, "ControlExperiment.methods = [@ANIL()]")
    assert cli.main(COMMAND) == 0
    before = json.loads((RUNS / "experiment.json").read_text())
    (RUNS / "experiment.json").write_bytes(b"torn")
    capsys.readouterr()
    assert cli.main(COMMAND) == 0
    assert "is damaged: it is kept as experiment.damaged.json" in capsys.readouterr().out
    assert json.loads((RUNS / "experiment.json").read_text()) == before
