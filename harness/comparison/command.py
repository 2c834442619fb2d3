"""`harness compare A B`: read, pair, test, show, and write a page, its numbers and a figure."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.comparison.differences import A_BETTER, B_BETTER, OPEN, Difference, differences
from harness.comparison.measures import ACCURACY, Measure
from harness.comparison.sides import DEFAULT_MARGIN, Sides, read_sides
from harness.errors import ConfigError
from harness.files import make_folder, write_text
from harness.report.forest_figure import BAD, GOOD, Claim, ForestPart, Interval, draw_forest
from harness.report.forest_figure import OPEN as OPEN_MARK
from harness.report.markdown import escape, table
from harness.report.panels import natural
from harness.report.settings import DASH
from harness.report.settings import Table as Content
from harness.wording import p_value

CLAIMS = {
    A_BETTER: Claim(label=A_BETTER, colour=GOOD[0], marker=GOOD[1]),
    B_BETTER: Claim(label=B_BETTER, colour=BAD[0], marker=BAD[1]),
    "equal": Claim(label="equally good", colour=GOOD[0], marker="D"),
    OPEN: Claim(label=OPEN, colour=OPEN_MARK[0], marker=OPEN_MARK[1], filled=False),
}


@dataclass(frozen=True, kw_only=True)
class CompareRequest:
    """What the command line asks for, see `harness compare --help`."""

    a: Path
    b: Path
    out: Path
    margin: float | None = None


def compare(request: CompareRequest, console: Console) -> Path:
    """Write comparison.md, comparison.csv, comparison.png and .svg into `out`; returns the path of the first.

    Raises WorkspaceError and ConfigError as `read_sides` and `differences` do, and where no episode is shared.
    """
    sides = read_sides(request.a, request.b)
    measure = sides.measure
    margin = _margin(request, sides)
    found = differences(sides.episodes, margin, measure)
    if not found:
        raise ConfigError(_no_pairs(sides))
    out = make_folder(request.out)
    draw_forest(
        _parts(found, measure),
        _sources(found, measure),
        frozenset(),
        [CLAIMS[key] for key in CLAIMS if key in {_claim(one) for one in found}],
        out / "comparison.png",
        label=f"A less B, {measure.units}",
        margin=margin,
    )
    frame = pd.DataFrame(
        [
            {**one.names, **{k: v for k, v in vars(one).items() if k != "names"}, "said": one.said}
            for one in found
        ]
    )
    write_text(out / "comparison.csv", frame.to_csv(index=False, float_format="%.6g", lineterminator="\n"))
    content = _content(found, measure)
    write_text(out / "comparison.md", _page(sides, content, margin))
    _show(sides, content, console)
    console.print(f"Comparison: {out / 'comparison.md'}", highlight=False, soft_wrap=True)
    return out / "comparison.md"


def _no_pairs(sides: Sides) -> str:
    seeds = {side: sorted(map(int, own["seed"].unique())) for side, own in sides.episodes.groupby("side")}
    rows = sides.measure.rows
    same = "one seed, source and shape" if rows == "episode" else "one seed, source and horizon"
    return (
        f"{sides.names[0]} and {sides.names[1]} have no test {rows} in common: A has the seeds {seeds['A']}, B "
        f"{seeds['B']}, and {rows}s are the same for {same} only. Compare runs of one seed."
    )


def _margin(request: CompareRequest, sides: Sides) -> float:
    """What the user says, else what the experiments declared, else one. Raises ConfigError where these disagree."""
    if request.margin is not None:
        return request.margin
    if len(sides.margins) > 1:
        said = " and ".join(f"{margin:g}" for margin in sides.margins)
        raise ConfigError(
            f"The two experiments declare margins of {said} {sides.measure.units}: say with --margin which is meant."
        )
    return sides.margins[0] if sides.margins else DEFAULT_MARGIN


def _sources(found: Sequence[Difference], measure: Measure) -> list[str]:
    return sorted({measure.place(one.names) for one in found}, key=natural)


def _claim(one: Difference) -> str:
    return one.said if one.said in CLAIMS else "equal"


def _parts(found: Sequence[Difference], measure: Measure) -> list[ForestPart]:
    scale = measure.scale
    parts: dict[str, dict[str, Interval]] = {}
    for one in found:
        title = f"{one.names['method']}, trained on {one.names['trained_on']}"
        claim = CLAIMS[_claim(one)]
        parts.setdefault(title, {})[measure.place(one.names)] = Interval(
            value=scale * one.mean, low=scale * one.low, high=scale * one.high, claim=claim
        )
    return [ForestPart(title=title, rows=rows) for title, rows in parts.items()]


def _content(found: Sequence[Difference], measure: Measure) -> Content:
    scale = measure.scale
    columns = (
        "Method",
        "Trained on",
        "Source",
        "A less B",
        "95 % interval",
        "d",
        "p, equal",
        "p, differ",
        "Pairs",
        "So",
    )
    rows = tuple(
        (
            str(one.names["method"]),
            str(one.names["trained_on"]),
            measure.place(one.names),
            f"{scale * one.mean:+.2f}",
            f"{scale * one.low:+.2f} to {scale * one.high:+.2f}",
            DASH if pd.isna(one.d) else f"{one.d:+.2f}",
            _p(one.p_equivalent),
            _p(one.p_differ),
            f"{one.n_episodes} of {one.n_seeds} " + ("seed" if one.n_seeds == 1 else "seeds"),
            one.said,
        )
        for one in found
    )
    return Content(columns=columns, rows=rows)


def _p(value: float) -> str:
    return "too few" if pd.isna(value) else p_value(value)


def _remarks(sides: Sides) -> list[str]:
    """What a reader must know of the two sides, in sentences."""
    found = [f"They differ in {'; '.join(sides.differing)}."] if sides.differing else []
    if sides.shared_runs:
        runs = ", ".join(sides.shared_runs)
        found.append(f"Both have these runs, which are left out as nothing is compared with itself: {runs}.")
    return found


def _page(sides: Sides, content: Content, margin: float) -> str:
    measure = sides.measure
    kind = "networks" if measure is ACCURACY else "policies"
    parts = [
        "# Comparison",
        f"A is {escape(sides.names[0])}, B is {escape(sides.names[1])}; {measure.what} on the very same "
        f"{measure.rows}s.",
        *map(escape, _remarks(sides)),
        table(content),
        f"Equally good: the difference is smaller than the margin, {margin:g} "
        f"{measure.unit if margin == 1 else measure.units} (two "
        "one-sided tests, p < 0.05). Better: p < 0.05, corrected for the number of rows (Holm). d is Cohen's, of the "
        f"pairs. Seeds that disagree count; with one seed all is about these two {kind}.",
        "![A less B on each source, with 95 % intervals](comparison.png)",
    ]
    return "\n\n".join(parts) + "\n"


def _show(sides: Sides, content: Content, console: Console) -> None:
    for side, name in zip("AB", sides.names, strict=True):
        console.print(f"{side}: {name}", highlight=False, soft_wrap=True, markup=False)
    for remark in _remarks(sides):
        console.print(remark, highlight=False, soft_wrap=True, markup=False)
    shown = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    several = [len({row[place] for row in content.rows}) > 1 for place in (0, 1)]
    kept = [place for place in range(len(content.columns)) if place > 1 or several[place]]
    for place in kept:
        words = place < 3 or place == len(content.columns) - 1
        shown.add_column(Text(content.columns[place]), justify="left" if words else "right")
    for row in content.rows:
        shown.add_row(*(Text(row[place]) for place in kept))
    console.print(shown)
