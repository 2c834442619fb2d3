"""The report's section on similarity between trainings: are networks of two methods as alike as two of one?"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from harness.report.album import Album
from harness.report.blocks import Block, Said, Section
from harness.report.panels import natural
from harness.report.reuse_layers import SHARE, SIMILARITIES
from harness.report.reuse_text import listed
from harness.report.reuse_verdicts import HEAD
from harness.report.settings import DASH, Table
from harness.report.source_grid import GridBlock, draw_grid, series_looks

_NOTE = (
    "How alike the features of two networks are that were trained separately, with nothing adapted, layer by layer on "
    "the same images: other seeds of one method, two methods, and snapshots of a training with the network that it "
    "led to. A snapshot is also compared with itself after it has adapted to a source's test episodes: that is "
    "whether features move less as training goes on. 1: the same up to what the measure ignores. A mark is the mean "
    "over pairs; pairs have networks in common, so there are no intervals, and the table has the lowest and the "
    "highest pair. All numbers are in across.parquet. †: a source of the training."
)


@dataclass(frozen=True, kw_only=True)
class Shown:
    """Of each regime: its sources in the order of the report, and those of the training."""

    sources: Mapping[str, tuple[str, ...]]
    near: Mapping[str, frozenset[str]]


def across_section(across: pd.DataFrame, shown: Shown, album: Album) -> Section:
    """A figure, sentences and a table for each regime; empty where nothing was compared."""
    blocks: list[Block] = []
    known = across[across["value"].notna()]
    for regime in sorted(known["trained_on"].unique(), key=natural):
        own = known[known["trained_on"] == regime]
        if regime not in shown.sources:
            continue
        adapted = own["adapted"].fillna(False).astype(bool)
        if len(final := own[own["updates_a"].isna() & ~adapted]):
            blocks += _blocks(with_kinds(final), str(regime), shown, album)
        for method, course in own[own["updates_a"].notna() | adapted].groupby("method_a", sort=True):
            blocks.append(_course(course, str(method), str(regime), shown, album))
    return Section(title="Similarity between trainings", note=_NOTE, blocks=tuple(blocks))


def with_kinds(rows: pd.DataFrame) -> pd.DataFrame:
    """`rows` (columns results.ACROSS_COLUMNS) with `kind`: `anil and maml, one seed`, say."""
    kinds = []
    for one, other, same in zip(
        rows["method_a"], rows["method_b"], rows["seed_a"] == rows["seed_b"], strict=True
    ):
        first, second = sorted((str(one), str(other)), key=natural)
        name = f"two of {first}" if first == second else f"{first} and {second}"
        kinds.append(f"{name}, {'one seed' if same else 'other seeds'}")
    return rows.assign(kind=kinds)


def _blocks(rows: pd.DataFrame, regime: str, shown: Shown, album: Album) -> Iterator[Block]:
    there = set(rows["source"])
    sources = [source for source in shown.sources[regime] if source in there]
    layers = list(dict.fromkeys(rows["layer"]))
    kinds = sorted(rows["kind"].unique(), key=lambda kind: (not kind.startswith("two of"), natural(kind)))
    means = rows.groupby(["quantity", "kind", "layer", "source"])["value"].mean().reset_index()
    blocks = [
        GridBlock(
            label=SIMILARITIES[quantity],
            rows=pd.DataFrame(
                {
                    "source": own["source"],
                    "series": own["kind"],
                    "x": own["layer"].map(layers.index).astype("float64"),
                    "y": own["value"],
                    "ci": float("nan"),
                }
            ),
            categories=layers,
            bounds=SHARE,
        )
        for quantity in SIMILARITIES
        if len(own := means[means["quantity"] == quantity])
    ]
    figure = album.add(
        "reuse",
        f"trainings-{regime}",
        f"Similarity of features between trainings by layer, trained on {regime}",
        lambda path: draw_grid(blocks, sources, shown.near[regime], series_looks(kinds), path, label="layer"),
    )
    last = rows[rows["layer"] == layers[-1]]
    said = tuple(_said(last[last["kind"] == kind], kind, layers[-1]) for kind in kinds)
    yield Block(
        title=f"Trained on {regime} ({_count(rows)})",
        said=tuple(one for one in said if one is not None),
        figure=figure,
        table=_table(last, kinds, sources, layers[-1]),
    )


def _course(rows: pd.DataFrame, method: str, regime: str, shown: Shown, album: Album) -> Block:
    """CKA of a method's snapshots with the network that each led to, and of each with itself after adaptation."""
    rows = rows[rows["quantity"] == "cka"]
    layers = list(dict.fromkeys(rows["layer"]))
    there = set(rows["source"])
    sources = [source for source in shown.sources[regime] if source in there]
    kept = rows["adapted"].fillna(False).astype(bool)
    parts = [(label, own) for label, own in ((_LED_TO, rows[~kept]), (_ADAPTED, rows[kept])) if len(own)]
    blocks = [_followed(label, own[own["updates_a"].notna()]) for label, own in parts]
    title = f"{method} in the course of training on {regime}"
    figure = album.add(
        "reuse",
        f"course-{method}-{regime}",
        f"CKA of each layer, {title}",
        lambda path: draw_grid(
            blocks, sources, shown.near[regime], series_looks(layers), path, label="updates"
        ),
    )
    seeds = rows["seed_a"].nunique()
    return Block(
        title=f"{title} ({seeds} seed{'' if seeds == 1 else 's'})",
        said=(*_led_to_said(rows[~kept]), *_adapted_said(rows[kept])),
        figure=figure,
    )


_LED_TO, _ADAPTED = "CKA with the trained network", "CKA before and after adaptation"


def _followed(label: str, rows: pd.DataFrame) -> GridBlock:
    means = rows.groupby(["layer", "updates_a", "source"], sort=False)["value"].mean().reset_index()
    frame = pd.DataFrame(
        {
            "source": means["source"],
            "series": means["layer"],
            "x": means["updates_a"].astype("float64"),
            "y": means["value"],
            "ci": float("nan"),
        }
    )
    return GridBlock(label=label, rows=frame, bounds=SHARE)


def _led_to_said(rows: pd.DataFrame) -> Iterator[Said]:
    """How alike the first snapshot and the trained network are."""
    if rows.empty:
        return
    first = rows[rows["updates_a"] == rows["updates_a"].min()]
    means = first.groupby(["layer", "source"], sort=False)["value"].mean()
    said = ", ".join(
        f"{layer} {value:.2f}" for layer, value in means.groupby("layer", sort=False).mean().items()
    )
    lead = f"After {int(rows['updates_a'].min())} updates"
    yield Said(lead, f"{_LED_TO}, mean over sources: {said}.")


def _adapted_said(rows: pd.DataFrame) -> Iterator[Said]:
    """CKA before and after adaptation in the last layer of the body, mean over sources, from snapshot to snapshot."""
    body = [layer for layer in dict.fromkeys(rows["layer"]) if layer != HEAD]
    if not body:
        return
    last = rows[rows["layer"] == body[-1]]
    course = last.groupby("updates_a")["value"].mean()
    parts = [f"{value:.2f} after {int(updates)} updates" for updates, value in course.items()]
    final = last.loc[last["updates_a"].isna(), "value"]
    parts += [f"{final.mean():.2f} in the tested network"] if len(final) else []
    seed = int(rows["seed_a"].iloc[0])
    yield Said(
        "Before and after adapting everything",
        f"CKA of {body[-1]}, mean over sources, seed {seed}: {listed(parts)}.",
    )


def _count(rows: pd.DataFrame) -> str:
    sides = [rows[[f"method_{side}", f"seed_{side}"]].to_numpy().tolist() for side in ("a", "b")]
    trainings = {(str(method), int(seed)) for side in sides for method, seed in side}
    return f"{len(trainings)} trainings"


def _said(rows: pd.DataFrame, kind: str, layer: str) -> Said | None:
    """CKA in the last layer of the body, from the least alike source to the most alike."""
    means = rows[rows["quantity"] == "cka"].groupby("source")["value"].mean().sort_values(kind="stable")
    if means.empty:
        return None
    ends = [f"{means.iloc[place]:.2f} ({means.index[place]})" for place in (0, -1)]
    span = ends[0] if len(means) == 1 else f"from {ends[0]} to {ends[1]}"
    return Said(kind, f"CKA of {layer} {span}.")


def _table(last: pd.DataFrame, kinds: Sequence[str], sources: Sequence[str], layer: str) -> Table:
    cka = last[last["quantity"] == "cka"]
    rows = []
    for kind in kinds:
        own = cka[cka["kind"] == kind]
        cells = [_cell(own.loc[own["source"] == source, "value"]) for source in sources]
        rows.append((kind, *cells))
    return Table(columns=(f"CKA of {layer}", *sources), rows=tuple(rows))


def _cell(values: pd.Series) -> str:
    if values.empty:
        return DASH
    if len(values) == 1:
        return f"{values.iloc[0]:.2f}"
    return f"{values.mean():.2f} ({values.min():.2f} to {values.max():.2f})"


def across_missing(across: pd.DataFrame) -> list[Said]:
    """What could not be compared, said once for each regime, measure and reason."""
    missing = across[across["value"].isna() & (across["reason"] != "")]
    said = []
    for (regime, quantity, reason), own in missing.groupby(["trained_on", "quantity", "reason"]):
        where = listed(sorted(own["source"].unique()))
        lead = f"{SIMILARITIES.get(str(quantity), quantity)} between trainings on {regime}"
        count = "1 value is" if len(own) == 1 else f"{len(own)} values are"
        said.append(Said(lead, f"{count} missing, on {where}. {reason}"))
    return said
