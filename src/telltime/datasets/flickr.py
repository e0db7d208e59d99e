"""Flickr's API: which sizes a photo can be had in, and the picture itself.

The lists of TOC name photos as Flickr does, ``<id>_<secret>.jpg``. For each, Flickr is asked which sizes there are
(``flickr.photos.getSizes``), and the smallest that is large enough is fetched. Flickr allows about 3,600 questions an
hour and key; photos that were deleted or made private since are told apart from errors that pass.
"""

import json
import os
import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

from telltime.datasets._fetching import Passing, Refused, TokenBucket, get, patiently
from telltime.datasets.record import DatasetError

ENDPOINT = "https://api.flickr.com/services/rest/"
_HOSTS = (".flickr.com", ".staticflickr.com")
_NAME = re.compile(r"(?P<id>\d{1,20})_\w+\.\w+")
_LARGEST_ANSWER, _LARGEST_PICTURE = 2**20, 2**26
_PRIVATE, _GONE, _BUSY, _KEY = 2, 1, (0, 105, 106), (100, 98, 96, 97, 99)
"""Error codes of Flickr's API."""


class FlickrError(DatasetError):
    """Flickr cannot be asked at all: there is no key, or it is not accepted."""


class Lost(Exception):
    """A photo cannot be had.

    Attributes:
        status: ``"gone"``, ``"private"`` or ``"no picture"``.
    """

    def __init__(self, status: str, reason: str) -> None:
        super().__init__(reason)
        self.status = status


@dataclass(frozen=True)
class Size:
    """One size that a photo is kept in: Flickr's name for it, pixels, and its address."""

    label: str
    width: int
    height: int
    source: str


class Flickr:
    """Flickr's API, asked at a bounded rate by any number of threads.

    Args:
        key: API key; ``None`` for that in the environment's ``FLICKR_API_KEY``.
        endpoint: where the API is; ``None`` for that in the environment's ``FLICKR_ENDPOINT``, or Flickr's own.
        per_hour: questions an hour; pictures themselves are not counted.
        burst: questions that may be put at once.
        timeout: seconds without an answer after which a try is given up.
        tries: how often each thing is asked for in all.
        pause: seconds before the second try; longer before each further one.

    Raises:
        FlickrError: there is no key.
    """

    def __init__(
        self,
        key: str | None = None,
        endpoint: str | None = None,
        per_hour: float = 3500,
        burst: int = 4,
        timeout: float = 30,
        tries: int = 5,
        pause: float = 1,
    ) -> None:
        self._key = key or os.environ.get("FLICKR_API_KEY", "").strip()
        if not self._key:
            raise FlickrError(
                "FLICKR_API_KEY is not set; get a key at https://www.flickr.com/services/apps/create and export it"
            )
        self._endpoint = endpoint or os.environ.get("FLICKR_ENDPOINT") or ENDPOINT
        self._bucket = TokenBucket(per_hour, burst)
        self._timeout, self._tries, self._pause = timeout, tries, pause
        self.stop = threading.Event()

    def sizes(self, photo: str) -> list[Size]:
        """The sizes in which ``photo`` can be had as a picture, smallest first.

        Raises:
            Lost: it was deleted, is private, or is no picture.
            Passing: Flickr does not answer.
            FlickrError: the key is not accepted.
            Stopped: :attr:`stop` was set.
        """
        asked = {"method": "flickr.photos.getSizes", "api_key": self._key, "photo_id": photo}
        url = f"{self._endpoint}?{urlencode(asked | {'format': 'json', 'nojsoncallback': '1'})}"

        def ask() -> Any:
            self._bucket.take(self.stop)
            try:
                return _answer(get(url, self._timeout, _LARGEST_ANSWER, self._allowed))
            except Refused as error:
                raise FlickrError(f"{urlsplit(self._endpoint).hostname}: {error}") from None

        found = patiently(ask, self.stop, self._tries, self._pause, self._bucket.hold)
        sizes = [size for entry in found if (size := _size(entry)) is not None]
        if not sizes:
            raise Lost("no picture", "it is kept in no size as a JPEG")
        return sorted(sizes, key=lambda size: size.width * size.height)

    def picture(self, size: Size) -> bytes:
        """The file of ``size``.

        Raises:
            Lost: it is not there any more.
            Passing: it cannot be reached, or must not be asked for where it is now.
            Stopped: :attr:`stop` was set.
        """

        def fetch() -> bytes:
            return get(size.source, self._timeout, _LARGEST_PICTURE, self._allowed)

        try:
            return patiently(fetch, self.stop, self._tries, self._pause)
        except Refused as error:
            raise (Lost("gone", str(error)) if error.status in (404, 410) else Passing(str(error))) from None

    def _allowed(self, url: str) -> bool:
        there, own = urlsplit(url), urlsplit(self._endpoint)
        if (there.scheme, there.netloc) == (own.scheme, own.netloc):
            return True
        return there.scheme == "https" and f".{there.hostname or ''}".endswith(_HOSTS)


def chosen(sizes: Sequence[Size], short_side: int) -> Size:
    """The smallest of ``sizes`` (ascending) whose shorter side has ``short_side`` pixels; the largest if none has."""
    return next((size for size in sizes if min(size.width, size.height) >= short_side), sizes[-1])


def photo_id(name: str) -> str | None:
    """Flickr's number of the photo called ``name``; ``None`` if it is no name of Flickr's."""
    found = _NAME.fullmatch(name)
    return found["id"] if found else None


def _answer(body: bytes) -> list[Any]:
    """The sizes in an answer of the API; its errors as exceptions."""
    try:
        said = json.loads(body)
        if said.get("stat") == "ok":
            return list(said["sizes"]["size"])
        code, message = int(said.get("code", 0)), str(said.get("message", "no reason given"))
    except (ValueError, TypeError, KeyError, AttributeError):
        raise Passing("the answer is none of Flickr's") from None
    if code == _GONE:
        raise Lost("gone", message)
    if code == _PRIVATE:
        raise Lost("private", message)
    if code in _KEY:
        raise FlickrError(f"Flickr does not accept the key in FLICKR_API_KEY: {message}")
    if code in _BUSY:
        raise Passing(message)
    raise FlickrError(f"Flickr answers with error {code}: {message}")


def _size(entry: Any) -> Size | None:
    try:
        label, source = str(entry["label"]), str(entry["source"])
        width, height = int(entry["width"]), int(entry["height"])
    except (KeyError, TypeError, ValueError):
        return None
    kept = entry.get("media", "photo") == "photo" and re.search(r"\.jpe?g$", urlsplit(source).path, re.IGNORECASE)
    return Size(label, width, height, source) if kept and min(width, height) > 0 else None
