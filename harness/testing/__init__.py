"""Conformance kits: does a plugin keep its contract? Plugin authors run them in their own tests.

from harness.testing import check_dataset, check_method, check_probe

assert [check for check in check_method(MyMethod()) if not check.passed] == []
assert [check for check in check_dataset(MySource(), data_dir) if not check.passed] == []
assert [check for check in check_probe(MyProbe()) if not check.passed] == []
"""

from harness.testing.checks import Check
from harness.testing.dataset_checks import check_dataset
from harness.testing.method_checks import check_method
from harness.testing.probe_checks import check_probe

__all__ = ["Check", "check_dataset", "check_method", "check_probe"]
