"""Similarity, movement and specialisation, against plain PyTorch in float64."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from harness.probes.movement import Movement
from harness.probes.similarity import MEASURES, Similarity
from harness.probes.specialisation import Specialisation
from harness_methods.anil import ANIL
from plain_inner_loop import Params, reference_outputs, reference_path
from probe_cases import EPISODE, METHOD, SPARE, learner_of, no_images, rows_of, some, stored, values

STILL = replace(METHOD, test_inner_steps=0)
LAYERS = ("conv1", "conv2", "conv3", "conv4", "head")
N_WAY = EPISODE.task.n_way


def path_of(names: list[str]) -> list[Params]:
    return reference_path(stored(learner_of()), EPISODE.task, names, 3, METHOD.inner_lr)


def everything() -> list[str]:
    return list(learner_of().adaptable(frozenset(LAYERS)))


def flat(params: Params, layer: str) -> torch.Tensor:
    if layer == "head":
        return torch.cat([params["head.weight"][:N_WAY].flatten(), params["head.bias"][:N_WAY]])
    return params[f"body.stages.{layer}.conv.weight"].flatten()


def debiased_cka(x: torch.Tensor, y: torch.Tensor) -> float:
    """From whole Gram matrices, as Song et al. (2012) write the unbiased HSIC."""
    k, l = (f.flatten(1) @ f.flatten(1).T for f in (x, y))  # noqa: E741
    n = len(k)
    for gram in (k, l):
        gram.fill_diagonal_(0)

    def hsic(a: torch.Tensor, b: torch.Tensor) -> float:
        both = (a.sum() * b.sum() / ((n - 1) * (n - 2)) - 2 * (a @ b).sum() / (n - 2)).item()
        return float((a @ b).trace().item() + both) / (n * (n - 3))

    return float(hsic(k, l) / np.sqrt(hsic(k, k) * hsic(l, l)))


def test_similarity_is_of_the_spare_images_before_and_after() -> None:
    rows = rows_of(Similarity(), learner_of())
    path = path_of(everything())
    before, after = (reference_outputs(params, SPARE.x, N_WAY) for params in (path[0], path[-1]))
    assert {row.condition for row in rows} == {"everything"}
    assert {row.n for row in rows} == {len(SPARE.x)}
    cka, cosine = (values(rows, quantity=quantity) for quantity in ("cka", "cosine"))
    assert [layer for layer, _ in cka] == list(LAYERS)
    for layer in LAYERS:
        assert cka[layer, None] == pytest.approx(debiased_cka(before[layer], after[layer]), abs=1e-9)
        plain = torch.cosine_similarity(before[layer].flatten(1), after[layer].flatten(1)).mean()
        if not some(rows, layer=layer, quantity="cosine")[0].reason:
            assert cosine[layer, None] == pytest.approx(float(plain), abs=1e-9)


def test_a_pooled_similarity_is_the_ratio_of_sums() -> None:
    probe = Similarity()
    learner = learner_of()
    other = replace(SPARE, x=SPARE.x.flip(3) * 1.5)
    rows = [*rows_of(probe, learner), *rows_of(probe, learner, spare=other)]
    pooled = values(list(probe.pooled(rows)), quantity="pooled_cka")
    assert [layer for layer, _ in pooled] == list(LAYERS)
    for (layer, _), found in pooled.items():
        xy, xx, yy = (
            sum(row.value for row in some(rows, layer=layer, quantity=q))
            for q in ("hsic_xy", "hsic_xx", "hsic_yy")
        )
        assert found == pytest.approx(xy / np.sqrt(xx * yy))
    assert {row.n for row in probe.pooled(rows)} == {2 * len(SPARE.x)}


@pytest.mark.parametrize("n", [0, 3])
def test_too_few_spare_images_are_a_reason_not_a_number(n: int) -> None:
    probe = Similarity()
    rows = rows_of(probe, learner_of(), spare=no_images(n=n))
    assert {(row.reason, row.n) for row in rows} == {
        (f"The episode has {n} spare images; a similarity needs at least 4.", n)
    }
    assert all(np.isnan(row.value) for row in rows)
    assert {row.quantity for row in rows} >= set(MEASURES)
    (reason,) = {row.reason for row in probe.pooled(rows)}
    assert "at least 4" in reason
    # Beside an episode that has enough, it is left out.
    enough = rows_of(probe, learner_of())
    both = list(probe.pooled([*rows, *enough]))
    assert [row.value for row in both] == [row.value for row in probe.pooled(enough)]


def test_cca_says_when_there_are_too_few_data_points() -> None:
    rows = rows_of(Similarity(), learner_of(), spare=no_images(n=5))
    (head,) = some(rows, layer="head", quantity="mean_cca")
    assert np.isnan(head.value)
    assert "too few for 3 directions" in head.reason


def test_nothing_changes_without_steps() -> None:
    learner = learner_of()
    cka = values(rows_of(Similarity(), learner, STILL), quantity="cka")
    assert list(cka.values()) == [pytest.approx(1.0)] * len(LAYERS)
    assert rows_of(Movement(), learner, STILL) == []
    frozen = replace(METHOD, inner_lr=1e-300)
    moved = rows_of(Movement(), learner, frozen)
    assert {row.value for row in moved} == {0.0}
    assert len(moved) == 3 * len(LAYERS) * 2
    rows = rows_of(Specialisation(), learner, STILL)
    by_condition = [values(rows, condition=condition) for condition in ("nothing", "everything")]
    assert by_condition[0] == by_condition[1]


def test_movement_is_the_distance_from_the_start_over_its_size() -> None:
    rows = rows_of(Movement(), learner_of())
    path = path_of(everything())
    outputs = [reference_outputs(params, SPARE.x, N_WAY) for params in path]
    weights, functions = (
        values(rows, quantity=quantity, condition="everything")
        for quantity in ("weight_change", "function_change")
    )
    assert set(weights) == set(functions) == {(layer, step) for layer in LAYERS for step in (1, 2, 3)}
    for (layer, step), found in weights.items():
        assert step is not None
        start = flat(path[0], layer)
        assert found == pytest.approx(
            ((flat(path[step], layer) - start).norm() / start.norm()).item(), rel=1e-9
        )
        old, new = outputs[0][layer], outputs[step][layer]
        assert functions[layer, step] == pytest.approx(((new - old).norm() / old.norm()).item(), rel=1e-9)


def test_frozen_layers_have_no_rows() -> None:
    anil = ANIL(inner_lr=METHOD.inner_lr, test_inner_steps=3)
    learner = learner_of()
    for probe in (Movement(), Similarity(), Specialisation()):
        rows = rows_of(probe, learner, anil)
        assert {row.layer for row in some(rows, condition="head only")} == {"head"}
        assert {row.layer for row in some(rows, condition="everything")} == set(LAYERS)
        same = rows_of(probe, learner)
        everything_alone = [row for row in rows if row.condition != "head only"]
        assert [row.value for row in everything_alone] == pytest.approx(
            [row.value for row in same], nan_ok=True
        )


def test_specialisation_is_of_the_class_means() -> None:
    rows = rows_of(Specialisation(), learner_of())
    path = path_of(everything())
    for condition, params in (("nothing", path[0]), ("everything", path[-1])):
        outputs = reference_outputs(params, SPARE.x, N_WAY)
        for layer in LAYERS:
            classes = [outputs[layer].flatten(1)[label == SPARE.y] for label in range(N_WAY)]
            spreads = [c.var(0, correction=1).sum() for c in classes]
            apart = [
                (a.mean(0) - b.mean(0)).square().sum() - s / len(a) - t / len(b)
                for i, (a, s) in enumerate(zip(classes, spreads, strict=True))
                for b, t in list(zip(classes, spreads, strict=True))[i + 1 :]
            ]
            found = {row.quantity: row.value for row in some(rows, condition=condition, layer=layer)}
            within, between = float(torch.stack(spreads).mean()), float(torch.stack(apart).mean())
            assert found["within"] == pytest.approx(within)
            assert found["between"] == pytest.approx(between)
            assert found["separation"] == pytest.approx(between / (between + 2 * within))


def test_specialisation_over_episodes_is_a_ratio_of_averages() -> None:
    probe = Specialisation()
    learner = learner_of()
    rows = [*rows_of(probe, learner), *rows_of(probe, learner, spare=replace(SPARE, x=SPARE.x.flip(3)))]
    pooled = {
        row.quantity: row.value
        for row in probe.pooled(rows)
        if (row.layer, row.condition) == ("conv2", "nothing")
    }
    within, between = (
        np.mean([row.value for row in some(rows, layer="conv2", condition="nothing", quantity=quantity)])
        for quantity in ("within", "between")
    )
    assert pooled["pooled_within"] == pytest.approx(within)
    assert pooled["pooled_separation"] == pytest.approx(between / (between + 2 * within))
    assert pooled["pooled_spread"] == pytest.approx(within / between)


@pytest.mark.parametrize("policy", ["transductive", "support", "running"])
def test_the_policy_decides_what_normalises_the_spare_images(policy: str) -> None:
    """Only under `transductive` does a spare image's output depend on the others."""
    learner = learner_of(batch_norm=policy)
    few, many = (
        values(rows_of(Movement(), learner, spare=no_images(n=n)), quantity="function_change", step=1)
        for n in (1, 2)
    )
    twice = replace(SPARE, x=torch.cat([SPARE.x[:1], SPARE.x[:1]]), y=SPARE.y[:2])
    same = values(rows_of(Movement(), learner, spare=twice), quantity="function_change", step=1)
    assert same == pytest.approx(few)  # the same image twice changes nothing under any policy
    assert many != pytest.approx(few)
