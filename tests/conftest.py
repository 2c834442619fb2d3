"""For every test: one torch thread, as workers have; and where the raw data is."""

import os
from pathlib import Path

import pytest
import torch

# Two tests' threads on one busy core wait for one another far longer than they work.
torch.set_num_threads(1)

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of raw data, `$HARNESS_DATA` or `shared/data` beside the repository; skips without one."""
    named = os.environ.get("HARNESS_DATA")
    folder = Path(named) if named else REPOSITORY.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no raw data at {folder}; set HARNESS_DATA to the folder that has it")
    return folder
