"""Runs that are interrupted, killed, damaged or wrong: nothing finished is lost, and the numbers stay."""

import errno
import math
import signal
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import torch

from harness import checkpoint, training
from harness.errors import WorkspaceError
from harness.files import write_json
from harness.progress import Progress
from harness.spec import RunSpec
from harness.store import Workspace
from harness.worker import execute
from harness_methods.maml import MAML
from real_runs import elsewhere, numbers, silent, weights


def test_an_interrupted_run_resumes_to_the_same_bits(
    planned: Callable[..., dict[str, RunSpec]], workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = planned("Regime.iterations = 7", "Regime.validate_every = 3")["maml"]
    execute(spec, workspace, silent)
    monkeypatch.setattr(training, "REPORT_SECONDS", 0.0)
    other = elsewhere(workspace, "interrupted")
    reached = []
    for stop in (1, 3, 5):

        def interrupt(progress: Progress, stop: int = stop) -> None:
            if progress.state == "training" and progress.done == stop:
                signal.raise_signal(signal.SIGINT)

        with pytest.raises(KeyboardInterrupt):
            execute(spec, other, interrupt)
        folder = other.folder(spec.run_id)
        assert folder.state == "interrupted"
        content = checkpoint.load(folder.checkpoint, spec.training_id)
        assert content is not None
        reached.append(content["state"]["iteration"])
    assert reached == [2, 4, 6]  # the update in hand is finished
    execute(spec, other, silent)
    pd.testing.assert_frame_equal(numbers(spec, workspace), numbers(spec, other), check_exact=True)
    for name, tensor in weights(spec, workspace).items():
        assert torch.equal(tensor, weights(spec, other)[name]), name
    curves = [[{**line, "seconds": 0} for line in w.folder(spec.run_id).curve()] for w in (workspace, other)]
    assert curves[0] == curves[1]
    assert [line["iteration"] for line in curves[0]] == [3, 6, 7]


def test_work_after_the_last_checkpoint_is_done_again_to_the_same_bits(
    planned: Callable[..., dict[str, RunSpec]], workspace: Workspace
) -> None:
    """As after kill -9: the curve is ahead of the checkpoint and its last line is torn."""
    spec = planned("Regime.iterations = 6", "Regime.validate_every = 2")["maml"]
    folder = workspace.folder(spec.run_id)

    def die(progress: Progress) -> None:
        if progress.done == 4:
            raise MemoryError("as if killed")

    with pytest.raises(MemoryError):
        execute(spec, workspace, die)
    with (folder.path / "curve.jsonl").open("a") as handle:
        handle.write('{"iteration": 5, "loss": 1.0, "valid_accuracy": 0.1, "seconds": 1}\n{"iterat')
    execute(spec, workspace, silent)
    other = elsewhere(workspace, "undisturbed")
    execute(spec, other, silent)
    assert [line["iteration"] for line in folder.curve()] == [2, 4, 6]
    pd.testing.assert_frame_equal(numbers(spec, workspace), numbers(spec, other), check_exact=True)


@pytest.mark.parametrize("damage", [b"", b"not a checkpoint", None])
def test_a_damaged_checkpoint_costs_time_but_no_numbers(
    planned: Callable[..., dict[str, RunSpec]], workspace: Workspace, damage: bytes | None
) -> None:
    spec = planned()["anil"]
    execute(spec, workspace, silent)
    before = numbers(spec, workspace)
    folder = workspace.folder(spec.run_id)
    content = folder.checkpoint.read_bytes()
    folder.checkpoint.write_bytes(content[: len(content) // 2] if damage is None else damage)
    folder.write_status("interrupted")
    execute(spec, workspace, silent)
    assert numbers(spec, workspace).equals(before)


@pytest.mark.parametrize("damaged", ["episodes.parquet", "status.json"])
def test_a_finished_run_whose_files_are_torn_is_finished_again_to_the_same_numbers(
    planned: Callable[..., dict[str, RunSpec]], workspace: Workspace, damaged: str
) -> None:
    spec = planned()["anil"]
    execute(spec, workspace, silent)
    before, folder = numbers(spec, workspace), workspace.folder(spec.run_id)
    assert folder.is_done
    content = (folder.path / damaged).read_bytes()
    (folder.path / damaged).write_bytes(content[: len(content) // 2])
    assert not folder.is_done
    seen: list[str] = []
    execute(spec, workspace, lambda progress: seen.append(progress.state))
    assert set(seen) == {"evaluating"}, "the training is kept"
    assert numbers(spec, workspace).equals(before)


def test_the_checkpoint_before_a_damaged_one_is_resumed_from(
    planned: Callable[..., dict[str, RunSpec]], workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = planned("Regime.iterations = 6", "Regime.validate_every = 2")["anil"]
    folder = workspace.folder(spec.run_id)
    monkeypatch.setattr(training, "REPORT_SECONDS", 0.0)

    def die(progress: Progress) -> None:
        if progress.done == 5:
            raise MemoryError("as if killed")

    with pytest.raises(MemoryError):
        execute(spec, workspace, die)
    folder.checkpoint.write_bytes(b"torn")
    found = checkpoint.latest(folder, spec.training_id)
    assert found is not None
    assert found[1]["state"]["iteration"] == 2
    good = folder.previous_checkpoint.read_bytes()

    def die_at_once(progress: Progress) -> None:
        raise MemoryError("as if killed")

    with pytest.raises(MemoryError):
        execute(spec, workspace, die_at_once)
    assert folder.previous_checkpoint.read_bytes() == good, "the damaged one has not taken its place"
    assert not folder.checkpoint.exists()
    reached: list[int] = []
    execute(spec, workspace, lambda progress: reached.append(progress.done))
    assert reached[0] == 3
    assert not folder.previous_checkpoint.exists()
    other = elsewhere(workspace, "undisturbed")
    execute(spec, other, silent)
    pd.testing.assert_frame_equal(numbers(spec, workspace), numbers(spec, other), check_exact=True)
    assert [line["iteration"] for line in folder.curve()] == [2, 4, 6]


def test_a_diverging_run_fails_with_its_reason(
    planned: Callable[..., dict[str, RunSpec]], workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = planned()["maml"]
    monkeypatch.setattr(MAML, "outer_loss", lambda *_: torch.tensor(math.nan, requires_grad=True))
    with pytest.raises(training.TrainingDivergedError):
        execute(spec, workspace, silent)
    status = workspace.folder(spec.run_id).status()
    assert status["state"] == "failed"
    assert "outer loss of maml is nan at iteration 1" in status["error"]
    assert "Traceback" in status["traceback"]


@pytest.mark.usefixtures("full_disk")
def test_a_full_disk_is_one_sentence_and_the_run_resumes(
    planned: Callable[..., dict[str, RunSpec]], workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = planned()["anil"]
    with pytest.raises(WorkspaceError, match=r"checkpoint\.pt: the disk is full\. Free some space"):
        execute(spec, workspace, silent)
    folder = workspace.folder(spec.run_id)
    assert not list(folder.path.glob("*.partial"))
    assert not list(folder.path.glob(".*.partial"))
    monkeypatch.undo()
    execute(spec, workspace, silent)
    assert folder.state == "done"


def test_too_many_interrupts_stop_at_once(
    planned: Callable[..., dict[str, RunSpec]], workspace: Workspace
) -> None:
    """A second Ctrl-C does not wait for the update in hand."""
    spec = planned()["anil"]

    def twice(progress: Progress) -> None:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        execute(spec, workspace, twice)
    assert workspace.folder(spec.run_id).state == "interrupted"


def test_a_folder_that_becomes_read_only_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(Path, "write_text", refuse)
    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(WorkspaceError, match=r"x\.json: the folder is not writable"):
        write_json(tmp_path / "x.json", {})
