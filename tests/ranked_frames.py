"""Small experiments and frames of episodes to be ranked."""

from pathlib import Path

import pandas as pd

from fake_runs import episode_rows, run_spec, write_run
from harness.statistics import with_shots

SOURCES = ("glyphs", "digits")


def experiment(folder: Path, levels: dict[str, float], *, seeds: int = 1, **params: float) -> Path:
    """Runs of methods whose accuracy lies around these levels, on two sources."""
    for method, level in levels.items():
        for seed in range(seeds):
            spec = run_spec(method, evaluated_on=SOURCES, seed=seed, **params)
            write_run(folder / "runs", spec, level)
    return folder


def rows(method: str, level: float, **values: object) -> pd.DataFrame:
    return episode_rows([level + 0.01 * (k % 7) for k in range(40)], method=method, **values)


def frame(*parts: pd.DataFrame) -> pd.DataFrame:
    made = "channels 1, resize antialias, scaling unit"
    whole = pd.concat([part if "images" in part else part.assign(images=made) for part in parts])
    return with_shots(whole.reset_index(drop=True))
