"""Pictures with metadata as cameras, programs and accidents write it."""

from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

NOON = datetime(2023, 6, 13, 12, 0, 30)
VEGAS = (36.11, -115.165)
CAMERA = {0x010F: "Canon\0", 0x0110: "Canon EOS 40D"}


def text(time: datetime) -> str:
    return f"{time:%Y:%m:%d %H:%M:%S}"


def satellites(place: tuple[float, float] | None = None, utc: datetime | None = None, **more: Any) -> dict[int, Any]:
    found: dict[int, Any] = {}
    if place:
        degrees = [(float(int(abs(x))), (abs(x) % 1) * 60, 0.0) for x in place]
        found |= {1: "SN"[place[0] >= 0], 2: degrees[0], 3: "WE"[place[1] >= 0], 4: degrees[1]}
    if utc:
        found |= {7: (float(utc.hour), float(utc.minute), float(utc.second)), 29: f"{utc:%Y:%m:%d}"}
    return found | {int(key[1:]): value for key, value in more.items()}


def write(
    path: Path,
    taken: Any = None,
    gps: dict | None = None,
    base: dict | None = None,
    camera: dict | None = None,
    xmp: str | None = None,
    **save: Any,
) -> Path:
    exif = Image.Exif()
    for key, value in ({0x0131: "a program"} | (base or {})).items():
        exif[key] = value
    fields = (camera or {}) | ({0x9003: text(taken) if isinstance(taken, datetime) else taken} if taken else {})
    for number, part in ((0x8769, fields), (0x8825, gps or {})):
        exif.get_ifd(number).update(part)
    picture = Image.fromarray(np.zeros((8, 12, 3), np.uint8))
    picture.save(path, exif=exif, **(save | ({"xmp": xmp.encode()} if xmp else {})))
    return path


def packet(**fields: str) -> str:
    spaces = {"exif": "exif/1.0", "photoshop": "photoshop/1.0", "xmp": "xap/1.0"}
    said = " ".join(f'{key.replace("_", ":")}="{value}"' for key, value in fields.items())
    names = " ".join(f'xmlns:{key}="http://ns.adobe.com/{value}/"' for key, value in spaces.items())
    return (
        f'<?xpacket begin="" id="x"?><x:xmpmeta xmlns:x="adobe:ns:meta/"><r:RDF '
        f'xmlns:r="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><r:Description {names} {said}/></r:RDF></x:xmpmeta>'
    )
