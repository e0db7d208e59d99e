"""Moving a rendered picture to other times of day by its latent: the loop, and what is reported of it.

Every hour is a row of one batch, which does not know of the others: the same seed gives the same picture of an hour
whatever else is asked for.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from telltime.losses.time_editing import learning_rate
from telltime.methods.time_editing import TimeEditLoss
from telltime.metrics.circular import circular_median, distance
from telltime.tasks.result import Result

Render = Callable[[Tensor], Tensor]
Told = Callable[[int, int], None]


@dataclass(frozen=True)
class EditSettings:
    """How a latent is moved.

    Attributes:
        steps: at most.
        rate: of Adam at its highest, see :func:`telltime.losses.time_editing.learning_rate`.
        patience: end once no row's loss has fallen by ``tolerance`` for so many steps; 0 goes on to the last.
        tolerance: in units of the loss.
        together: hours in one batch, for large pictures; 0 is all of them.
    """

    steps: int = 100
    rate: float = 0.1
    patience: int = 0
    tolerance: float = 1e-3
    together: int = 0


@dataclass(frozen=True)
class Edited:
    """What came of it.

    Attributes:
        hours: that were asked for, in that order.
        latents: ``[hours, ...]``.
        pictures: rendered of these latents (after the last step), uint8 ``[hours, 3, H, W]``.
        before: the picture that was started from, uint8 ``[3, H, W]``.
        terms: of every step, by name, float64 ``[steps, hours]``; steps that an hour no longer took repeat its last.
    """

    hours: tuple[float, ...]
    latents: Tensor
    pictures: Tensor
    before: Tensor
    terms: dict[str, Tensor]


def edit(
    render: Render,
    start: Tensor,
    loss: TimeEditLoss,
    hours: Sequence[float],
    settings: EditSettings = EditSettings(),
    told: Told | None = None,
) -> Edited:
    """Move one latent to each of ``hours``.

    Args:
        render: latents ``[N, ...]`` to pictures ``[N, 3, H, W]``, about -1 to 1; any differentiable function.
        start: one latent, ``[1, ...]``.
        loss: its ``words``, where it has some, are one row or one for each hour.
        told: called with steps done and to do.

    Raises:
        ValueError: no hours, hours outside the day, or more than one latent.
    """
    if not len(hours) or not all(0 <= hour < 24 for hour in hours):
        raise ValueError(f"hours lie in 0 to 24, and there is at least one, not {list(hours)}")
    if len(start) != 1:
        raise ValueError(f"an edit starts from one latent, not from {len(start)}")
    start = start.detach()
    with torch.no_grad():
        first = render(start)
    loss.begin(first, start)
    size, words = settings.together or len(hours), loss.words
    groups = [slice(at, at + size) for at in range(0, len(hours), size)]
    rows: list[Tensor] = []
    histories: list[dict[str, Tensor]] = []
    try:
        for number, group in enumerate(groups):
            wanted = torch.tensor(list(hours)[group], dtype=start.dtype, device=start.device)
            if isinstance(words, Tensor) and len(words) > 1:
                loss.words = words[group]

            def report(done: int, number: int = number) -> None:
                if told:
                    told(number * settings.steps + done, len(groups) * settings.steps)

            moved, history = _descend(render, start, loss, wanted, settings, report)
            rows.append(moved)
            histories.append(history)
    finally:
        loss.words = words
    latents = torch.cat(rows)
    with torch.no_grad():
        pictures = torch.cat([as_pixels(render(latents[group])) for group in groups])
    longest = max(len(history["total"]) for history in histories)
    terms = {key: torch.cat([_padded(history[key], longest) for history in histories], 1) for key in histories[0]}
    return Edited(tuple(map(float, hours)), latents.cpu(), pictures, as_pixels(first)[0], terms)


def _descend(
    render: Render,
    start: Tensor,
    loss: TimeEditLoss,
    hours: Tensor,
    settings: EditSettings,
    report: Callable[[int], None],
) -> tuple[Tensor, dict[str, Tensor]]:
    """Latents of some hours after the last step, and each step's terms before it was taken."""
    latents = start.repeat(len(hours), *[1] * (start.ndim - 1)).requires_grad_()
    optimiser = torch.optim.Adam([latents], lr=settings.rate)
    history: dict[str, list[Tensor]] = {}
    best, waited = torch.full((len(hours),), torch.inf), 0
    for step in range(settings.steps):
        optimiser.param_groups[0]["lr"] = learning_rate(step, settings.steps, settings.rate)
        terms = loss(render(latents), latents, hours)
        optimiser.zero_grad()
        (latents.grad,) = torch.autograd.grad(terms["total"].sum(), latents)
        optimiser.step()
        for key, value in terms.items():
            history.setdefault(key, []).append(value.detach().double().cpu())
        report(step + 1)
        now = history["total"][-1]
        waited = 0 if (now < best - settings.tolerance).any() else waited + 1
        best = torch.minimum(best, now)
        if settings.patience and waited >= settings.patience:
            break
    return latents.detach(), {key: torch.stack(values) for key, values in history.items()}


def _padded(values: Tensor, length: int) -> Tensor:
    return torch.cat([values, values[-1:].expand(length - len(values), -1)])


def as_pixels(pictures: Tensor) -> Tensor:
    """Rendered pictures to uint8 on the CPU; what lies outside -1 to 1 is cut off."""
    return ((pictures.detach().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).cpu()


def summary(
    edited: Edited, densities: Any, *, model: dict[str, Any], data: dict[str, Any], started: float, protocol: str
) -> Result:
    """The :class:`Result` of an edit.

    Metrics: ``mae_hours_before`` and ``mae_hours_after``, from the hours asked for to the clock's circular median.

    Args:
        densities: of the picture before and then of each after, ``[1 + hours, bins]``, by the clock that guided.
        started: ``time.monotonic()`` at the beginning.
    """
    told = circular_median(densities)
    away = [float(distance(hour, value)) for hour, value in zip(edited.hours, told[1:], strict=True)]
    before = [float(distance(hour, told[0])) for hour in edited.hours]
    metrics = {"mae_hours_before": sum(before) / len(before), "mae_hours_after": sum(away) / len(away)}
    metrics |= {f"{key}_last": float(values[-1].mean()) for key, values in edited.terms.items()}
    note = "The clock that says how late it is in the pictures is the one that guided them: no independent judge."
    return Result(
        task="edit-time",
        protocol=protocol,
        metrics=metrics,
        model=model,
        data=data
        | {
            "hours": [
                {"hour": hour, "told_before": float(told[0]), "told_after": float(after)}
                for hour, after in zip(edited.hours, told[1:], strict=True)
            ],
            "steps": len(edited.terms["total"]),
        },
        records=len(edited.hours),
        seconds=time.monotonic() - started,
        details={"notes": [note]},
    )
