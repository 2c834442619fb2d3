from io import StringIO

from rich.console import Console

from harness.cost import duration
from harness.display import showing
from harness.launch import Outcome
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


def test_durations_are_readable() -> None:
    assert [duration(seconds) for seconds in (5, 89, 100, 3600, 12_000)] == [
        "5 s", "89 s", "2 min", "60 min", "3 h 20 min",
    ]  # fmt: skip
