"""Try every fault on real experiments, and write what was lost: `make faults`.

    python tests/faults/measure.py [--times 2] [--only WORDS] [--out reports/faults.md]

Each try: a small experiment (MAML, ANIL, NIL and a method that can go wrong, two seeds, so eight runs) is disturbed,
what is finished is noted, the same command is run again, and every number is compared with those of an undisturbed
experiment. Exit code 1 where anything was lost. Filling a disk and making one read-only mount a small tmpfs, which
needs root; without, these two are not tried.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

sys.path.insert(0, str(Path(__file__).parent))

from scene import Scene, furnish, numbers, read

from faults import FAULTS, Fault


@dataclass(frozen=True, kw_only=True)
class Try:
    """kept: runs finished by then. lost: those that did not come out as undisturbed. wrong: what else is."""

    code: int
    kept: int
    lost: list[str]
    wrong: list[str]
    seconds: float


def expected(root: Path, trouble: str) -> dict[str, pd.DataFrame]:
    """The rows of each run of the undisturbed experiment; what several troubles share is run once."""
    place = root / f"reference-{trouble}"
    until = root / f"until-{trouble}"
    furnish(place, trouble, until)
    until.touch()
    scene = Scene(place=place, cache=root / "cache", until=until, expected={})
    if (shared := root / "reference-runs").is_dir():
        shutil.copytree(shared, scene.runs)
    code, said = scene.run()
    if code != 0:
        raise RuntimeError(said)
    names = [str(name) for name in read(scene.runs / "experiment.json")["runs"]]  # type: ignore[attr-defined]
    if not shared.is_dir():
        shutil.copytree(scene.runs, shared, ignore=shutil.ignore_patterns("experiment.json", "config.gin"))
    return {name: numbers(scene.runs / name) for name in names}


def tried(root: Path, fault: Fault, rows: dict[str, pd.DataFrame], number: int) -> Try:
    """One try of a fault, in a folder that is removed again."""
    place = root / f"try-{number}"
    until = root / f"until-{fault.trouble}"
    furnish(place, fault.trouble, until)
    if fault.trouble == "none":
        until.touch()
    else:
        until.unlink(missing_ok=True)
    began = time.monotonic()
    scene = Scene(place=place, cache=root / "cache", until=until, expected=rows)
    try:
        code, said = fault.disturb(scene)
        wrong = [] if code in fault.codes else [f"ended with {code}: {said[-2000:]}"]
        wrong += [] if fault.says in said else [f"did not say {fault.says!r}: {said[-2000:]}"]
        wrong += ["a traceback was shown"] if "Traceback (most recent call last)" in said else []
        scene.more = ()
        again, said = scene.run()
        wrong += [] if again == 0 else [f"the same command again ended with {again}: {said[-2000:]}"]
        lost = scene.lost()
    finally:
        subprocess.run(["umount", str(scene.out)], capture_output=True, check=False)
    kept = len(scene.kept)
    shutil.rmtree(place)
    return Try(code=code, kept=kept, lost=lost, wrong=wrong, seconds=time.monotonic() - began)


def can_mount(root: Path) -> bool:
    """Whether this process may mount a file system."""
    place = root / "mountable"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(place)]
    try:
        done = subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False
    if done:
        subprocess.run(["umount", str(place)], check=True)
    return done


def table(results: dict[str, list[Try]], untried: list[str], command: str) -> str:
    """reports/faults.md."""
    lines = [
        "# What faults cost",
        "",
        f"Made by `{command}` (`make faults`). In each try an experiment of eight small runs is disturbed, the same",
        "command is run again, and every row of every run is compared with an undisturbed experiment's. Lost: runs",
        "finished by then whose files changed, and runs whose numbers differ at the end; it must be 0. By then: before",
        "a fault from outside, but for the run that is damaged; where a run itself goes wrong, in spite of it.",
        "",
        "| fault | tried | runs finished by then | ended with | lost results |",
        "| --- | ---: | ---: | --- | ---: |",
    ]
    for title, tries in results.items():
        kept = ", ".join(str(one.kept) for one in tries)
        codes = ", ".join(map(str, sorted({one.code for one in tries})))
        lost = sum(len(one.lost) for one in tries)
        wrong = sum(bool(one.wrong) for one in tries)
        lines.append(
            f"| {title} | {len(tries)} | {kept} | {codes}{f' ({wrong} not as expected)' if wrong else ''} | {lost} |"
        )
    lines += [f"| {title} | 0: this needs root | | | |" for title in untried]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Try, write, and say what was lost."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--times", type=int, default=2)
    parser.add_argument("--only", default="")
    parser.add_argument("--out", type=Path, default=Path("reports/faults.md"))
    options = parser.parse_args()
    results: dict[str, list[Try]] = {}
    untried: list[str] = []
    number = 0
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        mounts = can_mount(root)
        references: dict[str, dict[str, pd.DataFrame]] = {}
        for fault in (fault for fault in FAULTS if options.only in fault.title):
            if ("disk" in fault.title or "read-only" in fault.title) and not mounts:
                untried.append(fault.title)
                continue
            if fault.trouble not in references:
                references[fault.trouble] = expected(root, fault.trouble)
            for _ in range(options.times):
                number += 1
                one = tried(root, fault, references[fault.trouble], number)
                results.setdefault(fault.title, []).append(one)
                print(f"{fault.title}: {one.seconds:.0f} s, kept {one.kept}, lost {one.lost}", flush=True)
                for wrong in one.wrong:
                    print(f"  NOT AS EXPECTED: {wrong}", flush=True)
    command = f"python tests/faults/measure.py --times {options.times}" + (
        f" --only '{options.only}'" if options.only else ""
    )
    options.out.write_text(table(results, untried, command), encoding="utf-8")
    return int(any(one.lost or one.wrong for tries in results.values() for one in tries))


if __name__ == "__main__":
    sys.exit(main())
