"""Any backbone of timm by name, as a body: https://github.com/huggingface/pytorch-image-models.

Tasks run one after another, each with weights and statistics of its own; timm's batch norms are replaced by ours, which
keep the batch-norm policy. The stages are the parts that the model runs one after another, where it does; of other
models, transformers for one, everything below the head is a single stage.
"""

import difflib
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from harness.errors import ConfigError
from harness.extras import install_command
from harness.layers import BatchNorm, Statistics
from harness.networks import BATCH_NORM_POLICIES, Body, SpatialMean
from harness.parameters import check_choice, check_fields, check_name

CONTAINERS = ("stages", "blocks", "features", "layers")
"""Names of parts that are rows of parts in turn, each a stage."""


@dataclass(frozen=True, kw_only=True)
class Timm:
    """The timm model called `model`, without its classifier, freshly drawn.

    Nothing in it is left to chance in training: dropout and dropped paths are off.
    batch_norm: what normalises the queries where the model has batch norm, see `networks.BATCH_NORM_POLICIES`.
    weights: None, or the absolute path of a file of weights (`.safetensors`, or `.pth` as torch saves it) to begin
    with; nothing is ever downloaded. weights_sha256: the file's SHA-256, so that a run's id says what it began with.
    Needs the package timm: `pip install -c constraints.txt -e '.[timm]'`.
    """

    model: str = "resnet18"
    name: str = "timm"
    batch_norm: str = "transductive"
    weights: str | None = None
    weights_sha256: str | None = None

    def __post_init__(self) -> None:
        check_fields(self)
        check_name("Timm", self.name)
        check_choice("Timm.batch_norm", self.batch_norm, BATCH_NORM_POLICIES)
        if self.weights is not None and not Path(self.weights).is_absolute():
            raise ConfigError(f"Timm.weights must be an absolute path or None; got {self.weights!r}.")

    def build(self, in_channels: int, image_size: int) -> Body:
        """Raises ConfigError for an unknown model, an image it cannot take, wrong weights, or without timm."""
        model = self._model(in_channels, image_size)
        if self.weights is not None:
            _load(model, Path(self.weights), self.weights_sha256)
        image = torch.linspace(0, 1, in_channels * image_size**2).view(1, in_channels, image_size, image_size)
        with torch.no_grad(), self._explained(image_size):
            features = model.eval()(image)
        stages, readout = _stages(model, image, features)
        for name, stage in stages.items():
            stages[name] = _with_our_norms(stage)
        return Body(
            {name: _Stage(stage) for name, stage in stages.items()},
            SpatialMean() if readout is None else _ReadOut(_without_norms(readout)),
            out_features=features.shape[1],
            batch_norm=self.batch_norm,
        )

    def _model(self, in_channels: int, image_size: int) -> nn.Module:
        timm = _timm()
        if not timm.is_model(self.model):
            near = difflib.get_close_matches(self.model, timm.list_models(), 3)
            hint = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
            raise ConfigError(
                f"Timm.model {self.model!r} is no model of timm {timm.__version__}.{hint} "
                "`python -c 'import timm; print(timm.list_models())'` lists them."
            )
        settings: dict[str, Any] = {"pretrained": False, "num_classes": 0, "in_chans": in_channels}
        with self._explained(image_size):
            try:
                made: nn.Module = timm.create_model(self.model, **settings, img_size=image_size)
            except TypeError:  # most convolutional models take any size
                made = timm.create_model(self.model, **settings)
        return _without_chance(made)

    @contextmanager
    def _explained(self, image_size: int) -> Iterator[None]:
        """Turn whatever a model makes of a wrong image size into a sentence."""
        try:
            yield
        except (RuntimeError, AssertionError, ValueError, IndexError, ZeroDivisionError) as error:
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            raise ConfigError(
                f"Timm.model {self.model!r} cannot be made for images of {image_size} pixels ({reason}): set "
                "Images.size."
            ) from error


def _timm() -> ModuleType:
    try:
        import timm
    except Exception as error:  # torchvision, which it needs, raises all kinds where it does not fit torch
        reason = " ".join(str(error).split())[:200]
        raise ConfigError(
            f"The network Timm needs the package timm, which cannot be imported ({reason}). Install it with "
            f"`{install_command('timm')}` in the folder of harness; beside PyTorch's CPU build, install "
            "torchvision's CPU build of the matching version, too."
        ) from error
    module: ModuleType = timm
    return module


def _without_chance(model: nn.Module) -> nn.Module:
    """The model without dropout and dropped paths: no method here asks for them, and inner loops must repeat."""
    for module in model.modules():
        if isinstance(module, nn.modules.dropout._DropoutNd):
            module.p = 0.0
        for name in ("drop_rate", "drop_prob"):
            if isinstance(getattr(module, name, None), float):
                setattr(module, name, 0.0)
    return model


def _load(model: nn.Module, path: Path, expected: str | None) -> None:
    """Fill the model from a file. Raises ConfigError where there is none, another one, or one of another model."""
    if not path.is_file():
        raise ConfigError(f"Timm.weights names {path}, which is no file.")
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if expected != found:
        raise ConfigError(f"Timm.weights_sha256 must be the SHA-256 of {path}, {found!r}; got {expected!r}.")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            state = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a foreign or damaged file makes of either reader
        raise ConfigError(
            f"Timm.weights names {path}, which cannot be read: {type(error).__name__}."
        ) from error
    own = model.state_dict()
    missing = sorted(set(own) - set(state))
    if missing or any(state[name].shape != own[name].shape for name in own):
        difference = f"it lacks {missing[0]}" if missing else "the shapes differ"
        raise ConfigError(
            f"The weights in {path} do not fit the model: {difference}. "
            "Name a file of the same model and channels."
        )
    model.load_state_dict({name: state[name] for name in own})


def _stages(
    model: nn.Module, image: Tensor, features: Tensor
) -> tuple[dict[str, nn.Module], nn.Module | None]:
    """The model's parts in order, and what follows the last one that gives maps.

    Without read-out, a single stage that gives all features at one position, where the model is no row of parts.
    """
    stages: dict[str, list[nn.Module]] = {}
    tail: list[nn.Module] = []
    x = image
    try:
        with torch.no_grad():
            for name, part in _parts(model):
                x = part(x)
                if x.ndim == 4 and x.shape[2] != x.shape[3]:  # [N, H, W, C]: not what a stage gives
                    return {"backbone": _OnePosition(model)}, None
                if tail or x.ndim != 4:
                    tail.append(part)
                elif not stages or _has_weights(part):
                    stages[name] = [part]
                else:
                    stages[next(reversed(stages))].append(part)
    except Exception:  # parts that are not simply called one after another
        return {"backbone": _OnePosition(model)}, None
    if x.shape != features.shape or not torch.equal(x, features) or not tail:
        return {"backbone": _OnePosition(model)}, None
    return {name: nn.Sequential(*parts) for name, parts in stages.items()}, nn.Sequential(*tail)


def _parts(model: nn.Module) -> Sequence[tuple[str, nn.Module]]:
    found: list[tuple[str, nn.Module]] = []
    for name, part in model.named_children():
        if name in CONTAINERS and isinstance(part, nn.Sequential):
            found += [(f"{name}_{inner}", stage) for inner, stage in part.named_children()]
        else:
            found.append((name, part))
    return found


def _has_weights(part: nn.Module) -> bool:
    """Beside those of norms."""
    norms = {id(p) for m in part.modules() if isinstance(m, nn.BatchNorm2d) for p in m.parameters()}
    return any(id(p) not in norms for p in part.parameters())


class _OnePosition(nn.Module):
    """A whole model: images [N, C, H, W] -> features [N, D, 1, 1]."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        features: Tensor = self.model(x)
        return features[:, :, None, None]


class _Norm(nn.Module):
    """Our batch norm in the place of one of timm's, with the activation that timm joins to it.

    `statistics` is set by the stage before it runs.
    """

    def __init__(self, theirs: nn.BatchNorm2d) -> None:
        super().__init__()
        self.norm = BatchNorm(theirs.num_features, scale=True, epsilon=theirs.eps)
        assert self.norm.weight is not None
        with torch.no_grad():
            self.norm.weight.copy_(theirs.weight)
            self.norm.bias.copy_(theirs.bias)
            for name in ("running_mean", "running_var"):
                getattr(self.norm, name).copy_(getattr(theirs, name))
        self.act = getattr(theirs, "act", None)
        self.statistics = Statistics("batch")

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> the same."""
        y = self.norm(x[None], self.statistics)[0]
        activated: Tensor = y if self.act is None else self.act(y)
        return activated


def _with_our_norms(module: nn.Module) -> nn.Module:
    """Raises ConfigError for a batch norm of another kind than over images."""
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm2d):
            if not child.affine:
                raise ConfigError(
                    "A batch norm without scale and offset is not supported: choose another Timm.model."
                )
            setattr(module, name, _Norm(child))
        else:
            setattr(module, name, _without_norms(child, nn.BatchNorm2d))
            _with_our_norms(child)
    return module


def _without_norms(module: nn.Module, allowed: tuple[type, ...] | type = ()) -> nn.Module:
    for part in module.modules():
        if isinstance(part, nn.modules.batchnorm._BatchNorm) and not isinstance(part, allowed):
            raise ConfigError(
                f"A {type(part).__name__} in this place cannot keep the batch-norm policy: choose another Timm.model."
            )
    return module


class _Stage(nn.Module):
    """One of the model's parts, run task by task."""

    def __init__(self, part: nn.Module) -> None:
        super().__init__()
        self.part = part.train()
        self._ndims = {name: p.ndim for name, p in part.named_parameters()}

    def forward(self, x: Tensor, statistics: Statistics) -> Tensor:
        """[T, N, C, H, W] -> [T, N, C', H', W'], with weights for all tasks or one set a task."""
        stored = dict(self.part.named_parameters())
        norms = [module for module in self.part.modules() if isinstance(module, _Norm)]
        outputs = []
        for number, images in enumerate(x):
            for norm in norms:
                norm.statistics = statistics.of_task(number)
            outputs.append(functional_call(self.part, self._of_task(stored, number), (images,)))
        return torch.stack(outputs)

    def _of_task(self, stored: Mapping[str, Tensor], number: int) -> dict[str, Tensor]:
        return {name: w[number] if w.ndim > self._ndims[name] else w for name, w in stored.items()}


class _ReadOut(nn.Module):
    """What turns the last maps into features; its weights, if any, are no layer's, so no inner loop changes them."""

    def __init__(self, part: nn.Module) -> None:
        super().__init__()
        self.part = part

    def forward(self, x: Tensor) -> Tensor:
        """[T, N, C, H, W] -> [T, N, D]."""
        features: Tensor = self.part(x.flatten(0, 1))
        return features.view(*x.shape[:2], -1)
