"""A cluster of two nodes with caches of their own: the second makes its pools, and the numbers are the same."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from experiments import write_tiny
from harness.pool_lock import FOLDER
from squares import FOLDER_OF_IMAGES, keys, run_on_squares

CLUSTER = """
import json, sys
from ray.cluster_utils import Cluster

first, second = sys.argv[1:]
shared = {"include_dashboard": False, "object_store_memory": 10**8}
cluster = Cluster(
    initialize_head=True,
    head_node_args={"num_cpus": 1, "env_vars": {"HARNESS_CACHE": first}, "_system_config": {}, **shared},
)
cluster.add_node(num_cpus=2, resources={"far": 2}, env_vars={"HARNESS_CACHE": second}, **shared)
print("address", cluster.address, flush=True)
sys.stdin.read()
cluster.shutdown()
"""


@pytest.fixture
def two_nodes(tmp_path: Path) -> Iterator[str]:
    """The address of a cluster whose second node, with the resource `far`, has an empty cache of its own."""
    place = tempfile.mkdtemp(prefix="ray-", dir="/tmp")  # short: socket paths are limited
    log = tmp_path / "cluster.log"
    with log.open("w") as errors:
        process = subprocess.Popen(
            [sys.executable, "-c", CLUSTER, str(tmp_path / "cache"), str(tmp_path / "far")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env={**os.environ, "RAY_TMPDIR": place, "RAY_USAGE_STATS_ENABLED": "0"},
        )
    try:
        assert process.stdout is not None
        words: list[str] = []
        while words[:1] != ["address"]:
            line = process.stdout.readline()
            assert line, log.read_text()
            words = line.split()
        yield words[1]
    finally:
        process.communicate("", timeout=60)
        shutil.rmtree(place, ignore_errors=True)


@pytest.mark.slow
def test_a_node_without_pools_makes_them_once_and_gives_the_same_numbers(
    tmp_path: Path, two_nodes: str
) -> None:
    """Raw data is on neither node any more, so the far node fetches; its runs come back through a URL."""
    raw_run = run_on_squares(tmp_path)
    (tmp_path / "raw").rename(tmp_path / "gone")
    settings = [
        "Experiment.seeds = [0, 1]",
        "Experiment.resources = @Resources()",
        "Resources.custom = {'far': 1}",
    ]
    write_tiny(tmp_path, *FOLDER_OF_IMAGES, *settings)
    url = f"file://{tmp_path}/there"
    common = ["run", "tiny.gin", "--cache", "cache"]
    done = _harness(tmp_path, *common, "--address", two_nodes, "--out", url)
    assert done.returncode == 0, done.stdout + done.stderr
    far = {path.name for path in (tmp_path / "far" / FOLDER).iterdir() if path.is_dir()}
    assert far == keys(raw_run)
    assert len(list((tmp_path / "far" / "mirrors").rglob("checkpoint.pt"))) == 2, "worked on there"
    alone = _harness(tmp_path, *common, "--backend", "serial", "--out", "local")
    assert alone.returncode == 0, alone.stderr
    tables = [_tables(tmp_path / name) for name in ("there", "local")]
    assert tables[0].keys() == tables[1].keys()
    assert len(tables[0]) == 2
    for run_id, frame in tables[0].items():
        pd.testing.assert_frame_equal(frame, tables[1][run_id])


def _harness(home: Path, *arguments: str) -> Any:
    return subprocess.run(
        [sys.executable, "-m", "harness", *arguments],
        cwd=home,
        env={name: value for name, value in os.environ.items() if name != "HARNESS_DATA"},
        capture_output=True,
        text=True,
        timeout=400,
    )


def _tables(folder: Path) -> dict[str, pd.DataFrame]:
    return {
        path.parent.name: pd.read_parquet(path).drop(columns="seconds")
        for path in folder.rglob("episodes.parquet")
    }
