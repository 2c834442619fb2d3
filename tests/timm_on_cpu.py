"""timm beside PyTorch's CPU build, with which the compiled part of PyPI's torchvision cannot be loaded.

timm uses none of that part's operators, but torchvision insists on knowing their names before it can be imported.
"""

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest
import torch

_LIBRARIES: list[torch.library.Library] = []


def timm() -> ModuleType:
    """The module; skips where it is not installed."""
    found = importlib.util.find_spec("torchvision")
    if found is None or importlib.util.find_spec("timm") is None:
        pytest.skip("timm is not installed: pip install -c constraints.txt -e '.[timm]'")
    assert found.origin is not None
    registrations = Path(found.origin).parent / "_meta_registrations.py"
    names = set(re.findall(r'register_fake\("torchvision::(\w+)"', registrations.read_text(encoding="utf-8")))
    known = {name.split(".")[0] for name in torch._C._dispatch_get_all_op_names()}
    unknown = sorted(name for name in names if f"torchvision::{name}" not in known)
    if unknown:
        library = torch.library.Library("torchvision", "FRAGMENT")
        for name in unknown:
            library.define(f"{name}() -> ()")
        _LIBRARIES.append(library)  # its names go when it does
    import timm as module

    return module
