"""TICL's scene classifier brought to its optimum on fixed features: weights over the frames, then a linear layer."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from telltime.tasks.logistic import DEFAULT_PENALTY, PENALTIES, held_out

_MOST_STEPS = 200


@dataclass(frozen=True)
class SceneInputs:
    """What is known of some videos.

    Attributes:
        frames: float32 ``[N, F, D]``, if any.
        video: float32 ``[N, E]``, if any.
    """

    frames: Tensor | None = None
    video: Tensor | None = None

    def take(self, rows: np.ndarray) -> "SceneInputs":
        """Of some videos; ``rows`` is bool ``[N]``."""
        chosen = torch.as_tensor(rows)
        return SceneInputs(*(None if each is None else each[chosen] for each in (self.frames, self.video)))


@dataclass(frozen=True)
class SceneProbe:
    """``W (sum_f c_f x_f) + U v + b`` on standardised features.

    Attributes:
        mix: ``[F]``, the 1x1 convolution; its bias is part of ``bias``.
        weight, video_weight: ``[K, D]`` and ``[K, E]``.
        bias: ``[K]``; minus infinity for a class without training videos.
        frame_values, video_values: mean and scale of the training features.
        penalty: strength of the L2 penalty, per example.
        chosen: whether videos that were held out chose it, or it is the default for want of them.
    """

    mix: Tensor
    weight: Tensor
    video_weight: Tensor
    bias: Tensor
    frame_values: tuple[Tensor, Tensor]
    video_values: tuple[Tensor, Tensor]
    penalty: float
    chosen: bool = False

    def logits(self, inputs: SceneInputs) -> Tensor:
        """float32 ``[N, K]``."""
        found = self.bias
        if inputs.frames is not None:
            mixed = torch.einsum("nfd,f->nd", (inputs.frames - self.frame_values[0]) / self.frame_values[1], self.mix)
            found = found + mixed @ self.weight.T
        if inputs.video is not None:
            found = found + ((inputs.video - self.video_values[0]) / self.video_values[1]) @ self.video_weight.T
        return found


def fit_scene_probe(
    inputs: SceneInputs,
    labels: np.ndarray,
    classes: int,
    held: tuple[SceneInputs, np.ndarray] | None = None,
    groups: Sequence[str] = (),
) -> SceneProbe:
    """Fit the probe; the penalty is the one of :data:`~telltime.tasks.logistic.PENALTIES` best on held-out videos.

    The penalty is on the linear map of all frames together, ``|c|^2 |W|^2``, so that the scale of ``c`` is free.

    Args:
        labels: int64 ``[N]``, 0 to ``classes - 1``.
        held: a validation split; without one a quarter of each class's ``groups`` is held out, and all videos are
            fitted in the end.

    Raises:
        ValueError: there are no videos.
    """
    labels = np.asarray(labels)
    if not len(labels):
        raise ValueError("a classifier needs examples; there are none")
    fitting, fitted_labels, asked, asked_labels = inputs, labels, None, labels[:0]
    if held is not None:
        asked, asked_labels = held
    elif groups:
        out = held_out(labels, groups)
        if out.any():
            fitting, fitted_labels = inputs.take(~out), labels[~out]
            asked, asked_labels = inputs.take(out), labels[out]
    known = np.isin(asked_labels, fitted_labels)
    if asked is None or not known.any() or len(np.unique(fitted_labels)) < 2:
        return _fit(inputs, labels, classes, DEFAULT_PENALTY)
    asked, asked_labels = asked.take(known), asked_labels[known]
    target = torch.as_tensor(asked_labels)
    tried = [_fit(fitting, fitted_labels, classes, penalty) for penalty in PENALTIES]
    best = int(np.argmin([float(cross_entropy(probe.logits(asked), target)) for probe in tried]))
    final = tried[best] if fitting is inputs else _fit(inputs, labels, classes, PENALTIES[best])
    return SceneProbe(**{**vars(final), "chosen": True})


def _fit(inputs: SceneInputs, labels: np.ndarray, classes: int, penalty: float) -> SceneProbe:
    seen = np.unique(labels)
    target = torch.as_tensor(np.searchsorted(seen, labels))
    frames, frame_values = _standard(inputs.frames, 3)
    video, video_values = _standard(inputs.video, 2)
    count = max(1, frames.shape[1])
    mix = torch.full((frames.shape[1],), 1 / count, requires_grad=True)
    weight = torch.zeros(len(seen), frames.shape[2], requires_grad=True)
    other = torch.zeros(len(seen), video.shape[1], requires_grad=True)
    bias = torch.zeros(len(seen), requires_grad=True)
    optimiser = torch.optim.LBFGS(
        [mix, weight, other, bias], max_iter=_MOST_STEPS, line_search_fn="strong_wolfe", tolerance_change=1e-7
    )

    def loss() -> Tensor:
        optimiser.zero_grad()
        logits = torch.einsum("nfd,f->nd", frames, mix) @ weight.T + video @ other.T + bias
        shrink = count * mix.square().sum() * weight.square().sum() + other.square().sum()
        value = cross_entropy(logits, target) + penalty / 2 * shrink
        value.backward()
        return value

    if len(seen) > 1:
        optimiser.step(loss)
    every, every_other = (torch.zeros(classes, part.shape[1]) for part in (weight, other))
    every_bias = torch.full((classes,), -torch.inf)
    every[seen], every_other[seen], every_bias[seen] = weight.detach(), other.detach(), bias.detach()
    return SceneProbe(mix.detach(), every, every_other, every_bias, frame_values, video_values, penalty)


def _standard(values: Tensor | None, dims: int) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """Features less their mean over their spread, and both; what never changes has a spread of 1."""
    if values is None:
        return torch.zeros(1, *[0] * (dims - 1)), (torch.zeros(0), torch.ones(0))
    flat = values.float().flatten(0, -2)
    mean, scale = flat.mean(0), flat.std(0, correction=0)
    scale = torch.where(scale > 1e-6 * mean.abs().clamp_min(1e-6), scale, torch.ones_like(scale))
    return (values - mean) / scale, (mean, scale)
