"""What the README shows a plugin author works as it stands."""

import re
import shutil
from pathlib import Path
from typing import Any

from harness.config import load_experiment
from harness.plan import plan
from harness.testing import check_method

REPOSITORY = Path(__file__).resolve().parents[1]
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")


def test_the_method_of_the_readme_keeps_the_contract() -> None:
    (code,) = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    names: dict[str, Any] = {"__name__": "my_package_head_only"}
    source = "\n".join(line.removeprefix("   ") for line in code.splitlines())
    exec(compile(source, "README.md", "exec"), names)
    failed = [check for check in check_method(names["HeadOnly"]()) if not check.passed]
    # A class made by exec is in no module, so it cannot be pickled; one in a package can.
    assert [check.name for check in failed] == ["frozen dataclass that pickles"]


def test_the_experiment_of_the_readme_can_be_planned(tmp_path: Path) -> None:
    (wide,) = (
        block for block in re.findall(r"```\n(include.*?)```", README, flags=re.DOTALL) if "wide" in block
    )
    shutil.copytree(REPOSITORY / "gin", tmp_path / "gin")
    (tmp_path / "gin" / "wide.gin").write_text(wide, encoding="utf-8")
    experiment, _ = load_experiment(tmp_path / "gin" / "wide.gin")
    planned = plan(experiment, data_dir=None, cache=tmp_path)
    assert {e.shape.n_way for run in planned.runs for e in run.evaluations} == {5, 10}
    assert {run.train.shape.n_way for run in planned.runs} == {5}
