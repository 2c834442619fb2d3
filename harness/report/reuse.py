"""The report's section on reuse: verdicts first, then what the probes measured, then what was not run."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from harness.equivalence import FAILS, HOLDS, INCONCLUSIVE, TWO_SIDED
from harness.report.album import Album
from harness.report.blocks import Block, Said, Section
from harness.report.forest_figure import BAD, GOOD, OPEN, Claim, ForestPart, Interval, draw_forest
from harness.report.gather import Gathered
from harness.report.probed import Probed
from harness.report.reuse_across import Shown, across_missing, across_section
from harness.report.reuse_axes import unmeasured as unmeasured_distances
from harness.report.reuse_distance import distance_section
from harness.report.reuse_floor import near_guessing
from harness.report.reuse_numbers import (
    AS_TRAINED,
    PROBES,
    differences,
    fractions,
    layers_of,
    place_titles,
    prepared,
    unmeasured,
    with_places,
)
from harness.report.reuse_probes import probe_sections
from harness.report.reuse_tables import verdict_table
from harness.report.reuse_text import (
    distances_said,
    listed,
    pair_name,
    refused_said,
    unmeasured_said,
    verdict_said,
)
from harness.report.reuse_trends import PlaceTrends, trends
from harness.report.reuse_verdicts import HEAD_ONLY, OF_METHODS, Refusal, Verdicts, freezing, reference
from harness.report.style import Style
from harness.statistics import with_shots

ANSWER = "Is it reuse?"
"""The title of the first section: the verdicts in sentences."""

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
) -> tuple[tuple[Section, ...], list[PlaceTrends]]:
    """Draw the figures and say what they show; nothing without a pair to judge, a probe or trainings compared.

    With the trends that the section on dissimilarity shows.
    """
    probes = gathered.probes
    compared = len(gathered.across) or gathered.without_across
    if verdicts.rows.empty and not verdicts.refusals and probes.empty and not compared:
        return (), []
    episodes = with_shots(gathered.episodes).assign(ways=gathered.episodes["n_way"])  # also where they vary
    frame = prepared(probes)
    titles = place_titles(episodes, frame)
    episodes, frame = with_places(episodes, titles), with_places(frame, titles)
    places = _places(pd.concat([episodes[_SHOWN], frame[_SHOWN]]), episodes, gathered, titles)
    sections = [*_verdict_sections(gathered, verdicts, episodes, places, album)]
    refusals: list[Refusal] = []
    if len(frame):
        table, refused = fractions(with_places(freezing(probes), titles))
        refusals += refused
        of_place = dict(list(frame.groupby("place", sort=False)))
        shown = Probed(
            frames={place: of_place[place] for place in titles.values() if place in of_place},
            layers=layers_of(frame),
            fractions=table,
            on_head=differences(frame, "freeze", HEAD_ONLY),
            gains=differences(frame, "gradient_flow", AS_TRAINED),
            sources=places.sources,
            near=places.near,
            looks=looks,
        )
        sections += probe_sections(shown, album)
    found = trends(gathered, verdicts.judging, frame, titles)
    sections.append(across_section(gathered.across, _by_regime(places), album))
    sections.append(distance_section(found, places.sources, places.near, album))
    sections.append(_not_run(gathered, verdicts, refusals))
    return tuple(section for section in sections if section.blocks), found


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


def _by_regime(places: _Places) -> Shown:
    """The sources of each regime: those of its first place, then those of others."""
    sources: dict[str, dict[str, None]] = {}
    near: dict[str, frozenset[str]] = {}
    for key, place in places.titles.items():
        regime = str(key[0])
        sources.setdefault(regime, {}).update(dict.fromkeys(places.sources.get(place, ())))
        near[regime] = places.near.get(place, frozenset())
    return Shown(sources={regime: tuple(own) for regime, own in sources.items()}, near=near)


def _verdict_sections(
    gathered: Gathered, verdicts: Verdicts, episodes: pd.DataFrame, places: _Places, album: Album
) -> tuple[Section, Section]:
    """What holds where, in sentences; then the figures and tables. episodes: with their places."""
    rows, said, details = verdicts.rows, [], []
    if len(rows):
        rows = _in_order(with_places(rows, places.titles), places)
        for place, own in rows.groupby("place", sort=False):
            groups = [group for _, group in own.groupby(["comparison", "method", "a"], sort=False)]
            sentences = tuple(verdict_said(group, _refused(group, verdicts)) for group in groups)
            floor = near_guessing(episodes[episodes["place"] == place], own)
            said.append(Block(title=f"Trained on {place}", said=(*sentences, *([floor] if floor else []))))
            details += list(_verdict_blocks(str(place), groups, verdicts, places, album))
    else:
        said.append(Block(said=(Said("", _nothing_judged(gathered, verdicts)),)))
    return (
        Section(title=ANSWER, note=_question(verdicts), blocks=tuple(said)),
        Section(title="Verdicts in detail", note=_meaning(verdicts), blocks=tuple(details)),
    )


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


def _interval(row: Mapping[Any, Any]) -> Interval:
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
        parts.append(f"{low if low == high else f'{low} to {high}'} {words[int(high != 1)]}")
    return f"{', '.join(parts)} a source"


def _refused(group: pd.DataFrame, verdicts: Verdicts) -> int:
    key = tuple(group[["method", "a", "b", "trained_on"]].iloc[0])
    alike = [one for one in verdicts.refusals if (one.method, one.a, one.b, one.trained_on) == key]
    return len({one.source for one in alike if one.source})


def _question(verdicts: Verdicts) -> str:
    return (
        "Does adapting less do as well as adapting everything? The margin, the largest difference that does not "
        f"matter, was declared with the experiment: {_points(verdicts)}. That reuse holds is tested source by source, "
        f"that it fails with a correction for their number.{_seeds(verdicts.rows)}"
    )


def _meaning(verdicts: Verdicts) -> str:
    points = _points(verdicts)
    return (
        "Of a pair, a against b, the first adapts less and the second everything; the difference is the accuracy of a "
        "less that of b on the very same episodes, d is Cohen's, of the pairs. Reuse holds: a is not worse than b by "
        f"{points} or more (p < 0.05 on that source by itself, so that among many sources some may be said to hold by "
        f"chance; being better counts). Reuse fails: b is better by more than {points} (p < 0.05, "
        "corrected for the number of sources). All else is inconclusive: it cannot be told. "
        f"{TWO_SIDED} All numbers are in reuse.csv. †: a source of the training."
    )


def _points(verdicts: Verdicts) -> str:
    margin = verdicts.judging.margin_points
    return f"{margin:g} point" + ("" if margin == 1 else "s")


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


def _not_run(gathered: Gathered, verdicts: Verdicts, refusals: list[Refusal]) -> Section:
    said = refused_said([*verdicts.refusals, *refusals])
    probes = gathered.probes
    there = set(probes["probe"].unique())
    absent = [name for name in PROBES if name not in there]
    if len(absent) == len(PROBES):
        said.append(
            Said("Probes", "none was run: what is above rests on the accuracy of whole methods alone.")
        )
    elif absent:
        said.append(Said("Probes", f"{listed(absent)} {'was' if len(absent) == 1 else 'were'} not run."))
    if not (verdicts.rows["comparison"] == OF_METHODS).any() and len(probes):
        said.append(Said("Pairs of methods", "none was judged."))
    if others := sorted(there - set(PROBES)):
        said.append(Said(listed(others), "measured, and not shown here: this report knows no such probes."))
    said += [Said(f"Probes of {run.run_id}", f"{run.reason}.") for run in gathered.without_probes]
    said += unmeasured_said(unmeasured(probes))
    said += [Said(f"Distances by {run.run_id}", f"{run.reason}.") for run in gathered.without_distances]
    said += [Said("Similarity between trainings", f"{each.reason}.") for each in gathered.without_across]
    said += across_missing(gathered.across)
    said += distances_said(unmeasured_distances(gathered.distances))
    blocks = (Block(said=tuple(said)),) if said else ()
    return Section(title="What was not compared or not measured", note="", blocks=blocks)
