"""What a run records of the code that it was made with, and what is said when that has changed."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from experiments import write_tiny
from fake_runs import run_spec, write_run
from foreign_plugin import install
from harness import provenance
from harness.files import write_json
from harness.provenance import Launch, changes, launch_of, note_code, provenance_rows, read_provenance
from harness.report.build import build_report
from harness.spec import RunSpec
from harness.store import RunFolder, Workspace
from harness.worker import execute

HARNESS = [sys.executable, "-c", "import sys, harness.cli; sys.exit(harness.cli.main())"]
OLD, NEW = "a" * 64, "b" * 64
COMMIT = {"commit": "c" * 40, "dirty": False}


@pytest.fixture
def code(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The digests that are found from now on, of plugins in whatever spec; to be changed."""
    found = {"method foo": OLD}
    monkeypatch.setattr(provenance, "plugin_digests", lambda _: dict(found))
    monkeypatch.setattr(provenance, "checkout", lambda: COMMIT)
    return found


def test_a_run_notes_its_code_once_and_again_when_it_has_changed(
    tmp_path: Path, code: dict[str, str]
) -> None:
    folder, spec = RunFolder(tmp_path), run_spec()
    first = {"plugins": {"method foo": OLD}, **COMMIT}
    for _ in range(2):
        note_code(spec, folder, None)
        assert read_provenance(folder) == [first]
    code["method foo"] = NEW
    note_code(spec, folder, None)
    assert read_provenance(folder) == [first, {"plugins": {"method foo": NEW}, **COMMIT}]


def test_what_went_on_from_an_older_harness_says_that_its_beginning_is_not_known(
    tmp_path: Path, code: dict[str, str]
) -> None:
    folder = RunFolder(tmp_path)
    folder.checkpoint.touch()
    note_code(run_spec(), folder, None)
    assert read_provenance(folder) == [{}, {"plugins": code, **COMMIT}]
    assert changes({"run": read_provenance(folder)}, code) == []
    assert ("harness commit", f"{'c' * 12} / not recorded") in provenance_rows(
        [read_provenance(folder)], Launch()
    )


def test_a_training_that_is_taken_over_brings_its_code_along(
    tmp_path: Path, planned: Callable[..., dict[str, RunSpec]], workspace: Workspace,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """NIL takes over what ANIL has trained; what ANIL was tested on, and by which probes, is not NIL's concern."""
    runs = planned()
    monkeypatch.setattr(provenance, "checkout", dict)
    monkeypatch.setattr(
        provenance,
        "plugin_digests",
        lambda specs: {
            "method foo": OLD,
            **({"probe bar": OLD} if "evaluations" in next(iter(specs)) else {}),
        },
    )
    execute(runs["anil"], workspace, lambda _: None)
    monkeypatch.setattr(provenance, "plugin_digests", lambda _: {"method foo": NEW})
    execute(runs["nil"], workspace, lambda _: None)
    of_anil, of_nil = (read_provenance(workspace.folder(runs[name].run_id)) for name in ("anil", "nil"))
    assert of_anil == [{"plugins": {"method foo": OLD, "probe bar": OLD}}]
    assert of_nil == [{"plugins": {"method foo": OLD}}, {"plugins": {"method foo": NEW}}]
    assert "provenance" not in json.dumps(runs["nil"].to_json())


@pytest.mark.parametrize("content", ["{", "{}", "[1]", '"text"'])
def test_a_damaged_file_is_as_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "provenance.json").write_text(content)
    assert read_provenance(RunFolder(tmp_path)) == []


def test_a_sentence_names_the_plugin_the_runs_and_both_codes() -> None:
    kept, carried, same = [{"plugins": {"probe p": OLD}}], [OLD, NEW], [{"plugins": {"probe p": NEW}}]
    recorded: dict[str, list[dict[str, Any]]] = {
        **{f"kept-{number}": kept for number in range(5)},
        "carried": [{"plugins": {"probe p": digest}} for digest in carried],
        "same": same,
        "older": [],
    }
    went_on, found = sorted(changes(recorded, {"probe p": NEW}), key=len)
    assert went_on == (
        f"The code of probe p that the run carried began with (sha256 {'a' * 12}) is not the code that it went on with "
        f"(sha256 {'b' * 12}): `--fresh` makes all runs anew."
    )
    assert found == (
        "The code of probe p that 5 runs (kept-0, kept-1, kept-2 and 2 more) began with "
        f"(sha256 {'a' * 12}) is not the code that the last `harness run` found (sha256 {'b' * 12}) and kept the "
        "results for: `--fresh` makes all runs anew."
    )
    assert changes(recorded, {}) == [went_on]  # without a plugin that the experiment still uses


def report(folder: Path, launch: Launch | None = None) -> tuple[str, str]:
    build_report(folder, title="T", claim="", command="harness run x.gin", launch=launch)
    return (folder / "report.md").read_text(), (folder / "report.html").read_text()


def test_a_report_shows_the_code_and_says_where_it_was_not_recorded(tmp_path: Path) -> None:
    made = [write_run(tmp_path / "runs", run_spec(seed=seed), {"glyphs": 0.6}) for seed in (0, 1)]
    for page in report(tmp_path):
        text = re.sub(r"<[^>]*>| *\| *", " ", page)
        assert re.search(r"experiment started\s+not recorded", text)
        assert re.search(r"harness commit\s+not recorded", text)
    write_json(made[0].provenance, [{"plugins": {"method foo": OLD}, "commit": "c" * 40, "dirty": True}])
    write_json(made[1].provenance, [{"plugins": {"method foo": OLD}}])
    for page in report(tmp_path, Launch(started="2026-01-02T03:04:05+00:00", plugins={"method foo": NEW})):
        text = re.sub(r"<[^>]*>| *\| *", " ", page)
        assert re.search(r"experiment started\s+2026-01-02T03:04:05\+00:00", text)
        assert f"{'c' * 12}, with changes that are not committed / none: not from a git checkout" in text
        assert re.search(rf"code of method foo\s+sha256 {'a' * 12}\s", text)
        assert "The code of method foo that 2 runs (" in text


def test_a_record_of_an_older_harness_or_a_damaged_one_is_read() -> None:
    assert launch_of({}) == Launch()
    assert launch_of({"started": 3, "plugins": ["x"]}) == Launch()
    assert launch_of({"started": "t", "plugins": {"a": "b", "c": 3}}) == Launch(
        started="t", plugins={"a": "b"}
    )


def test_changed_code_of_a_plugin_is_said_and_keeps_ids_and_results(tmp_path: Path) -> None:
    """As a user meets it: run, change the method, run again, write the report again, begin afresh."""
    site, module = install(tmp_path)
    write_tiny(tmp_path, "Experiment.methods = [@ANIL(), @HeadOnly()]", "HeadOnly.inner_lr = 0.1")
    path = os.pathsep.join(filter(None, (str(site), os.environ.get("PYTHONPATH"))))
    env = {**os.environ, "PYTHONPATH": path, "HARNESS_CACHE": str(tmp_path / "cache"), "COLUMNS": "200"}

    def harness(*arguments: str) -> str:
        done = subprocess.run(
            [*HARNESS, *arguments], cwd=tmp_path, env=env, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def files() -> dict[str, bytes]:
        return {str(file): file.read_bytes() for file in sorted((tmp_path / "out" / "runs").glob("*/*"))}

    run = ("run", "tiny.gin", "--out", "out", "--backend", "serial")
    said, page = "The code of method head_only that the run head_only-", tmp_path / "out" / "report.md"
    assert said not in harness(*run)
    assert said not in page.read_text()
    before, started = files(), json.loads((tmp_path / "out" / "experiment.json").read_text())["started"]
    assert f"| {started} |" in page.read_text()

    module.write_text(module.read_text() + "# changed\n")
    assert f"Note: {said}" in harness(*run)
    assert files() == before
    again = page.read_bytes()
    assert said.replace("_", r"\_") in again.decode() or said in again.decode()
    harness("report", "out")
    assert page.read_bytes() == again
    assert json.loads((tmp_path / "out" / "experiment.json").read_text())["started"] == started

    assert said not in harness(*run, "--fresh")
    assert said not in page.read_text()
    assert {Path(file).parent for file in files()} == {Path(file).parent for file in before}
