"""What is said of runs beside their accuracies."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from experiments import write_tiny
from fake_runs import run_spec, write_run
from harness import cli, worker
from harness.compute import Compute
from harness.progress import Report
from harness.remarks import remarks
from harness.spec import RunSpec
from harness.store import Workspace


def test_who_computed_a_shared_training_is_said(tmp_path: Path) -> None:
    alone = run_spec("maml")
    assert list(remarks(alone, write_run(tmp_path, alone, 0.8))) == []
    shared = replace(alone, compute=Compute(training_workers=2))
    folder = write_run(tmp_path, shared, 0.8)
    folder.write_status("done", updates_by_workers={"2": 140, "1": 1})
    (said,) = remarks(shared, folder)
    assert said == f"{shared.run_id}: of its shared training, 1 update by 1 worker, 140 updates by 2 workers."


@pytest.mark.parametrize(("loss", "blown_up"), [(1.6, False), (20.0, False), (2e8, True), (None, False)])
def test_a_loss_that_blew_up_is_remarked_on(
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    loss: object,
    blown_up: bool,
) -> None:
    write_tiny(home)

    def execute(run: RunSpec, workspace: Workspace, report: Report, **_: Any) -> None:
        folder = write_run(workspace.runs, run, 0.8)
        folder.cut_curve(0)
        folder.append_curve({"iteration": 4, "loss": loss, "valid_accuracy": 0.4, "seconds": 1.0})

    monkeypatch.setattr(worker, "execute", execute)
    assert cli.main(["run", "tiny.gin", "--backend", "serial"]) == 0
    said = capsys.readouterr().out
    assert said.count("its training ended at a loss of 2e+08, where guessing has at most 3.9") == 3 * blown_up
    assert said.count("Note:") == 3 * blown_up
