from dataclasses import replace
from io import StringIO

import pytest
from rich.console import Console

from harness.attempt import Outcome
from harness.cost import duration
from harness.display import shortened, showing
from harness.progress import Progress


def moment(done: int, state: str = "training") -> Progress:
    return Progress(
        run_id="maml-glyphs-s0",
        state=state,
        done=done,
        total=100,
        per_second=2.0,
        loss=0.5,
        valid_accuracy=0.75,
    )


def test_without_a_terminal_lines_are_few() -> None:
    console = Console(file=StringIO(), width=160)
    with showing(console, 2) as display:
        for done in range(50):
            display.progress(moment(done))
        display.progress(moment(0, "evaluating"))
        display.pool("glyphs/train", 1, 3)
        display.pool("glyphs/train", 2, 3)
        display.pool("glyphs/train", 3, 3)
        display.outcome(Outcome(run_id="maml-glyphs-s0", state="done", seconds=100.0))
    assert console.file.getvalue().splitlines() == [  # type: ignore[attr-defined]
        "maml-glyphs-s0: training 0/100, 2.0/s, loss 0.500, valid 75.0 %, 50 s left",
        "maml-glyphs-s0: evaluating 0/100, 2.0/s, loss 0.500, valid 75.0 %, 50 s left",
        "preparing glyphs/train: 1 of 3 classes",
        "preparing glyphs/train: 3 of 3 classes",
        "done maml-glyphs-s0 after 2 min (1 of 2)",
    ]


def test_on_a_terminal_each_run_in_flight_has_a_line() -> None:
    console = Console(file=StringIO(), width=120, force_terminal=True)
    with showing(console, 2) as display:
        display.progress(moment(10))
        assert display.live is not None
        assert display.table().row_count == 1
        display.outcome(Outcome(run_id="maml-glyphs-s0", state="failed", error="x", seconds=1.0))
        assert display.table().row_count == 0
    assert "failed" in console.file.getvalue()  # type: ignore[attr-defined]


@pytest.mark.parametrize("width", [80, 120])
def test_a_long_name_leaves_the_numbers_on_the_screen(width: int) -> None:
    console = Console(file=StringIO(), width=width, force_terminal=True, color_system=None)
    names = ["maml-glyphs-s0-0123456789", "anil-omniglot+traffic_sign+aircraft+birds+textures-s11-0123456789"]
    with showing(console, 2) as display:
        for name in names:
            progress = replace(
                moment(1), run_id=name, state="evaluating", done=10_000, total=60_000, per_second=4.0
            )
            display.progress(progress)
        with console.capture() as capture:
            console.print(display.table())
    lines = capture.get().splitlines()
    assert all("3 h 28 min" in line and "10000/60000" in line for line in lines[2:])
    assert "maml-glyphs-s0" in lines[2]
    assert "-s11" in lines[3]


def test_names_are_shortened_at_the_hash_and_then_in_the_middle() -> None:
    name = "anil-omniglot-s0-4395a2fcc0"
    assert shortened(name, 27) == name
    assert shortened(name, 26) == "anil-omniglot-s0"
    assert shortened(name, 14) == "anil-omni…t-s0"
    assert len(shortened(name, -5)) == 12


def test_durations_are_readable() -> None:
    assert [duration(seconds) for seconds in (5, 89, 100, 3600, 12_000)] == [
        "5 s", "89 s", "2 min", "60 min", "3 h 20 min",
    ]  # fmt: skip
