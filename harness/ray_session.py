"""Ray, running and quiet, for as long as runs need it. The only file that imports ray."""

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from harness.errors import ConfigError
from harness.ray_address import check_cluster, last_line, message_of
from harness.store import Workspace

WORKER_ENV = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
"""The environment of worker processes, unless it is set already."""

RAY_ENV = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # leave GPUs visible, and silence Ray's warning about it
    "RAY_DEDUP_LOGS": "0",
}

CLIENT_ATTEMPTS = 3
SLOW_SERVER = "Starting Ray client server failed"

Result = TypeVar("Result")


@contextlib.contextmanager
def ray_started(
    workspace: Workspace, cores: float, address: str | None, say: Callable[[str], None]
) -> Iterator[Any]:
    """The module ray, joined to the cluster at `address`, or to one of `cores` on this machine.

    say: told where the cluster's dashboard is, if it has one.

    Ray puts the driver's working directory first on every worker's sys.path, so the driver stands in the runs
    folder, which holds no code. Raises ConfigError where Ray cannot start, or does not answer at the address.
    """
    for name, value in RAY_ENV.items():
        os.environ.setdefault(name, value)
    if address and _has_token():
        os.environ.setdefault("RAY_AUTH_MODE", "token")  # harmless where the cluster asks for none
    if address:
        check_cluster(address)
    import ray

    env = {name: os.environ.get(name, value) for name, value in WORKER_ENV.items()}
    options: dict[str, Any] = {
        "runtime_env": {"env_vars": env},
        "log_to_driver": False,
        "logging_level": "ERROR",
    }
    if address:
        options |= {"address": address}
    else:
        options |= {
            "address": "local",  # None would join a cluster that runs on this machine
            "num_cpus": cores,
            "include_dashboard": False,
            "object_store_memory": 100 * 1024 * 1024,
        }
    with contextlib.chdir(workspace.runs):
        try:
            try:
                with _own_sigterm():
                    context = _started(ray.init, options)
            except (ConnectionError, RuntimeError, ValueError) as error:
                raise ConfigError(
                    f"Ray cannot start{f' at {address!r}' if address else ''}: {_reason(error)}. "
                    "Check --address and, where the cluster asks for a token, that it is in ~/.ray/auth_token here; "
                    "or use --backend serial."
                ) from error
            if context.dashboard_url:
                say(
                    f"Ray's dashboard, with the cluster's nodes, tasks and memory: http://{context.dashboard_url}"
                )
            yield ray
        finally:
            ray.shutdown()


def _started(init: Callable[..., Result], options: dict[str, Any]) -> Result:
    """Try again where a cluster's server for clients did not come up: it has 30 s, too few where a machine is busy."""
    for _ in range(CLIENT_ATTEMPTS - 1):
        try:
            return init(**options)
        except ConnectionError as error:
            if SLOW_SERVER not in str(error):
                raise
    return init(**options)


def _reason(error: Exception) -> str:
    """What went wrong, of a text that may hold a whole traceback."""
    text = str(error)
    return (message_of(last_line(text)) if "Traceback" in text else text).rstrip(".")


def ray_here() -> Any:
    """The module ray, in a process that Ray has started."""
    import ray

    return ray


def keeping_its_core(call: Callable[..., Result], *given: Any, **named: Any) -> Result:
    """`call`, which waits for Ray, made by a task that computes meanwhile or in a moment.

    Whenever a task's main thread waits for Ray, Ray gives its core to the next task, and does not take it back.
    """
    with ThreadPoolExecutor(1) as aside:
        return aside.submit(call, *given, **named).result()


def on_this_machine() -> dict[str, Any]:
    """Options of an actor that must be where this process is, and nowhere else."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    node = ray.get_runtime_context().get_node_id()
    return {"scheduling_strategy": NodeAffinitySchedulingStrategy(node_id=node, soft=False)}


def _has_token() -> bool:
    """Whether Ray has a token here. It makes one for its first cluster on a machine, and asks for it from then on, but
    gives it to a cluster that is named only where it is told to."""
    named = any(os.environ.get(name) for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"))
    return named or (Path.home() / ".ray" / "auth_token").is_file()


@contextlib.contextmanager
def _own_sigterm() -> Iterator[None]:
    """Keep this process's answer to SIGTERM: `ray.init` puts its own there, which kills without saving."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    if before is not None and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, before)
