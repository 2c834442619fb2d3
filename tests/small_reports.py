"""A report of few made-up runs, for the tests of what it says."""

from pathlib import Path
from typing import Any

from fake_runs import run_spec, write_run
from harness.report.build import build_report

SOURCES = {"glyphs": 0.85, "textures": 0.55}


def report(folder: Path, **changes: Any) -> str:
    given = {"title": "A title", "claim": "A claim.", "command": "harness run x.gin", **changes}
    return build_report(folder, **given).path.read_text(encoding="utf-8")


def three_methods(folder: Path, **changes: Any) -> None:
    for seed in (0, 1):
        for method, trainer in (("maml", None), ("anil", None), ("nil", "anil")):
            spec = run_spec(method, evaluated_on=tuple(SOURCES), seed=seed, trainer=trainer, **changes)
            write_run(folder / "runs", spec, SOURCES, steps=0 if method == "nil" else 10)


def everything(folder: Path) -> dict[str, bytes]:
    files = [path for path in folder.rglob("*") if path.is_file() and "runs" not in path.parts]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}
