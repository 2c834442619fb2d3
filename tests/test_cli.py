import dataclasses
import errno
import importlib.metadata
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from experiments import TINY, write_tiny
from harness import cli, workflow
from harness import listing as listing_commands
from harness.config import load_experiment
from harness.errors import DataError
from harness.files import write_json
from harness.plan import plan as make_plan
from harness.record import timed, took
from harness.spec import RunSpec
from harness.store import RunFolder, Workspace, run_folders

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, with a cache of its own and no raw data."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("HARNESS_DATA", raising=False)
    return tmp_path


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What a refused command says on stderr."""
    assert cli.main(arguments) == 2
    shown = capsys.readouterr()
    assert "Traceback" not in shown.err
    return shown.err


def listing(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def test_help_is_quick_because_it_loads_nothing_heavy() -> None:
    code = (
        "import sys, harness.cli\n"
        "assert harness.cli.main(['--help']) == 0\n"
        "print('LOADED', *sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = done.stderr.partition("LOADED")[2].split()
    heavy = {"torch", "ray", "tensorflow", "pandas", "numpy", "gin", "rich", "sklearn", "matplotlib"}
    assert not heavy & set(loaded)
    assert "run" in done.stdout


def test_the_installed_script_is_this_command_line() -> None:
    (script,) = importlib.metadata.entry_points(group="console_scripts", name="harness")
    assert script.load() is cli.main


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--version"]) == 0
    assert "harness, version" in capsys.readouterr().out


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


def test_two_commands_do_not_work_in_one_folder(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_tiny(home)
    runs = home / "reports" / "tiny" / "runs"
    runs.mkdir(parents=True)
    with workflow._alone(runs / ".lock"):
        assert "Another `harness run` works in" in refused(capsys, "run", "tiny.gin", "--backend", "serial")


@pytest.mark.parametrize(
    ("what", "name", "origin"),
    [
        ("methods", "anil", "harness_methods.anil:ANIL"),
        ("sources", "glyphs", "harness_datasets.glyphs:Glyphs"),
        ("networks", "conv4", "harness.networks:Conv4"),
    ],
)
def test_list_says_what_there_is_and_where_it_came_from(
    capsys: pytest.CaptureFixture[str], what: str, name: str, origin: str
) -> None:
    assert cli.main(["list", what]) == 0
    shown = capsys.readouterr().out
    assert name in shown
    assert origin in shown


def test_plan_shows_runs_pools_and_a_rough_cost(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_tiny(home)
    assert cli.main(["plan", "tiny.gin"]) == 0
    shown = capsys.readouterr().out
    for word in (
        "maml-glyphs-s0-",
        "nil-glyphs-s0-",
        "pool glyphs-test-16px-",
        "3 runs, 2 trainings",
        "roughly",
    ):
        assert word in shown
    assert listing(home) == {"tiny.gin"}


def test_plan_knows_what_is_done_in_the_folder_it_is_told(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_tiny(home)
    _finish_all(home / "there" / "runs")
    assert cli.main(["plan", "tiny.gin"]) == 0
    assert capsys.readouterr().out.count("to do") == 3
    assert cli.main(["plan", "tiny.gin", "--out", "there"]) == 0
    shown = capsys.readouterr().out
    assert "to do" not in shown
    assert "2 trainings; all done" in shown
    next((home / "there" / "runs").glob("nil-*/episodes.parquet")).unlink()
    assert cli.main(["plan", "tiny.gin", "--out", "there"]) == 0
    shown = capsys.readouterr().out
    assert shown.count("to do") == 1
    assert "2 done, the rest takes very roughly 0 s of one core (rates of finished runs)" in shown


def _finish_all(runs: Path) -> None:
    """Mark all runs of tiny.gin as done."""
    experiment, _ = load_experiment(Path("tiny.gin"))
    for run in make_plan(experiment, data_dir=None, cache=Path("cache")).runs:
        folder = RunFolder(runs / run.run_id)
        folder.begin(run)
        folder.write_status("done", training_seconds=0.5, evaluation_seconds=0.25)
        folder.episodes.write_text("episodes")


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

    monkeypatch.setattr(listing_commands.pools, "status", forbidden)
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

    monkeypatch.setattr(listing_commands.plugins, "load", lambda _group, _name: Odd)
    assert "has no default for 'steps', so it cannot be made from its name alone" in refused(capsys, *command)


def test_data_prepare_and_status(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_tiny(home)
    assert cli.main(["data", "prepare", "tiny.gin"]) == 0
    capsys.readouterr()
    assert cli.main(["data", "status"]) == 0
    shown = capsys.readouterr().out
    assert shown.count("ready") == 3
    assert "3 pools in" in shown
    assert cli.main(["data", "prepare", "digits", "--size", "16"]) == 0
    assert "10 classes, 1797 images" in capsys.readouterr().out


@pytest.mark.slow
def test_run_then_run_again_then_report(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_tiny(home)
    assert cli.main(["run", "tiny.gin", "--backend", "serial", "--set", "Evaluation.n_episodes=4"]) == 0
    shown = capsys.readouterr().out
    folder = Path("reports/tiny")
    assert "Accuracy" in shown
    assert f"Report: {folder / 'report.md'}" in shown
    record = json.loads((folder / "experiment.json").read_text())
    assert record["command"] == "harness run tiny.gin --set Evaluation.n_episodes=4"
    assert len(record["runs"]) == 3
    assert "Evaluation.n_episodes = 4" in (folder / "config.gin").read_text()
    before = {path: path.stat().st_mtime_ns for path in (folder / "runs").glob("*/*.*") if path.is_file()}

    assert cli.main(["run", "tiny.gin", "--backend", "ray", "--set", "Evaluation.n_episodes=4"]) == 0
    assert "3 of them done already" in capsys.readouterr().out
    assert before.items() <= {path: path.stat().st_mtime_ns for path in before}.items()
    assert json.loads((folder / "experiment.json").read_text()) == record

    shutil.copytree(folder, "elsewhere")
    text = (folder / "report.md").read_bytes()
    (folder / "report.md").unlink()
    assert cli.main(["report", str(folder)]) == 0
    assert (folder / "report.md").read_bytes() == text
    assert cli.main(["report", "elsewhere"]) == 0
    (folder / "runs" / "experiment.json").write_text("{")
    assert "cannot be read" in refused(capsys, "report", str(folder))


@pytest.mark.slow
def test_an_interrupted_new_experiment_leaves_the_report_and_its_config(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from harness import worker

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    write_tiny(home, "Experiment.methods = [@ANIL()]")
    command = ["run", "tiny.gin", "--backend", "serial"]
    assert cli.main(command) == 0
    folder = home / "reports" / "tiny"
    before = {path: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    with monkeypatch.context() as patch:
        patch.setattr(worker, "execute", interrupted)
        assert cli.main([*command, "--set", "Regime.iterations=5"]) == 130
    assert {path: path.read_bytes() for path in before} == before
    assert "Regime.iterations = 5" in (folder / "runs" / "config.gin").read_text()
    assert cli.main([*command, "--set", "Regime.iterations=5"]) == 0
    assert "Regime.iterations = 5" in (folder / "config.gin").read_text()


def seconds_of(folder: Path) -> float:
    return float(json.loads((folder / "runs" / "experiment.json").read_text())["seconds"])


@pytest.mark.slow
def test_the_time_is_that_of_all_commands(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from harness import worker

    def interrupted(run: RunSpec, workspace: Workspace, report: object) -> None:
        workspace.folder(run.run_id).begin(run)
        time.sleep(1)
        raise KeyboardInterrupt

    write_tiny(home, "Experiment.methods = [@ANIL()]")
    command = ["run", "tiny.gin", "--backend", "serial"]
    folder = home / "reports" / "tiny"
    with monkeypatch.context() as patch:
        patch.setattr(worker, "execute", interrupted)
        assert cli.main(command) == 130
        once = seconds_of(folder)
        assert once >= 1
        assert cli.main(command) == 130
        twice = seconds_of(folder)
        assert twice >= once + 1
    assert cli.main([*command, "--fresh"]) == 0
    record = json.loads((folder / "experiment.json").read_text())
    assert "time_missing" not in record
    assert "at least" not in (folder / "report.md").read_text()
    assert 0 < record["seconds"] != twice


def test_the_time_of_a_killed_command_is_said_to_be_missing(home: Path) -> None:
    write_tiny(home)
    runs = home / "there" / "runs"
    _finish_all(runs)
    folders = run_folders(runs)
    folders[1].write_status("done", training_seconds=200.0, evaluation_seconds=40.0)
    assert took({}, folders) == ""
    assert took({"seconds": 7200}, folders) == "2 h 00 min of wall clock"
    assert took({"seconds": 7200, "time_missing": True}, folders) == "at least 2 h 00 min of wall clock"
    assert took({"seconds": 5, "time_missing": True}, folders) == "at least 4 min of wall clock"
    write_json(runs / "experiment.json", {"seconds": 5})
    with timed(runs, time.perf_counter(), True):
        assert json.loads((runs / "experiment.json").read_text()) == {"seconds": 5, "time_missing": True}
    assert json.loads((runs / "experiment.json").read_text()) == {"seconds": 5.0}


@pytest.mark.slow
def test_fresh_removes_the_own_runs_only(home: Path) -> None:
    write_tiny(home, "Experiment.methods = [@ANIL()]")
    command = ["run", "tiny.gin", "--backend", "serial"]
    assert cli.main(command) == 0
    runs = home / "reports" / "tiny" / "runs"
    (own,) = (path for path in runs.iterdir() if path.is_dir())
    other = runs / "another-run"
    other.mkdir()
    twin = runs / "same-training"
    shutil.copytree(own, twin)
    (own / "mark").touch()
    assert cli.main([*command, "--fresh"]) == 0
    assert other.exists()
    assert not twin.exists(), "its checkpoint would have been taken over"
    assert not (own / "mark").exists()
    assert RunFolder(own).state == "done"


@pytest.mark.slow
def test_a_failed_run_is_named_and_the_others_are_reported(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from harness import worker

    real = worker.execute

    def sometimes(run: object, workspace: Workspace, report: object) -> None:
        if run.method_name == "maml":  # type: ignore[attr-defined]
            raise ValueError("made to fail")
        real(run, workspace, report)  # type: ignore[arg-type]

    monkeypatch.setattr(worker, "execute", sometimes)
    write_tiny(home)
    assert cli.main(["run", "tiny.gin", "--backend", "serial"]) == 1
    shown = capsys.readouterr()
    assert "1 of 3 runs failed" in shown.err
    assert "ValueError: made to fail" in shown.err
    assert "status.json" in shown.err
    assert "anil" in shown.out
    monkeypatch.undo()
    monkeypatch.chdir(home)
    assert cli.main(["run", "tiny.gin", "--backend", "serial", "--cache", str(home / "cache")]) == 0


def test_ctrl_c_says_how_to_go_on(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from harness import worker

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(worker, "execute", interrupted)
    write_tiny(home)
    assert cli.main(["run", "tiny.gin", "--backend", "serial"]) == 130
    shown = capsys.readouterr().err
    assert "state kept, run the same command to resume" in shown
    assert (home / "reports" / "tiny" / "runs" / "experiment.json").exists()
    assert (home / "reports" / "tiny" / "runs" / "config.gin").exists()


@pytest.mark.slow
def test_a_batch_system_may_end_it_and_the_same_command_carries_on(home: Path) -> None:
    write_tiny(home, "Experiment.methods = [@ANIL()]", "Regime.iterations = 100_000")
    command = [
        sys.executable,
        "-c",
        "import sys, harness.cli; sys.exit(harness.cli.main())",
        "run",
        "tiny.gin",
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    runs = home / "reports" / "tiny" / "runs"
    deadline = time.monotonic() + 120
    while not list(runs.glob("*/curve.jsonl")) and time.monotonic() < deadline:
        time.sleep(0.2)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 130, said
    assert "run the same command to resume" in said
    (folder,) = (RunFolder(path) for path in runs.iterdir() if path.is_dir())
    assert folder.state == "interrupted"
    assert folder.checkpoint.exists()


def test_a_check_that_fails_is_exit_code_one(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from harness import testing

    found = [
        testing.Check(name="kept", passed=True, detail="fine"),
        testing.Check(name="broken", passed=False, detail="not [fine]"),
    ]
    monkeypatch.setattr(testing, "check_method", lambda method: found[: 1 if method.name == "anil" else 2])
    assert cli.main(["check", "method", "anil"]) == 0
    assert cli.main(["check", "method", "maml"]) == 1
    shown = capsys.readouterr().out
    assert "FAILED" in shown
    assert "not [fine]" in shown


def test_tiny_is_what_the_line_numbers_of_these_tests_count_on() -> None:
    assert len(TINY.splitlines()) == 24


def test_a_full_disk_is_a_mistake_of_the_user(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tiny(home)
    real = os.fsync

    def full(handle: int) -> None:
        if "checkpoint" in str(Path(f"/proc/self/fd/{handle}").readlink()):
            raise OSError(errno.ENOSPC, "No space left on device")
        real(handle)

    monkeypatch.setattr(os, "fsync", full)
    said = refused(capsys, "run", "tiny.gin", "--backend", "serial")
    assert "3 of 3 runs failed.\n" in said
    assert "the disk is full. Free some space and run the same command again" in said
    assert "traceback:" not in said


@pytest.mark.slow
def test_a_folder_that_gets_another_report_says_so(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_tiny(home)
    plain = ("run", "tiny.gin", "--backend", "serial", "--set", "Experiment.methods = [@ANIL()]")
    assert cli.main([*plain]) == 0
    assert "Note:" not in capsys.readouterr().out
    assert cli.main([*plain, "--set", "ANIL.inner_lr = 0.5"]) == 0
    assert "1 runs of other settings leave it and stay in runs/" in capsys.readouterr().out


def test_a_source_without_its_data_is_not_checked(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "needs images_background.zip" in refused(capsys, "check", "source", "omniglot")
