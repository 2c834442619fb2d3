"""The yardsticks of `make bench` measure what they say: the usual implementation computes what the harness does, and
the machine's limit counts no convolution too many."""

from dataclasses import replace

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from speed.agreement import EXACT, compare, distance, loss_distance
from speed.contestants import CONTESTANTS
from speed.machine_limit import Machine, layers, limit
from speed.processes import Timing
from speed.settings import EPISODES, KINDS, MINIIMAGENET, OMNIGLOT, Case, Setting
from speed.table import Measured, three_figures

TINY = {
    "filters": 3,
    "image_size": 16,
    "n_way": 3,
    "n_shot": 2,
    "n_query": 2,
    "tasks": 3,
    "inner_lr": 0.3,
    "inner_steps": 2,
    "test_inner_steps": 3,
}
CASES = [
    Case(setting=replace(setting, **TINY), method=method, phase=phase)
    for setting in (OMNIGLOT, MINIIMAGENET)
    for method, phase in KINDS
]
NAMES = [f"{case.setting.downsample}, {case.name}" for case in CASES]


@pytest.mark.parametrize("case", CASES, ids=NAMES)
def test_the_usual_implementation_computes_the_same(case: Case) -> None:
    ours, usual = (CONTESTANTS[who](case, torch.float64)[1]() for who in ("ours", "usual"))
    assert distance(ours, usual) < EXACT
    assert loss_distance(ours, usual) < EXACT


@pytest.mark.parametrize("setting", [OMNIGLOT, MINIIMAGENET], ids=lambda setting: setting.name)
def test_the_usual_implementation_has_the_default_layout(
    setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    convolve = torch.nn.functional.conv2d

    def record(x: torch.Tensor, *arguments: object, **options: object) -> torch.Tensor:
        y = convolve(x, *arguments, **options)
        seen.extend(each.stride()[1] == each[0, 0].numel() for each in (x, y))
        return y

    monkeypatch.setattr(torch.nn.functional, "conv2d", record)
    call, _ = CONTESTANTS["usual"](Case(setting=setting, method="NIL", phase="test"))
    call()
    assert len(seen) == 4 * 4 * EPISODES  # support and query through four convolutions, in and out
    assert all(seen)


def test_another_algorithm_would_be_noticed() -> None:
    second, first, anil = CASES[:3]
    outcomes = [CONTESTANTS["usual"](case, torch.float64)[1]() for case in (second, first, anil)]
    for other in outcomes[1:]:
        assert distance(other, outcomes[0]) > 0.01


def test_an_agreement_holds_only_where_all_of_it_does() -> None:
    found = compare(CASES[3])
    assert found.holds
    for part in ("exact", "loss", "close", "close_loss"):
        assert not replace(found, **{part: 1.0}).holds
        assert not replace(found, **{part: float("nan")}).holds


@pytest.mark.parametrize("case", CASES, ids=NAMES)
def test_the_limit_counts_the_convolutions_that_are_done(case: Case) -> None:
    """Exactly, but for second derivatives: PyTorch's compute some that nobody needs."""
    call, _ = CONTESTANTS["usual"](case, torch.float64)
    with FlopCounterMode(display=False) as counter:
        call()
    counts = counter.get_flop_counts()["Global"]
    done = sum(count for operation, count in counts.items() if "conv" in str(operation))
    one_a_second = Machine(convolutions=dict.fromkeys(layers(case.setting), 1.0), copy=1.0)
    both, counted = limit(case, one_a_second)
    assert both > counted
    if case.method == "MAML" and case.phase == "training":
        assert counted < done < 1.2 * counted
    else:
        assert counted == done


def test_rates_are_tasks_a_core_second() -> None:
    timings = [Timing(calls=4, seconds=9.0, cpu=2.0), Timing(calls=1, seconds=1.0, cpu=1.0)]
    measured = Measured(case=CASES[0], ours=timings, usual=timings[::-1])
    assert measured.rates("ours") == [6.0, 3.0]
    assert measured.ratios() == [2.0, 0.5]


@pytest.mark.parametrize(
    ("value", "text"), [(1234.5, "1,234"), (99.94, "99.9"), (9.876, "9.88"), (0.12345, "0.123")]
)
def test_numbers_have_three_figures(value: float, text: str) -> None:
    assert three_figures(value) == text
