"""What the sections on probes have in common: the numbers of all places, and small multiples of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from harness.report.album import Album
from harness.report.blocks import Figure
from harness.report.panels import natural
from harness.report.reuse_verdicts import EVERYTHING
from harness.report.source_grid import GridBlock, draw_grid, series_looks
from harness.report.style import Style


@dataclass(frozen=True, kw_only=True)
class Probed:
    """All that the sections are made of.

    frames: the probes of each place, as `reuse_numbers.prepared`. layers: all, in their order. fractions,
    on_head, gains: of `reuse_numbers.fractions`, and of `differences` to the head alone and to the steps as
    trained. sources, near: of each place, as they are shown.
    """

    frames: Mapping[str, pd.DataFrame]
    layers: tuple[str, ...]
    fractions: pd.DataFrame
    on_head: pd.DataFrame
    gains: pd.DataFrame
    sources: Mapping[str, tuple[str, ...]]
    near: Mapping[str, frozenset[str]]
    looks: Mapping[str, Style]

    def ordered(self, rows: pd.DataFrame, place: str) -> pd.DataFrame:
        """The rows of a place, by learner as it is written, then by source as it is shown."""
        own = rows[rows["place"] == place]
        of = {source: index for index, source in enumerate(self.sources[place])}
        methods = {name: index for index, name in enumerate(sorted(own["method"].unique(), key=natural))}
        keyed = own.assign(of_method=own["method"].map(methods), of_source=own["source"].map(of))
        return keyed.sort_values(["of_method", "of_source"], kind="stable")

    def layers_in(self, rows: pd.DataFrame) -> tuple[str, ...]:
        """The layers of `rows`, in their order."""
        there = set(rows["layer"])
        return tuple(layer for layer in self.layers if layer in there)

    def shown(self, rows: pd.DataFrame, place: str) -> tuple[str, ...]:
        """The sources of a place that are in `rows`."""
        there = set(rows["source"])
        return tuple(source for source in self.sources[place] if source in there)


def grid_figure(
    probed: Probed,
    place: str,
    album: Album,
    name: str,
    caption: str,
    blocks: Sequence[GridBlock],
    series: Sequence[str],
    *,
    label: str,
    looks: Mapping[str, Style] | None = None,
) -> Figure:
    """Small multiples over the sources of `blocks`, a line for each of `series`; looks: None for their own."""
    sources = probed.shown(pd.concat([block.rows for block in blocks]), place)
    shown = series_looks(series) if looks is None else looks
    return album.add(
        "reuse",
        name,
        caption,
        lambda path: draw_grid(blocks, sources, probed.near[place], shown, path, label=label),
    )


def points(rows: pd.DataFrame, series: str, x: pd.Series, scale: float = 1) -> pd.DataFrame:
    """`rows` (columns of `reuse_numbers.means`) as a `GridBlock` takes them."""
    return pd.DataFrame(
        {
            "source": rows["source"],
            "series": rows[series],
            "x": x.astype("float64"),
            "y": scale * rows["mean"],
            "ci": scale * rows["ci95"],
        }
    )


def learners(*frames: pd.DataFrame) -> list[str]:
    """The learners of `frames`, as they are written."""
    return sorted({str(name) for frame in frames for name in frame["method"].unique()}, key=natural)


def conditions(*frames: pd.DataFrame) -> list[tuple[str, str]]:
    """The learners of `frames` with each condition; `everything`, which all have, last."""
    found = {tuple(pair) for frame in frames for pair in frame[["method", "condition"]].to_numpy()}
    return sorted(found, key=lambda pair: (natural(pair[0]), pair[1] == EVERYTHING, pair[1]))


def own_rows(rows: pd.DataFrame, method: str, condition: str) -> pd.DataFrame:
    """The rows of one of `conditions`."""
    return rows[(rows["method"] == method) & (rows["condition"] == condition)]
