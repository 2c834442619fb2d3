"""Whether a Ray cluster answers at an address. Ray itself waits there for minutes, and then ends the process."""

import contextlib
import os
import re
import socket
import subprocess
import sys
import time

from harness.errors import ConfigError

CONNECT_SECONDS = 10.0
"""How long an address may refuse: the head of a cluster can start at the same time as this command."""

ANSWER_SECONDS = 90.0
"""For a process that imports Ray and asks it for an answer, on a busy machine."""

RAYS_PATIENCE = {
    "RAY_gcs_rpc_server_connect_timeout_s": "10",
    "RAY_gcs_rpc_server_reconnect_timeout_s": "10",
    "RAY_gcs_server_request_timeout_seconds": "10",
}
"""The environment in which Ray gives up on an address after seconds."""

CLIENT = "ray://"

NEXT = (
    "Check --address and that Ray runs there (`ray status` on its first machine; `ray start --head` starts one), or "
    "leave --address out to use this machine alone."
)


def check_reachable(address: str) -> None:
    """Raises ConfigError where nothing listens at `address` for CONNECT_SECONDS, or it is no address."""
    place = _host_and_port(address)
    if place is None:
        return
    deadline = time.monotonic() + CONNECT_SECONDS
    while True:
        try:
            with socket.create_connection(place, timeout=max(0.1, deadline - time.monotonic())):
                return
        except socket.gaierror as error:
            raise ConfigError(
                f"--address {address}: there is no machine called {place[0]!r} ({error.strerror}). {NEXT}"
            ) from error
        except OSError as error:
            if time.monotonic() + 0.5 >= deadline:
                raise ConfigError(
                    f"--address {address}: nothing has answered there for {CONNECT_SECONDS:g} s "
                    f"({error.strerror or error}). {NEXT}"
                ) from error
            time.sleep(0.5)


def check_cluster(address: str) -> None:
    """Raises ConfigError where no Ray cluster that takes this process answers at `address`, within ANSWER_SECONDS.

    In a process of its own, as Ray ends the one that waits for it in vain.
    """
    check_reachable(address)
    if address == "local" or address.startswith(CLIENT):
        return  # Ray starts the one itself, and gives up on the other by itself
    command = [sys.executable, "-P", "-m", "ray.scripts.scripts", "health-check", "--address", address]
    with contextlib.suppress(subprocess.TimeoutExpired):
        asked = subprocess.run(
            command,
            env={**os.environ, **RAYS_PATIENCE},
            capture_output=True,
            text=True,
            timeout=ANSWER_SECONDS,
            check=False,
        )
        if asked.returncode == 0:
            return
        raise ConfigError(f"--address {address}: {_why(asked.stderr)} {NEXT}")
    raise ConfigError(f"--address {address}: no Ray has answered there for {ANSWER_SECONDS:g} s. {NEXT}")


def _host_and_port(address: str) -> tuple[str, int] | None:
    """Where to knock; None where Ray is to look for the cluster, or to start one."""
    if address == "auto":
        address = os.environ.get("RAY_ADDRESS") or address
    if address in ("auto", "local"):
        return None
    found = re.fullmatch(r"\[?([^/\[\]]+?)\]?:(\d{1,5})", address.removeprefix(CLIENT))
    if found is None or int(found[2]) > 65535:
        raise ConfigError(
            f"--address must be HOST:PORT, {CLIENT}HOST:PORT or auto; got {address!r}. `ray start --head` prints "
            "the one to use."
        )
    return found[1], int(found[2])


def _why(output: str) -> str:
    """One sentence of what a process that asked Ray has written to its end."""
    last = last_line(output)
    if "AuthenticationError" in last:
        return "The cluster asks for a token, which must be in ~/.ray/auth_token here, too, or it asks for another one."
    if "Failed to connect to GCS" in last or not last:
        return "Something listens there that is no Ray, or another version of it."
    return f"{message_of(last)}".rstrip(".") + "."


def last_line(output: str) -> str:
    """The last that says something; empty where none does."""
    return next((line.strip() for line in reversed(output.splitlines()) if line.strip(" .")), "")


def message_of(line: str) -> str:
    """The last line of a traceback without the error's name."""
    return line.partition(": ")[2] or line
