"""Few-shot and meta-learning evaluation across domains.

Importing this package loads none of torch, ray or tensorflow; `tests/test_layout.py` keeps it so.
"""

__version__ = "0.1.0"
__all__ = ["__version__"]
