"""What the README shows works as it stands, as far as one machine can tell."""

import pydoc
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness import cli, cli_results
from harness.config import load_experiment
from harness.plan import plan
from harness.testing import check_method

REPOSITORY = Path(__file__).resolve().parents[1]
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
EXPERIMENTS = (REPOSITORY / "gin" / "README.md").read_text(encoding="utf-8")
PAGES = [REPOSITORY / name for name in ("README.md", "CONTRIBUTING.md", "gin/README.md", "reports/README.md")]


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
    (manifest,) = re.findall(r"```yaml\n(.*?)```", EXPERIMENTS, flags=re.DOTALL)
    job = yaml.safe_load(manifest)
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    cluster = job["spec"]["rayClusterSpec"]
    pods = [group["template"]["spec"] for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"])]
    for pod in pods:
        mounted = {mount["name"] for container in pod["containers"] for mount in container["volumeMounts"]}
        assert mounted == {volume["name"] for volume in pod["volumes"]}
    (image,) = re.findall(r"```dockerfile\n(.*?)```", EXPERIMENTS, flags=re.DOTALL)
    pinned = re.search(r"^ray==(\S+)$", (REPOSITORY / "constraints.txt").read_text(), flags=re.MULTILINE)
    assert pinned is not None
    assert image.splitlines()[0] == f"FROM rayproject/ray:{pinned[1]}-py311"
    copied = re.search(r"COPY \S+ \. (\S+)", image)
    assert copied is not None
    config = job["spec"]["entrypoint"].split()[2]
    assert (REPOSITORY / config.removeprefix(f"{copied[1]}/")).is_file(), "where the image has it"
    (script,) = re.findall(r"```sh\n(#!/bin/bash\n#SBATCH.*?)```", EXPERIMENTS, flags=re.DOTALL)
    (tmp_path / "job.sh").write_text(script)
    assert subprocess.run(["bash", "-n", tmp_path / "job.sh"], check=False).returncode == 0
    commands = [job["spec"]["entrypoint"], *re.findall(r"harness run \S*metadataset_reuse.*", script)]
    for command in commands:
        words = shlex.split(command)
        assert words[:2] == ["harness", "run"]
        options = {word for word in words if word.startswith("--")}
        assert options == {"--data", "--cache", "--out", "--address"}
        assert options <= {option for parameter in cli.run.params for option in parameter.opts}


def ignored(path: str) -> bool:
    """Whether git would not offer the path to be committed."""
    asked = ["git", "check-ignore", "--quiet", path]
    return subprocess.run(asked, cwd=REPOSITORY, check=False).returncode == 0


@pytest.mark.skipif(not (REPOSITORY / ".git").exists(), reason="this is no clone")
def test_what_newcomers_run_changes_no_file_that_git_knows() -> None:
    """`make quickstart` leaves the report that comes along; commands have ignored folders of their own."""
    dry = subprocess.run(
        ["make", "--dry-run", "--always-make", "quickstart"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    (line,) = (line for line in dry.stdout.splitlines() if " run " in line and "quickstart.gin" in line)
    words = shlex.split(line)
    out = words[words.index("--out") + 1]
    assert ignored(f"{out}/report.md")
    assert not ignored("reports/quickstart/report.md")
    assert f"{out}/report.html" in README
    for command in (cli_results.leaderboard, cli_results.paper, cli_results.compare):
        (folder,) = (str(option.default) for option in command.params if "--out" in option.opts)
        assert ignored(f"{folder}/report.md"), command.name


def test_what_the_readme_has_pydoc_show_is_there() -> None:
    named = re.search(r"`python\s-m\spydoc\s(\S+)`,\s`(\S+)`,\s`(\S+)`", README)
    assert named is not None
    for path in named.groups():
        assert pydoc.locate(path) is not None, path


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_links_of_pages_lead_to_files_and_headings(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)\s]+)\)", page.read_text(encoding="utf-8"))
    assert links or page.name == "CONTRIBUTING.md"
    for link in links:
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        if anchor:
            headings = re.findall(r"^#+ (.*)$", target.read_text(encoding="utf-8"), flags=re.MULTILINE)
            anchors = {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}
            assert anchor in anchors, link


def test_the_experiments_that_come_along_are_all_on_their_page() -> None:
    linked = set(re.findall(r"\]\((\w+\.gin)\)", EXPERIMENTS))
    assert linked == {path.name for path in (REPOSITORY / "gin").glob("*.gin")}


def test_every_report_is_on_the_page_of_reports() -> None:
    text = (REPOSITORY / "reports" / "README.md").read_text(encoding="utf-8")
    linked = {link.partition("/")[0] for link in re.findall(r"\]\(([\w/]+(?:\.md)?)\)", text)}
    there = {path.name for path in (REPOSITORY / "reports").iterdir() if path.name != "README.md"}
    assert not there - linked
