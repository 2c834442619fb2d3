"""The report's section on reuse: verdicts first, then what the probes measured, then what was not run."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pandas as pd

from harness.equivalence import FAILS, HOLDS, INCONCLUSIVE
from harness.report import reuse_probes
from harness.report.album import Album
from harness.report.blocks import Block, Said, Section
from harness.report.forest_figure import BAD, GOOD, OPEN, Claim, ForestPart, Interval, draw_forest
from harness.report.gather import Gathered
from harness.report.reuse_numbers import (
    PROBES,
    differences,
    fractions,
    place_titles,
    prepared,
    unmeasured,
    with_places,
)
from harness.report.reuse_tables import verdict_table
from harness.report.reuse_text import listed, pair_name, refused_said, verdict_said
from harness.report.reuse_verdicts import OF_METHODS, Refusal, Verdicts, freezing, reference
from harness.report.style import Style
from harness.statistics import with_shots

CLAIMS = {
    HOLDS: Claim(label=HOLDS, colour=GOOD[0], marker=GOOD[1]),
    FAILS: Claim(label=FAILS, colour=BAD[0], marker=BAD[1]),
    INCONCLUSIVE: Claim(label=INCONCLUSIVE, colour=OPEN[0], marker=OPEN[1], filled=False),
}


@dataclass(frozen=True, kw_only=True)
class _Places:
    """The sources of each place in the order in which they are shown; `near`: those of the training."""

    titles: dict[tuple[object, ...], str]
    sources: dict[str, tuple[str, ...]]
    near: dict[str, frozenset[str]]


def reuse_sections(
    gathered: Gathered, verdicts: Verdicts, looks: Mapping[str, Style], album: Album
) -> tuple[Section, ...]:
    """Draw the figures and say what they show; nothing where there is neither a pair to judge nor a probe."""
    probes = gathered.probes
    if verdicts.rows.empty and not verdicts.refusals and probes.empty:
        return ()
    episodes, frame = with_shots(gathered.episodes), prepared(probes)
    titles = place_titles(episodes, frame)
    episodes, frame = with_places(episodes, titles), with_places(frame, titles)
    places = _places(pd.concat([episodes[_SHOWN], frame[_SHOWN]]), episodes, gathered, titles)
    sections = [_verdict_section(gathered, verdicts, places, album)]
    refusals: list[Refusal] = []
    if len(frame):
        frozen = with_places(freezing(probes), titles)
        table, refused = fractions(frozen)
        to_full, more = differences(frame, "freeze", "everything")
        gains, others = differences(frame, "gradient_flow", "as trained")
        refusals += [*refused, *more, *others]
        shown = reuse_probes.Probed(
            frame=frame, fractions=table, to_full=to_full, gains=gains,
            sources=places.sources, near=places.near, looks=looks,
        )  # fmt: skip
        sections += reuse_probes.probe_sections(shown, album)
    sections.append(_not_run(gathered, verdicts, frame, refusals))
    return tuple(section for section in sections if section.blocks)


_SHOWN = ["place", "trained_on", "source"]


def _places(
    rows: pd.DataFrame, episodes: pd.DataFrame, gathered: Gathered, titles: dict[tuple[object, ...], str]
) -> _Places:
    """Sources of the training first, then by mean accuracy, highest first."""
    means = episodes.groupby("source")["accuracy"].mean().to_dict()
    found: dict[str, tuple[str, ...]] = {}
    near: dict[str, frozenset[str]] = {}
    for (place, regime), own in rows.groupby(["place", "trained_on"], sort=False):
        inside = gathered.in_training.get(str(regime), frozenset())
        names = sorted(own["source"].unique(), key=lambda s: (s not in inside, -means.get(s, -1.0), s))
        found[str(place)], near[str(place)] = tuple(names), inside
    return _Places(titles=titles, sources=found, near=near)


def _verdict_section(gathered: Gathered, verdicts: Verdicts, places: _Places, album: Album) -> Section:
    rows = verdicts.rows
    if len(rows):
        rows = _in_order(with_places(rows, places.titles), places)
    said: list[Said] = []
    blocks: list[Block] = []
    for place, own in rows.groupby("place", sort=False) if len(rows) else ():
        groups = [group for _, group in own.groupby(["comparison", "method", "a"], sort=False)]
        said += [_placed(verdict_said(group, _refused(group, verdicts)), str(place)) for group in groups]
        blocks += list(_verdict_blocks(str(place), groups, verdicts, places, album))
    first = (
        [Block(said=tuple(said))] if said else [Block(said=(Said("", _nothing_judged(gathered, verdicts)),))]
    )
    return Section(title="", note=_verdict_note(verdicts), blocks=(*first, *blocks))


def _placed(said: Said, place: str) -> Said:
    return Said(f"Trained on {place}, {said.lead}", said.text)


def _in_order(rows: pd.DataFrame, places: _Places) -> pd.DataFrame:
    """Rows by place, pair and source, each in the order of the report."""
    order = {place: number for number, place in enumerate(places.titles.values())}
    pair = rows.groupby(["comparison", "method", "a"], sort=False).ngroup()
    shown = [
        places.sources[place].index(source)
        for place, source in zip(rows["place"], rows["source"], strict=True)
    ]
    keyed = rows.assign(of_place=rows["place"].map(order), of_pair=pair, of_source=shown)
    return keyed.sort_values(["of_place", "of_pair", "of_source", "split"], kind="stable")


def _verdict_blocks(
    place: str, groups: list[pd.DataFrame], verdicts: Verdicts, places: _Places, album: Album
) -> Iterator[Block]:
    """The figure of a place, then a table a pair."""
    parts = [
        ForestPart(
            title=_name(group), rows={row["source"]: _interval(row) for row in group.to_dict("records")}
        )
        for group in groups
    ]
    shown = {source for part in parts for source in part.rows}
    sources = [source for source in places.sources[place] if source in shown]
    claims = [
        claim for verdict, claim in CLAIMS.items() if any((g["verdict"] == verdict).any() for g in groups)
    ]
    figure = album.add(
        "reuse",
        f"verdicts-{place}",
        f"Differences to full adaptation with 95 % intervals and verdicts, trained on {place}",
        lambda path: draw_forest(
            parts, sources, places.near[place], claims, path,
            label="difference, points", margin=verdicts.judging.margin_points,
        ),
    )  # fmt: skip
    yield Block(title=f"Trained on {place}", figure=figure)
    for group in groups:
        yield Block(title=f"{_name(group)}, trained on {place} ({_size(group)})", table=verdict_table(group))


def _interval(row: dict[str, float]) -> Interval:
    value, low, high = (100 * row[name] for name in ("difference", "low", "high"))
    return Interval(value=value, low=low, high=high, claim=CLAIMS[str(row["verdict"])])


def _name(group: pd.DataFrame) -> str:
    first = group.iloc[0]
    return pair_name(first["method"], first["a"], first["b"])


def _size(group: pd.DataFrame) -> str:
    """`3 seeds, 1800 episodes a source`."""
    parts = []
    for column, words in (("n_seeds", ("seed", "seeds")), ("n_episodes", ("episode", "episodes"))):
        low, high = group[column].min(), group[column].max()
        parts.append(f"{low if low == high else f'{low} to {high}'} {words[high != 1]}")
    return f"{', '.join(parts)} a source"


def _refused(group: pd.DataFrame, verdicts: Verdicts) -> int:
    key = tuple(group[["method", "a", "b", "trained_on"]].iloc[0])
    alike = [one for one in verdicts.refusals if (one.method, one.a, one.b, one.trained_on) == key]
    return len({one.source for one in alike if one.source})


def _verdict_note(verdicts: Verdicts) -> str:
    margin = verdicts.judging.margin_points
    points = f"{margin:g} point" + ("" if margin == 1 else "s")
    return (
        "Does adapting less do as well as adapting everything? Each pair (a against b) compares a, which adapts "
        f"less, with b, which adapts everything, on the very same episodes; a difference is a less b. The margin of "
        f"{points} was declared with the experiment. Reuse holds: a is not worse than b by {points} or more (p < "
        f"0.05; being better counts). Reuse fails: b is better by more than {points} (p < 0.05, corrected for the "
        f"number of sources). All else is inconclusive: it cannot be told.{_seeds(verdicts.rows)}"
    )


def _seeds(rows: pd.DataFrame) -> str:
    if rows.empty:
        return ""
    if (rows["n_seeds"] == 1).all():
        return (
            " There is one seed, so every verdict is about these trained networks only: it says nothing about "
            "training them again."
        )
    once = (
        " Where there is one seed, a verdict is about that trained network only."
        if (rows["n_seeds"] == 1).any()
        else ""
    )
    return f" Intervals and tests count how much the seeds disagree as well as the episodes.{once}"


def _nothing_judged(gathered: Gathered, verdicts: Verdicts) -> str:
    if verdicts.refusals:
        return "Nothing could be compared; the reasons are below."
    if reference(gathered.runs, verdicts.judging) is None:
        return (
            "There is no verdict between methods: none of them is known to adapt everything. "
            "Experiment.full_adaptation names the one that does."
        )
    return "There is no verdict: the experiment has no other method to judge, and no freeze probe."


def _not_run(gathered: Gathered, verdicts: Verdicts, frame: pd.DataFrame, refusals: list[Refusal]) -> Section:
    said = refused_said([*verdicts.refusals, *refusals])
    absent = [name for name in PROBES if name not in set(frame["probe"])]
    if len(absent) == len(PROBES):
        said.append(
            Said("Probes", "none was run: what is above rests on the accuracy of whole methods alone.")
        )
    elif absent:
        said.append(Said("Probes", f"{listed(absent)} {'was' if len(absent) == 1 else 'were'} not run."))
    if not (verdicts.rows["comparison"] == OF_METHODS).any() and len(frame):
        said.append(Said("Pairs of methods", "none was judged."))
    said += [Said(f"Probes of {run.run_id}", f"{run.reason}.") for run in gathered.without_probes]
    total = frame["source"].nunique()
    for row in unmeasured(frame).to_dict("records"):
        where = "" if len(row["source"].split(", ")) == total else f" on {row['source']}"
        lead = f"{row['probe']} of {row['method']}, trained on {row['trained_on']}"
        said.append(Said(lead, f"not measured{where}. {row['reason']}"))
    blocks = (Block(said=tuple(said)),) if said else ()
    return Section(title="What was not compared or not measured", note="", blocks=blocks)
