"""A leaderboard as text: Markdown, LaTeX for a paper, and one frame of all its numbers."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from harness.leaderboard.groups import RankedGroup
from harness.leaderboard.scores import Score
from harness.published_numbers import PAPERS, SPREADS, published_text
from harness.report.latex import latex_document
from harness.report.markdown import bold, escape, table
from harness.report.settings import Table

DASH = "\N{EN DASH}"

_RULES = (
    "Ranks by Meta-Dataset's rule: on each source the best mean that is left ties with all whose interval reaches it, "
    "|difference| <= √(ci² + ci²); tied methods share the average of their places.",
    "Paired ranks: the same, but two methods tie where the difference on the very same {row}s is not significant "
    "(p >= 0.05, Holm over all pairs of the source; seeds that disagree count). Only these use that all methods "
    "were tested on the same {row}s.",
)


def rules(score: Score) -> list[str]:
    """How ranks are made, in words."""
    return [rule.format(row=score.row) for rule in _RULES]


def title_of(group: RankedGroup) -> str:
    """`Trained on omniglot: 5-way 1-shot, test split`."""
    return f"Trained on {group.trained_on}: {group.score.heading(group.conditions, group.apart)}"


def group_table(group: RankedGroup) -> Table:
    """Methods by rank: both average ranks, then the score ± half the 95 % interval on each source."""
    sources = (*group.sources, *group.not_shared)
    best = {source: _ranked_first(group, source) for source in group.sources}
    rows = []
    for method in group.methods:
        row = [method, _rank(group.paired.average[method]) if group.paired else DASH]
        row.append(_rank(group.published[method].mean()) if group.sources else DASH)
        for source in sources:
            text = _cell(group, method, source)
            row.append(bold(text) if text != DASH and method in best.get(source, ()) else text)
        rows.append(tuple(row))
    columns = ("Method", "Paired rank", "Rank, Meta-Dataset's rule", *sources)
    return Table(columns=columns, rows=tuple(rows))


def _cell(group: RankedGroup, method: str, source: str) -> str:
    """What was measured of a method on a source; a dash for nothing."""
    found = group.cells[(group.cells["method"] == method) & (group.cells["source"] == source)]
    if found.empty:
        return DASH
    mean, half = (group.score.scale * float(found[name].iloc[0]) for name in (group.score.value, "ci95"))
    return f"{mean:.1f} ± {half:.1f}"


def _ranked_first(group: RankedGroup, source: str) -> tuple[str, ...]:
    """The methods that are best on a source or tie with the best."""
    table = group.paired.by_source if group.paired else group.published
    ranks = table.to_dict("index")[source]
    return tuple(str(name) for name, rank in ranks.items() if rank == min(ranks.values()))


def _rank(value: float) -> str:
    return f"{value:.2f}"


def markdown(
    groups: Sequence[RankedGroup],
    published: pd.DataFrame | None,
    figures: Sequence[str | None],
    notes: Sequence[str],
) -> str:
    """The page. figures: of each group, its path or None. published: rows to show beside, None for none."""
    parts = [
        "# Leaderboard",
        *map(escape, notes),
        *rules(groups[0].score),
        "Bold: first or tied with the first on a source.",
    ]
    for group, figure in zip(groups, figures, strict=True):
        parts += [f"## {escape(title_of(group))}", table(group_table(group))]
        if group.not_shared:
            n, of = len(group.sources), len(group.sources) + len(group.not_shared)
            others = escape(", ".join(group.not_shared))
            parts.append(
                f"Ranked on {n} of {of} sources; not on {others}, where not every method was tested."
            )
        if figure:
            parts.append(
                "![Average paired ranks; each column of dots holds methods of which no two can be told apart over all "
                f"sources]({figure})"
            )
        if group.unpaired:
            parts.append(f"No paired ranking: {escape(group.unpaired)}")
        if group.against is not None:
            unit, row = group.score.unit, group.score.row
            parts += [
                f"{unit.capitalize()} ahead of the baseline on the same {row}s, ± half the 95 % interval, p by Holm:"
            ]
            parts.append(table(against_table(group)))
    if published is not None:
        parts += [_published_section(published)]
    return "\n\n".join(parts) + "\n"


def against_table(group: RankedGroup) -> Table:
    """Each method against the baseline, source by source, in the score's unit; of a group that has one."""
    scale, heads = (
        group.score.scale,
        ("Method", "Source", "Difference", "p", f"{group.score.row.capitalize()}s"),
    )
    against = pd.DataFrame() if group.against is None else group.against
    rows = tuple(
        (
            row["method"],
            row["source"],
            f"{scale * row['difference']:+.1f} ± {scale * row['ci95']:.1f}",
            "< 0.001" if row["p_holm"] < 0.001 else f"{row['p_holm']:.3f}",
            str(row["n_episodes"]),
        )
        for row in _records(against)
    )
    return Table(columns=heads, rows=rows)


def _published_section(published: pd.DataFrame) -> str:
    parts = [
        "## Published elsewhere, not measured here",
        "As the papers have them: other episodes, images and trainings, so they are neither ranked nor paired with the "
        "rows above.",
    ]
    if published.empty:
        parts.append("No paper that is known here has numbers for these sources.")
    for _, rows in published.groupby(["paper", "trained_on", "n_way", "shots"], sort=False, dropna=False):
        found = _records(rows)
        one = found[0]
        shape = "" if pd.isna(one["n_way"]) else f", {one['n_way']}-way {one['shots']}-shot"
        spread = ", or ".join(dict.fromkeys(SPREADS[row["spread"]] for row in found))
        unit = "%" if one["unit"] == "percent" else "return"
        where = f"{PAPERS[one['paper']]}, trained on {escape(one['trained_on'])}{shape}"
        parts.append(f"{where} ({unit} ± {spread}):")
        sources = list(dict.fromkeys(row["source"] for row in found))
        cells = {(row["method"], row["source"]): _published_cell(row) for row in found}
        methods = list(dict.fromkeys(row["method"] for row in found))
        lines = tuple((m, *(cells.get((m, source), DASH) for source in sources)) for m in methods)
        parts.append(table(Table(columns=("Method", *sources), rows=lines)))
    return "\n\n".join(parts)


def _published_cell(row: dict[str, Any]) -> str:
    return f"{published_text(row)} ({row['note']})" if row["note"] else published_text(row)


def long_frame(groups: Sequence[RankedGroup]) -> pd.DataFrame:
    """A row a group, method and source, with both ranks there and on average."""
    frame = pd.concat([_long(group) for group in groups], ignore_index=True)
    first = ["trained_on", *groups[0].score.shape, "method", "source"]
    return frame[[*first, *(column for column in frame.columns if column not in first)]]


def _long(group: RankedGroup) -> pd.DataFrame:
    own = _records(group.cells)
    tables = {
        "rank_meta_dataset": group.published,
        "rank_paired": group.paired.by_source if group.paired else pd.DataFrame(),
    }
    for name, ranks in tables.items():
        values = ranks.to_dict("index")
        average = ranks.mean().to_dict()
        for row in own:
            row[name] = values.get(row["source"], {}).get(row["method"], float("nan"))
            row[f"average_{name}"] = average.get(row["method"], float("nan"))
    return pd.DataFrame([{"trained_on": group.trained_on, **group.conditions, **row} for row in own])


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(key): value for key, value in row.items()} for row in frame.to_dict("records")]


def latex(groups: Sequence[RankedGroup]) -> str:
    """A booktabs table a group, ready for a paper."""
    return latex_document(
        (f"{group.score.caption}, ± half the 95 % interval. {title_of(group)}.", group_table(group))
        for group in groups
    )
