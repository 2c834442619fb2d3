"""What a random search draws from: `('log_uniform', 0.01, 1.0)` and its kin."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from harness.errors import ConfigError, did_you_mean, named_choices
from harness.search.written import written

EXAMPLES = {
    "uniform": "('uniform', 0.0, 0.5)",
    "log_uniform": "('log_uniform', 0.01, 1.0)",
    "whole": "('whole', 1, 10)",
    "choice": "('choice', [16, 32])",
}
"""Kind of range -> how it is written. Both ends belong to a range."""

DIGITS = 6
"""Significant digits of a drawn number, so that it can be typed and stays the same wherever it is read."""


@dataclass(frozen=True)
class Range:
    """One parameter's range: its kind, and its ends, or the values of a choice as gin text."""

    kind: str
    low: float = 0.0
    high: float = 0.0
    values: tuple[str, ...] = ()

    def draw(self, rng: np.random.Generator) -> str:
        """One value as gin text; takes the same numbers from `rng` whatever else is searched."""
        if self.kind == "choice":
            return self.values[int(rng.integers(len(self.values)))]
        if self.kind == "whole":
            return str(int(rng.integers(int(self.low), int(self.high) + 1)))
        if self.kind == "log_uniform":
            return self.written(math.exp(rng.uniform(math.log(self.low), math.log(self.high))))
        return self.written(rng.uniform(self.low, self.high))

    def written(self, drawn: float) -> str:
        """A number of a continuous range as gin text: of few digits, and within the ends."""
        return repr(min(max(float(f"{drawn:.{DIGITS}g}"), float(self.low)), float(self.high)))


def read_range(place: str, value: Any) -> Range:
    """The range that `value` writes. Raises ConfigError for anything else; `place` names the parameter's range."""
    if not (isinstance(value, list | tuple) and value and isinstance(value[0], str)):
        raise ConfigError(f"{place} must be a range, such as {', '.join(EXAMPLES.values())}; got {value!r}.")
    kind, *rest = value
    if kind not in EXAMPLES:
        raise ConfigError(
            f"{place} must be a range of one of the kinds {named_choices(EXAMPLES)}; got {kind!r}."
            f"{did_you_mean(kind, EXAMPLES)}"
        )
    if kind == "choice":
        return _choice(place, rest)
    low, high = _ends(place, kind, rest)
    if not low < high:
        raise ConfigError(
            f"{place} is upside down or empty: its lower end {low!r} must lie below its upper end {high!r}. "
            f"Write it as {EXAMPLES[kind]}."
        )
    if kind == "log_uniform" and low <= 0:
        raise ConfigError(
            f"{place} must begin above 0 to be drawn by its logarithm; got {low!r}. Use 'uniform', or raise it."
        )
    return Range(kind, low, high)


def _choice(place: str, rest: list[Any]) -> Range:
    if len(rest) != 1 or not isinstance(rest[0], list | tuple) or not rest[0]:
        raise ConfigError(
            f"{place} must choose from a list with at least one value, written {EXAMPLES['choice']}; "
            f"got {('choice', *rest)!r}."
        )
    return Range("choice", values=tuple(written(place, item) for item in rest[0]))


def _ends(place: str, kind: str, rest: list[Any]) -> tuple[Any, Any]:
    allowed = int if kind == "whole" else (int, float)
    if len(rest) != 2 or not all(
        isinstance(end, allowed) and not isinstance(end, bool) and math.isfinite(end) for end in rest
    ):
        number = "whole numbers" if kind == "whole" else "finite numbers"
        raise ConfigError(
            f"{place} must have two {number}, its ends, written {EXAMPLES[kind]}; got {(kind, *rest)!r}."
        )
    return rest[0], rest[1]
