"""Words for numbers, so that sentences made from them are English for one as for many."""

from collections.abc import Sequence


def counted(number: int, noun: str) -> str:
    """`1 run`, `3 runs`, `12,000 runs`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def p_value(value: float) -> str:
    """`0.023`, `< 0.001`."""
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def first_few(names: Sequence[str], most: int) -> str:
    """`a, b, ...`: no more of them than `most`."""
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")
