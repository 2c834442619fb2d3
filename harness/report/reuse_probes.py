"""The report's sections on probes: for each, figures and tables a place, and the sentences that these support."""

from collections.abc import Iterator, Sequence

import pandas as pd

from harness.report import reuse_text as text
from harness.report.album import Album
from harness.report.blocks import Block, Section
from harness.report.probed import Probed, conditions, grid_figure, own_rows, points
from harness.report.reuse_layers import GRADIENTS, MOVEMENT, SIMILARITY, gradients, movement, similarity
from harness.report.reuse_numbers import BODY_ONLY, NOTHING, changes, freeze_order, means, pooled
from harness.report.reuse_tables import by_source, fraction_table, specialisation_table
from harness.report.reuse_verdicts import EVERYTHING, HEAD, HEAD_ONLY
from harness.report.source_grid import GridBlock, series_looks

_FREEZING = (
    "Accuracy of one trained network when only some of its layers adapt at test: from nothing, by the head alone and "
    "more and more layers below it, to everything; the body without the head stands apart. The reuse fraction is "
    "the share of the gain of full adaptation that adapting the head alone brings: (head only - nothing) / "
    "(everything - nothing). Bars are 95 % intervals of the means. †: a source of the training."
)
_READ_OUTS = (
    "Accuracy in % ± half the 95 % interval of other ways to classify from the features of the body, before and "
    "after adaptation. Bold: the highest mean of a learner and source."
)
_SPECIALISATION = (
    "How far apart the features of different classes are: separation is 0 where classes do not differ and 1 where "
    "they have collapsed. The tables have the last layer of the body, before → after adaptation: squared "
    "distances within and between classes, and spread, within / between over all episodes; the change of the "
    "separation is of the same episodes, ± half its 95 % interval. †: a source of the training."
)


def probe_sections(probed: Probed, album: Album) -> Iterator[Section]:
    """Freezing, similarity, movement, gradient flow, read-outs and specialisation, each where it was measured."""
    for title, note, make in (
        ("Freezing", _FREEZING, _freezing),
        ("Similarity before and after adaptation", SIMILARITY, similarity),
        ("Movement", MOVEMENT, movement),
        ("Gradient flow", GRADIENTS, gradients),
        ("Read-outs", _READ_OUTS, _read_outs),
        ("Specialisation", _SPECIALISATION, _specialisation),
    ):
        blocks = [block for place in probed.frames for block in make(probed, place, album)]
        yield Section(title=title, note=note, blocks=tuple(blocks))


def _freezing(probed: Probed, place: str, album: Album) -> Iterator[Block]:
    rows = probed.ordered(means(probed.frames[place], "freeze", ["condition"], ["accuracy"]), place)
    if rows.empty:
        return
    frozen = probed.frames[place][probed.frames[place]["probe"] == "freeze"]
    order = freeze_order([name for name in frozen["condition"].unique() if name in set(rows["condition"])])
    gains = probed.ordered(probed.on_head, place)
    beyond = gains[gains["condition"] != NOTHING]
    blocks = [_by_condition("accuracy, %", rows, order)]
    if len(beyond):
        part = tuple(name for name in order if name not in (NOTHING, HEAD_ONLY))
        blocks.append(_by_condition("gain on head only, points", beyond, part, zero=True))
    methods = list(rows["method"].unique())
    looks = {name: probed.looks.get(name, look) for name, look in series_looks(methods).items()}
    figure = grid_figure(
        probed, place, album, f"freezing-{place}", f"Accuracy against how much adapts, trained on {place}",
        blocks, methods, label="what adapts", looks=looks,
    )  # fmt: skip
    said = [text.freeze_said(str(name), group) for name, group in gains.groupby("method", sort=False)]
    yield Block(title=f"Trained on {place}", said=tuple(said), figure=figure)
    table = probed.ordered(probed.fractions, place)
    if len(table):
        said = [text.fraction_said(str(name), group) for name, group in table.groupby("method", sort=False)]
        yield Block(
            title=f"Reuse fraction, trained on {place}", said=tuple(said), table=fraction_table(table)
        )


def _by_condition(label: str, rows: pd.DataFrame, order: Sequence[str], *, zero: bool = False) -> GridBlock:
    return GridBlock(
        label=label,
        rows=points(rows, "method", rows["condition"].map(order.index), 100),
        categories=order,
        apart=float(order.index(BODY_ONLY)) if BODY_ONLY in order else None,
        zero=zero,
        bounds=(-100, 100) if zero else (0, 100),
    )


def _read_outs(probed: Probed, place: str, album: Album) -> Iterator[Block]:  # noqa: ARG001
    rows = probed.ordered(means(probed.frames[place], "read_outs", ["condition"], ["accuracy"]), place)
    if len(rows):
        said = [text.read_outs_said(str(name), group) for name, group in rows.groupby("method", sort=False)]
        table = by_source(rows, probed.sources[place], difference=False, name="Read-out")
        yield Block(title=f"Trained on {place}", said=tuple(said), table=table)


def _specialisation(probed: Probed, place: str, album: Album) -> Iterator[Block]:
    keys = ["condition", "layer", "quantity"]
    rows = probed.ordered(means(probed.frames[place], "specialisation", keys), place)
    whole = probed.ordered(pooled(probed.frames[place], "specialisation", keys), place)
    changed = probed.ordered(changes(probed.frames[place]), place)
    separation = rows[rows["quantity"] == "separation"]
    for method in list(dict.fromkeys(separation["method"])):
        own = separation[separation["method"] == method]
        layers = probed.layers_in(own)
        after = [condition for name, condition in conditions(own) if name == method and condition != NOTHING]
        names = {NOTHING: "before", **{condition: f"after, {condition} adapted" for condition in after}}
        lines = own[own["condition"].isin(list(names))]
        lines = lines.assign(series=lines["condition"].map(names))
        block = GridBlock(
            label="separation of classes",
            rows=points(lines, "series", lines["layer"].map(layers.index)),
            categories=layers,
            bounds=(0, 1),
        )
        figure = grid_figure(
            probed, place, album, f"specialisation-{method}-{place}",
            f"Separation of classes by layer, {method} trained on {place}",
            [block], list(names.values()), label="layer",
        )  # fmt: skip
        last = ([layer for layer in layers if layer != HEAD] or [HEAD])[-1]
        moved = own_rows(changed, method, EVERYTHING)
        moved = moved[(moved["layer"] == last) & (moved["quantity"] == "separation")]
        said = (text.specialisation_said(f"{last}, everything adapted", moved),) if len(moved) else ()
        both = pd.concat([rows, whole[whole["quantity"] == "spread"]])
        sides = both[(both["method"] == method) & (both["layer"] == last)]
        table = specialisation_table(sides, moved) if len(moved) else None
        yield Block(title=f"{method}, trained on {place}", said=said, figure=figure, table=table)
