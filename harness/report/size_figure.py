"""Figures of accuracy against the size of episodes, where the protocol draws it."""

from collections.abc import Mapping
from functools import partial
from itertools import product

from harness.report.album import Album
from harness.report.blocks import Figure
from harness.report.panels import Panel
from harness.report.sizes import SIZES, by_size, sources_of
from harness.report.source_grid import GridBlock, draw_grid
from harness.report.style import Style


def draw_sizes(
    panel: Panel, near: Mapping[str, frozenset[str]], looks: Mapping[str, Style], album: Album
) -> tuple[Figure, ...]:
    """Accuracy against ways and against shots, source by source, a figure a regime; none where they do not vary."""
    found = []
    for regime, size in product(panel.regimes, SIZES):
        rows = by_size(panel, regime, size)
        if rows.empty:
            continue
        block = GridBlock(
            label="accuracy, %",
            rows=rows.rename(columns={"method": "series", "group": "x", "accuracy": "y"}),
            categories=size.groups,
            bounds=(0, 100),
        )
        own = {name: look for name, look in looks.items() if (rows["method"] == name).any()}
        draw = partial(
            draw_grid, [block], sources_of(rows, panel), near.get(regime, frozenset()), own, label=size.name
        )
        about = f"against {size.name}, trained on {regime}, {panel.heading}"
        caption = f"Accuracy {about}, source by source, with 95 % intervals"
        found.append(album.add("accuracy", about, caption, draw))
    return tuple(found)
