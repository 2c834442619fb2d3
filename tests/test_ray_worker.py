"""A Ray worker is used again for other runs, so no interrupt may leave it half imported."""

import subprocess
import sys

INTERRUPTED = """
import importlib.abc, signal, sys

class Interrupting(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == {module!r}:
            sys.meta_path.remove(self)
            signal.raise_signal(signal.SIGINT)
        return None

signal.signal(signal.SIGINT, signal.default_int_handler)
sys.meta_path.insert(0, Interrupting())
from harness import ray_worker
try:
    ray_worker.load_whole()
except KeyboardInterrupt:
    print("interrupted")
import torch, sympy
sympy.printing
torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))]).step()
print("whole")
"""


def test_an_interrupt_waits_for_imports_and_leaves_them_whole() -> None:
    """It comes while PyTorch imports sympy, as when `Resources.hours` is over at once."""
    code = INTERRUPTED.format(module="sympy.printing")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["interrupted", "whole"]
