"""The columns that are the same in every row of one run and evaluation, whatever was measured."""

from harness.method import Method
from harness.spec import EvaluationSpec, RunSpec, SourceSpec, canonical, digest


def content_digest(source: SourceSpec) -> str:
    """Equal for sources of equal content: its raw data's fingerprint, and what its parameters make of it."""
    params = {key: value for key, value in source.component.params.items() if key != "name"}
    return digest([source.component.plugin, canonical(params), source.fingerprint], 12)


def run_columns(spec: RunSpec, method: Method, network: str, evaluation: EvaluationSpec) -> dict[str, object]:
    """Column -> value: what ran, on what, and results.CONDITIONS."""
    return {
        "run_id": spec.run_id,
        "method": method.name,
        "trained_on": spec.trained_on,
        "network": network,
        "source": evaluation.source.name,
        "split": evaluation.split,
        "seed": spec.seed,
        "batch_norm": spec.batch_norm,
        "selection": spec.selection,
        "adaptation_steps": method.adaptation_steps,
        "image_size": spec.images.size,
        "precision": spec.compute.precision,
        "protocol": evaluation.shape.protocol,
        "protocol_version": spec.protocol_version,
        "fingerprint": content_digest(evaluation.source),
        "max_images_per_class": evaluation.source.component.params.get("max_images_per_class"),
    }
