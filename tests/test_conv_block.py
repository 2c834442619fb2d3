"""The fused block and both its derivatives, against plain PyTorch one task at a time, in float64."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from harness import conv_parts, task_convolutions
from harness.conv_block import conv_block
from harness.task_convolutions import Geometry

SIZES = {"tasks": 2, "images": 3, "inputs": 2, "filters": 3, "side": 5}
CUTS = {"all together": 2**20, "a task at a time": 80, "parts of a task": 30}
"""Values in a piece. An output of 3 filters has 27 values with a stride of 2 and 75 with pooling."""


def reference(x: Tensor, weight: Tensor, scale: Tensor | None, offset: Tensor, geometry: Geometry) -> Tensor:
    """The formulas as they are written, one task after another."""
    results = []
    for t, images in enumerate(x):
        y = F.conv2d(images, weight if weight.ndim == 4 else weight[t], None, geometry.stride, 1)
        mean = y.mean(dim=(0, 2, 3), keepdim=True)
        variance = ((y - mean) ** 2).mean(dim=(0, 2, 3), keepdim=True)
        n = (y - mean) / (variance + geometry.epsilon).sqrt()
        if scale is not None:
            n = n * (scale if scale.ndim == 1 else scale[t])[:, None, None]
        z = (n + (offset if offset.ndim == 1 else offset[t])[:, None, None]).clamp(min=0)
        results.append(z.unfold(2, 2, 2).unfold(3, 2, 2).amax(dim=(4, 5)) if geometry.pool else z)
    return torch.stack(results)


def inputs(
    *, own: bool, scaled: bool, own_norm: bool = False
) -> tuple[Tensor, Tensor, Tensor | None, Tensor]:
    generator = torch.Generator().manual_seed(1)

    def drawn(*shape: int) -> Tensor:
        return torch.randn(*shape, dtype=torch.float64, generator=generator).requires_grad_()

    t, n, i, o, side = SIZES.values()
    weight = drawn(t, o, i, 3, 3) if own else drawn(o, i, 3, 3)
    norm = (t, o) if own_norm else (o,)
    return drawn(t, n, i, side, side), weight, drawn(*norm) if scaled else None, drawn(*norm)


def geometry(*, pool: bool) -> Geometry:
    return Geometry(stride=1 if pool else 2, padding=1, pool=pool, epsilon=1e-3)


def present(*tensors: Tensor | None) -> list[Tensor]:
    return [t for t in tensors if t is not None]


def outcomes(block: object, given: tuple[Tensor, ...], shape: Geometry) -> list[Tensor]:
    """Output, first and second derivatives along fixed random directions; every input takes part in each."""
    generator = torch.Generator().manual_seed(2)

    def along(values: list[Tensor]) -> Tensor:
        directions = [torch.randn(v.shape, dtype=v.dtype, generator=generator) for v in values]
        return torch.stack([(d * v).sum() for d, v in zip(directions, values, strict=True)]).sum()

    z = block(*given, shape)  # type: ignore[operator]
    leaves = present(*given)
    first = torch.autograd.grad(along([z * z]), leaves, create_graph=True)
    second = torch.autograd.grad(along(list(first)), leaves)
    return [z, *first, *second]


@pytest.mark.parametrize("cut", [*CUTS, "tasks as groups"])
@pytest.mark.parametrize("pool", [False, True])
@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("own_norm", [False, True])
def test_output_and_both_derivatives_are_those_of_the_formulas(
    cut: str, pool: bool, own: bool, scaled: bool, own_norm: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conv_parts, "PIECE", CUTS.get(cut, CUTS["all together"]))
    monkeypatch.setattr(task_convolutions, "ALWAYS_GROUPED", cut == "tasks as groups")
    given, shape = inputs(own=own, scaled=scaled, own_norm=own_norm), geometry(pool=pool)
    found, expected = (outcomes(block, given, shape) for block in (conv_block, reference))
    for mine, theirs in zip(found, expected, strict=True):
        assert mine.shape == theirs.shape
        assert torch.allclose(mine, theirs, atol=1e-10, rtol=1e-9)


@pytest.mark.parametrize("pool", [False, True])
def test_derivatives_are_limits_of_differences(pool: bool) -> None:
    given, shape = inputs(own=True, scaled=True), geometry(pool=pool)
    leaves = present(*given)

    def block(*values: Tensor) -> Tensor:
        return conv_block(*values, shape)

    assert torch.autograd.gradcheck(block, leaves, fast_mode=True)
    assert torch.autograd.gradgradcheck(block, leaves, fast_mode=True)


@pytest.mark.parametrize("constant", ["x", "weight", "offset"])
def test_what_is_constant_gets_no_gradient_and_the_rest_keeps_its_own(constant: str) -> None:
    """Images below, a frozen layer in the middle, a frozen offset."""
    x, weight, _, offset = inputs(own=False, scaled=False)
    given = {"x": x, "weight": weight, "offset": offset}
    given[constant] = given[constant].detach()
    leaves = [t for t in given.values() if t.requires_grad]

    def outcome(block: object) -> list[Tensor]:
        z = block(given["x"], given["weight"], None, given["offset"], geometry(pool=True))  # type: ignore[operator]
        first = torch.autograd.grad((z**3).sum(), leaves, create_graph=True)
        total = torch.stack([(g**2).sum() for g in first]).sum()
        return [*first, *torch.autograd.grad(total, leaves)]

    for mine, theirs in zip(outcome(conv_block), outcome(reference), strict=True):
        assert torch.allclose(mine, theirs, atol=1e-9, rtol=1e-9)


def test_bfloat16_moves_outcomes_by_its_rounding_and_no_further() -> None:
    given = [t.detach().float().requires_grad_() for t in inputs(own=True, scaled=True) if t is not None]
    exact = outcomes(conv_block, tuple(given), geometry(pool=True))
    low = outcomes(conv_block, tuple(given), replace(geometry(pool=True), low=True))
    for mine, theirs in zip(low, exact, strict=True):
        assert mine.dtype == torch.float32
        assert 0 < ((mine - theirs).norm() / theirs.norm()).item() < 0.1


def test_weights_repeated_without_a_copy_are_each_tasks_own() -> None:
    """As in the first inner step: one forward convolution for all, a gradient for each."""
    x, weight, _, offset = inputs(own=False, scaled=False)
    repeated = weight.detach().unsqueeze(0).expand(len(x), *weight.shape).requires_grad_()
    copied = weight.detach().repeat(len(x), 1, 1, 1, 1).requires_grad_()
    results = []
    for own in (repeated, copied):
        z = conv_block(x, own, None, offset, geometry(pool=True))
        (first,) = torch.autograd.grad((z**2).sum(), own, create_graph=True)
        results.append([z, first, *torch.autograd.grad((first**2).sum(), (own, x))])
    for mine, theirs in zip(*results, strict=True):
        assert torch.allclose(mine, theirs, atol=1e-10)


def test_statistics_in_float32_are_exact_to_rounding() -> None:
    """PyTorch's own batch norm of channels-last images is off by 6e-4 at this size."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(1, 80, 3, 84, 84, generator=generator).abs()
    weight, offset = torch.randn(8, 3, 3, 3, generator=generator), torch.zeros(8)
    shape = Geometry(stride=1, padding=1, pool=False, epsilon=1e-3)
    exact = conv_block(x.double(), weight.double(), None, offset.double(), shape)
    assert float((conv_block(x, weight, None, offset, shape) - exact).abs().max()) < 2e-5


@pytest.mark.parametrize(("tasks", "images", "values"), [(5, 7, 3), (3, 10, 45), (2, 4, 1000), (1, 1, 1)])
def test_blocks_hold_every_image_once(
    tasks: int, images: int, values: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conv_parts, "PIECE", 100)
    seen = torch.zeros(tasks, images, dtype=torch.int64)
    for block in conv_parts.blocks(tasks, images, values):
        assert len(block) == 1 or len(block.images) == 1
        for run in block.images:
            seen[block.tasks, run] += 1
            pieces = (run.stop - run.start) * len(block) * values
            assert pieces <= 100 + values or run.stop - run.start == 1
    assert torch.equal(seen, torch.ones_like(seen))
