"""Pools on a node that has none: made there once, the same as on the launching machine, or the run fails."""

import multiprocessing
import shutil
import socket
from dataclasses import replace
from pathlib import Path

import pytest

from experiments import prepared
from harness import node_pools, ray_worker
from harness.errors import DataError
from harness.node_pools import Part, PoolOffer, PoolServer, ensure_pools, offer_of
from harness.pool_journal import IMAGES
from harness.pool_lock import FOLDER
from harness.pool_writing import FACTS
from harness.pools import verify_pool
from harness.remote.places import mirror_of
from harness.resources import Resources
from harness.spec import RunSpec
from harness.store import Workspace
from squares import keys, run_on_squares


@pytest.fixture
def run(tmp_path: Path) -> RunSpec:
    """One whose pools are drawn by the source itself."""
    planned, _ = prepared(tmp_path)
    return planned.runs[0]


def nothing(key: str, name: str, offset: int) -> bytes | None:
    return None


def unasked(key: str, name: str, offset: int) -> bytes | None:
    raise AssertionError("fetched where the raw data is")


@pytest.fixture
def raw_run(tmp_path: Path) -> RunSpec:
    """One whose pools are read from raw data in `raw`, prepared in `cache`."""
    return run_on_squares(tmp_path)


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
    driver = ray_worker.Driver(origin=None, version="", execute=None, resources=Resources(), here=False)
    here = driver.place(shared)
    assert (here.runs, here.cache) == (tmp_path / "runs", tmp_path / "own")
    assert driver.place(remote).runs == mirror_of(tmp_path / "own", url) / "runs"
    monkeypatch.delenv("HARNESS_CACHE")
    assert driver.place(shared) == shared
    assert driver.place(remote) == remote
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "own"))
    assert replace(driver, here=True).place(shared) == shared, "on the driver's machine its --cache counts"


class _Board:
    """Takes what a worker says, as Ray's actor does."""

    class begin:  # noqa: N801
        @staticmethod
        def remote(run_id: str) -> None:
            """Nobody reads it."""


def test_a_node_that_does_not_see_the_folder_of_the_runs_says_so(tmp_path: Path, run: RunSpec) -> None:
    import harness

    driver = ray_worker.Driver(
        origin=None, version=harness.__version__, execute=None, resources=Resources(), here=False
    )
    workspace = Workspace(runs=tmp_path / "elsewhere" / "runs", cache=tmp_path / "cache")
    outcome = ray_worker.in_worker(run, workspace, _Board, driver)
    assert (outcome.state, outcome.mistake) == ("failed", True)
    assert f"does not see {workspace.runs}: use a folder that all nodes" in str(outcome.error)
    assert "--out s3://bucket/experiment" in str(outcome.error)
    assert not workspace.runs.exists(), "nothing is left where nobody looks"
