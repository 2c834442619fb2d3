"""Measurements -> Markdown."""

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from speed.agreement import CALM, CALM_SEEDS, EXACT, Agreement
from speed.contestants import Contestant
from speed.machine_limit import Layer, Machine, layers, limit
from speed.processes import Timing
from speed.settings import Case, MethodName, Phase, Setting

PAPER: Mapping[Phase, float] = {"training": 1.7, "test": 4.1}
"""How many times faster than MAML's the ANIL paper says an iteration of ANIL is."""

TARGETS: Mapping[tuple[MethodName, Phase], float] = {
    ("MAML", "training"): 2,
    ("first-order MAML", "training"): 2.5,
    ("ANIL", "training"): 3,
    ("ANIL", "test"): 4,
    ("NIL", "test"): 4,
}
"""How many times faster than the usual implementation ours is meant to be."""


@dataclass(kw_only=True)
class Measured:
    """A case's rounds, in each of which both were timed, one after the other."""

    case: Case
    ours: list[Timing] = field(default_factory=list)
    usual: list[Timing] = field(default_factory=list)
    peaks: dict[Contestant, list[int | None]] = field(default_factory=lambda: {"ours": [], "usual": []})

    def timings(self, contestant: Contestant) -> list[Timing]:
        """The contestant's, a round after another."""
        return self.ours if contestant == "ours" else self.usual

    def peak(self, contestant: Contestant) -> int | None:
        """The largest peak memory of its processes, MiB; None where the system does not tell."""
        return max((peak for peak in self.peaks[contestant] if peak is not None), default=None)

    def rates(self, contestant: Contestant) -> list[float]:
        """Tasks a second of one core in each round."""
        return [self.case.tasks * timing.calls / timing.cpu for timing in self.timings(contestant)]

    def ratios(self) -> list[float]:
        """How many times faster ours was, in each round."""
        pairs = zip(self.rates("ours"), self.rates("usual"), strict=True)
        return [ours / usual for ours, usual in pairs]


def speed_table(measured: Iterable[Measured], machine: Machine) -> list[str]:
    """One line a case."""
    lines = [
        "| setting | case | ours, tasks a core-second (min / median / max) | usual (min / median / max) | ours / usual "
        "(min / median / max) | aim | at the limit | share of the limit | of its convolutions alone | peak MiB, ours "
        "| usual |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for each in measured:
        tasks_per_second = statistics.median(each.rates("ours"))
        least = [seconds / each.case.tasks for seconds in limit(each.case, machine)]
        shares = [f"{seconds * tasks_per_second:.0%}" for seconds in least]
        peaks = ["" if (peak := each.peak(who)) is None else str(peak) for who in ("ours", "usual")]
        cells = [
            each.case.setting.name,
            each.case.name,
            spread(each.rates("ours")),
            spread(each.rates("usual")),
            spread(each.ratios(), lambda ratio: f"{ratio:.2f}"),
            aim(each.case),
            f"{statistics.median(each.ratios()) / (least[0] * tasks_per_second):.1f}",
            *shares,
            *peaks,
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def anil_table(measured: Iterable[Measured]) -> list[str]:
    """How many times faster than MAML ANIL is, by the medians."""
    rates: dict[tuple[str, Phase, MethodName], Measured] = {
        (each.case.setting.name, each.case.phase, each.case.method): each for each in measured
    }
    lines = [
        "| setting | ANIL over MAML | ours | usual | the paper |",
        "| --- | --- | ---: | ---: | ---: |",
    ]
    for (setting, phase, method), anil in rates.items():
        maml = rates.get((setting, phase, "MAML"))
        if method != "ANIL" or maml is None:
            continue
        ratios = [
            f"{statistics.median(anil.rates(who)) / statistics.median(maml.rates(who)):.1f}"
            for who in ("ours", "usual")
        ]
        lines.append(f"| {setting} | {phase} | {' | '.join(ratios)} | {PAPER[phase]} |")
    settings = {anil.case.setting.name: anil.case.setting for anil in rates.values()}
    counted = ", ".join(f"{by_operations(setting):.1f} ({name})" for name, setting in settings.items())
    return [*lines, "", f"At test, by operations alone, a backward pass being two forward ones: {counted}."]


def by_operations(setting: Setting) -> float:
    """MAML's operations at test over ANIL's: the body's passes over support images and queries."""
    maml = 3 * setting.test_inner_steps * setting.support + setting.query
    return maml / (setting.support + setting.query)


def missed(measured: Iterable[Measured]) -> str:
    """The cases whose median ratio is below the aim, in words."""
    short = [
        f"{each.case.setting.name}, {each.case.name} ({ratio:.2f} of {TARGETS[key]:g})"
        for each in measured
        if (key := (each.case.method, each.case.phase)) in TARGETS
        and (ratio := statistics.median(each.ratios())) < TARGETS[key]
    ]
    return f"Aims missed: {'; '.join(short)}." if short else "Every aim is met."


def aim(case: Case) -> str:
    """The ratio meant to be reached, if any."""
    found = TARGETS.get((case.method, case.phase))
    return "" if found is None else f"{found:g}"


def agreement_table(agreements: Sequence[Agreement]) -> list[str]:
    """How far apart the two are, and each from float64."""
    lines = [
        f"| setting | case | float64, ours from usual (at most {EXACT:g}) | float32 from float64, ours | usual |",
        "| --- | --- | ---: | ---: | ---: |",
    ]
    for each in agreements:
        distances = " | ".join(f"{value:.0e}" for value in (each.exact, each.ours, each.usual))
        lines.append(f"| {each.case.setting.name} | {each.case.name} | {distances} |")
    return [
        *lines,
        "",
        "Relative distances of all outer gradients, or of the logits, on episodes of one query a class: in float64 "
        f"those of two tasks, in float32 the median of {len(CALM_SEEDS)} single ones, at {CALM:g} of the inner rate "
        "(`speed/agreement.py` says why).",
    ]


def machine_table(settings: Iterable[Setting], machine: Machine) -> list[str]:
    """The rates behind the limit."""
    lines = ["| convolution | operations an image | best rate |", "| --- | ---: | ---: |"]
    found: dict[Layer, None] = dict.fromkeys(layer for setting in settings for layer in layers(setting))
    for layer in found:
        stride = f", stride {layer.stride}" if layer.stride > 1 else ""
        name = f"{layer.in_channels} to {layer.out_channels} channels, {layer.size} x {layer.size}{stride}"
        rate = machine.convolutions[layer] / 1e9
        lines.append(f"| {name} | {layer.operations / 1e6:.1f} million | {rate:.0f} GFLOP/s |")
    return [*lines, "", f"Copying: {machine.copy / 1e9:.0f} GB/s, read and written."]


def share_of_a_core(measured: Iterable[Measured]) -> tuple[float, float]:
    """The least and the median share of the clock's time for which a timed process had a core."""
    timings = [timing for each in measured for timing in (*each.ours, *each.usual)]
    shares = [timing.cpu / timing.seconds for timing in timings]
    return min(shares), statistics.median(shares)


def spread(values: Sequence[float], text: Callable[[float], str] | None = None) -> str:
    """`min / median / max`, to three figures."""
    written = three_figures if text is None else text
    return " / ".join(written(value) for value in (min(values), statistics.median(values), max(values)))


def three_figures(value: float) -> str:
    """12.3, 0.123, 1,230: short, and the same number of figures everywhere."""
    decimals = next((d for d, bound in enumerate((100, 10, 1)) if abs(value) >= bound), 3)
    return f"{value:,.{decimals}f}"
