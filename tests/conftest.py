"""For every test: one torch thread, as workers have; where the raw data is; small real runs."""

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from experiments import write_tiny
from harness.config import load_experiment
from harness.plan import plan
from harness.pools import ensure_pool
from harness.spec import RunSpec
from harness.store import Workspace

# Two tests' threads on one busy core wait for one another far longer than they work.
torch.set_num_threads(1)

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Nothing is written into the user's cache folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HARNESS_CACHE", str(tmp_path_factory.mktemp("user-cache")))
        yield


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of raw data, `$HARNESS_DATA` or `shared/data` beside the repository; skips without one."""
    named = os.environ.get("HARNESS_DATA")
    folder = Path(named) if named else REPOSITORY.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no raw data at {folder}; set HARNESS_DATA to the folder that has it")
    return folder


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def planned(tmp_path: Path, cache: Path) -> Callable[..., dict[str, RunSpec]]:
    """The runs of the tiny experiment by method, with their pools prepared."""

    def make(*bindings: str) -> dict[str, RunSpec]:
        experiment, _ = load_experiment(write_tiny(tmp_path), bindings)
        made = plan(experiment, data_dir=None, cache=cache)
        for need in made.pools:
            ensure_pool(need.dataset, need.source, need.split, need.images, data_dir=None, cache=cache)
        return {run.method_name: run for run in made.runs}

    return make


@pytest.fixture
def workspace(tmp_path: Path, cache: Path) -> Workspace:
    (tmp_path / "runs").mkdir()
    return Workspace(runs=tmp_path / "runs", cache=cache)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, with a cache of its own and no raw data."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("HARNESS_DATA", raising=False)
    return tmp_path


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on there is no room for checkpoints."""
    real = os.fsync

    def refuse(handle: int) -> None:
        if "checkpoint" in str(Path(f"/proc/self/fd/{handle}").readlink()):
            raise OSError(errno.ENOSPC, "No space left on device")
        real(handle)

    monkeypatch.setattr(os, "fsync", refuse)
