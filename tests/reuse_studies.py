"""Studies of maml, anil and nil with a known truth, and what their reports say of reuse."""

from pathlib import Path

import pandas as pd

from fake_probes import Truth, write_probes
from fake_runs import run_spec, write_run
from harness.report.build import build_report
from harness.store import RunFolder

LEVELS = {"glyphs": 0.8, "digits": 0.6, "textures": 0.4}
REUSED = Truth(
    body_gain=dict.fromkeys(LEVELS, 0.0),
    similarity=dict.fromkeys(LEVELS, 0.98),
    control_gain=-0.5,
    level=LEVELS,
)
LEARNT = Truth(
    body_gain={"glyphs": 0.0, "digits": 0.1, "textures": 0.2},
    similarity={"glyphs": 0.98, "digits": 0.8, "textures": 0.6},
    control_gain=0.3,
    level=LEVELS,
)


def study(
    folder: Path, truth: Truth = LEARNT, *, seeds: int = 2, probes: bool = True, few: int = 12, **more
) -> None:
    """maml, anil and nil trained on glyphs; maml gains what the truth says that the body gains."""
    for seed in range(seeds):
        for name, trainer in (("maml", None), ("anil", None), ("nil", "anil")):
            spec = run_spec(name, evaluated_on=tuple(LEVELS), seed=seed, trainer=trainer, **more)
            gain = truth.body_gain if name == "maml" else dict.fromkeys(LEVELS, 0.0)
            levels = {source: level + gain[source] for source, level in LEVELS.items()}
            run = write_run(folder / "runs", spec, levels, n_episodes=400, steps=0 if name == "nil" else 10)
            if probes:
                write_probes(run, spec, truth, n_episodes=100, few=few, steps=3, cannot_adapt=name == "nil")


def report(folder: Path, **changes) -> str:
    given = {"title": "T", "claim": "", "command": "harness run x.gin", **changes}
    return build_report(folder, **given).path.read_text(encoding="utf-8")


def section(text: str) -> str:
    """What is said of reuse alone: the answer in short, and the section."""
    answer = text.partition("### Is it reuse?\n")[2].partition("\n### Accuracy\n")[0]
    return answer + text.partition("## Reuse\n")[2].partition("\n## Results\n")[0]


def verdicts(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "reuse.csv", keep_default_na=False)


def changed(folder: Path, method: str, **columns) -> None:
    """Give all episodes of a method other values; a callable gets the frame."""
    for path in folder.glob(f"runs/{method}-*"):
        run = RunFolder(path)
        frame = pd.read_parquet(run.episodes)
        for name, value in columns.items():
            frame[name] = value(frame) if callable(value) else value
        run.write_episodes(frame)
