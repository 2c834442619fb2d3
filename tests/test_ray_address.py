"""An address at which no Ray cluster answers is one sentence, soon, and before anything else is done."""

import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from experiments import write_tiny
from harness import cli, ray_address, ray_session
from harness.errors import ConfigError
from harness.ray_address import check_cluster, check_reachable
from harness.store import Workspace


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_address, "CONNECT_SECONDS", 1.5)
    monkeypatch.setattr(ray_address, "RAYS_PATIENCE", dict.fromkeys(ray_address.RAYS_PATIENCE, "1"))


@pytest.fixture
def silent() -> Iterator[str]:
    """The address of something that listens and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture
def dead() -> Iterator[socket.socket]:
    """Bound and not listening, so that nobody else gets the port and nobody answers there."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound


def port_of(bound: socket.socket) -> int:
    return int(bound.getsockname()[1])


@pytest.mark.parametrize("form", ["127.0.0.1:{}", "ray://127.0.0.1:{}"])
def test_a_dead_address_is_refused_before_anything_is_written(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    dead: socket.socket,
    form: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    write_tiny(tmp_path)
    address = form.format(port_of(dead))
    assert cli.main(["run", "tiny.gin", "--cache", "cache", "--address", address]) == 2
    said = capsys.readouterr().err
    assert said.startswith(
        f"Error: --address {address}: nothing has answered there for 1.5 s (Connection refused)."
    )
    assert said.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tiny.gin"]


def test_an_address_in_the_environment_is_tried_for_auto(
    dead: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{port_of(dead)}")
    with pytest.raises(ConfigError, match="--address auto: nothing has answered there"):
        check_reachable("auto")
    monkeypatch.delenv("RAY_ADDRESS")
    check_reachable("auto")  # Ray looks for the cluster itself


def test_a_head_may_start_a_little_later(dead: socket.socket) -> None:
    later = threading.Timer(0.7, dead.listen)
    later.start()
    check_reachable(f"127.0.0.1:{port_of(dead)}")
    later.join()


def test_something_that_is_no_ray_is_told_from_a_cluster(silent: str) -> None:
    check_reachable(silent)
    began = time.monotonic()
    with pytest.raises(ConfigError, match=rf"--address {silent}: Something listens there that is no Ray"):
        check_cluster(silent)
    assert time.monotonic() - began < 60


def test_ray_that_never_answers_is_waited_for_so_long_and_no_longer(
    silent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_address, "ANSWER_SECONDS", 0.1)
    with pytest.raises(ConfigError, match=r"no Ray has answered there for 0\.1 s"):
        check_cluster(silent)


@pytest.mark.parametrize(
    ("output", "said"),
    [
        ("a\nray.exceptions.AuthenticationError: RPC error: missing", "asks for a token"),
        (
            "RuntimeError: Ray version mismatch: 2.1 and 2.60.\n",
            "Ray version mismatch: 2.1 and 2.60. Check --address",
        ),
    ],
)
def test_what_ray_says_against_it_is_passed_on(
    silent: str, monkeypatch: pytest.MonkeyPatch, output: str, said: str
) -> None:
    refusing = subprocess.CompletedProcess([], 1, stdout="", stderr=output)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: refusing)
    with pytest.raises(ConfigError, match=said):
        check_cluster(silent)


@pytest.mark.parametrize("wrong", ["first", "first:", "first:70000", "http://first:1", "first:1/x"])
def test_what_is_no_address_is_refused(wrong: str) -> None:
    with pytest.raises(ConfigError, match="--address must be HOST:PORT"):
        check_reachable(wrong)


def test_a_name_that_no_machine_has_is_said_at_once() -> None:
    with pytest.raises(ConfigError, match=r"no machine called 'nowhere\.invalid'"):
        check_reachable("nowhere.invalid:6379")


SLOW = (
    "Initialization failure from server:\nTraceback (most recent call last):\n  File x, in Datapath\n"
    "RuntimeError: Starting Ray client server failed. See ray_client_server_23000.err for detailed logs.\n"
)


@pytest.mark.parametrize(("failures", "attempts"), [(2, 3), (9, 3)])
def test_a_busy_cluster_s_server_for_clients_is_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failures: int, attempts: int
) -> None:
    import ray

    asked = []

    def init(**options: object) -> SimpleNamespace:
        asked.append(options)
        if len(asked) <= failures:
            raise ConnectionError(SLOW)
        return SimpleNamespace(dashboard_url="")

    monkeypatch.setattr(ray, "init", init)
    monkeypatch.setattr(ray_session, "check_cluster", lambda _: None)
    monkeypatch.setattr(ray_session, "_has_token", lambda: False)  # or all of this process would ask for one
    (tmp_path / "runs").mkdir()
    workspace = Workspace(runs=tmp_path / "runs", cache=tmp_path)
    if failures < attempts:
        with ray_session.ray_started(workspace, 1, "ray://127.0.0.1:1", print) as module:
            assert module is ray
    else:
        said = r"Ray cannot start at 'ray://127.0.0.1:1': Starting Ray client server failed\. See ray_client_\S+ for"
        with (
            pytest.raises(ConfigError, match=said),
            ray_session.ray_started(workspace, 1, "ray://127.0.0.1:1", print),
        ):
            pass
    assert len(asked) == attempts
