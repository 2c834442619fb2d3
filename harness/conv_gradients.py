"""Both derivatives of `harness.conv_block` in closed form.

With g the cotangent of z, let h be g where the maximum chose a position and the ReLU let it pass, 0 elsewhere; a = γ s;
and bars the means over a task's M positions. Then (Ioffe & Szegedy 2015, section 3)

    dβ = Σ h,   dγ = Σ h n,   dy = a P(h)   with   P(h) = h - mean(h) - n mean(h n),
    dx = W^T * dy,   dw = the correlation of x and dy.

Let u, v, c, b be cotangents of dx, dw, dγ, dβ, and r = w * u + v * x, the cotangent of dy. Differentiating once more:

    of h:  a P(r) + b + c n            (and of g the same, where g reaches h)
    of γ:  s Σ r P(h)
    of y:  ρ r + η h + s (n K - mean q)     with
           ρ = -s a mean(h n),   η = s (c - a mean(r n)),
           K = 3 a mean(h n) mean(r n) - c mean(h n) - a (mean(r h) - mean r mean h),
           mean q = -a (mean(h n) mean r + mean(r n) mean h) + c mean h

since dn/dy takes q to s (q - mean q - n mean(q n)) and ds/dy = -s² n / M. From y the gradient goes on to x and w as
above; further, dx gives w the correlation of u and dy, and dw gives x the transposed convolution of dy with v.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from harness.conv_block import Kept, as_images, gathered
from harness.conv_parts import Gathered, Placed, images_of, of_block, rows, rows_of
from harness.task_convolutions import Geometry, convolve, image_gradient, weight_gradients


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Which of the gradients by images and by weights are asked for."""

    x: bool
    weight: bool


@dataclass(frozen=True, kw_only=True)
class Flow:
    """The cotangent at the output of a block of tasks, as it passes the ReLU and the pooling.

    passed: h at the chosen positions, rows [tasks, positions, O], for each run of images. n: n there, or n + β
    without a scale; right only where h can pass. mean, mean_n: the means of h and h n; a: γ s; all [tasks, 1, O].
    """

    passed: list[Tensor]
    n: list[Tensor]
    mean: Tensor
    mean_n: Tensor


def flow(g: Tensor, z: Tensor, kept: Kept, scale: Tensor | None, offset: Tensor) -> Flow:
    """The way of the cotangent `g` [T, N, O, h, w] of the output `z` into a block of tasks."""
    passed, chosen, sums, sums_n = [], [], [], []
    for i, run in enumerate(kept.block.images):
        reached = rows_of(z, kept.block, run)
        h = torch.ops.aten.threshold_backward(rows_of(g, kept.block, run), reached, 0)
        n = _chosen(reached, kept, i, scale)
        passed.append(h)
        chosen.append(n)
        sums.append(h.sum(1, keepdim=True))
        sums_n.append((h * n).sum(1, keepdim=True))
    mean, mean_n = (sum_of(each) / kept.positions for each in (sums, sums_n))
    if scale is None:
        mean_n = mean_n.addcmul_(of_block(offset, kept.block), mean, value=-1)
    return Flow(passed=passed, n=chosen, mean=mean, mean_n=mean_n)


def _chosen(reached: Tensor, kept: Kept, i: int, scale: Tensor | None) -> Tensor:
    """n at the chosen positions; without a scale n + β, which is z where the ReLU let it pass."""
    if scale is None:
        return reached
    n = kept.normalised(i)
    index = kept.index[i]
    return n if index is None else rows(gathered(as_images(n, kept.y[i]), index), len(kept.block))


def sum_of(parts: list[Tensor]) -> Tensor:
    """Their sum."""
    return parts[0] if len(parts) == 1 else torch.stack(parts).sum(0)


def _of_channels(parts: list[Tensor], like: Tensor) -> Tensor:
    """[tasks, 1, O] of each block as `like`: summed over all tasks, [O], or task by task, [T, O]."""
    return sum_of([p.sum((0, 1)) for p in parts]) if like.ndim == 1 else torch.cat(parts).squeeze(1)


def combined(kept: Kept, i: int, constant: Tensor, of_n: Tensor, of_h: Tensor, h: Tensor) -> Tensor:
    """constant + of_n · n + of_h · h, h being 0 where no position was chosen: [tasks, positions of y, O]."""
    by_y = of_n * kept.factor
    total = torch.addcmul(constant - by_y * kept.mean, rows(kept.y[i], len(kept.block)), by_y)
    index, y = kept.index[i], kept.y[i]
    if index is None:
        return total.addcmul_(h, of_h)
    spread = torch.ops.aten.max_pool2d_with_indices_backward(
        as_images(h * of_h, index), y, [2, 2], [2, 2], [0, 0], [1, 1], False, index
    )
    return total.add_(rows(spread, len(kept.block)))


def gradient_of_y(kept: Kept, i: int, h: Flow) -> Tensor:
    """dy = a (h - mean h - n mean(h n)) of a run of images."""
    minus = -kept.a
    total = combined(kept, i, minus * h.mean, minus * h.mean_n, kept.a, h.passed[i])
    return as_images(total, kept.y[i])


class ConvBlockGradient(torch.autograd.Function):
    """(g, x, weight, γ, β; z and what was kept) -> dx, dw, dγ, dβ, each None where it is not wanted."""

    @staticmethod
    def forward(
        ctx: Any,
        g: Tensor,
        x: Tensor,
        weight: Tensor,
        scale: Tensor | None,
        offset: Tensor,
        z: Tensor,
        kept: list[Kept],
        geometry: Geometry,
        wanted: Wanted,
    ) -> tuple[Tensor | None, ...]:
        """The first derivative, block by block."""
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(g, x, weight, scale, offset, z)
        ctx.kept, ctx.geometry = kept, geometry
        dx = Placed(x) if wanted.x else None
        dw = Gathered(weight) if wanted.weight else None
        of_scale, of_offset = [], []
        for each in kept:
            h = flow(g, z, each, scale, offset)
            of_offset.append(h.mean)
            of_scale.append(h.mean_n)
            for i, run in enumerate(each.block.images if wanted.x or wanted.weight else ()):
                dy = gradient_of_y(each, i, h)
                if dx is not None:
                    dx.put(image_gradient(dy, x, weight, each.block, run, geometry), each.block, run)
                if dw is not None:
                    dw.add(weight_gradients(dy, x, weight, each.block, run, geometry), each.block)
        of_x, of_weight = (each.whole if each else None for each in (dx, dw))
        m = kept[0].positions
        wide = None if scale is None else _of_channels(of_scale, scale) * m
        return of_x, of_weight, wide, _of_channels(of_offset, offset) * m

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *cotangents: Tensor | None) -> tuple[Tensor | None, ...]:
        """The second, from the cotangents u, v, c, b; None for zero."""
        g, x, weight, scale, offset, z = ctx.saved_tensors
        by_g, by_x, by_weight, by_scale, _ = ctx.needs_input_grad[:5]
        second = Second(
            x=x,
            weight=weight,
            z=z,
            offset=offset,
            unscaled=scale is None,
            geometry=ctx.geometry,
            cotangents=cotangents,
            of_g=Placed(g) if by_g else None,
            of_x=Placed(x) if by_x else None,
            of_weight=Gathered(weight) if by_weight else None,
            of_scale=torch.zeros_like(scale) if by_scale else None,
        )
        if any(cotangent is not None for cotangent in cotangents):
            for each in ctx.kept:
                second.add(each, flow(g, z, each, scale, offset))
        found = (each.whole if each else None for each in (second.of_g, second.of_x, second.of_weight))
        return *found, second.of_scale, None, None, None, None, None


@dataclass(frozen=True, kw_only=True)
class Second:
    """The second derivative, gathered block by block in `of_g`, `of_x`, `of_weight`, `of_scale` where not None.

    cotangents: u, v, c, b of dx, dw, dγ, dβ; None for zero.
    """

    x: Tensor
    weight: Tensor
    z: Tensor
    offset: Tensor
    unscaled: bool
    geometry: Geometry
    cotangents: tuple[Tensor | None, ...]
    of_g: Placed | None
    of_x: Placed | None
    of_weight: Gathered | None
    of_scale: Tensor | None

    def add(self, kept: Kept, h: Flow) -> None:
        """Add the share of a block of tasks."""
        a, s, m, runs = kept.a, kept.factor, kept.positions, kept.block.images
        r = [self._cotangent_of_dy(kept, i, run) for i, run in enumerate(runs)]
        mean_r, mean_rn, mean_rh, chosen = self._means(kept, h, r)
        c, b = (
            torch.zeros_like(mean_r) if each is None else of_block(each, kept.block)
            for each in self.cotangents[2:]
        )
        apart = mean_rh - mean_r * h.mean
        if self.of_scale is not None:
            own = self.of_scale if self.of_scale.ndim == 1 else self.of_scale[kept.block.tasks]
            own.add_(_of_channels([(apart - mean_rn * h.mean_n) * s], own) * m)
        of_h = c - a * mean_rn
        if self.of_g is not None:
            self._put_g(kept, h, chosen, b - a * mean_r, of_h)
        q = of_h * h.mean - a * h.mean_n * mean_r
        k = h.mean_n * (3 * a * mean_rn - c) - a * apart
        of_r = -s * a * h.mean_n
        for i, run in enumerate(runs):
            of_y = combined(kept, i, -s * q, s * k, s * of_h, h.passed[i]).addcmul_(
                rows(r[i], len(of_r)), of_r
            )
            self._add_convolutions(kept, run, as_images(of_y, kept.y[i]), gradient_of_y(kept, i, h))

    def _means(self, kept: Kept, h: Flow, r: list[Tensor]) -> tuple[Tensor, Tensor, Tensor, list[Tensor]]:
        """The means of r, r n and r h, [tasks, 1, O], and r at the chosen positions."""
        tasks = len(kept.block)
        every = [rows(each, tasks) for each in r]
        chosen = [rows(gathered(each, kept.index[i]), tasks) for i, each in enumerate(r)]
        sums = (
            [each.sum(1, keepdim=True) for each in every],
            [kept.normalised(i).mul_(each).sum(1, keepdim=True) for i, each in enumerate(every)],
            [(p * q).sum(1, keepdim=True) for p, q in zip(chosen, h.passed, strict=True)],
        )
        mean_r, mean_rn, mean_rh = (sum_of(each) / kept.positions for each in sums)
        return mean_r, mean_rn, mean_rh, chosen

    def _cotangent_of_dy(self, kept: Kept, i: int, run: slice) -> Tensor:
        """r = w * u + v * x of a run of images."""
        u, v = self.cotangents[:2]
        place = (kept.block, run, self.geometry)
        pairs = [(u, self.weight), (self.x, v)]
        found = [convolve(images, w, *place) for images, w in pairs if images is not None and w is not None]
        if not found:
            return torch.zeros_like(kept.y[i])
        return found[0] if len(found) == 1 else found[0].add_(found[1])

    def _put_g(self, kept: Kept, h: Flow, chosen: list[Tensor], constant: Tensor, of_n: Tensor) -> None:
        """The cotangent of g: a r + constant + of_n · n where g reaches h."""
        assert self.of_g is not None
        if self.unscaled:
            constant = constant - of_n * of_block(self.offset, kept.block)
        for run, n, r in zip(kept.block.images, h.n, chosen, strict=True):
            z = images_of(self.z, kept.block, run)
            total = torch.addcmul(constant, n, of_n).addcmul_(r, kept.a)
            passed = torch.ops.aten.threshold_backward(as_images(total, z), z, 0)
            self.of_g.put(passed, kept.block, run)

    def _add_convolutions(self, kept: Kept, run: slice, of_y: Tensor, dy: Tensor) -> None:
        """What the cotangent of y, and dy with u and v, give to x and the weights."""
        u, v = self.cotangents[:2]
        at = (kept.block, run, self.geometry)
        if self.of_x is not None:
            of_x = image_gradient(of_y, self.x, self.weight, *at)
            if v is not None:
                of_x.add_(image_gradient(dy, self.x, v, *at))
            self.of_x.put(of_x, kept.block, run)
        if self.of_weight is not None:
            self.of_weight.add(weight_gradients(of_y, self.x, self.weight, *at), kept.block)
            if u is not None:
                self.of_weight.add(weight_gradients(dy, u, self.weight, *at), kept.block)
