"""The sections on what happens layer by layer: similarity, movement and gradient flow with its controls."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from harness.report import reuse_text as text
from harness.report.album import Album
from harness.report.blocks import Block, Said
from harness.report.forest_figure import BAD, GOOD, OPEN, Claim, ForestPart, Interval, draw_forest
from harness.report.probed import Probed, conditions, grid_figure, learners, own_rows, points
from harness.report.reuse_numbers import AS_TRAINED, means, over_steps, pooled
from harness.report.reuse_tables import by_source
from harness.report.reuse_verdicts import HEAD
from harness.report.source_grid import GridBlock

SIMILARITIES = {"cka": "CKA", "svcca": "SVCCA", "mean_cca": "mean CCA", "cosine": "cosine similarity"}
MOVEMENTS = {"weight_change": "relative weight change", "function_change": "relative function change"}
FLOWS = {
    "gradient_norm": "gradient norm",
    "relative_gradient": "relative gradient norm",
    "step_cosine": "cosine of successive steps",
}
"""Quantities of the probes, and what they are called here."""

SHARE, LENGTH = (0.0, 1.0), (0.0, math.inf)
"""What the means of similarities, and of lengths and their ratios, can be."""

ZEROED = ", head zeroed"
"""How the conditions of `gradient_flow` end that begin from a head of zeros."""

GAINS = (
    Claim(label="clearly better", colour=GOOD[0], marker=GOOD[1]),
    Claim(label="clearly worse", colour=BAD[0], marker=BAD[1]),
    Claim(label="neither", colour=OPEN[0], marker=OPEN[1], filled=False),
)

_CUT = "Intervals that reach beyond what the measure can be are cut there."
_DAGGER = "†: a source of the training."
SIMILARITY = (
    "How alike the features of a layer are before and after adaptation: 1 is unchanged up to what the measure "
    "ignores. By episode: means over episodes with 95 % intervals, which the sentences are about; pooled: one "
    f"estimate from all episodes together. {_CUT} {_DAGGER}"
)
MOVEMENT = (
    "How far each layer has moved after each inner step, relative to where it began: its weights, and what it computes "
    f"for the same images. Means over episodes, with 95 % intervals. {_CUT} {_DAGGER}"
)
GRADIENTS = (
    "Could the body stay put only because its gradients vanish? First the gradients of the inner loop as trained "
    f"({AS_TRAINED}), with everything adapted; relative: divided by the norm of the weights. Then controls that move "
    "the body more: the steps they take, how alike the features stay, and their accuracy less that as trained on the "
    "same episodes. Where features stay put and accuracy does not gain although the body takes larger steps, "
    f"vanishing gradients are not the reason. {_CUT} *: the 95 % interval leaves out 0; not corrected. {_DAGGER}"
)


def similarity(probed: Probed, place: str, album: Album) -> Iterator[Block]:
    """A figure a learner and set of adapted layers, where that set has some of the body."""
    keys = ["condition", "layer", "quantity"]
    each = probed.ordered(means(probed.frames[place], "similarity", keys, list(SIMILARITIES)), place)
    whole = probed.ordered(pooled(probed.frames[place], "similarity", keys), place)
    for method, condition in conditions(each, whole):
        title = f"{method}, {condition} adapted, trained on {place}"
        parts = [
            (label, own_rows(part, method, condition))
            for label, part in (("similarity, by episode", each), ("similarity, pooled", whole))
        ]
        parts = [
            (label, part.assign(series=part["quantity"].map(SIMILARITIES)))
            for label, part in parts
            if len(part)
        ]
        layers = probed.layers_in(pd.concat([part for _, part in parts]))
        if not _of_the_body(layers):
            yield Block(title=title, said=(Said("", _HEAD_ALONE),))
            continue
        blocks = [
            GridBlock(
                label=label,
                rows=points(part, "series", part["layer"].map(layers.index)),
                categories=layers,
                bounds=SHARE,
            )
            for label, part in parts
        ]
        first = parts[0][1]
        names = [
            name for name in SIMILARITIES.values() if any((part["series"] == name).any() for _, part in parts)
        ]
        said = [text.similarity_said(name, first[first["series"] == name], layers) for name in names]
        figure = grid_figure(
            probed, place, album, f"similarity-{method}-{condition}-{place}",
            f"Similarity before and after adaptation by layer, {title}", blocks, names, label="layer",
        )  # fmt: skip
        yield Block(title=title, said=_known(said), figure=figure)


def movement(probed: Probed, place: str, album: Album) -> Iterator[Block]:
    """A figure a learner and set of adapted layers, where that set has some of the body."""
    keys = ["condition", "layer", "step", "quantity"]
    rows = probed.ordered(means(probed.frames[place], "movement", keys), place)
    for method, condition in conditions(rows):
        title = f"{method}, {condition} adapted, trained on {place}"
        own = own_rows(rows, method, condition)
        parts = [(name, own[own["quantity"] == key]) for key, name in MOVEMENTS.items()]
        said = _known([text.movement_said(_capital(name), part) for name, part in parts if len(part)])
        layers = probed.layers_in(own)
        if not _of_the_body(layers):
            yield Block(title=title, said=(Said("", _HEAD_ALONE),))
            continue
        figure = grid_figure(
            probed, place, album, f"movement-{method}-{condition}-{place}",
            f"Movement of layers by inner step, {title}",
            [
                GridBlock(label=name, rows=points(part, "layer", part["step"]), bounds=LENGTH)
                for name, part in parts
                if len(part)
            ],
            layers, label="inner step",
        )  # fmt: skip
        yield Block(title=title, said=said, figure=figure)


def gradients(probed: Probed, place: str, album: Album) -> Iterator[Block]:
    """For each learner: its gradients as trained, what the controls change, and what they gain."""
    frame = probed.frames[place]
    trained = frame[(frame["condition"] == AS_TRAINED) & (frame["layer"] != "")]
    rows = probed.ordered(means(trained, "gradient_flow", ["layer", "step", "quantity"], list(FLOWS)), place)
    steps = probed.ordered(over_steps(frame, "gradient_flow", "relative_step", ["condition", "layer"]), place)
    alike = probed.ordered(means(frame, "gradient_flow", ["condition", "layer"], ["cka"]), place)
    gains = probed.ordered(probed.gains, place)
    for method in learners(rows, steps, alike, gains):
        title = f"{method}, trained on {place}"
        if len(own := rows[rows["method"] == method]):
            yield _flow(probed, place, album, method, own)
        parts = [
            (label, part[part["method"] == method], log)
            for label, part, log in (
                ("relative step, mean over steps", steps, True),
                ("CKA, before and after", alike, False),
            )
        ]
        if any(len(part) for _, part, _ in parts):
            yield _control_features(probed, place, album, method, parts)
        if len(gain := gains[gains["method"] == method]):
            yield _control_gains(probed, place, album, title, gain)


def _flow(probed: Probed, place: str, album: Album, method: str, rows: pd.DataFrame) -> Block:
    """The gradients of the inner loop as trained, by step."""
    title = f"{method}, trained on {place}"
    parts = [(key, name, rows[rows["quantity"] == key]) for key, name in FLOWS.items()]
    layers = probed.layers_in(rows)
    said = text.gradient_said(rows[rows["quantity"] == "relative_gradient"], layers[0])
    figure = grid_figure(
        probed, place, album, f"gradients-{method}-{place}", f"Gradients of layers by inner step, {title}",
        [
            GridBlock(
                label=name, rows=points(part, "layer", part["step"]), log=key != "step_cosine",
                bounds=(-1, 1) if key == "step_cosine" else LENGTH,
            )
            for key, name, part in parts
            if len(part)
        ],
        layers, label="inner step",
    )  # fmt: skip
    return Block(title=title, said=_known([said]), figure=figure)


def _control_features(
    probed: Probed, place: str, album: Album, method: str, parts: Sequence[tuple[str, pd.DataFrame, bool]]
) -> Block:
    """Steps and similarity by layer under the controls that begin from the trained head."""
    kept = [(label, part[~part["condition"].str.endswith(ZEROED)], log) for label, part, log in parts]
    frame = probed.frames[place]
    flow = frame[frame["probe"] == "gradient_flow"]
    order = [str(name) for name in flow["condition"].unique() if not str(name).endswith(ZEROED)]
    layers = probed.layers_in(pd.concat([part for _, part, _ in kept]))
    alike = kept[-1][1]
    said = [text.similarity_said(f"CKA, {name}", alike[alike["condition"] == name], layers) for name in order]
    title = f"Controls of {method}: steps and features, trained on {place}"
    figure = grid_figure(
        probed, place, album, f"control-steps-{method}-{place}",
        f"Steps and similarity by layer under controls, {method} trained on {place}",
        [
            GridBlock(
                label=label, rows=points(part, "condition", part["layer"].map(layers.index)), categories=layers,
                log=log, bounds=LENGTH if log else SHARE,
            )
            for label, part, log in kept
            if len(part)
        ],
        order, label="layer",
    )  # fmt: skip
    return Block(title=title, said=_known(said), figure=figure)


def _control_gains(probed: Probed, place: str, album: Album, title: str, gains: pd.DataFrame) -> Block:
    """What the controls do to accuracy: figure, sentence and table."""
    parts = [
        ForestPart(title=str(name), rows={row["source"]: _gain(row) for row in group.to_dict("records")})
        for name, group in gains.groupby("condition", sort=False)
    ]
    figure = album.add(
        "reuse",
        f"control-gains-{title}",
        f"Accuracy of controls less that as trained, with 95 % intervals, {title}",
        lambda path: draw_forest(
            parts,
            probed.shown(gains, place),
            probed.near[place],
            GAINS,
            path,
            label="gain, points",
            alike=True,
        ),
    )
    table = by_source(gains, probed.sources[place], difference=True, name="Control less as trained, points")
    said = (text.controls_said(gains),)
    return Block(title=f"Controls of {title}: accuracy", said=said, figure=figure, table=table)


_HEAD_ALONE = "Only the head adapts, so the body is the same before and after."


def _gain(row: Mapping[Any, Any]) -> Interval:
    reach = row["ci95"] if pd.notna(row["ci95"]) else 0.0
    low, high = row["mean"] - reach, row["mean"] + reach
    claim = GAINS[0] if low > 0 else GAINS[1] if high < 0 else GAINS[2]
    return Interval(value=100 * row["mean"], low=100 * low, high=100 * high, claim=claim)


def _of_the_body(layers: Sequence[str]) -> bool:
    return any(layer != HEAD for layer in layers)


def _capital(name: str) -> str:
    return name[:1].upper() + name[1:]


def _known(said: Sequence[Said | None]) -> tuple[Said, ...]:
    return tuple(one for one in said if one is not None)
