"""Which commit harness is of, in repositories made for the test."""

import shutil
import subprocess
from pathlib import Path

import pytest

from harness import checkout
from harness.checkout import state_of

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="there is no git")


def git(root: Path, *arguments: str) -> str:
    named = ["-c", "user.name=A", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false"]
    done = subprocess.run(
        ["git", *named, "-C", str(root), *arguments], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "harness").mkdir()
    (tmp_path / "harness" / "plan.py").write_text("x = 1\n")
    (tmp_path / "notes.md").write_text("one\n")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "Begin")
    return tmp_path


def test_a_clean_checkout_is_its_commit(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commit = git(root, "rev-parse", "HEAD")
    assert state_of(root) == {"commit": commit, "dirty": False}
    (root / "notes.md").write_text("two\n")  # no code
    assert state_of(root) == {"commit": commit, "dirty": False}
    monkeypatch.setenv("GIT_DIR", str(root / "elsewhere"))  # as in a hook of another repository
    assert state_of(root) == {"commit": commit, "dirty": False}


@pytest.mark.parametrize("name", ["plan.py", "new.py"])
def test_changed_and_new_code_make_it_dirty(root: Path, name: str) -> None:
    (root / "harness" / name).write_text("x = 2\n")
    assert state_of(root)["dirty"] is True


def test_what_is_no_checkout_has_no_commit(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert state_of(root / "harness") == {}  # inside another project's repository
    (root / ".git" / "HEAD").write_text("damaged")
    assert state_of(root) == {}
    monkeypatch.setattr(
        checkout.subprocess, "run", lambda *_, **__: (_ for _ in ()).throw(FileNotFoundError())
    )
    assert state_of(root) == {}
