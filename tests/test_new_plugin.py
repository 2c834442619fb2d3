"""`harness new`: what it writes is installed, known, checked and run, in a fresh environment and from a wheel."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

from harness.errors import ConfigError, PluginError
from harness.scaffold import write_plugin

ROOT = Path(__file__).resolve().parent.parent


def call(*command: str | Path, cwd: Path) -> str:
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, capture_output=True, text=True, timeout=600, check=False,
        env={**os.environ, "PYTHONPATH": "", "HARNESS_CACHE": str(cwd / "cache")},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with harness from a wheel, whose dependencies are those of this one."""
    folder = tmp_path_factory.mktemp("fresh")
    venv.create(folder / "venv", with_pip=True)
    (site,) = (folder / "venv" / "lib").glob("python*/site-packages")
    wheels, pip = folder / "wheels", [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    call(*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", wheels, ROOT, cwd=folder)
    (wheel,) = wheels.glob("harness-*.whl")
    python = folder / "venv" / "bin" / "python"
    call(python, *pip[1:], "install", "--no-deps", "--no-index", wheel, cwd=folder)
    # After harness itself, so that the wheel's is found before the one that is being tested here.
    (site / "dependencies.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    where = call(python, "-c", "import harness; print(harness.__file__)", cwd=folder)
    assert Path(where.strip()).is_relative_to(site)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "listed"), [("method", "methods"), ("dataset", "sources")])
def test_a_stranger_adds_a_plugin(fresh: Path, kind: str, listed: str) -> None:
    """As its README says, and no file of harness is touched."""
    name = f"my_{kind}"
    python, harness = (fresh / "venv" / "bin" / program for program in ("python", "harness"))
    assert "Next: pip install -e" in call(harness, "new", kind, name, cwd=fresh)
    folder = fresh / name
    call(
        python, "-m", "pip", "--quiet", "install", "--no-deps", "--no-build-isolation", "--no-index", "-e", ".",
        cwd=folder,
    )  # fmt: skip
    assert f"harness-my-{kind} 0.1" in call(harness, "list", listed, cwd=folder)
    assert "FAIL" not in call(harness, "check", kind, name, cwd=folder)
    small = [
        f"--set=Regime.{setting}" for setting in ("iterations = 4", "validate_every = 4", "meta_batch = 2")
    ]
    call(
        harness,
        "run",
        f"{name}.gin",
        "--backend",
        "serial",
        "--set=Evaluation.n_episodes = 5",
        *small,
        cwd=folder,
    )
    assert name in (folder / "reports" / name / "report.md").read_text(encoding="utf-8")
    assert "1 passed" in call(python, "-m", "pytest", "-q", cwd=folder)


@pytest.mark.slow
def test_the_five_steps_of_the_readme_add_a_method(fresh: Path) -> None:
    """Its code and its gin file as they stand there."""
    readme = (
        (ROOT / "README.md")
        .read_text(encoding="utf-8")
        .partition("## Add a method")[2]
        .partition("## Add a data")[0]
    )
    blocks = re.findall(r"```(?:python)?\n(.*?)```", readme, flags=re.DOTALL)
    code, gin = (re.sub(r"^   ", "", block, flags=re.MULTILINE) for block in blocks)
    python, harness = (fresh / "venv" / "bin" / program for program in ("python", "harness"))
    call(harness, "new", "method", "head_only", cwd=fresh)
    (fresh / "head_only" / "harness_head_only" / "head_only.py").write_text(code)
    call(
        python, "-m", "pip", "--quiet", "install", "--no-deps", "--no-build-isolation", "--no-index", "-e", "head_only",
        cwd=fresh,
    )  # fmt: skip
    assert "FAIL" not in call(harness, "check", "method", "head_only", cwd=fresh)
    shutil.copytree(ROOT / "gin", fresh / "gin")
    (fresh / "gin" / "head_only_readme.gin").write_text(gin)
    small = [
        f"--set=Regime.{setting}" for setting in ("iterations = 4", "validate_every = 4", "meta_batch = 2")
    ]
    small += ["--set=Evaluation.n_episodes = 5", "--backend=serial"]
    call(harness, "run", "gin/head_only_readme.gin", *small, cwd=fresh)
    board = (fresh / "reports" / "head_only" / "leaderboard.csv").read_text(encoding="utf-8")
    rows = {line.split(",")[0]: line for line in board.splitlines()}
    assert len(board.splitlines()) == 1 + 3 * 4, rows


def test_names_that_cannot_be_are_refused(tmp_path: Path) -> None:
    for wrong in ("My", "2nd", "a-b", "class", "", "../x"):
        with pytest.raises(ConfigError, match="cannot be the name of a method"):
            write_plugin("method", wrong, tmp_path)
    with pytest.raises(PluginError, match=r"a dataset 'glyphs' already, from harness"):
        write_plugin("dataset", "glyphs", tmp_path)
    for kind, ours in (("method", "methods"), ("dataset", "datasets")):
        with pytest.raises(PluginError, match=f"There is a package harness_{ours} already"):
            write_plugin(kind, ours, tmp_path)
    for name, cls in (("evaluation", "Evaluation"), ("glyphs", "Glyphs"), ("policy_freeze", "PolicyFreeze")):
        with pytest.raises(PluginError, match=rf"In a gin file {cls} is harness\S*\.{cls} already"):
            write_plugin("method", name, tmp_path)
    (tmp_path / "mine").mkdir()
    with pytest.raises(ConfigError, match="is there already"):
        write_plugin("method", "mine", tmp_path)
    assert list(tmp_path.iterdir()) == [tmp_path / "mine"]


def test_what_is_written_is_python_in_order(tmp_path: Path) -> None:
    for kind in ("method", "dataset"):
        for path in write_plugin(kind, f"some_{kind}", tmp_path):
            text = path.read_text(encoding="utf-8")
            assert "{" + "{" not in text
            assert text.endswith("\n")
            if path.suffix == ".py":
                compile(text, str(path), "exec")
    for tool in (
        ["check", "--select", "E,F,B,UP", "--line-length", "120"],
        ["format", "--check", "--line-length", "110"],
    ):
        call(sys.executable, "-m", "ruff", *tool, "--isolated", tmp_path, cwd=tmp_path)
