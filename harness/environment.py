"""The machine a run ran on: what it was, and how its memory is set up."""

import ctypes
import os
import platform
import sys
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
"""glibc's mallopt parameters (malloc.h)."""

RECORDED = ("harness", "torch", "numpy", "ray", "pandas", "gin-config")


def keep_freed_memory() -> bool:
    """Tell glibc to keep freed memory instead of giving it back to the kernel; False where it is not glibc.

    Tensors of the same sizes come and go each iteration. Given back and fetched again they cost a page fault
    a page. Works on the running process; the memory in use is unchanged.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    return bool(mallopt(M_MMAP_MAX, 0) and mallopt(M_TRIM_THRESHOLD, 2**31 - 1))


def reset_peak_memory() -> None:
    """Start the measurement of `peak_memory_mb` afresh, where the system can (Linux)."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_memory_mb() -> int | None:
    """The largest resident memory of this process since `reset_peak_memory`, MiB; None where unknown."""
    status = Path("/proc/self/status")
    for line in status.read_text(encoding="utf-8").splitlines() if status.exists() else []:
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) // 1024
    return None


def describe_environment() -> dict[str, str]:
    """Versions and hardware that a result can depend on, for status.json and the report.

    `gpu` is there only where this process has computed on one.
    """
    found = {name: _version(name) for name in RECORDED}
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        found["gpu"] = torch.cuda.get_device_name()
    return {
        **found,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cpu": _cpu_name(),
        "cores": str(os.cpu_count()),
    }


def _version(package: str) -> str:
    """Never an error: a run that is done must not fail for want of a package that it did not need."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or "unknown"
