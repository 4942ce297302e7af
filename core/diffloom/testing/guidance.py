"""Laws of the kind `guidance`. What is guided is the small model of `diffloom.testing.guided_model`.

Legend: B batch, C channels, H height, W width.
"""

from __future__ import annotations

import operator
from itertools import pairwise

import torch
from torch import Tensor

from diffloom.kinds import Guidance, Guide, Mixing, ScaledGuidance, Tilting
from diffloom.process import Denoised, Level, Steered, View
from diffloom.testing.checks import Check, expect, expect_close
from diffloom.testing.guided_model import OTHERS, Scene, walk_levels

NEGATIVE = {"label": [1, 2, 0]}


def is_neutral_where_it_says(component: Guidance) -> None:
    """As configured it changes the plain prediction at some level, unless it is `neutral`, and then at none."""
    scene = Scene()
    changes = max(float(shift.abs().max()) for shift in _shifts(component.build(), scene))
    expect((changes == 0) == component.neutral, f"neutral to be {changes == 0}", component.neutral)


def at_1_is_the_plain_model(component: Guidance) -> None:
    """Scale 1 is neutral and changes nothing; no other scale is neutral."""
    if not isinstance(component, ScaledGuidance):
        return
    one = _scaled(component, 1.0)
    expect(one.neutral, "scale 1 to be neutral", "neutral is false")
    expect(_scaled(component, (1.0, 1.0, 1.0)).neutral, "three scales of 1 to be neutral", "neutral is false")
    expect(not _scaled(component, 0.0).neutral, "scale 0 not to be neutral", "neutral is true")
    for shift in _shifts(one.build(), Scene()):
        expect_close(shift, torch.zeros_like(shift), within=1e-12, what="the shift at scale 1")


def grows_with_its_scale(component: Guidance) -> None:
    """A larger scale goes further, all levels together, in the direction of the largest."""
    if not isinstance(component, ScaledGuidance):
        return
    scales = (1.0, 1.5, 2.0, 4.0, 8.0)
    shifts = [torch.stack(_shifts(_scaled(component, scale).build(), Scene())) for scale in scales]
    ways = [(shift * shifts[-1]).transpose(0, 1).flatten(1).sum(1) for shift in shifts]
    grows = all(bool((far > near).all()) for near, far in pairwise(ways))
    expect(grows, f"scales {scales} to go further each", [way.tolist() for way in ways])


def leads_away_from_the_null_condition(component: Guidance) -> None:
    """What compares goes, above scale 1 and all levels together, from the null prediction to the conditional one."""
    if not (isinstance(component, ScaledGuidance) and component.compares):
        return
    scene = Scene()
    null = scene.model.under(scene.aims.null)
    way = sum(
        float((shift * (scene.predicted(level).x0_BCHW - null(scene.x_BCHW, level).x0_BCHW)).sum())
        for level, shift in zip(walk_levels(), _shifts(_scaled(component, 3.0).build(), scene), strict=True)
    )
    expect(way > 0, "scale 3 to lead away from the null condition", way)


def gives_each_sample_its_scale(component: Guidance) -> None:
    """With a scale for each sample a row is what it is with its scale for all; `samples` and `rows` tell and split."""
    if not isinstance(component, ScaledGuidance):
        return
    scales = (1.0, 2.0, 4.0)
    each = _scaled(component, scales)
    expect(each.samples == 3, "samples to be 3", each.samples)
    expect(_scaled(component, 2.0).samples is None, "samples to be None for one scale", "a number")
    expect(
        each.rows(slice(1, 3)).scale == scales[1:],
        f"rows 1 to 3 to have {scales[1:]}",
        each.rows(slice(1, 3)),
    )
    together = _shifts(each.build(), Scene())
    for row, scale in enumerate(scales):
        for came, wanted in zip(together, _shifts(_scaled(component, scale).build(), Scene()), strict=True):
            expect_close(
                came[row], wanted[row], within=1e-12, what=f"the shift of row {row} of scale {scale:g}"
            )


def stays_consistent(component: Guidance) -> None:
    """alpha·x₀ + sigma·ε = x_t and finite at every level, in x's type, without a graph, the variance passed on."""
    scene = Scene()
    for level, guided in zip(walk_levels(), _guided(component.build(), scene), strict=True):
        came = level.alpha * guided.x0_BCHW + level.sigma * guided.eps_BCHW
        expect(bool(came.isfinite().all()), f"finite numbers at alpha {level.alpha:g}", came)
        expect_close(came, scene.x_BCHW, within=1e-10, what=f"alpha·x0 + sigma·eps at alpha {level.alpha:g}")
        expect(not guided.x0_BCHW.requires_grad, "no graph to be left behind", "x0 requires a gradient")
        variance, plain = guided.variance_BCHW, scene.predicted(level).variance_BCHW
        assert plain is not None
        expect(variance is not None, "the learned variance to be passed on", None)
        assert variance is not None
        expect_close(variance, plain, within=1e-12, what="the learned variance")
    scene.x_BCHW = scene.x_BCHW.float()
    for guided in _guided(component.build(), scene):
        kinds = (guided.x0_BCHW.dtype, guided.x0_BCHW.shape)
        expect(kinds == (torch.float32, scene.x_BCHW.shape), "x0 of x's type and shape", kinds)


def rows_are_independent(component: Guidance) -> None:
    """A row is the same alone as in a batch."""
    together = _shifts(component.build(), Scene())
    for row in range(3):
        rows = slice(row, row + 1)
        alone = _shifts(component.rows(rows).build(), Scene(rows=rows))
        for came, wanted in zip(alone, together, strict=True):
            expect_close(came, wanted[rows], within=1e-10, what=f"the shift of row {row} alone")


def asks_for_conditions_before_the_walk(component: Guidance) -> None:
    """Its views are the same objects at every level, and no condition is made known twice: it is work per walk."""
    scene = Scene()
    pulls = component.build()(scene.aims, scene.model)
    views = [view for pull in pulls for view in pull.views]
    for level in walk_levels():
        now = [view for pull in pulls for view in pull.views]
        same = len(now) == len(views) and all(map(operator.is_, now, views))
        expect(same, "the same views at every level", "others")
        answers = [(pull.active(level), pull.active(level)) for pull in pulls]
        expect(all(one is other for one, other in answers), "active to answer the same twice", answers)
    denoise = Steered(scene.aims, scene.model, pulls)
    for level in walk_levels():
        denoise(scene.x_BCHW, level)
    asked = scene.conditions
    for level in walk_levels():
        denoise(scene.x_BCHW, level)
    expect(
        scene.conditions == asked, f"the {asked} conditions it asked for at first to be all", scene.conditions
    )


def begins_afresh(component: Guidance) -> None:
    """What it remembers is one walk's: the same guide makes the same of another walk, also of one in between."""
    scene = Scene()
    guide = component.build()
    first = _shifts(guide, scene)
    begun = Steered(scene.aims, scene.model, guide(scene.aims, scene.model))
    begun(2 * scene.x_BCHW, walk_levels()[1])
    for came, wanted in zip(_shifts(guide, scene), first, strict=True):
        expect_close(came, wanted, within=1e-12, what="the shift of a second walk")


def leaves_the_model_alone(component: Guidance) -> None:
    """Neither x, nor the predictions, nor the network are changed by it."""
    scene, levels = Scene(), walk_levels()
    x_BCHW = scene.x_BCHW.clone()
    before = [scene.predicted(level) for level in levels]
    weights = {name: weight.clone() for name, weight in scene.model.backbone.state_dict().items()}
    for pull in component.build()(scene.aims, scene.model):
        for level, plain in zip(levels, before, strict=True):
            if not pull.active(level):
                continue
            seen = [_seen(scene, view, level) for view in pull.views]
            kept = [one.x0_BCHW.clone() for one in (plain, *seen)]
            pull.shift(scene.x_BCHW, level, plain, seen)
            same = all(torch.equal(one.x0_BCHW, x0) for one, x0 in zip((plain, *seen), kept, strict=True))
            expect(same, "the predictions to be left as they were", "one was changed in place")
    expect(torch.equal(scene.x_BCHW, x_BCHW), "x to be left as it was", "x was changed in place")
    for level, wanted in zip(levels, before, strict=True):
        came = scene.predicted(level).x0_BCHW
        expect(torch.equal(came, wanted.x0_BCHW), "the network to predict as before", "another prediction")
    for name, weight in scene.model.backbone.state_dict().items():
        expect(torch.equal(weight, weights[name]), "weights to be left as they were", name)


def tells_what_it_compares_with(component: Guidance) -> None:
    """The null condition makes a difference where it `compares`, and none where it does not."""
    if component.neutral:
        return
    one, other = (_shifts(component.build(), Scene(null=null)) for null in (None, NEGATIVE))
    difference = max(float((a - b).abs().max()) for a, b in zip(one, other, strict=True))
    expect((difference > 0) == component.compares, f"compares to be {difference > 0}", component.compares)


def tells_what_it_weighs(component: Guidance) -> None:
    """Further conditions make a difference where it `weighs` them, and none where it does not, or with weight 0."""
    without, none, some = (
        _shifts(component.build(), Scene(others=others))
        for others in ((), ((0.0, OTHERS),), ((0.7, OTHERS),))
    )
    for came, wanted in zip(none, without, strict=True):
        expect_close(came, wanted, within=1e-12, what="the shift with a condition of weight 0")
    difference = max(float((a - b).abs().max()) for a, b in zip(some, without, strict=True))
    expect((difference > 0) == component.weighs, f"weighs to be {difference > 0}", component.weighs)


def shifts_by_its_gradient(component: Guidance) -> None:
    """A pull that has a gradient shifts x₀ by sigma²/alpha times it (Dhariwal & Nichol 2021, algorithm 2)."""
    scene = Scene()
    for pull in component.build()(scene.aims, scene.model):
        if not isinstance(pull, Tilting):
            continue
        for level in filter(pull.active, walk_levels()):
            seen = [_seen(scene, view, level) for view in pull.views]
            shift = pull.shift(scene.x_BCHW, level, scene.predicted(level), seen)
            wanted = level.sigma**2 / level.alpha * pull.gradient(scene.x_BCHW, level)
            expect(shift is not None, "a shift where it is active", None)
            assert shift is not None
            expect_close(shift, wanted, within=1e-10, what="the shift of x0")


def mixes_by_the_level_alone(component: Guidance) -> None:
    """The weights of a pull that mixes make its shift, and are the same for another x and asked in another order: those
    of a walk are asked for at once.
    """
    scene = Scene()
    for pull in component.build()(scene.aims, scene.model):
        if not isinstance(pull, Mixing):
            continue
        levels = list(filter(pull.active, walk_levels()))
        first = [pull.weights(level, scene.x_BCHW) for level in levels]
        again = [pull.weights(level, scene.x_BCHW.exp()) for level in reversed(levels)]
        for level, weights, others in zip(levels, first, reversed(again), strict=True):
            for came, wanted in zip(others, weights, strict=True):
                same = torch.equal(torch.as_tensor(came), torch.as_tensor(wanted))
                expect(same, f"the weights at alpha {level.alpha:g} to be {weights} for another x", others)
            plain, seen = scene.predicted(level), [_seen(scene, view, level) for view in pull.views]
            parts = [
                weight * (view.x0_BCHW - plain.x0_BCHW) for weight, view in zip(weights, seen, strict=True)
            ]
            shift = pull.shift(scene.x_BCHW, level, plain, seen)
            expect(shift is not None, "a shift where it is active", None)
            assert shift is not None
            expect_close(shift, torch.stack(parts).sum(0), within=1e-10, what="the shift its weights make")


def _scaled(component: ScaledGuidance, scale: float | tuple[float, ...]) -> ScaledGuidance:
    return component.model_copy(update={"scale": scale})


def _guided(guide: Guide, scene: Scene) -> list[Denoised]:
    """The guided prediction at every level of one walk."""
    denoise = Steered(scene.aims, scene.model, guide(scene.aims, scene.model))
    return [denoise(scene.x_BCHW, level) for level in walk_levels()]


def _shifts(guide: Guide, scene: Scene) -> list[Tensor]:
    """What it adds to the plain x₀ at every level of one walk."""
    plain = Steered(scene.aims, scene.model, ())
    return [
        guided.x0_BCHW - plain(scene.x_BCHW, level).x0_BCHW
        for level, guided in zip(walk_levels(), _guided(guide, scene), strict=True)
    ]


def _seen(scene: Scene, view: View, level: Level) -> Denoised:
    """A view's own prediction."""
    return (view.through or scene.model.under(view.condition))(scene.x_BCHW, level)


CHECKS: tuple[Check, ...] = (
    is_neutral_where_it_says,
    at_1_is_the_plain_model,
    grows_with_its_scale,
    leads_away_from_the_null_condition,
    gives_each_sample_its_scale,
    stays_consistent,
    rows_are_independent,
    asks_for_conditions_before_the_walk,
    begins_afresh,
    leaves_the_model_alone,
    tells_what_it_compares_with,
    tells_what_it_weighs,
    shifts_by_its_gradient,
    mixes_by_the_level_alone,
)
