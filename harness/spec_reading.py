"""spec.json -> RunSpec: what a finished run was, so that its learner and its episodes can be made again."""

from collections.abc import Mapping
from typing import Any

from harness.augmentation import Augmentation
from harness.compute import Compute
from harness.episode import EpisodeShape, Shape, VariableShape
from harness.errors import HarnessError, WorkspaceError
from harness.plugins import Component
from harness.spec import EvaluationSpec, ImageSpec, RunSpec, SourceSpec, TrainSpec


def read_spec(content: Mapping[str, Any], where: str) -> RunSpec:
    """The spec that `content` is the JSON data of. Raises WorkspaceError for anything else; `where` names the file."""
    try:
        spec = _run(content)
        run_id = spec.run_id
    except (KeyError, TypeError, ValueError, AttributeError, HarnessError) as error:
        lacks = f"it has no {error}" if isinstance(error, KeyError) else str(error)
        raise WorkspaceError(
            f"{where} is damaged, or of another version of harness ({lacks}): `harness retry` makes it again."
        ) from error
    if run_id != content.get("run_id"):
        raise WorkspaceError(
            f"{where} says that it is of the run {content.get('run_id')!r}, but its content is that of {run_id!r}: "
            "it was changed by hand, or is of another version of harness."
        )
    return spec


def _run(content: Mapping[str, Any]) -> RunSpec:
    return RunSpec(
        method_name=content["method_name"],
        method=_component(content["method"]),
        trainer=_component(content["trainer"]),
        trained_on=content["trained_on"],
        network=_component(content["network"]),
        batch_norm=content["batch_norm"],
        max_way=content["max_way"],
        images=ImageSpec(**content["images"]),
        train=_train(content["train"]),
        selection=content["selection"],
        evaluations=tuple(_evaluation(one) for one in content["evaluations"]),
        seed=content["seed"],
        compute=Compute(**content["compute"]),
        protocol_version=content["protocol_version"],
        probes=tuple(_component(one) for one in content.get("probes", ())),
    )


def _train(content: Mapping[str, Any]) -> TrainSpec:
    augmentation = content["augmentation"]
    made = {
        **content,
        "sources": tuple(_source(one) for one in content["sources"]),
        "validation_sources": tuple(_source(one) for one in content["validation_sources"]),
        "shape": _shape(content["shape"]),
        "validation_shape": _shape(content["validation_shape"]),
        "augmentation": None if augmentation is None else Augmentation(**augmentation),
        "snapshots": tuple(content["snapshots"]),
    }
    return TrainSpec(**made)


def _evaluation(content: Mapping[str, Any]) -> EvaluationSpec:
    return EvaluationSpec(
        **{**content, "source": _source(content["source"]), "shape": _shape(content["shape"])}
    )


def _source(content: Mapping[str, Any]) -> SourceSpec:
    return SourceSpec(**{**content, "component": _component(content["component"])})


def _shape(content: Mapping[str, Any]) -> Shape:
    return VariableShape(**content) if "min_way" in content else EpisodeShape(**content)


def _component(content: Mapping[str, Any]) -> Component:
    return Component(
        plugin=content["plugin"], params={key: _value(value) for key, value in content["params"].items()}
    )


def _value(value: Any) -> Any:
    if isinstance(value, dict) and set(value) == {"plugin", "params"}:
        return _component(value)
    return tuple(_value(item) for item in value) if isinstance(value, list) else value
