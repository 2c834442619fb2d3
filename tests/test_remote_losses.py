"""What a URL has lost, and what was deleted there on purpose: only with the latter goes the last copy of a run."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from command_line import refused
from experiments import write_tiny
from fake_runs import run_spec, write_run
from faulty_files import URL, FaultyFileSystem, faulty
from harness import cli
from harness.remote import lease_object
from harness.remote import objects as objects_module
from harness.remote.experiment_mirror import ExperimentMirror
from harness.remote.objects import Objects
from harness.spec import RunSpec
from harness.store import RunFolder

Faulty = type[FaultyFileSystem]
RUN = ("run", "tiny.gin", "--backend", "serial", "--out", URL, "--set", "Experiment.methods = [@ANIL()]")
SPEC = run_spec("maml")


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch) -> Iterator[Faulty]:
    monkeypatch.setattr(objects_module, "PAUSE_SECONDS", 0.001)
    monkeypatch.setattr(lease_object, "SETTLE_SECONDS", 0.05)
    with faulty() as system:
        yield system


def machine(folder: Path) -> ExperimentMirror:
    return ExperimentMirror(url=URL, folder=folder)


def finished(place: ExperimentMirror, spec: RunSpec = SPEC) -> RunFolder:
    """A run that is finished there, and sent."""
    folder = write_run(place.folder / "runs", spec, 0.5)
    folder.checkpoint.write_bytes(b"a network")
    place.run(spec.run_id).push()
    return folder


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "mirror.json"}


def at_the_url() -> dict[str, bytes]:
    objects = Objects(url=URL)
    found = objects.read_all(objects.listing(f"runs/{SPEC.run_id}"))
    return {key.rpartition("/")[2]: value for key, value in found.items() if not key.endswith("mirror.json")}


@pytest.mark.parametrize("wanted", [[SPEC.run_id], None])
def test_what_a_wiped_bucket_has_lost_is_sent_again_and_not_deleted(
    files: Faulty, tmp_path: Path, wanted: list[str] | None
) -> None:
    place = machine(tmp_path / "a")
    folder = finished(place)
    before = content(folder.path)
    assert at_the_url() == before
    files.store.clear()
    assert place.pull_runs(wanted) == [SPEC.run_id]
    assert content(folder.path) == before, "kept by a command that sends nothing"
    assert at_the_url() == {}
    place.run(SPEC.run_id).push()
    files.store.clear()
    assert place.pull_runs(wanted, finish=True) == [SPEC.run_id]
    assert content(folder.path) == at_the_url() == before, "its network, too"
    assert place.pull_runs(wanted, finish=True) == []


def test_a_run_whose_manifest_alone_is_gone_is_sent_again(files: Faulty, tmp_path: Path) -> None:
    place = machine(tmp_path / "a")
    before = content(finished(place).path)
    Objects(url=URL).delete([f"runs/{SPEC.run_id}/mirror.json"])
    assert place.pull_runs([SPEC.run_id], finish=True) == [SPEC.run_id]
    place.run(SPEC.run_id).pull()
    assert content(place.folder / "runs" / SPEC.run_id) == at_the_url() == before
    assert Objects(url=URL).read(f"runs/{SPEC.run_id}/mirror.json")


def test_an_unfinished_run_that_the_url_has_lost_goes_on_from_here(files: Faulty, tmp_path: Path) -> None:
    place = machine(tmp_path / "a")
    folder = RunFolder(place.folder / "runs" / SPEC.run_id)
    folder.begin(SPEC)
    folder.write_status("training")
    folder.checkpoint.write_bytes(b"half a network")
    place.run(SPEC.run_id).push()
    files.store.clear()
    assert place.pull_runs([SPEC.run_id]) == []
    place.run(SPEC.run_id).pull()
    assert folder.checkpoint.read_bytes() == b"half a network"
    place.run(SPEC.run_id).push()
    assert at_the_url() == content(folder.path)


@pytest.mark.parametrize("wanted", [[SPEC.run_id], None])
def test_a_run_deleted_on_purpose_is_deleted_by_other_machines_until_it_is_made_anew(
    files: Faulty, tmp_path: Path, wanted: list[str] | None
) -> None:
    one, other = machine(tmp_path / "a"), machine(tmp_path / "b")
    mine = finished(one)
    other.pull_runs([SPEC.run_id], networks=True)
    other.delete([SPEC.run_id])
    shutil.rmtree(other.folder)
    assert one.pull_runs(wanted, finish=True) == []
    assert not mine.path.exists()
    assert at_the_url() == {}
    theirs = finished(other)
    assert not Objects(url=URL).listing("deleted"), "it is there again"
    Objects(url=URL).delete([f"runs/{SPEC.run_id}/mirror.json"])
    assert other.pull_runs(wanted, finish=True) == [SPEC.run_id]
    assert content(theirs.path) == at_the_url()


def test_a_worker_deletes_what_was_deleted_on_purpose(files: Faulty, tmp_path: Path) -> None:
    place = machine(tmp_path / "a")
    folder = finished(place)
    machine(tmp_path / "b").delete([SPEC.run_id])
    place.run(SPEC.run_id).pull()
    assert not folder.path.exists()


def test_a_copy_for_looking_has_no_more_than_the_url(files: Faulty, tmp_path: Path) -> None:
    finished(machine(tmp_path / "a"))
    copy = ExperimentMirror(url=URL, folder=tmp_path / "copy", is_copy=True)
    copy.pull_runs()
    assert (copy.folder / "runs" / SPEC.run_id).is_dir()
    files.store.clear()
    assert copy.pull_runs() == []
    assert not (copy.folder / "runs" / SPEC.run_id).exists()


@pytest.mark.slow
def test_the_same_command_says_what_the_url_has_lost_and_clean_deletes_for_all(
    files: Faulty, home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tiny(home)
    assert cli.main(RUN) == 0
    before = {key for key in Objects(url=URL).listing() if not key.endswith("progress.json")}
    files.store.clear()
    capsys.readouterr()
    assert cli.main(RUN) == 0
    shown = capsys.readouterr().out
    assert f"{URL} has lost 1 finished run (anil-glyphs-s0-" in shown
    assert "): what is here was sent again." in shown
    assert "1 run, 1 of them done already" in shown
    assert set(Objects(url=URL).listing()) == before
    (mine,) = (path.parent for path in (home / "cache" / "mirrors").rglob("mirror.json"))
    Objects(url=URL).write("runs/experiment.json", b'{"runs": ["another"]}')
    assert cli.main(["clean", URL, "--unused"]) == 0
    assert Objects(url=URL).listing("deleted").keys() == {f"deleted/{mine.name}.json"}
    machine(mine.parents[1]).pull_runs([mine.name], finish=True)
    assert not mine.exists()
    assert "There are no runs at" in refused(capsys, "show", f"{URL}/runs/{mine.name}")
