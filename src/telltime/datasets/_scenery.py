"""What stands before a generated camera: a street, a skyline, a coast, fields or a yard, drawn by lot."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Thing:
    """A building, tree or lamp: ``bearing`` in degrees from the camera, the rest in metres; ``turn`` of its corner."""

    kind: str
    bearing: float
    distance: float
    width: float
    height: float
    colour: tuple[float, float, float]
    turn: float
    seed: int


@dataclass(frozen=True)
class Scene:
    """What one camera sees, the same in all its photos; angles in degrees, ``mast`` (its height) in metres."""

    heading: float
    field: float
    horizon: float
    mast: float
    near: str
    far: str
    things: tuple[Thing, ...]
    hills: float
    seed: int


def draw_scene(rng: np.random.Generator) -> Scene:
    """A scene at random: a street, a skyline, a coast, fields or a yard."""
    kind = str(rng.choice(["street", "skyline", "coast", "field", "yard"]))
    field = float(rng.uniform(45, 75))
    heading = float(rng.uniform(0, 360))
    blocks, trees, lamps = {
        "street": ((4, 8), (1, 4), (3, 6)),
        "skyline": ((8, 14), (0, 3), (1, 4)),
        "coast": ((0, 3), (0, 4), (1, 4)),
        "field": ((0, 3), (3, 8), (0, 2)),
        "yard": ((2, 5), (2, 6), (1, 3)),
    }[kind]
    things = []
    for _ in range(int(rng.integers(blocks[0], blocks[1] + 1))):
        far = rng.uniform(60, 320) if kind == "skyline" else rng.uniform(28, 120)
        tall = rng.uniform(14, 90) if kind == "skyline" else rng.uniform(6, 26)
        grey, warm = rng.uniform(0.18, 0.62), rng.uniform(-0.08, 0.14)
        colour = (grey + warm, grey + 0.3 * warm, grey - warm)
        things.append(_thing("block", rng, field, far, rng.uniform(9, 34), tall, colour))
    things += [
        _thing("tree", rng, field, rng.uniform(16, 90), rng.uniform(4, 11), rng.uniform(5, 14))
        for _ in range(int(rng.integers(trees[0], trees[1] + 1)))
    ]
    things += [
        _thing("lamp", rng, field, rng.uniform(12, 60), 0.4, rng.uniform(5, 9))
        for _ in range(int(rng.integers(lamps[0], lamps[1] + 1)))
    ]
    near = {"street": "asphalt", "skyline": "stone", "coast": "sand", "field": "grass", "yard": "grass"}[kind]
    beyond = {"coast": "water", "street": "asphalt", "skyline": "stone"}.get(kind, "grass")
    if kind in ("skyline", "field") and rng.uniform() < 0.5:
        beyond = "water"
    return Scene(
        heading=heading,
        field=field,
        horizon=float(rng.uniform(0.42, 0.68)),
        mast=float(rng.uniform(5, 22)),
        near=near,
        far=beyond,
        things=tuple(sorted(things, key=lambda thing: -thing.distance)),
        hills=float(rng.uniform(0, 5)) if rng.uniform() < 0.6 else 0.0,
        seed=int(rng.integers(1 << 31)),
    )


def _thing(
    kind: str,
    rng: np.random.Generator,
    field: float,
    distance: float,
    width: float,
    height: float,
    colour: tuple[float, float, float] = (0.12, 0.12, 0.12),
) -> Thing:
    bearing = float(rng.uniform(-0.52, 0.52)) * field
    red, green, blue = (float(np.clip(c, 0.05, 0.8)) for c in colour)
    turn, seed = float(rng.uniform(20, 70)), int(rng.integers(1 << 31))
    return Thing(kind, bearing, float(distance), float(width), float(height), (red, green, blue), turn, seed)
