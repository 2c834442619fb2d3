"""The ANIL paper's table of control tasks beside what was measured, and what of it was not run."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

PUBLISHED = {
    ("halfcheetah_direction", "maml"): (170.4, 21.0),
    ("halfcheetah_direction", "anil"): (363.2, 14.8),
    ("halfcheetah_velocity", "maml"): (-139.0, 18.9),
    ("halfcheetah_velocity", "anil"): (-120.9, 6.3),
    ("navigation2d", "maml"): (-20.3, 3.2),
    ("navigation2d", "anil"): (-20.1, 2.3),
}
"""Raghu et al. 2020 (arXiv 1909.09157): (source, method) -> mean ± standard deviation over three trainings."""


@dataclass(frozen=True, kw_only=True)
class PaperCell:
    """One cell: ours is the mean over seeds of the return after adaptation; its deviation is NaN for one seed."""

    source: str
    method: str
    published: float
    published_sd: float
    ours: float | None
    ours_sd: float
    n_seeds: int


def paper_cells(summaries: pd.DataFrame) -> Iterator[PaperCell]:
    """Every cell of the table, with what `task_statistics.summary` has of a training on that source, tested on it."""
    for (source, method), (published, deviation) in PUBLISHED.items():
        own = summaries[
            (summaries["source"] == source)
            & (summaries["trained_on"] == source)
            & (summaries["method"] == method)
            & (summaries["split"] == "test")
        ]
        # The longest horizon is the MAML paper's.
        row = own.sort_values("horizon").iloc[-1] if len(own) else None
        yield PaperCell(
            source=source,
            method=method,
            published=published,
            published_sd=deviation,
            ours=None if row is None else float(row["after"]),
            ours_sd=float("nan") if row is None else float(row["seed_sd"]),
            n_seeds=0 if row is None else int(row["n_seeds"]),
        )


def paper_lines(summaries: pd.DataFrame) -> list[str]:
    """The table as Markdown."""
    lines = [
        "| source | method | published | ours | difference | |",
        "| --- | --- | ---: | ---: | ---: | --- |",
    ]
    for cell in paper_cells(summaries):
        published = f"{cell.published:.1f} ± {cell.published_sd:.1f}"
        if cell.ours is None:
            lines.append(f"| {cell.source} | {cell.method} | {published} | | | not run |")
            continue
        spread = "" if np.isnan(cell.ours_sd) else f" ± {cell.ours_sd:.1f}"
        seeds = f"{cell.n_seeds} seed{'s' if cell.n_seeds > 1 else ''}"
        lines.append(
            f"| {cell.source} | {cell.method} | {published} | {cell.ours:.1f}{spread} | "
            f"{cell.ours - cell.published:+.1f} | {seeds} |"
        )
    return lines
