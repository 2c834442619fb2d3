"""Words for numbers, so that sentences made from them are English for one as for many."""


def counted(number: int, noun: str) -> str:
    """`1 run`, `3 runs`, `12,000 runs`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
