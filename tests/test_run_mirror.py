"""How often a run is sent to its URL, and which names are let in from there."""

import json
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from faulty_files import URL, FaultyFileSystem, faulty
from harness.errors import WorkspaceError
from harness.remote import run_mirror
from harness.remote.objects import Objects
from harness.remote.run_mirror import RunMirror
from harness.store import RunFolder

Faulty = type[FaultyFileSystem]


@pytest.fixture
def files() -> Iterator[Faulty]:
    with faulty() as system:
        yield system


def test_pushes_take_a_small_share_of_the_time(
    tmp_path: Path, files: Faulty, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = time.monotonic()
    now = [begin]
    monkeypatch.setattr(run_mirror.time, "monotonic", lambda: now[0])
    folder = RunFolder(tmp_path / "runs" / "one")
    folder.path.mkdir(parents=True)
    folder.write_status("training")
    mirror = RunMirror(url=URL, path=folder.path)

    def slow(kind: str, path: str) -> None:
        now[0] += 5.0 if kind == "write" and "checkpoint" in path else 0.0

    files.faults.append(slow)
    pushed: list[float] = []
    for _ in range(40):
        now[0] += 10.0
        folder.checkpoint.write_bytes(str(now[0]).encode())
        before = len(files.asked)
        mirror.push_when_due()
        if len(files.asked) > before:
            pushed.append(now[0])
    gaps = [later - earlier for earlier, later in pairwise(pushed)]
    assert pushed[0] - begin >= 60.0
    assert gaps
    assert all(gap >= 100.0 for gap in gaps), gaps


def test_names_in_a_manifest_cannot_lead_out_of_the_mirror(tmp_path: Path, files: Faulty) -> None:
    entry = {"bytes": 1, "sha256": "0"}
    for name in ("../../x", "/etc/x", "a/b"):
        Objects(url=URL).write("runs/one/mirror.json", json.dumps({"files": {name: entry}}).encode())
        with pytest.raises(WorkspaceError, match="no name of a file"):
            RunMirror(url=URL, path=tmp_path / "mirror" / "runs" / "one").pull()
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
