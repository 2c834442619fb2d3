"""What the README shows works as it stands, as far as one machine can tell."""

import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import yaml

from harness import cli
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


def test_the_recipes_for_clusters_are_well_formed_and_call_what_is_there(tmp_path: Path) -> None:
    (manifest,) = re.findall(r"```yaml\n(.*?)```", README, flags=re.DOTALL)
    job = yaml.safe_load(manifest)
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    cluster = job["spec"]["rayClusterSpec"]
    pods = [group["template"]["spec"] for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"])]
    for pod in pods:
        mounted = {mount["name"] for container in pod["containers"] for mount in container["volumeMounts"]}
        assert mounted == {volume["name"] for volume in pod["volumes"]}
    (script,) = re.findall(r"```sh\n(#!/bin/bash\n#SBATCH.*?)```", README, flags=re.DOTALL)
    (tmp_path / "job.sh").write_text(script)
    assert subprocess.run(["bash", "-n", tmp_path / "job.sh"], check=False).returncode == 0
    commands = [job["spec"]["entrypoint"], *re.findall(r"harness run \S*metadataset_reuse.*", script)]
    for command in commands:
        words = shlex.split(command)
        assert words[:2] == ["harness", "run"]
        options = {word for word in words if word.startswith("--")}
        assert options == {"--data", "--cache", "--out", "--address"}
        assert options <= {option for parameter in cli.run.params for option in parameter.opts}
