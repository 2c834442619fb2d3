"""Pools on a node that has none: made there once, the same as on the launching machine, or the run fails."""

import multiprocessing
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from experiments import prepared, write_tiny
from harness import node_pools, ray_worker
from harness.errors import DataError
from harness.node_pools import Part, PoolOffer, PoolServer, ensure_pools, offer_of, pools_of
from harness.pool_journal import IMAGES
from harness.pool_lock import FOLDER
from harness.pool_writing import FACTS
from harness.pools import verify_pool
from harness.remote.places import mirror_of
from harness.spec import RunSpec
from harness.store import Workspace

FOLDER_OF_IMAGES = (
    "Experiment.methods = [@MAML()]",
    "Regime.sources = [@ImageFolder()]",
    "Evaluation.sources = [@ImageFolder()]",
    "ImageFolder.name = 'squares'",
    "ImageFolder.path = 'squares'",
    "ImageFolder.fractions = (0.4, 0.3, 0.3)",
)


@pytest.fixture
def run(tmp_path: Path) -> RunSpec:
    """One whose pools are drawn by the source itself."""
    planned, _ = prepared(tmp_path)
    return planned.runs[0]


def keys(run: RunSpec) -> set[str]:
    return {source.pool_key(split, run.images) for source, split in pools_of(run)}


def nothing(key: str, name: str, offset: int) -> bytes | None:
    return None


def unasked(key: str, name: str, offset: int) -> bytes | None:
    raise AssertionError("fetched where the raw data is")


def squares(folder: Path) -> None:
    """Twenty classes of raw images."""
    from PIL import Image

    for number in range(20):
        place = folder / "squares" / f"class{number:02d}"
        place.mkdir(parents=True)
        for shade in range(4):
            Image.new("L", (20, 20), 10 * number + shade).save(place / f"{shade}.png")


@pytest.fixture
def raw_run(tmp_path: Path) -> RunSpec:
    """One whose pools are read from raw data in `raw`, prepared in `cache`."""
    from harness.config import load_experiment
    from harness.plan import plan
    from harness.pools import ensure_pool

    raw, cache = tmp_path / "raw", tmp_path / "cache"
    squares(raw)
    experiment, _ = load_experiment(write_tiny(tmp_path, *FOLDER_OF_IMAGES))
    planned = plan(experiment, data_dir=raw, cache=cache)
    for need in planned.pools:
        ensure_pool(need.dataset, need.source, need.split, need.images, data_dir=raw, cache=cache)
    return planned.runs[0]


@pytest.fixture(autouse=True)
def no_raw_data_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HARNESS_DATA", raising=False)


def test_a_source_that_draws_its_images_draws_them_on_the_node(tmp_path: Path, run: RunSpec) -> None:
    offer = offer_of([run], tmp_path / "cache", None)
    assert offer.digests.keys() == keys(run)
    ensure_pools(run, tmp_path / "node", offer, unasked)
    for key in keys(run):
        assert verify_pool(tmp_path / "node", key).sha256 == offer.digests[key]


@pytest.mark.parametrize("named", [False, True])
def test_raw_data_on_the_node_is_read(
    tmp_path: Path, raw_run: RunSpec, monkeypatch: pytest.MonkeyPatch, named: bool
) -> None:
    offer = offer_of([raw_run], tmp_path / "cache", tmp_path / "raw")
    if named:  # the node has it elsewhere
        (tmp_path / "raw").rename(tmp_path / "elsewhere")
        monkeypatch.setenv("HARNESS_DATA", str(tmp_path / "elsewhere"))
    ensure_pools(raw_run, tmp_path / "node", offer, unasked)
    assert {verify_pool(tmp_path / "node", key).sha256 for key in keys(raw_run)} == set(
        offer.digests.values()
    )


def test_without_raw_data_the_pool_is_fetched_in_parts(
    tmp_path: Path, raw_run: RunSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node_pools, "PART_BYTES", 1000)
    offer = offer_of([raw_run], tmp_path / "cache", tmp_path / "raw")
    (tmp_path / "raw").rename(tmp_path / "gone")
    server, asked = PoolServer(tmp_path / "cache"), []

    def part(key: str, name: str, offset: int) -> bytes | None:
        asked.append((key, name, offset))
        return server.part(key, name, offset)

    node = tmp_path / "node"
    left = node / FOLDER / f".{min(keys(raw_run))}.partial"
    left.mkdir(parents=True)
    (left / IMAGES).write_bytes(b"of an interrupted call")
    ensure_pools(raw_run, node, offer, part)
    for key in keys(raw_run):
        assert verify_pool(node, key).sha256 == offer.digests[key]
        same = [(cache / FOLDER / key / IMAGES).read_bytes() for cache in (node, tmp_path / "cache")]
        assert same[0] == same[1]
    assert max(offset for _, _, offset in asked) >= 2000, "in parts"
    assert sorted(
        path.name for path in (node / FOLDER).iterdir() if not path.name.endswith(".lock")
    ) == sorted(keys(raw_run))
    before = len(asked)
    ensure_pools(raw_run, node, offer, part)
    assert len(asked) == before, "once"


def test_a_pool_that_is_nowhere_fails_in_one_sentence(tmp_path: Path, raw_run: RunSpec) -> None:
    (tmp_path / "raw").rename(tmp_path / "gone")
    with pytest.raises(DataError, match=r"is neither on .* nor where the runs are launched from: prepare it"):
        ensure_pools(raw_run, tmp_path / "node", offer_of([raw_run], tmp_path / "cache", None), nothing)
    assert not [path for path in (tmp_path / "node" / FOLDER).iterdir() if path.is_dir()]


def test_a_pool_damaged_on_its_way_is_not_kept(tmp_path: Path, raw_run: RunSpec) -> None:
    (tmp_path / "raw").rename(tmp_path / "gone")
    server = PoolServer(tmp_path / "cache")

    def part(key: str, name: str, offset: int) -> bytes | None:
        content = server.part(key, name, offset)
        return content[:-1] + b"\x07" if content and name == IMAGES else content

    with pytest.raises(DataError, match="are not those prepared"):
        ensure_pools(raw_run, tmp_path / "node", offer_of([raw_run], tmp_path / "cache", None), part)
    assert not [path for path in (tmp_path / "node" / FOLDER).iterdir() if path.is_dir()]


def test_other_pixels_than_the_launching_machines_fail_the_run(tmp_path: Path, run: RunSpec) -> None:
    offer = PoolOffer(digests=dict.fromkeys(keys(run), "0" * 64), data_dir=None)
    with pytest.raises(
        DataError, match=f"on {socket.gethostname()} has other pixels than that of the machine"
    ):
        ensure_pools(run, tmp_path / "node", offer, unasked)


def test_other_raw_data_than_was_planned_with_fails_the_run(tmp_path: Path, raw_run: RunSpec) -> None:
    offer = offer_of([raw_run], tmp_path / "cache", tmp_path / "raw")
    shutil.copy(tmp_path / "raw/squares/class00/0.png", tmp_path / "raw/squares/class00/4.png")
    with pytest.raises(DataError, match="is not what was planned: fingerprint"):
        ensure_pools(raw_run, tmp_path / "node", offer, unasked)


def test_the_server_hands_out_pools_alone(tmp_path: Path, run: RunSpec) -> None:
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "cache" / FOLDER / "secret").write_text("secret")
    server, key = PoolServer(tmp_path / "cache"), min(keys(run))
    assert server.part(key, FACTS, 0) == (tmp_path / "cache" / FOLDER / key / FACTS).read_bytes()
    for wrong in (
        (key, "../../../secret"),
        ("../..", "secret"),
        (key, "secret"),
        ("..", FACTS),
        ("none", FACTS),
    ):
        assert server.part(*wrong, 0) is None


def _ask(run: RunSpec, cache: str, node: str, log: str) -> None:
    """Another process of the node: fetches slowly, and says so."""
    server = PoolServer(Path(cache))

    def part(key: str, name: str, offset: int) -> bytes | None:
        with Path(log).open("a", encoding="utf-8") as handle:
            handle.write(f"{key} {name} {offset}\n")
        return server.part(key, name, offset)

    slow: Part = part
    ensure_pools(run, Path(node), offer_of([run], Path(cache), None), slow)


@pytest.mark.slow
def test_of_two_runs_that_ask_at_once_one_prepares_and_the_other_waits(
    tmp_path: Path, raw_run: RunSpec
) -> None:
    (tmp_path / "raw").rename(tmp_path / "gone")
    places = [str(tmp_path / name) for name in ("cache", "node", "log")]
    context = multiprocessing.get_context("spawn")
    both = [context.Process(target=_ask, args=(raw_run, *places)) for _ in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join(120)
    assert [process.exitcode for process in both] == [0, 0]
    lines = (tmp_path / "log").read_text().splitlines()
    assert len(lines) == len(set(lines)) == 2 * len(keys(raw_run)), "each file of each pool once"


def test_a_node_may_have_its_cache_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "own"))
    shared = Workspace(runs=tmp_path / "runs", cache=tmp_path / "cache")
    url = "s3://bucket/experiment"
    remote = Workspace(runs=mirror_of(tmp_path / "cache", url) / "runs", cache=tmp_path / "cache", url=url)
    here = ray_worker.on_this_node(shared)
    assert (here.runs, here.cache) == (tmp_path / "runs", tmp_path / "own")
    assert ray_worker.on_this_node(remote).runs == mirror_of(tmp_path / "own", url) / "runs"
    monkeypatch.delenv("HARNESS_CACHE")
    assert ray_worker.on_this_node(shared) == shared
    assert ray_worker.on_this_node(remote) == remote


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
    tmp_path: Path, raw_run: RunSpec, two_nodes: str
) -> None:
    """Raw data is on neither node any more, so the far node fetches; its runs come back through a URL."""
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


class _Board:
    """Takes what a worker says, as Ray's actor does."""

    class begin:  # noqa: N801
        @staticmethod
        def remote(run_id: str) -> None:
            """Nobody reads it."""


def test_a_node_that_does_not_see_the_folder_of_the_runs_says_so(tmp_path: Path, run: RunSpec) -> None:
    import harness

    driver = ray_worker.Driver(origin=None, version=harness.__version__, execute=None, here=False)
    workspace = Workspace(runs=tmp_path / "elsewhere" / "runs", cache=tmp_path / "cache")
    outcome = ray_worker.in_worker(run, workspace, _Board, driver)
    assert (outcome.state, outcome.mistake) == ("failed", True)
    assert f"does not see {workspace.runs}: use a folder that all nodes" in str(outcome.error)
    assert "--out s3://bucket/experiment" in str(outcome.error)
    assert not workspace.runs.exists(), "nothing is left where nobody looks"
