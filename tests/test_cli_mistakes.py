"""Every mistake is one message with the next step, exit code 2, and nothing half-written."""

import dataclasses
import json
import os
from pathlib import Path

import pytest

from command_line import listing, refused
from experiments import TINY, write_tiny
from harness import data_listing, data_needs, workflow
from harness.errors import DataError


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("rnu",), "No such command 'rnu'. Did you mean 'run'?"),
        (("data", "sattus"), "Did you mean 'status'?"),
        (("run", "--wrokers", "2"), "--workers"),
        (("run",), "Missing argument 'CONFIG'"),
        (("run", "tiny.gin", "--workers", "0"), "0 is not in the range"),
        (("run", "tiny.gin", "--backend", "rya"), "Did you mean 'ray'?"),
        (("run", "tiny.gin", "--backend", "serial", "--workers", "2"), "leave out --workers"),
        (("run", "tiny.gin", "--backend", "serial", "--address", "a:1"), "leave out --address"),
        (("run", "tiny.gin", "--workers", "2", "--address", "a:1"), "leave out one of them"),
        (("run", "tyni.gin"), "Did you mean 'tiny.gin'?"),
        (("run", "tiny.gin", "--set", "MALM.inner_lr=1"), "Did you mean 'MAML'?"),
        (("run", "tiny.gin", "--set", "MAML.inner_lrr=1"), "Did you mean 'inner_lr'?"),
        (("run", "tiny.gin", "--set", "Regime.sources=[@Gylphs()]"), "Did you mean 'Glyphs'?"),
        (("run", "tiny.gin", "--set", "MAML.inner_lr"), "--set takes"),
        (("run", "tiny.gin", "--set", "EpisodeShape.n_way=50"), "fewer than the 50 ways"),
        (("run", "tiny.gin", "--set", "EpisodeShape.n_query=50"), "a class of only 20 images"),
        (("run", "tiny.gin", "--set", "Regime.sources=[@Omniglot()]"), "--data DIR"),
        (("run", "tiny.gin", "--set", "Regime.sources=[@Digits()]"), "has no train split"),
        (("plan", "tiny.gin", "--set", "Experiment.methods=[@MAML(), @MAML()]"), "Two methods are called"),
        (("list", "mehtods"), "Did you mean 'methods'?"),
        (("check", "method", "malm"), "Did you mean 'maml'?"),
        (("check", "source", "glphs"), "Did you mean 'glyphs'?"),
        (("data", "prepare", "glphs"), "Did you mean 'glyphs'?"),
        (("report", "nowhere"), "There is no folder nowhere"),
    ],
)
def test_a_mistake_is_one_message_and_writes_nothing(
    home: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], said: str
) -> None:
    write_tiny(home)
    assert said in refused(capsys, *arguments)
    assert listing(home) == {"tiny.gin"}


@pytest.mark.parametrize(
    ("line", "said"),
    [("MAML.inner_lr = = 2", "tiny.gin:25: this is not gin syntax"), ("include 'no.gin'", "tiny.gin:25:")],
)
def test_a_mistake_in_the_file_names_its_line(
    home: Path, capsys: pytest.CaptureFixture[str], line: str, said: str
) -> None:
    write_tiny(home, line)
    assert said in refused(capsys, "run", "tiny.gin")


def test_all_problems_of_a_plan_are_shown(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_tiny(home, "Regime.sources = [@Digits()]", "Evaluation.split = 'valid'", "EpisodeShape.n_way = 30")
    shown = refused(capsys, "run", "tiny.gin")
    assert "nothing was started" in shown
    assert shown.count("\n  - ") >= 3


def test_a_file_in_place_of_the_folder_is_refused(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_tiny(home)
    (home / "out").write_text("a file")
    before = listing(home)
    assert "a file stands where a folder is needed" in refused(capsys, "run", "tiny.gin", "--out", "out")
    assert (home / "out").read_text() == "a file"
    assert listing(home) == before


def test_a_file_in_place_of_the_cache_is_refused_and_leaves_nothing(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_tiny(home)
    (home / "file").write_text("a file")
    before = listing(home)
    said = refused(capsys, "run", "tiny.gin", "--cache", str(home / "file" / "cache"))
    assert f"Cannot write {home / 'file' / 'cache'}" in said
    assert "a file stands where a folder is needed" in said
    assert listing(home) == before


def test_raw_data_that_is_damaged_is_refused_and_leaves_no_results(
    home: Path, capsys: pytest.CaptureFixture[str], data_dir: Path
) -> None:
    raw = home / "raw" / "omniglot"
    raw.mkdir(parents=True)
    for name in ("images_background.zip", "images_evaluation.zip"):
        (raw / name).write_bytes((data_dir / "omniglot" / name).read_bytes()[:100_000])
    write_tiny(home, "Regime.sources = [@Omniglot()]", "Evaluation.sources = [@Omniglot()]")
    before = listing(home)
    said = refused(capsys, "run", "tiny.gin", "--data", str(home / "raw"), "--fresh")
    assert "images_background.zip" in said
    assert listing(home) == before


@pytest.mark.parametrize("earlier", [False, True])
def test_pools_that_cannot_be_prepared_leave_the_results_as_they_were(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, earlier: bool
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise DataError("images.zip is damaged: download it again")

    monkeypatch.setattr(workflow, "ensure_pool", broken)
    write_tiny(home)
    if earlier:
        run = home / "reports" / "tiny" / "runs" / "a-run"
        run.mkdir(parents=True)
        (home / "reports" / "tiny" / "config.gin").write_text("old")
    before = listing(home)
    assert "images.zip is damaged" in refused(capsys, "run", "tiny.gin", "--backend", "serial", "--fresh")
    assert listing(home) == before
    if earlier:
        assert (home / "reports" / "tiny" / "config.gin").read_text() == "old"


def test_an_unwritable_folder_is_refused(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_tiny(home)
    if os.geteuid() == 0:  # root may write anywhere but where the kernel says no
        folder = Path("/proc/harness")
    else:
        folder = home / "locked" / "out"
        folder.parent.mkdir(mode=0o500)
    before = listing(home)
    assert f"Cannot write {folder}" in refused(capsys, "run", "tiny.gin", "--out", str(folder))
    assert listing(home) == before


def test_a_report_whose_runs_are_elsewhere_stays_as_it_is(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = home / "report"
    folder.mkdir()
    (folder / "report.md").write_text("committed")
    command = "harness run x.gin"
    (folder / "experiment.json").write_text(json.dumps({"runs": ["a-run"], "command": command}))
    before = {path: path.read_bytes() for path in folder.iterdir()}
    said = refused(capsys, "report", str(folder))
    assert f"The runs of this report are not here, so nothing was written: `{command}` makes them." in said
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_what_the_system_refuses_is_one_sentence(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(cache: Path) -> None:
        raise PermissionError(13, "Permission denied", str(cache))

    monkeypatch.setattr(data_listing, "status", forbidden)
    assert "Error: there: Permission denied. Check that" in refused(
        capsys, "data", "status", "--cache", "there"
    )


@pytest.mark.parametrize(
    "command", [("check", "method", "odd"), ("check", "source", "odd"), ("data", "prepare", "odd")]
)
def test_a_plugin_without_defaults_is_one_sentence(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    @dataclasses.dataclass(frozen=True)
    class Odd:
        steps: int
        name: str = "odd"

    monkeypatch.setattr(data_needs.plugins, "load", lambda _group, _name: Odd)
    assert "has no default for 'steps', so it cannot be made from its name alone" in refused(capsys, *command)


def test_tiny_is_what_the_line_numbers_of_these_tests_count_on() -> None:
    assert len(TINY.splitlines()) == 24


@pytest.mark.usefixtures("full_disk")
def test_a_full_disk_is_a_mistake_of_the_user(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_tiny(home)
    said = refused(capsys, "run", "tiny.gin", "--backend", "serial")
    assert "3 of 3 runs failed.\n" in said
    assert "the disk is full. Free some space and run the same command again" in said
    assert "traceback:" not in said


def test_a_source_without_its_data_is_not_checked(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for word in ("source", "dataset"):
        said = refused(capsys, "check", word, "omniglot")
        assert "omniglot is not there: no folder of raw data was named" in said
        assert "Fetch images_background.zip and images_evaluation.zip" in said
