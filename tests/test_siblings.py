"""Which runs share a training: found by reading each spec once, whatever becomes of the folders meanwhile."""

from pathlib import Path

import pytest

from fake_runs import run_spec
from harness.siblings import siblings, training_of
from harness.store import RunFolder


def begun(runs: Path, seed: int) -> RunFolder:
    spec = run_spec("maml", seed=seed)
    folder = RunFolder(runs / spec.run_id)
    folder.begin(spec)
    return folder


def test_runs_of_one_training_are_found_and_no_others(tmp_path: Path) -> None:
    own, other = begun(tmp_path, 0), begun(tmp_path, 1)
    training = own.spec()["training_id"]
    copy = RunFolder(tmp_path / "another")
    copy.path.mkdir()
    (copy.path / "spec.json").write_bytes((own.path / "spec.json").read_bytes())
    (tmp_path / "config.gin").write_text("# no run")
    (tmp_path / "notes").mkdir()
    assert siblings(tmp_path, own.path.name, training) == [copy]
    assert siblings(tmp_path, "mine", training) == sorted([copy, own], key=lambda run: run.path.name)
    assert siblings(tmp_path, own.path.name, other.spec()["training_id"]) == [other]


def test_a_spec_is_read_once_and_one_that_cannot_be_read_is_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = [begun(tmp_path, seed) for seed in range(3)]
    late = tmp_path / "late"
    late.mkdir()
    assert training_of(late) is None
    (late / "spec.json").write_text("{torn")
    assert training_of(late) is None
    read: list[Path] = []
    plain = Path.read_text

    def counted(path: Path, *given: str, **named: str) -> str:
        read.append(path)
        return plain(path, *given, **named)

    monkeypatch.setattr(Path, "read_text", counted)
    for _ in range(5):
        siblings(tmp_path, "mine", "0")
    assert [read.count(run.path / "spec.json") for run in runs] == [1, 1, 1]
    (late / "spec.json").write_bytes((runs[0].path / "spec.json").read_bytes())
    assert training_of(late) == training_of(runs[0].path)
