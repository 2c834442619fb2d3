"""The chapter on what adapts: what freezing costs, how alike features stay, how far layers move."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby

import pandas as pd

from harness.control.report.answer import freezing_block
from harness.control.report.freezing import Frozen
from harness.control.report.plots import freeze_spec
from harness.control.report.standings import where
from harness.control.report.view import Chapter
from harness.learner import HEAD
from harness.report.blocks import Block, Said, Section
from harness.report.panels import natural
from harness.report.settings import DASH, Table
from harness.report.style import Style

LAYERED = (
    ("pooled_cka", "CKA before against after (debiased, all tasks)"),
    ("svcca", "SVCCA before against after"),
    ("weight_change", "Relative change of the weights"),
    ("function_change", "Relative change of the output"),
)
"""Quantities of layers, and what their tables are called."""


def probe_chapter(
    probes: pd.DataFrame,
    frozen: Sequence[Frozen],
    without: Sequence[Said],
    looks: Mapping[str, Style],
    caveat: str,
) -> Chapter | None:
    """None where no probe was measured. frozen: what freezing changes, of `probes`, and caveat, on which tasks.

    without: which probes are left out, and why.
    """
    if not len(probes) and not without:
        return None
    cells = [one.cell for one in frozen]
    by_cell = sorted(frozen, key=lambda one: (one.cell, natural(one.method)))
    plots = [
        freeze_spec(where(cell, cells), list(own), looks)
        for cell, own in groupby(by_cell, key=lambda one: one.cell)
    ]
    sections = [section for section in (_freezing(probes, frozen, caveat), _layers(probes)) if section]
    if said := [*_reasons(probes), *without]:
        sections.append(Section(title="Not measured", note="", blocks=(Block(said=tuple(said)),)))
    return Chapter(anchor="adapts", title="What adapts", sections=tuple(sections), plots=tuple(plots))


def _freezing(probes: pd.DataFrame, frozen: Sequence[Frozen], caveat: str) -> Section | None:
    rows = probes[(probes["quantity"] == "return") & probes["value"].notna()]
    if not len(rows):
        return None
    note = (
        "Return after adaptation with only some layers adapted, mean over tasks and seeds; whatever a method itself "
        "adapts, under everything all its layers do. A trained body whose freezing costs nothing is reused as it is. "
        f"{caveat}".strip()
    )
    said = freezing_block(frozen, [one.cell for one in frozen])
    blocks = (Block(table=_table(rows, "condition", digits=1)), said)
    return Section(title="Freezing", note=note, blocks=blocks)


def _layers(probes: pd.DataFrame) -> Section | None:
    blocks = []
    for quantity, title in LAYERED:
        rows = probes[(probes["quantity"] == quantity) & probes["value"].notna()]
        if len(rows):
            blocks.append(Block(title=title, table=_table(rows, "layer", digits=3, also=["condition"])))
    if not blocks:
        return None
    note = (
        "Layer by layer, on the states that were visited before adaptation; means over tasks and seeds. CKA and SVCCA "
        "see neither shifts nor rescalings of a layer, and where states span few directions, as the two numbers of "
        "2D-Navigation do, they are close to 1 for any two networks, trained or not: there the relative change of "
        "the output and what freezing costs tell, and they do not."
    )
    return Section(title="Similarity and movement", note=note, blocks=tuple(blocks))


def _reasons(probes: pd.DataFrame) -> Iterator[Said]:
    rows = probes[probes["reason"] != ""].groupby(["method", "probe", "reason"]).size().reset_index(name="n")
    for row in rows.to_dict("records"):
        times = "1 row" if row["n"] == 1 else f"{row['n']} rows"
        yield Said(f"{row['method']}, {row['probe']}", f"{row['reason']} ({times})")


def _table(frame: pd.DataFrame, across: str, *, digits: int, also: Sequence[str] = ()) -> Table:
    """Rows by method, source and `also`, columns by `across`, means of the values."""
    several = frame["trained_on"].nunique() > 1
    keys = ["method", *(["trained_on"] if several else []), "source", *also]
    columns = sorted(dict.fromkeys(frame[across]), key=lambda name: name == HEAD)  # which is the last layer
    means = frame.groupby([*keys, across], sort=False)["value"].mean().unstack(across)
    rows = []
    for names, values in means.iterrows():
        assert isinstance(names, tuple)
        cells = [DASH if pd.isna(values[column]) else f"{values[column]:.{digits}f}" for column in columns]
        rows.append((*map(str, names), *cells))
    named = {"method": "Method", "trained_on": "Trained on", "source": "Source", "condition": "Adapted"}
    return Table(columns=(*(named[key] for key in keys), *map(str, columns)), rows=tuple(rows))
