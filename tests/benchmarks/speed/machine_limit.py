"""The least time that a case could take on this machine with one thread.

    limit = Σ_layers (convolutions' floating-point operations / the layer's best rate) + bytes / best copy rate

Operations. A 3x3 convolution of one image takes F = 2·9·C_in·C_out·H_out·W_out. So do the gradient by its weights and
that by its images, which the first layer does not need. Σ (layers after the first: F, backward 2F; first: F,
backward F) counts, in images:

    ANIL, training               forward and backward of the body, once, for support and query
    first-order MAML, training   forward and backward for the support in each inner step, and once for the query
    MAML, training               the same, and for the support in each inner step the derivative of that forward and
                                 backward pass: twice its convolutions, but twice 1F in the first layer, whose
                                 images have no derivative
    MAML, test                   forward and backward for the support in each step, forward for the query
    ANIL and NIL, test           forward for support and query, once

The derivative of y = W*x, dx = Wᵀ*dy, dW = x*dy, with adjoints V of dW and U of dx: V*x and W*U for dy, Vᵀ*dy and the
backward of y for x, U*dy and the backward of y for W: six convolutions for the three of a layer, and for the first
layer, which has no dx, V*x and the backward of y for W: two for its two.

Rates. A layer's best rate is the largest of its three convolutions' (forward, by weights, by images), over layouts
and numbers of images, each the fastest of several calls.

Bytes. Statistics of batch norm are known when a whole set of images is convolved, so each forward pass must read each
layer's output again and write what comes of it (after pooling); the backward pass must read the gradient of that,
read the output and write its gradient. The derivative of both moves as much again. The copy rate is the best of
`Tensor.copy_` over sizes that do and do not fit the caches, reading and writing counted. Heads, losses and updates
are left out: they are small. So is the reading and writing that convolutions themselves do: it is in their rates.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from speed.settings import Case, Setting

BATCHES = (1, 4, 16, 64)
"""Numbers of images that are tried besides the support's and the query's."""

COPIES = (2**18, 2**20, 2**22, 2**24, 2**26)
"""Bytes of the copied tensors."""

FLOAT = 4


@dataclass(frozen=True)
class Layer:
    """A convolution: of [C_in, size, size], 3x3, padded by 1, with its stride; then 2x2 pooling or none."""

    in_channels: int
    out_channels: int
    size: int
    stride: int
    pooled: bool

    @property
    def out_size(self) -> int:
        """Height and width of its output, before pooling."""
        return (self.size - 1) // self.stride + 1

    @property
    def operations(self) -> int:
        """Floating-point operations for one image."""
        return 2 * 9 * self.in_channels * self.out_channels * self.out_size**2

    @property
    def output(self) -> int:
        """Bytes of its output for one image, before pooling."""
        return FLOAT * self.out_channels * self.out_size**2

    @property
    def kept(self) -> int:
        """Bytes of its output for one image, after pooling."""
        return FLOAT * self.out_channels * (self.out_size // 2) ** 2 if self.pooled else self.output


@dataclass(frozen=True, kw_only=True)
class Machine:
    """Operations a second by layer, and bytes a second of a copy."""

    convolutions: dict[Layer, float]
    copy: float


@dataclass(frozen=True, kw_only=True)
class Work:
    """Images that one call must take through the body, by what is done with them."""

    forward: int
    backward: int = 0
    derivative: int = 0


def layers(setting: Setting) -> list[Layer]:
    """The four convolutions of Conv4."""
    found, channels, size = [], setting.channels, setting.image_size
    for _ in range(4):
        layer = Layer(channels, setting.filters, size, 1 if setting.pooled else 2, setting.pooled)
        found.append(layer)
        channels, size = setting.filters, layer.out_size // (2 if setting.pooled else 1)
    return found


def work(case: Case) -> Work:
    """What the case's algorithm cannot do without, in one call."""
    setting, tasks = case.setting, case.tasks
    support, query = setting.support * tasks, setting.query * tasks
    if case.phase == "test":
        if case.method != "MAML":
            return Work(forward=support + query)
        inner = setting.test_inner_steps * support
        return Work(forward=inner + query, backward=inner)
    if case.method == "ANIL":
        return Work(forward=support + query, backward=support + query)
    inner = setting.inner_steps * support
    return Work(forward=inner + query, backward=inner + query, derivative=inner if case.second_order else 0)


def limit(case: Case, machine: Machine) -> tuple[float, float]:
    """The least seconds of one call: of convolutions and copies together, and of the convolutions alone."""
    todo = work(case)
    convolving = moving = 0.0
    for i, layer in enumerate(layers(case.setting)):
        backward = 1 if i == 0 else 2
        derivative = 2 if i == 0 else 6
        units = todo.forward + backward * todo.backward + derivative * todo.derivative
        convolving += units * layer.operations / machine.convolutions[layer]
        forth, back = layer.output + layer.kept, 2 * layer.output + layer.kept
        moved = forth * todo.forward + back * todo.backward + (forth + back) * todo.derivative
        moving += moved / machine.copy
    return convolving + moving, convolving


def measure(settings: Iterable[Setting], seconds: float) -> Machine:
    """The best rates of this machine, with one thread; `seconds` is spent on each shape, layout and pass."""
    batches: dict[Layer, set[int]] = {}
    for setting in settings:
        for layer in layers(setting):
            batches.setdefault(layer, set(BATCHES)).update((setting.support, setting.query))
    convolutions = {
        layer: max(_rate(layer, images, layout, seconds) for images in sizes for layout in LAYOUTS)
        for layer, sizes in batches.items()
    }
    return Machine(convolutions=convolutions, copy=max(_copy_rate(size, seconds) for size in COPIES))


def better(first: Machine, second: Machine) -> Machine:
    """The faster of two measurements of the same layers, each rate by itself."""
    rates = {layer: max(rate, second.convolutions[layer]) for layer, rate in first.convolutions.items()}
    return replace(first, convolutions=rates, copy=max(first.copy, second.copy))


LAYOUTS = (torch.channels_last, torch.contiguous_format)


@torch.no_grad()
def _rate(layer: Layer, images: int, layout: torch.memory_format, seconds: float) -> float:
    """The best operations a second of the layer's three convolutions."""
    stride = [layer.stride] * 2
    x = torch.rand(images, layer.in_channels, layer.size, layer.size).contiguous(memory_format=layout)
    w = torch.rand(layer.out_channels, layer.in_channels, 3, 3).contiguous(memory_format=layout)
    y = F.conv2d(x, w, None, stride, 1)

    def backward(which: list[bool]) -> tuple[Tensor, ...]:
        found: tuple[Tensor, ...] = torch.ops.aten.convolution_backward(
            y, x, w, None, stride, [1, 1], [1, 1], False, [0, 0], 1, which
        )
        return found

    passes: list[Callable[[], object]] = [
        lambda: F.conv2d(x, w, None, stride, 1),
        lambda: backward([False, True, False]),
        lambda: backward([True, False, False]),
    ]
    return images * layer.operations / min(_fastest(each, seconds) for each in passes)


def _copy_rate(size: int, seconds: float) -> float:
    source, target = torch.rand(size // FLOAT), torch.rand(size // FLOAT)
    return 2 * size / _fastest(lambda: target.copy_(source), seconds)


def _fastest(call: Callable[[], object], seconds: float) -> float:
    """The shortest of the calls that fit in `seconds`, three at least, the first of which is not counted."""
    call()
    best, calls, began = float("inf"), 0, time.perf_counter()
    while calls < 2 or time.perf_counter() - began < seconds:
        start = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - start)
        calls += 1
    return best
