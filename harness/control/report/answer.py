"""The beginning of the report, in sentences: verdicts on reuse, who gets the most, what adaptation is worth."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from harness.control.report.freezing import Frozen
from harness.control.report.standings import Standing, where
from harness.control.task_statistics import CELL, FEWEST_PAIRS
from harness.equivalence import FAILS, HOLDS, TWO_SIDED
from harness.report.blocks import Block, Said, Section

WORDS = (
    "A task is one of a source's distribution, such as a goal that the policy is not told; its return is the sum of "
    "the rewards of a trajectory, not discounted. Before adaptation the policy acts as it was trained; after it, as "
    "its policy-gradient steps on trajectories of that task made it. A network is a body and its last layer, the head: "
    "MAML adapts all of it, ANIL the head alone, BOIL the body alone. Features are reused where changing less is as "
    "good."
)
"""What a reader must know to read the report."""

MOST_NAMED = 4
"""Methods that are named behind a leader."""


def answer(
    judged: pd.DataFrame,
    found: Sequence[Standing],
    frozen: Sequence[Frozen],
    *,
    caveat: str,
    is_declared: bool,
    remarks: Sequence[Said] = (),
) -> tuple[Section, ...]:
    """Verdicts first, where something was judged; then returns, source by source; then what freezing costs.

    The last on the sources of the training; the chapter on what adapts has it of all. caveat: which tasks it is of.
    is_declared: whether the experiment's record has its margin. remarks: on what verdicts and returns rest on.
    """
    cells = [one.cell for one in found]
    sections = []
    if len(judged):
        said = (
            *(_verdict(row, cells) for row in judged.to_dict("records")),
            *remarks,
        )
        one_seed = (
            "" if (judged["n_seeds"] > 1).all() else " With one seed they are about these policies only."
        )
        set_by = (
            "which was set before"
            if is_declared
            else "which is not known, as the experiment's record is lost, and has its default here"
        )
        note = (
            "Does a policy whose last layer alone adapts get as much as one that adapts everything? Reuse holds where "
            f"it is worse by less than the margin, {set_by}; paired by task and seed.{one_seed} {TWO_SIDED}"
        )
        sections.append(Section(title="Feature reuse", note=note, blocks=(Block(said=said),)))
    gains = (*(_standing(one, cells) for one in found), *(() if sections else remarks))
    title = "Return" if sections or frozen else ""
    sections.append(Section(title=title, note="", blocks=(Block(said=gains),)))
    near = {one.cell for one in found if one.in_training}
    if shown := [one for one in frozen if one.cell in near]:
        note = (
            "Return when only some layers of a trained policy adapt, whatever its method adapts, on the same tasks of "
            f"the training's source. {caveat}".strip()
        )
        sections.append(Section(title="Within a policy", note=note, blocks=(freezing_block(shown, cells),)))
    return tuple(sections)


def freezing_block(frozen: Sequence[Frozen], cells: Sequence[Sequence[Any]]) -> Block:
    """A sentence a method and cell on what freezing costs. cells: all of the report, by which they are named."""
    said = tuple(Said(f"{one.method} on {where(one.cell, cells)}", one.sentence) for one in frozen)
    return Block(said=said)


def _verdict(row: Mapping[Any, Any], cells: Sequence[Sequence[Any]]) -> Said:
    verdict, margin = str(row["verdict"]), f"{row['margin']:g}"
    measured = (
        f"{row['difference']:+.1f} ± {row['ci95']:.1f} in return after adaptation, {row['n_tasks']} tasks"
    )
    if verdict == HOLDS:
        meaning = f"{row['a']} is not worse than {row['b']} by the margin of {margin}"
    elif verdict == FAILS:
        meaning = f"{row['a']} is worse than {row['b']} by more than the margin of {margin}"
    elif row["n_tasks"] < FEWEST_PAIRS:
        meaning = f"{row['a']} and {row['b']} share fewer than {FEWEST_PAIRS} tasks, too few for a test"
    else:
        meaning = f"these tasks and seeds cannot tell whether {row['a']} is worse than {row['b']} by {margin}"
    cell = [row[key] for key in CELL]
    return Said(
        f"{row['a']} against {row['b']} on {where(cell, cells)}", f"{verdict}: {meaning} ({measured})."
    )


def _standing(one: Standing, cells: Sequence[Sequence[Any]]) -> Said:
    best = one.rows[0]
    place = f"{where(one.cell, cells)} ({'in training' if one.in_training else 'not in training'})"
    verb = "gets the most" if len(one.rows) > 1 else "gets"
    text = f"{one.leader} {verb} after adaptation, {best['after']:.1f} ± {best['after_ci95']:.1f}."
    level = [gap for gap in one.behind if not gap.is_clear]
    behind = [gap for gap in one.behind if gap.is_clear]
    for words, gaps in (("No clear gap to", level), ("Behind by:", behind)):
        if gaps:
            named = ", ".join(f"{gap.method} {gap}" for gap in gaps[:MOST_NAMED])
            more = f" and {len(gaps) - MOST_NAMED} more" if len(gaps) > MOST_NAMED else ""
            text += f" {words} {named}{more}."
    return Said(place, f"{text} {_gains(one)}.")


def _gains(one: Standing) -> str:
    """What adaptation changes: `anil clearly better after adaptation (-40.7 to -18.3); ...`."""
    parts = []
    for row in one.rows:
        change = f"{row['before']:.1f} to {row['after']:.1f}"
        if not row["gain"]:
            said = f"not changed by adaptation ({row['after']:.1f})"
        elif abs(row["gain"]) > row["gain_ci95"]:
            said = f"clearly {'better' if row['gain'] > 0 else 'worse'} after adaptation ({change})"
        else:
            said = f"not clearly changed by adaptation ({change})"
        parts.append(f"{row['method']} is {said}")
    return "; ".join(parts)
