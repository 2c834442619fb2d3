"""What the README shows a plugin author works as it stands."""

import re
from pathlib import Path
from typing import Any

from harness.testing import check_method

README = (Path(__file__).resolve().parents[1] / "README.md").read_text(encoding="utf-8")


def test_the_method_of_the_readme_keeps_the_contract() -> None:
    (code,) = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    names: dict[str, Any] = {"__name__": "my_package_head_only"}
    source = "\n".join(line.removeprefix("   ") for line in code.splitlines())
    exec(compile(source, "README.md", "exec"), names)
    failed = [check for check in check_method(names["HeadOnly"]()) if not check.passed]
    # A class made by exec is in no module, so it cannot be pickled; one in a package can.
    assert [check.name for check in failed] == ["frozen dataclass that pickles"]
