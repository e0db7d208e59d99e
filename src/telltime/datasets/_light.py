"""Light by the height of the sun: colours and strength of the sky, of its glow and of the sun itself.

Colours are linear RGB about 1; strengths are relative to each other as an exposure meter would see them. The numbers
follow what the eye knows (blue after sunset, orange at it, white at noon) rather than any measured spectrum.
"""

from dataclasses import dataclass

import numpy as np

_STOPS = np.array([-18.0, -12.0, -8.0, -5.0, -2.0, 0.0, 3.0, 8.0, 20.0, 50.0])
_LEVEL = np.array([-1.3, -1.1, -0.1, 0.9, 1.9, 2.6, 3.4, 4.0, 4.5, 5.0])  # log10, as illuminance in lux runs
_ZENITH = np.array(
    [
        [0.10, 0.13, 0.25],
        [0.08, 0.14, 0.36],
        [0.10, 0.20, 0.52],
        [0.16, 0.28, 0.62],
        [0.22, 0.36, 0.68],
        [0.26, 0.40, 0.70],
        [0.27, 0.44, 0.78],
        [0.24, 0.46, 0.86],
        [0.20, 0.43, 0.90],
        [0.16, 0.40, 0.92],
    ]
)
_HORIZON = np.array(
    [
        [0.24, 0.20, 0.18],
        [0.20, 0.20, 0.30],
        [0.34, 0.30, 0.42],
        [0.56, 0.42, 0.50],
        [0.72, 0.54, 0.54],
        [0.80, 0.64, 0.58],
        [0.86, 0.76, 0.68],
        [0.85, 0.85, 0.86],
        [0.80, 0.90, 1.00],
        [0.76, 0.88, 1.00],
    ]
)
_GLOW = np.array(
    [
        [0.00, 0.00, 0.00],
        [0.25, 0.16, 0.12],
        [0.90, 0.42, 0.20],
        [1.60, 0.62, 0.22],
        [2.30, 0.95, 0.30],
        [2.80, 1.25, 0.40],
        [2.60, 1.55, 0.70],
        [1.80, 1.45, 1.00],
        [1.10, 1.05, 0.95],
        [0.80, 0.80, 0.80],
    ]
)
_DIRECT = np.array(
    [
        [0.00, 0.00, 0.00],
        [0.00, 0.00, 0.00],
        [0.00, 0.00, 0.00],
        [0.00, 0.00, 0.00],
        [0.00, 0.00, 0.00],
        [0.60, 0.24, 0.08],
        [1.50, 0.85, 0.40],
        [2.20, 1.60, 1.00],
        [2.60, 2.30, 1.85],
        [2.80, 2.65, 2.40],
    ]
)
_HOURS = np.array([0.0, 2.0, 4.0, 5.5, 7.0, 9.0, 12.0, 17.0, 19.5, 21.5, 23.0, 24.0])
_AWAKE = np.array([0.28, 0.10, 0.06, 0.16, 0.50, 0.42, 0.40, 0.55, 0.85, 0.80, 0.48, 0.28])
"""Share of lit windows and of traffic by the clock, in the dark as people live it."""


@dataclass(frozen=True)
class Light:
    """The light of one moment, under one weather.

    Attributes:
        elevation, azimuth: of the sun, degrees; azimuth from north through east.
        level: strength of all of it, relative.
        zenith, horizon, glow: linear RGB ``[3]`` of the sky above, at its edge, and towards the sun.
        direct: linear RGB ``[3]`` of sunlight on a surface facing it; zero below the horizon.
        ambient: linear RGB ``[3]`` of light from the whole sky on the ground.
        awake: 0 to 1, how many windows are lit and cars are out.
        cover: 0 to 1, share of the sky in cloud.
        fog: 0 to 1.
        warmth: shift of colours to red where positive, as haze late in the day gives.
    """

    elevation: float
    azimuth: float
    level: float
    zenith: np.ndarray
    horizon: np.ndarray
    glow: np.ndarray
    direct: np.ndarray
    ambient: np.ndarray
    awake: float
    cover: float
    fog: float
    warmth: float

    @property
    def dark(self) -> bool:
        """Whether street lights are on."""
        return self.elevation < (1.0 if self.cover > 0.8 else -2.0)


def light_at(
    elevation: float, azimuth: float, hour: float, cover: float, thick: float, fog: float, warmth: float
) -> Light:
    """The light under a sun at ``elevation`` and ``azimuth``, degrees, at civil ``hour``.

    Args:
        cover: 0 to 1, share of the sky in cloud.
        thick: 0 to 1, how much of the sun those clouds swallow.
        fog, warmth: as in :class:`Light`.
    """

    def at(table: np.ndarray) -> np.ndarray:
        return np.stack([np.interp(elevation, _STOPS, table[:, c]) for c in range(3)])

    through = float(1.0 - cover * thick) * (1.0 - 0.85 * fog)
    level = float(10.0 ** np.interp(elevation, _STOPS, _LEVEL)) * (0.35 + 0.65 * max(through, 0.15))
    tint = np.array([1.0 + 0.10 * warmth, 1.0, 1.0 - 0.10 * warmth])
    grey = np.array([0.62, 0.66, 0.72]) if elevation > -8 else np.array([0.28, 0.24, 0.22])
    zenith, horizon = (at(table) * tint for table in (_ZENITH, _HORIZON))
    veil = min(1.0, cover * thick + 0.8 * fog)
    zenith, horizon = (one * (1 - veil) + grey * float(one.mean() / grey.mean()) * veil for one in (zenith, horizon))
    sky = 0.45 * zenith + 0.55 * horizon
    direct = at(_DIRECT) * tint * max(through, 0.0) ** 1.5
    return Light(
        elevation=elevation,
        azimuth=azimuth,
        level=level,
        zenith=zenith,
        horizon=horizon,
        glow=at(_GLOW) * tint * max(through, 0.05),
        direct=direct,
        ambient=0.5 * sky + 0.5 * float(sky.mean()),  # the ground gives back a duller light than the sky's
        awake=float(np.interp(hour % 24.0, _HOURS, _AWAKE)),
        cover=cover,
        fog=fog,
        warmth=warmth,
    )
