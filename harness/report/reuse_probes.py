"""The report's sections on probes: for each, a figure or table a place, and the sentences that these support."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from harness.report import reuse_text as text
from harness.report.album import Album
from harness.report.blocks import Block, Figure, Said, Section
from harness.report.forest_figure import BAD, GOOD, OPEN, Claim, ForestPart, Interval, draw_forest
from harness.report.panels import natural
from harness.report.reuse_numbers import (
    AS_TRAINED,
    BODY_ONLY,
    NOTHING,
    changes,
    freeze_order,
    means,
    pooled,
)
from harness.report.reuse_tables import by_source, fraction_table, specialisation_table
from harness.report.reuse_verdicts import HEAD_ONLY
from harness.report.source_grid import GridBlock, draw_grid, series_looks
from harness.report.style import Style

SIMILARITIES = ("cka", "svcca", "cca", "cosine")
MOVEMENTS = ("relative weight change", "relative function change")
GRADIENTS = ("gradient norm", "relative gradient norm", "cosine of successive steps")
DISTANCES = ("within", "between", "spread", "separation")

GAINS = (
    Claim(label="clearly better", colour=GOOD[0], marker=GOOD[1]),
    Claim(label="clearly worse", colour=BAD[0], marker=BAD[1]),
    Claim(label="neither", colour=OPEN[0], marker=OPEN[1], filled=False),
)


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

    def shown(self, rows: pd.DataFrame, place: str) -> tuple[str, ...]:
        """The sources of a place that are in `rows`."""
        there = set(rows["source"])
        return tuple(source for source in self.sources[place] if source in there)


def probe_sections(probed: Probed, album: Album) -> Iterator[Section]:
    """Freezing, similarity, movement, gradient flow, read-outs and specialisation, each where it was measured."""
    for title, note, make in (
        ("Freezing", _FREEZING, _freezing),
        ("Similarity before and after adaptation", _SIMILARITY, _similarity),
        ("Movement", _MOVEMENT, _movement),
        ("Gradient flow", _GRADIENTS, _gradients),
        ("Read-outs", _READ_OUTS, _read_outs),
        ("Specialisation", _SPECIALISATION, _specialisation),
    ):
        blocks = [block for place in probed.frames for block in make(probed, place, album)]
        yield Section(title=title, note=note, blocks=tuple(blocks))


_DAGGER = "†: a source of the training."
_FREEZING = (
    "Accuracy of one trained network when only some of its layers adapt at test: from nothing, by the head alone and "
    "more and more layers below it, to everything; the body without the head stands apart. The reuse fraction is "
    "the share of the gain of full adaptation that adapting the head alone brings: (head only - nothing) / "
    f"(everything - nothing). Bars are 95 % intervals of the means. {_DAGGER}"
)
_SIMILARITY = (
    "How alike the features of a layer are before and after adaptation: 1 is unchanged up to what the measure "
    "ignores. Above, means over episodes with 95 % intervals, which the sentences are about; below, where it was "
    f"measured, one estimate from the images of all episodes together. {_DAGGER}"
)
_MOVEMENT = (
    "How far each layer has moved after each inner step, relative to where it began: its weights, and the function "
    f"that it computes. Means over episodes, with 95 % intervals. {_DAGGER}"
)
_GRADIENTS = (
    "Could the body stay put only because its gradients vanish? The first figure has the gradients of the inner loop "
    "as trained; relative: divided by the norm of the weights. The second has the accuracy of controls that "
    "move the body more, less that as trained, on the same episodes: where larger steps of the body "
    f"do not pay, vanishing gradients are not the reason. *: the 95 % interval leaves out 0; not corrected. {_DAGGER}"
)
_READ_OUTS = (
    "Accuracy in % ± half the 95 % interval of other ways to classify from the features of the body, before and "
    "after adaptation. Bold: the highest mean of a learner and source."
)
_SPECIALISATION = (
    "Distances of features within and between classes, before → after adaptation. Spread is within / between; "
    "separation is 0 where classes do not differ and 1 where they have collapsed. The change of the separation is "
    "of the same episodes, ± half its 95 % interval."
)


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
    figure = album.add(
        "reuse",
        f"freezing-{place}",
        f"Accuracy against how much adapts, trained on {place}",
        lambda path: draw_grid(
            blocks, probed.shown(rows, place), probed.near[place], looks, path,
            label="what adapts",
        ),
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
        rows=_points(rows, "method", rows["condition"].map(order.index), 100),
        categories=order,
        apart=float(order.index(BODY_ONLY)) if BODY_ONLY in order else None,
        zero=zero,
    )


def _similarity(probed: Probed, place: str, album: Album) -> Iterator[Block]:
    each = probed.ordered(means(probed.frames[place], "similarity", ["layer", "quantity"]), place)
    whole = probed.ordered(pooled(probed.frames[place], "similarity", ["layer", "quantity"]), place)
    for method in _learners(each, whole):
        parts = [
            (label, part[part["method"] == method])
            for label, part in (("similarity, by episode", each), ("similarity, pooled", whole))
        ]
        parts = [(label, part) for label, part in parts if len(part)]
        both = pd.concat([part for _, part in parts])
        layers = _layers(probed, both)
        names = [name for name in SIMILARITIES if name in set(both["quantity"])]
        blocks = [
            GridBlock(
                label=label,
                rows=_points(_named(part), "quantity", part["layer"].map(layers.index)),
                categories=layers,
            )
            for label, part in parts
        ]
        said = [text.similarity_said(parts[0][1], name) for name in names]
        figure = _grid(
            probed, place, album, f"similarity-{method}-{place}",
            f"Similarity before and after adaptation by layer, {method} trained on {place}",
            blocks, both, [text.shown_name(name) for name in names], label="layer",
        )  # fmt: skip
        yield Block(title=f"{method}, trained on {place}", said=_known(said), figure=figure)


def _named(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.assign(quantity=rows["quantity"].map(text.shown_name))


def _movement(probed: Probed, place: str, album: Album) -> Iterator[Block]:
    rows = probed.ordered(means(probed.frames[place], "movement", ["layer", "step", "quantity"]), place)
    for method in _learners(rows):
        own = rows[rows["method"] == method]
        names = [name for name in MOVEMENTS if name in set(own["quantity"])]
        parts = [(name, own[own["quantity"] == name]) for name in names]
        blocks = [GridBlock(label=name, rows=_points(part, "layer", part["step"])) for name, part in parts]
        said = [text.movement_said(part, name) for name, part in parts]
        figure = _grid(
            probed, place, album, f"movement-{method}-{place}",
            f"Movement of layers by inner step, {method} trained on {place}",
            blocks, own, _layers(probed, own), label="inner step",
        )  # fmt: skip
        yield Block(title=f"{method}, trained on {place}", said=_known(said), figure=figure)


def _gradients(probed: Probed, place: str, album: Album) -> Iterator[Block]:
    frame = probed.frames[place]
    trained = frame[(frame["condition"] == AS_TRAINED) & (frame["layer"] != "")]
    rows = probed.ordered(means(trained, "gradient_flow", ["layer", "step", "quantity"]), place)
    gains = probed.ordered(probed.gains, place)
    for method in _learners(rows, gains):
        own = rows[rows["method"] == method]
        names = [name for name in GRADIENTS if name in set(own["quantity"])]
        parts = [(name, own[own["quantity"] == name]) for name in names]
        blocks = [
            GridBlock(label=name, rows=_points(part, "layer", part["step"]), log="norm" in name)
            for name, part in parts
        ]
        layers = _layers(probed, own)
        relative = own[own["quantity"] == GRADIENTS[1]]
        said = [text.gradient_said(relative, layers[0])] if len(relative) else []
        if len(own):
            figure = _grid(
                probed, place, album, f"gradients-{method}-{place}",
                f"Gradients of layers by inner step, {method} trained on {place}",
                blocks, own, layers, label="inner step",
            )  # fmt: skip
            yield Block(title=f"{method}, trained on {place}", said=_known(said), figure=figure)
        if len(gain := gains[gains["method"] == method]):
            yield _controls(probed, place, album, method, gain)


def _controls(probed: Probed, place: str, album: Album, method: str, gains: pd.DataFrame) -> Block:
    """What the controls do to accuracy: figure, sentence and table."""
    parts = [
        ForestPart(title=str(name), rows={row["source"]: _gain(row) for row in group.to_dict("records")})
        for name, group in gains.groupby("condition", sort=False)
    ]
    figure = album.add(
        "reuse",
        f"controls-{method}-{place}",
        f"Accuracy of controls less that as trained, with 95 % intervals, {method} trained on {place}",
        lambda path: draw_forest(
            parts, probed.shown(gains, place), probed.near[place], GAINS, path,
            label="gain, points", alike=True,
        ),
    )  # fmt: skip
    table = by_source(gains, probed.sources[place], difference=True, name="Control less as trained, points")
    title = f"Controls of {method}, trained on {place}"
    return Block(title=title, said=(text.controls_said(gains),), figure=figure, table=table)


def _read_outs(probed: Probed, place: str, album: Album) -> Iterator[Block]:  # noqa: ARG001
    rows = probed.ordered(means(probed.frames[place], "read_outs", ["condition"], ["accuracy"]), place)
    if len(rows):
        said = [text.read_outs_said(str(name), group) for name, group in rows.groupby("method", sort=False)]
        table = by_source(rows, probed.sources[place], difference=False, name="Read-out")
        yield Block(title=f"Trained on {place}", said=tuple(said), table=table)


def _specialisation(probed: Probed, place: str, album: Album) -> Iterator[Block]:  # noqa: ARG001
    rows = probed.ordered(means(probed.frames[place], "specialisation", ["condition", "quantity"]), place)
    if len(rows):
        changed = probed.ordered(changes(probed.frames[place]), place)
        groups = changed[changed["quantity"] == "separation"].groupby("method", sort=False)
        said = [text.specialisation_said(str(name), group) for name, group in groups]
        names = [name for name in DISTANCES if name in set(rows["quantity"])]
        table = specialisation_table(rows, changed, names)
        yield Block(title=f"Trained on {place}", said=tuple(said), table=table)


def _gain(row: Mapping[Any, Any]) -> Interval:
    reach = row["ci95"] if pd.notna(row["ci95"]) else 0.0
    low, high = row["mean"] - reach, row["mean"] + reach
    claim = GAINS[0] if low > 0 else GAINS[1] if high < 0 else GAINS[2]
    return Interval(value=100 * row["mean"], low=100 * low, high=100 * high, claim=claim)


def _grid(
    probed: Probed,
    place: str,
    album: Album,
    name: str,
    caption: str,
    blocks: Sequence[GridBlock],
    rows: pd.DataFrame,
    series: Sequence[str],
    *,
    label: str,
) -> Figure:
    """Small multiples over the sources of `rows`, a line for each of `series`."""
    sources, near, looks = probed.shown(rows, place), probed.near[place], series_looks(series)
    return album.add(
        "reuse",
        name,
        caption,
        lambda path: draw_grid(blocks, sources, near, looks, path, label=label),
    )


def _points(rows: pd.DataFrame, series: str, x: pd.Series, scale: float = 1) -> pd.DataFrame:
    """`rows` as a `GridBlock` takes them."""
    return pd.DataFrame(
        {
            "source": rows["source"],
            "series": rows[series],
            "x": x.astype("float64"),
            "y": scale * rows["mean"],
            "ci": scale * rows["ci95"],
        }
    )


def _learners(*frames: pd.DataFrame) -> list[str]:
    return sorted({str(name) for frame in frames for name in frame["method"].unique()}, key=natural)


def _layers(probed: Probed, rows: pd.DataFrame) -> tuple[str, ...]:
    there = set(rows["layer"])
    return tuple(layer for layer in probed.layers if layer in there)


def _known(said: Sequence[Said | None]) -> tuple[Said, ...]:
    return tuple(one for one in said if one is not None)
