"""What is recorded of the machine."""

import subprocess
import sys

import pytest

from harness.environment import describe_environment, peak_memory_mb

MEASURE = """
from harness.environment import peak_memory_mb, reset_peak_memory
large = bytearray(300 * 2**20)
before = peak_memory_mb()
del large
reset_peak_memory()
print(before, peak_memory_mb())
"""


def test_peak_memory_is_measured_from_the_reset_on() -> None:
    if peak_memory_mb() is None:
        pytest.skip("this system does not tell the peak memory of a process")
    done = subprocess.run([sys.executable, "-c", MEASURE], capture_output=True, text=True, check=True)
    before, after = map(int, done.stdout.split())
    assert before > 300
    assert after < 200


def test_versions_and_hardware_are_named() -> None:
    found = describe_environment()
    assert {"harness", "torch", "numpy", "python", "cpu", "cores"} <= set(found)
    assert all(found.values())


def test_a_package_that_is_missing_is_said_to_be_and_fails_no_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.environment.RECORDED", ("numpy", "no-such-package"))
    found = describe_environment()
    assert found["no-such-package"] == "not installed"
    assert found["numpy"][0].isdigit()
