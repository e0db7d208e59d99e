"""Segmentations on the page of an evaluation: frames, their truth and what was predicted, one above the other.

A dense task fills ``Result.details["segmented"]``, a list of ``{"id", "frames", "truth", "predicted", "score"}``:
``frames`` uint8 ``[n, 3, H, W]`` RGB, ``truth`` and ``predicted`` uint8 ``[n, h, w]`` of any size; ``truth`` and
``score`` are ``None`` where there is none. Equal numbers have equal colours; 0 is the background, 255 void.
"""

import colorsys
from collections.abc import Mapping
from typing import Any

import numpy as np

from telltime.report.page import Page
from telltime.report.strips import Strip, strip

VOID = 255
MOST_FRAMES = 4
_STRENGTH = 0.6
_DIM = 0.55
_HEIGHT = 150


def sections(page: Page, details: Mapping[str, Any]) -> None:
    """Add the segmentations of ``details`` to a page."""
    shown = details["segmented"]
    page.section("Segmentations", "Equal colours are equal labels; the background is dim, void is white.")
    for one in shown:
        page.stack(layers(one))


def layers(one: Mapping[str, Any]) -> list[Strip]:
    """Strips of one record: its frames, their masks where there are any, what was predicted."""
    frames = np.asarray(one["frames"])
    at = np.unique(np.linspace(0, len(frames) - 1, min(MOST_FRAMES, len(frames))).round().astype(int))
    score = f"{100 * one['score']:.1f} %" if one.get("score") is not None else ""
    said = {"masks": (one.get("truth"), ""), "predicted": (one["predicted"], score)}
    strips = [strip(frames[at], one["id"], most=MOST_FRAMES, height=_HEIGHT)]
    for name, (labels, detail) in said.items():
        if labels is not None:
            painted = painted_frames(frames[at], np.asarray(labels)[at])
            strips.append(strip(painted, name, detail, most=MOST_FRAMES, height=_HEIGHT))
    return strips


def painted_frames(frames: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Frames uint8 ``[n, 3, H, W]`` in the colours of their labels, uint8 ``[n, h, w]`` of any size: as ``frames``."""
    frames, labels = np.asarray(frames), np.asarray(labels)
    height, width = frames.shape[-2:]
    down = (np.arange(height) * labels.shape[1] + labels.shape[1] // 2) // height
    across = (np.arange(width) * labels.shape[2] + labels.shape[2] // 2) // width
    wide = labels[:, np.minimum(down, labels.shape[1] - 1)][:, :, np.minimum(across, labels.shape[2] - 1)]
    grey = frames.mean(1, keepdims=True)
    colour = label_colours()[wide].transpose(0, 3, 1, 2)
    strength = np.where(wide == 0, 0.0, _STRENGTH)[:, None]
    painted = (1 - strength) * grey * np.where(wide == 0, _DIM, 1.0)[:, None] + strength * colour
    return np.clip(painted.round(), 0, 255).astype(np.uint8)


def label_colours() -> np.ndarray:
    """Colours uint8 ``[256, 3]`` of the labels: hues far apart for numbers that are near, void white."""
    turn = (5**0.5 - 1) / 2
    hues = [(0.02 + turn * i) % 1 for i in range(255)]
    light = [(0.95, 0.75, 0.6)[i // 8 % 3] for i in range(255)]
    colours = [colorsys.hsv_to_rgb(hue, 0.85, value) for hue, value in zip(hues, light, strict=True)]
    found = np.array([(0.0, 0.0, 0.0), *colours[:254], (1.0, 1.0, 1.0)])
    return (255 * found).round().astype(np.uint8)
