"""A linear classifier on fixed features, brought to its optimum: nothing of the optimiser is in the score."""

import warnings
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
DEFAULT_PENALTY = 1e-2
_CHOOSING = 20_000


@dataclass(frozen=True)
class LogisticProbe:
    """Multinomial logistic regression on standardised features.

    Attributes:
        mean, scale: float32 ``[D]``, of the training features; a feature that never changes has scale 1.
        weight, bias: float32 ``[K, D]`` and ``[K]``; a class without training examples has bias -inf.
        penalty: strength of the L2 penalty, per example.
        chosen: whether the penalty was chosen on held-out groups, or is the default for want of them.
    """

    mean: Tensor
    scale: Tensor
    weight: Tensor
    bias: Tensor
    penalty: float
    chosen: bool

    def logits(self, features: Tensor) -> Tensor:
        """float32 ``[..., K]`` of ``[..., D]``."""
        return ((features - self.mean) / self.scale) @ self.weight.T + self.bias


def fit_logistic(
    features: Tensor, present: Tensor, labels: np.ndarray, groups: Sequence[str], classes: int
) -> LogisticProbe:
    """Fit the probe; the penalty is the one of :data:`PENALTIES` best on held-out groups of the training set.

    A quarter of each class's groups is held out to choose (never the only one of a class), then all data is fitted.

    Args:
        features: float ``[N, P, D]``, ``P`` clips of each of ``N`` videos.
        present: bool ``[N, P]``; what the features of an absent clip hold does not matter.
        labels: int64 ``[N]``, 0 to ``classes - 1``.
        groups: ``[N]``, what must stay on one side (the same scene, or just the video's id).

    With examples of one class alone the probe always says that class.

    Raises:
        ValueError: there are no examples.
    """
    labels = np.asarray(labels)
    if not len(labels):
        raise ValueError("a classifier needs examples; there are none")
    step = max(1, -(-features.shape[1] * len(features) // _CHOOSING))
    held = held_out(labels, groups)
    penalty, chosen = DEFAULT_PENALTY, bool(held.any())
    if chosen:
        fitting = _examples(features[~held, ::step], present[~held, ::step], labels[~held])
        asked = _examples(features[held, ::step], present[held, ::step], labels[held])
        known = set(fitting[1].tolist())
        chosen = len(asked[1]) > 0 and len(known) > 1 and set(asked[1].tolist()) <= known
        if chosen:
            penalty = PENALTIES[int(np.argmin([_loss(_fit(*fitting, classes, p), *asked) for p in PENALTIES]))]
    fitted = _fit(*_examples(features, present, labels), classes, penalty)
    return LogisticProbe(**{**vars(fitted), "chosen": chosen})


def _examples(features: Tensor, present: Tensor, labels: np.ndarray) -> tuple[Tensor, np.ndarray]:
    """The clips that are there, one after another, and the label of each."""
    return features[present].float(), np.repeat(labels, present.sum(1).numpy())


def _fit(flat: Tensor, target: np.ndarray, classes: int, penalty: float) -> LogisticProbe:
    from sklearn.linear_model import LogisticRegression

    mean, scale = flat.mean(0), flat.std(0, correction=0)
    scale = torch.where(scale > 1e-6 * mean.abs().clamp_min(1e-6), scale, torch.ones_like(scale))
    weight, bias = torch.zeros(classes, flat.shape[1]), torch.full((classes,), -torch.inf)
    if len(np.unique(target)) == 1:
        bias[int(target[0])] = 0.0
        return LogisticProbe(mean, scale, weight, bias, penalty, False)
    model = LogisticRegression(C=1 / (penalty * len(flat)), max_iter=1000)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(((flat - mean) / scale).numpy(), target)
    coefficients, intercept = model.coef_, model.intercept_
    if len(model.classes_) == 2:
        coefficients, intercept = np.concatenate([-coefficients, coefficients]) / 2, np.array([-1, 1]) * intercept / 2
    weight[model.classes_] = torch.as_tensor(coefficients, dtype=torch.float32)
    bias[model.classes_] = torch.as_tensor(intercept, dtype=torch.float32)
    return LogisticProbe(mean, scale, weight, bias, penalty, False)


def _loss(probe: LogisticProbe, flat: Tensor, target: np.ndarray) -> float:
    """Mean cross-entropy of clips; every class among them is known to the probe."""
    return float(torch.nn.functional.cross_entropy(probe.logits(flat), torch.as_tensor(target)))


def held_out(labels: np.ndarray, groups: Sequence[str]) -> np.ndarray:
    """bool ``[N]``: about every fourth group of each class, at least one where there are two or more."""
    by_class: dict[int, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for index, (label, group) in enumerate(zip(labels, groups, strict=True)):
        by_class[int(label)][group].append(index)
    held = np.zeros(len(labels), dtype=bool)
    for members in by_class.values():
        names = sorted(members)
        count = max(1, len(names) // 4) if len(names) > 1 else 0
        for position in range(count):
            held[members[names[position * len(names) // count]]] = True
    return held
