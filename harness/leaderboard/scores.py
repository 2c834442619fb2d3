"""What methods are ranked by: accuracies on images, or returns on control tasks; the two are never in one ranking."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from harness.nested import Floats, Ints, half_width, nested_mean
from harness.report import panels
from harness.statistics import interval


@dataclass(frozen=True, kw_only=True)
class Score:
    """A kind of ranking.

    value: the column that is ranked by, the higher the better; scale: what it is multiplied by to be shown; caption,
    unit: what it is called then. row: what a row of it is. shape: columns of which each value is a ranking of its own.
    conditions: what must agree among rows that are ranked together; of_source: those of them that must agree source by
    source only; in_words: those whose values are lists such as `discount 0.9, trajectories 20`. ci95: half the 95 %
    interval of a mean of values under seeds. heading: what a ranking is called, from its conditions and those that set
    it apart from others.
    """

    value: str
    scale: float
    caption: str
    unit: str
    row: str
    shape: tuple[str, ...]
    conditions: tuple[str, ...]
    of_source: tuple[str, ...]
    in_words: tuple[str, ...]
    ci95: Callable[[Floats, Ints], float]
    heading: Callable[[Mapping[str, object], Sequence[str]], str]


def _episodes_heading(conditions: Mapping[str, object], apart: Sequence[str]) -> str:
    """That of the report's panel, and what else sets the ranking apart."""
    more = {"network": "network {}", "images": "images of {}"}
    said = (words.format(conditions[key]) for key, words in more.items() if key in apart)
    return ", ".join([panels.heading(conditions, apart), *said])


def _of_tasks(values: Floats, seeds: Ints) -> float:
    return half_width(nested_mean(values, seeds))


def _tasks_heading(conditions: Mapping[str, object], apart: Sequence[str]) -> str:
    """`test split`, and those conditions that set the ranking apart."""
    parts = [f"{key.replace('_', ' ')} {conditions[key]}" for key in apart if key in conditions]
    return ", ".join([f"{conditions['split']} split", *parts])


ACCURACY = Score(
    value="accuracy",
    scale=100,
    caption="Accuracy in %",
    unit="points",
    row="episode",
    shape=("split", "n_way", "shots"),
    conditions=(
        "protocol",
        "protocol_version",
        "image_size",
        "batch_norm",
        "precision",
        "network",
        "images",
        "n_query",
        "fingerprint",
        "max_images_per_class",
    ),
    of_source=("n_query", "fingerprint", "max_images_per_class"),
    in_words=("network", "images"),
    ci95=interval,
    heading=_episodes_heading,
)

RETURN = Score(
    value="return_after",
    scale=1,
    caption="Return after adaptation",
    unit="units of return",
    row="task",
    shape=("split",),
    conditions=("protocol_version", "network", "horizon", "sampling", "fingerprint"),
    of_source=("horizon", "sampling", "fingerprint"),
    in_words=("network", "sampling"),
    ci95=_of_tasks,
    heading=_tasks_heading,
)
