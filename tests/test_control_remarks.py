"""What control reports say of trainings that got worse, and of test tasks that are few."""

import pandas as pd

from harness.control.report import got_worse as worse
from harness.control.report import repeated_tasks as few
from harness.control.report.standings import Standing


def curves(method: str, seeds: list[list[float]]) -> pd.DataFrame:
    """Two lines in each tenth of 200 updates: the same return twice."""
    rows = [
        {
            "method": method,
            "trained_on": "drift",
            "seed": seed,
            "iteration": 10 * i,
            "return_after": returns[(i - 1) // 2],
        }
        for seed, returns in enumerate(seeds)
        for i in range(1, 21)
    ]
    return pd.DataFrame(rows)


RISING = [float(i) for i in range(10)]
FALLING = [0.0, 5.0, 10.0, 20.0, 18.0, 17.0, 17.0, 16.0, 15.0, 14.0]


def test_a_training_that_fell_by_more_than_the_margin_is_said() -> None:
    both = pd.concat([curves("anil", [FALLING, FALLING]), curves("maml", [RISING, RISING])])
    (said,) = worse.got_worse(both, margin=5.0)
    assert said.lead == worse.LEAD
    assert "anil got 20.0 in updates 61 to 80, and 14.0 in the last tenth" in said.text
    assert not list(worse.got_worse(both, margin=6.0))


def test_it_is_the_mean_over_seeds_that_fell() -> None:
    (said,) = worse.got_worse(curves("anil", [FALLING, [2 * each for each in FALLING]]), margin=5.0)
    assert "got 30.0 in updates 61 to 80, and 21.0 in the last" in said.text
    assert not list(worse.got_worse(curves("anil", [FALLING, RISING]), margin=5.0))


def test_a_few_lines_say_nothing() -> None:
    lines = curves("anil", [FALLING])
    assert not list(worse.got_worse(lines[lines["iteration"].isin([80, 200])], margin=5.0))
    assert not list(worse.got_worse(lines[:0], margin=5.0))


def tasks(source: str, names: list[str]) -> pd.DataFrame:
    rows = [
        {"trained_on": "drift", "source": source, "split": "test", "horizon": 6, "method": method, "seed": i // 3,
         "episode": i % 3, "task": name}
        for method in ("maml", "anil")
        for i, name in enumerate(names)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def standing(source: str) -> Standing:
    return Standing(cell=("drift", source, "test", 6), in_training=True, rows=(), behind=())


def test_tasks_that_are_drawn_again_are_counted_once() -> None:
    forwards, backwards = "direction 1", "direction -1"
    drawn = tasks("two", [forwards, backwards, forwards, forwards, forwards, backwards])
    other = tasks("many", [f"goal {i}" for i in range(6)])
    (said,) = few.repeated_tasks(pd.concat([drawn, other]), [standing("two"), standing("many")])
    assert said.lead == few.LEAD
    assert said.text.startswith(
        "on two the 6 test tasks are 2 different ones, drawn again and again (direction -1: 2, direction 1: 4): "
    )


def test_many_different_tasks_are_not_named() -> None:
    (said,) = few.repeated_tasks(tasks("five", [*"abcde"] * 3), [standing("five")])
    assert "on five the 15 test tasks are 5 different ones, drawn again and again: intervals" in said.text


def test_a_task_that_is_written_like_another_by_rounding_is_nothing_to_say() -> None:
    assert not list(few.repeated_tasks(tasks("many", [*"abcdefgha"]), [standing("many")]))
