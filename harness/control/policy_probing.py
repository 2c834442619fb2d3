"""How a run measures the probes of its policy."""

import time
from dataclasses import asdict

from harness import plugins
from harness.control.policy import Policy
from harness.control.policy_network import MLP
from harness.control.policy_probe import PolicyProbe, TestGround
from harness.control.run_spec import ControlRunSpec, source_of
from harness.inner_loop_method import InnerLoopMethod
from harness.measured import undefined
from harness.probe import ProbeRow, absent, row
from harness.progress import Progress, Report


def probe_rows(spec: ControlRunSpec, policy: Policy, report: Report) -> list[dict[str, object]]:
    """Rows of POLICY_PROBE_COLUMNS: every probe on the first tasks of every evaluation, source by source.

    A probe that has nothing to say of the method has one row a source, with the reason.
    """
    method: InnerLoopMethod = plugins.build(plugins.POLICY_METHODS, spec.method)
    network: MLP = plugins.build(plugins.POLICY_NETWORKS, spec.network)
    probes: list[PolicyProbe] = [plugins.build(plugins.POLICY_PROBES, each) for each in spec.probes]
    total = sum(min(p.n_tasks, e.n_tasks) for p in probes for e in spec.evaluations)
    done, began = 0, time.perf_counter()
    rows: list[dict[str, object]] = []
    for evaluation in spec.evaluations:
        ground = TestGround(
            source=source_of(evaluation.source),
            split=evaluation.split,
            sampling=evaluation.sampling,
            seed=spec.seed,
        )
        for probe in probes:
            columns: dict[str, object] = {
                "run_id": spec.run_id,
                "method": spec.method_name,
                "trained_on": spec.trained_on,
                "network": network.name,
                "source": evaluation.source.name,
                "split": evaluation.split,
                "seed": spec.seed,
                "probe": probe.name,
                "protocol_version": spec.protocol_version,
            }
            found: list[tuple[int | None, ProbeRow]] = []
            for number in range(min(probe.n_tasks, evaluation.n_tasks)):
                found += [(number, each) for each in probe.measure(policy, method, ground, number)]
                done += 1
                rate = done / max(time.perf_counter() - began, 1e-9)
                report(Progress(run_id=spec.run_id, state="probing", done=done, total=total, per_second=rate))
            rows += [
                {**columns, "episode": k, **asdict(each)} for k, each in _completed(probe, method, found)
            ]
    return rows


def _completed(
    probe: PolicyProbe, method: InnerLoopMethod, found: list[tuple[int | None, ProbeRow]]
) -> list[tuple[int | None, ProbeRow]]:
    """With what the probe says of all its tasks together, or why it says nothing."""
    if not found:
        return [(None, row(undefined(absent(method.name)), condition="", quantity="", n=0))]
    pooled = getattr(probe, "pooled", None)
    return found if pooled is None else [*found, *((None, each) for each in pooled([r for _, r in found]))]
