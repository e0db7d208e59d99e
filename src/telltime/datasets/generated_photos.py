"""Generated photos with known times: scenes drawn under the sun of their place and moment, as JPEG files with EXIF.

Each camera stands in one place and looks at one scene. The sun's position there gives the colours of the sky, the side
of the walls that is lit and where shadows fall; weather, season, street lights, lit windows and traffic do the rest.
Clocks show civil time, daylight saving included, as those of people do.

Layout::

    ROOT/photos/<camera>_<number>.jpg   camera: place and a number, such as oslo-1
    ROOT/metadata.json                  the published rows (ground_path, latitude, longitude, time, timezone), and more
    ROOT/generated.json                 how they were drawn

``telltime data generate-photos --out ROOT`` draws them; ``--data photos --root ROOT`` reads them like any photos.
"""

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from PIL import Image

from telltime.datasets._exposure import WEATHER, Camera, Shot, develop, write_exif
from telltime.datasets._scenery import draw_scene
from telltime.datasets._view import View
from telltime.datasets.record import DatasetError
from telltime.media.files import whole
from telltime.media.sun import sun_position

PLACES: dict[str, tuple[float, float, str]] = {
    "oslo": (59.913, 10.752, "Europe/Oslo"),
    "lisbon": (38.722, -9.139, "Europe/Lisbon"),
    "nairobi": (-1.286, 36.817, "Africa/Nairobi"),
    "tokyo": (35.682, 139.760, "Asia/Tokyo"),
    "denver": (39.739, -104.990, "America/Denver"),
    "sydney": (-33.869, 151.209, "Australia/Sydney"),
    "santiago": (-33.449, -70.669, "America/Santiago"),
    "mumbai": (19.076, 72.878, "Asia/Kolkata"),
    "cape-town": (-33.925, 18.424, "Africa/Johannesburg"),
    "montreal": (45.501, -73.567, "America/Toronto"),
    "singapore": (1.352, 103.820, "Asia/Singapore"),
    "reykjavik": (64.147, -21.940, "Atlantic/Reykjavik"),
    "athens": (37.984, 23.728, "Europe/Athens"),
    "seville": (37.389, -5.984, "Europe/Madrid"),
    "hanoi": (21.028, 105.854, "Asia/Bangkok"),
    "auckland": (-36.850, 174.760, "Pacific/Auckland"),
    "tromso": (69.650, 18.956, "Europe/Oslo"),
    "buenos-aires": (-34.604, -58.382, "America/Argentina/Buenos_Aires"),
    "istanbul": (41.008, 28.978, "Europe/Istanbul"),
    "honolulu": (21.307, -157.858, "Pacific/Honolulu"),
    "warsaw": (52.230, 21.012, "Europe/Warsaw"),
    "dakar": (14.716, -17.467, "Africa/Dakar"),
    "tashkent": (41.300, 69.240, "Asia/Tashkent"),
    "chicago": (41.878, -87.630, "America/Chicago"),
}
_MARK = "telltime generated photos"
_MAKERS = (("Alder", "A1"), ("Birch", "B-20"), ("Cedar", "C3 Mark II"), ("Damson", "D7"))
_LONGEST = 1024


def generate_photos(
    out: str | Path,
    photos: int = 500,
    seed: int = 0,
    days: int = 20,
    places: int = 6,
    cameras: int = 1,
    size: tuple[int, int] = (240, 320),
    year: int = 2023,
    gps: bool = True,
    offset: bool = True,
    exif: bool = True,
    wrong_clocks: Mapping[int, float] | None = None,
    threads: int = 2,
) -> Path:
    """Write photos; the same arguments give the same bytes.

    Args:
        out: where to; new, empty, or photos generated before, whose files are replaced.
        photos: how many in all; every camera takes its share, at times spread evenly over the clock.
        seed: of scenes, cameras, days, times, weather.
        days: different days at each place, spread over ``year``.
        places: cities, 1 to 24; which ones the seed says.
        cameras: at each place; each has its own scene.
        size: height and width in pixels, at least 16 each; beyond 1024 the drawing is enlarged.
        year: of the days.
        gps: write positions into EXIF.
        offset: write the offset from UTC into EXIF.
        exif: write any EXIF at all; ``metadata.json`` holds the truth in any case.
        wrong_clocks: hours that a camera's clock is ahead of the truth, by the camera's number from 0; its EXIF tells
            the wrong time, ``metadata.json`` the true one.
        threads: photos drawn at a time.

    Returns:
        ``out``.

    Raises:
        DatasetError: ``out`` holds something else.
        ValueError: an argument is out of range.
    """
    out = Path(out)
    if not 1 <= places <= len(PLACES):
        raise ValueError(f"places must be 1 to {len(PLACES)}, not {places}")
    if min(photos, days, cameras, threads) < 1 or min(size) < 16:
        raise ValueError("photos, days, cameras and threads must be at least 1, and a picture 16 pixels each way")
    if days > 365:
        raise ValueError(f"days are of one year: at most 365, not {days}")
    _make_room(out)
    rng = np.random.default_rng([seed, 7])
    names = [list(PLACES)[i] for i in rng.permutation(len(PLACES))[:places]]
    stand = [_camera(name, number, seed) for name in names for number in range(cameras)]
    shots = _shots(stand, cameras, photos, days, year, seed)
    wrong = dict(wrong_clocks or {})
    if unknown := [number for number in wrong if not 0 <= number < len(stand)]:
        raise ValueError(f"wrong_clocks names camera {unknown[0]}, and there are {len(stand)}, from 0")

    height, width = size
    shrink = min(1.0, _LONGEST / max(size))
    drawn_at = (max(16, round(height * shrink)), max(16, round(width * shrink)))

    def take(shot: Shot, view: View) -> None:
        camera = stand[shot.camera]
        image = Image.fromarray(develop(view, camera, shot)).resize((width, height), Image.Resampling.BICUBIC)
        claimed = shot.local + timedelta(hours=wrong.get(shot.camera, 0.0))
        told = {"exif": write_exif(camera, claimed, shot.offset, gps, offset)} if exif else {}
        with whole(out / "photos" / shot.file) as beside:
            image.save(beside, "JPEG", quality=camera.quality, **told)

    with ThreadPoolExecutor(threads) as pool:
        for number, camera in enumerate(stand):
            view = View(camera.scene, *drawn_at)
            list(pool.map(lambda shot, view=view: take(shot, view), [s for s in shots if s.camera == number]))
    rows = [_row(stand[shot.camera], shot) for shot in shots]
    told = {"made_by": _MARK, "seed": seed, "photos": photos, "size": list(size), "cameras": [c.name for c in stand]}
    told["wrong_clocks"] = {stand[number].name: hours for number, hours in wrong.items()}
    for name, content in (("metadata.json", rows), ("generated.json", told)):
        with whole(out / name) as beside:
            beside.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return out


def _camera(place: str, number: int, seed: int) -> Camera:
    latitude, longitude, zone = PLACES[place]
    rng = np.random.default_rng([seed, 11, list(PLACES).index(place), number])
    red, blue = rng.normal(0, 0.05, 2)
    return Camera(
        name=f"{place}-{number + 1}",
        latitude=round(latitude + float(rng.uniform(-0.02, 0.02)), 5),
        longitude=round(longitude + float(rng.uniform(-0.02, 0.02)), 5),
        zone=zone,
        scene=draw_scene(rng),
        maker=_MAKERS[int(rng.integers(len(_MAKERS)))],
        serial=f"{int(rng.integers(10**6, 10**7))}",
        exposure=float(rng.uniform(0.7, 1.15)),
        keep=float(rng.uniform(0.12, 0.24)),
        contrast=float(rng.uniform(0.9, 1.15)),
        balance=np.array([1 + red, 1.0, 1 + blue], np.float32),
        grain=float(rng.uniform(0.004, 0.012)),
        quality=int(rng.integers(82, 94)),
    )


def _shots(stand: list[Camera], cameras: int, photos: int, days: int, year: int, seed: int) -> list[Shot]:
    shots = []
    first = date(year, 1, 1)
    for number, camera in enumerate(stand):
        place = number // cameras
        at_place = np.random.default_rng([seed, 13, place])
        starts = (np.arange(days) + at_place.uniform(size=days)) * 365 / days
        dates = [first + timedelta(days=int(start)) for start in starts]
        kinds = at_place.choice(list(WEATHER), size=days, p=[weather[-1] for weather in WEATHER.values()])
        rng = np.random.default_rng([seed, 17, number])
        count = photos // len(stand) + (number < photos % len(stand))
        minutes = rng.permutation((np.arange(count) + rng.uniform(size=count)) * 1440 / max(count, 1))
        zone = ZoneInfo(camera.zone)
        for taken in range(count):
            day = taken % days
            local = datetime.combine(dates[day], datetime.min.time()) + timedelta(seconds=int(minutes[taken] * 60))
            utc = local.replace(tzinfo=zone).astimezone(UTC)
            local = utc.astimezone(zone).replace(tzinfo=None)  # a time that a clock set forward never showed
            elevation, azimuth = sun_position(np.array([utc.timestamp()]), camera.latitude, camera.longitude)
            shots.append(
                Shot(
                    file=f"{camera.name}_{taken:05d}.jpg",
                    camera=number,
                    local=local,
                    offset=local - utc.replace(tzinfo=None),
                    elevation=float(np.asarray(elevation).reshape(-1)[0]),
                    azimuth=float(np.asarray(azimuth).reshape(-1)[0]),
                    weather=str(kinds[day]),
                    seed=(seed, 19, number, taken),
                )
            )
    return shots


def _row(camera: Camera, shot: Shot) -> dict[str, Any]:
    return {
        "ground_path": shot.file,
        "latitude": camera.latitude,
        "longitude": camera.longitude,
        "time": f"{shot.local:%Y-%m-%d %H:%M:%S}.0",
        "timezone": camera.zone,
        "camera": camera.name,
        "weather": shot.weather,
        "sun_elevation": round(shot.elevation, 3),
        "sun_azimuth": round(shot.azimuth, 3),
    }


def _make_room(out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise DatasetError(f"{out} is a file; generated photos want a folder")
    if out.is_dir() and any(out.iterdir()):
        try:
            mine = json.loads((out / "generated.json").read_text()).get("made_by") == _MARK
        except (OSError, ValueError, AttributeError):
            mine = False
        if not mine:
            raise DatasetError(f"{out} holds other files; generated photos want a new or empty folder")
    out.mkdir(parents=True, exist_ok=True)
