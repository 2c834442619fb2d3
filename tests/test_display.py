from dataclasses import replace
from io import StringIO
from types import SimpleNamespace

import pytest
from rich.console import Console

from fake_runs import run_spec
from harness import worker
from harness.attempt import Outcome
from harness.cost import duration
from harness.display import Display, shortened, showing
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


def test_runs_of_trials_can_be_told_apart_at_80_columns() -> None:
    console = Console(file=StringIO(), width=80, force_terminal=True, color_system=None)
    with showing(console, 2) as display:
        for name in ("maml-glyphs-s0-0123456789", "maml-glyphs-s0-9876543210"):
            display.progress(replace(moment(1), run_id=name))
        with console.capture() as capture:
            console.print(display.table())
    first, second = (line.split()[0] for line in capture.get().splitlines()[2:])
    assert first != second
    assert "maml-glyphs-s0-0123456789".startswith(first), "what `harness show` finds it by"


def test_the_count_above_the_runs_is_that_of_the_line_about_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    console = Console(file=StringIO(), width=120)
    shown: list[str] = []
    live = SimpleNamespace(update=lambda table: shown.append(str(table.title)))
    monkeypatch.setattr(console, "print", lambda text, **_: shown.append(text))
    display = Display(console=console, n_runs=2, starting="Ray", live=live)  # type: ignore[arg-type]
    assert display.table().title == "0 of 2 runs ended; starting Ray ..."
    display.progress(moment(10))
    display.outcome(Outcome(run_id="maml-glyphs-s0", state="failed", error="never begun"))
    assert shown == [
        "0 of 2 runs ended",
        "1 of 2 runs ended; starting the next ...",
        "[red]failed[/] maml-glyphs-s0 (1 of 2)",
    ]


def test_names_are_shortened_at_the_hash_and_then_in_the_middle() -> None:
    name = "anil-omniglot-s0-4395a2fcc0"
    assert shortened(name, 27) == name
    assert shortened(name, 26) == "anil-omniglot-s0-4395a2fcc", "a beginning"
    assert shortened(name, 20) == "anil-omniglot-s0-439"
    assert shortened(name, 14) == "anil-o…-s0-439"
    assert len(shortened(name, -5)) == 12


def test_durations_are_readable() -> None:
    assert [duration(seconds) for seconds in (5, 89, 100, 3600, 12_000)] == [
        "5 s", "89 s", "2 min", "60 min", "3 h 20 min",
    ]  # fmt: skip


def test_what_an_evaluation_still_takes_is_not_reckoned_from_its_first_group(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Forty episodes at a time, a second each group, after ten seconds of warming up."""
    told: list[Progress] = []
    now = 0.0
    monkeypatch.setattr(worker.time, "perf_counter", lambda: now)
    tell = worker._telling(run_spec("maml"), 400, told.append)
    for group in range(10):
        now += 11.0 if group == 0 else 1.0
        for done in range(40 * group + 1, 40 * group + 41):
            tell(done)
    assert (told[0].done, told[0].per_second, told[0].seconds_left) == (1, 0.0, None)
    for progress, left in zip(told[1:10], range(9, 0, -1), strict=True):
        assert progress.seconds_left == pytest.approx(left, abs=0.1)
    assert (told[-1].done, told[-1].per_second) == (400, pytest.approx(400 / 20))
