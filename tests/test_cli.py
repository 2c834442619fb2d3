"""What the command line offers besides running."""

import importlib.metadata
import subprocess
import sys
from pathlib import Path

import pytest

from command_line import finish_all, listing
from experiments import write_tiny
from harness import cli


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
    finish_all(home / "there" / "runs")
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


def test_data_prepare_and_status(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_tiny(home)
    assert cli.main(["data", "prepare", "tiny.gin"]) == 0
    capsys.readouterr()
    assert cli.main(["data", "status"]) == 0
    shown = capsys.readouterr().out
    assert shown.count("glyphs-") == 3
    assert "DAMAGED" not in shown
    assert "3 pools, " in shown
    assert cli.main(["data", "prepare", "digits", "--size", "16"]) == 0
    assert "10 classes, 1797 images" in capsys.readouterr().out


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


def test_the_package_can_be_run_as_a_module() -> None:
    found = subprocess.run(
        [sys.executable, "-m", "harness", "--version"], capture_output=True, text=True, check=True
    )
    assert found.stdout.startswith("harness")
