"""The Flickr downloader against a local stand-in for Flickr."""

import argparse
import io
import json
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from PIL import Image

from telltime.cli import _photos_download
from telltime.datasets._fetching import Passing, Stopped, TokenBucket, patiently
from telltime.datasets.flickr import Flickr, FlickrError, Size, chosen, photo_id
from telltime.datasets.flickr_download import download, listed
from telltime.datasets.record import DatasetError

SIDES = {"Small": (320, 240), "Medium": (500, 375), "Large": (1024, 768)}


def jpeg(width: int, height: int) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(file := io.BytesIO(), "JPEG")
    return file.getvalue()


class StandIn(ThreadingHTTPServer):
    """A Flickr on this machine whose photos misbehave as ``tricks`` says, by their number."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.endpoint = f"{self.url}/services/rest/"
        self.tricks: dict[str, list[str]] = {}
        self.asked: Counter[str] = Counter()
        self.together = self.most_together = 0
        self.slow = 0.0
        self.lock = threading.Lock()
        self.files = {label: jpeg(*side) for label, side in SIDES.items()}

    def trick(self, photo: str) -> str:
        with self.lock:
            left = self.tricks.get(photo, [])
            return left.pop(0) if left else ""


class Handler(BaseHTTPRequestHandler):
    server: StandIn

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        there = urlsplit(self.path)
        if there.path.endswith("/rest/"):
            self.sizes({key: values[0] for key, values in parse_qs(there.query).items()})
        else:
            self.picture(*there.path.removesuffix(".jpg").strip("/").split("/")[1:])

    def sizes(self, asked: dict[str, str]) -> None:
        photo = asked["photo_id"]
        assert asked["method"] == "flickr.photos.getSizes"
        with self.server.lock:
            self.server.asked[photo] += 1
            self.server.together += 1
            self.server.most_together = max(self.server.most_together, self.server.together)
        time.sleep(self.server.slow)
        with self.server.lock:
            self.server.together -= 1
        trick = self.server.trick(photo)
        errors = {"gone": (1, "Photo not found"), "private": (2, "Permission denied"), "key": (100, "Invalid API Key")}
        if trick == "busy":
            self.answer(b"", 503)
        elif trick == "too fast":
            self.answer(b"", 429, {"Retry-After": "0"})
        elif trick in errors:
            code, message = errors[trick]
            self.answer(json.dumps({"stat": "fail", "code": code, "message": message}).encode())
        else:
            self.answer(json.dumps({"sizes": {"size": self.kept(photo, trick)}, "stat": "ok"}).encode())

    def kept(self, photo: str, trick: str) -> list[dict]:
        host = "http://127.0.0.2:9" if trick == "elsewhere" else self.server.url
        kinds = {"video": ("video", "mp4"), "png": ("photo", "png")}
        media, suffix = kinds.get(trick, ("photo", "jpg"))
        return [
            {"label": label, "width": str(w), "height": h, "media": media, "url": "",
             "source": f"{host}/photos/{photo}/{label}.{suffix}"}
            for label, (w, h) in reversed(SIDES.items())
        ]  # fmt: skip

    def picture(self, photo: str, label: str) -> None:
        data = self.server.files[label]
        with self.server.lock:
            self.server.asked[f"{photo}/{label}"] += 1
        trick = self.server.trick(photo)
        if trick == "cut":
            self.answer(data[: len(data) // 2])
        elif trick == "breaks off":
            self.answer(data[: len(data) // 2], length=len(data))
        elif trick == "sign":
            self.answer(b"GIF89a...")
        elif trick == "moved":
            self.answer(b"", 302, {"Location": "http://127.0.0.2:9/x.jpg"})
        elif trick == "lost":
            self.answer(b"", 404)
        else:
            self.answer(data)

    def answer(self, body: bytes, status: int = 200, more: dict | None = None, length: int | None = None) -> None:
        self.send_response(status)
        for name, value in ({"Content-Length": str(length or len(body))} | (more or {})).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def flickr(monkeypatch):
    server = StandIn()
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    monkeypatch.setenv("FLICKR_API_KEY", "secret-key")
    monkeypatch.setenv("FLICKR_ENDPOINT", server.endpoint)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    yield server
    server.shutdown()
    server.server_close()


def asking(**more) -> Flickr:
    return Flickr(**({"per_hour": 3_600_000, "burst": 50, "pause": 0.01, "timeout": 5} | more))


def manifest(out: Path) -> dict[str, dict]:
    return {line["file"]: line for line in map(json.loads, (out / "manifest.jsonl").read_text().splitlines())}


def name(number: int) -> str:
    return f"{number}_0a1b2c.jpg"


def test_what_becomes_of_each_photo(flickr, tmp_path):
    flickr.tricks = {
        "2": ["gone"], "3": ["private"], "4": ["video"], "5": ["png"], "6": ["busy", "too fast", "", "breaks off"],
        "7": ["", "cut"], "8": ["", "sign"], "9": ["", "moved"], "10": ["elsewhere"], "11": ["busy"] * 10,
        "12": ["", "lost"],
    }  # fmt: skip
    names = [*(name(i) for i in range(1, 13)), "holiday.jpg"]
    counts = download(names, tmp_path, asking(), workers=4)
    assert counts == {
        "done": 2, "gone": 2, "private": 1, "no picture": 3, "damaged": 1, "failed": 3, "no flickr name": 1
    }  # fmt: skip
    lines = manifest(tmp_path)
    assert set(lines) == set(names)
    assert lines[name(1)]["size"] == "Medium"  # 320 x 240 is too small on its shorter side
    assert (lines[name(1)]["width"], lines[name(1)]["height"]) == (500, 375)
    assert (tmp_path / name(1)).read_bytes() == flickr.files["Medium"]
    assert "status 503" in lines[name(11)]["reason"]
    assert "127.0.0.2" in lines[name(10)]["reason"]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([name(1), name(6), "manifest.jsonl"])
    assert "secret-key" not in (tmp_path / "manifest.jsonl").read_text()

    before = flickr.asked.copy()
    again = download(names, tmp_path, asking(), workers=4)
    assert again["already there"] == 2
    assert again["done"] == 3  # 7 comes whole this time, and 9 and 10 are back
    assert set(flickr.asked - before) <= {"7", "7/Medium", "11", "9", "9/Medium", "10", "10/Medium"}


def test_a_killed_run_goes_on(flickr, tmp_path):
    download([name(1), name(2)], tmp_path, asking())
    with (tmp_path / "manifest.jsonl").open("ab") as file:
        file.write(b'{"file": "3_0a')
    (tmp_path / name(2)).write_bytes(flickr.files["Medium"][:999])  # no longer what the manifest says
    (tmp_path / name(4)).write_bytes(flickr.files["Small"])  # brought by other means
    before = flickr.asked.copy()
    counts = download([name(i) for i in range(1, 5)], tmp_path, asking())
    assert counts == {"already there": 2, "done": 2}
    assert set(flickr.asked - before) == {"2", "2/Medium", "3", "3/Medium"}
    assert len((tmp_path / "manifest.jsonl").read_text().splitlines()) == 5


def test_a_refused_key_stops_the_run(flickr, tmp_path):
    flickr.tricks = {str(i): ["key"] for i in range(40)}
    with pytest.raises(FlickrError, match="does not accept the key in FLICKR_API_KEY: Invalid"):
        download([name(i) for i in range(40)], tmp_path, asking(), workers=2)
    assert flickr.asked.total() < 20


def test_when_nobody_answers_the_run_stops(tmp_path):
    with pytest.raises(FlickrError, match="20 photos in a row"):
        download([name(i) for i in range(99)], tmp_path, asking(endpoint="http://127.0.0.1:9/", key="k", tries=1))
    assert len(manifest(tmp_path)) == 20


def test_several_at_once_and_no_faster_than_allowed(flickr, tmp_path):
    flickr.slow = 0.1
    start = time.monotonic()
    download([name(i) for i in range(10)], tmp_path, asking(), workers=5)
    assert time.monotonic() - start < 0.9
    assert 2 <= flickr.most_together <= 5
    flickr.slow, start = 0, time.monotonic()
    download([name(i) for i in range(20, 26)], tmp_path, asking(per_hour=3600 * 20, burst=1), workers=5)
    assert time.monotonic() - start >= 5 / 20


def command(*words: str) -> int:
    parser = argparse.ArgumentParser()
    _photos_download.add_arguments(parser)
    return _photos_download.run(parser.parse_args(words))


def test_the_command(flickr, tmp_path, capsys):
    metadata, out = tmp_path / "list.json", tmp_path / "photos"
    metadata.write_text(json.dumps([{"ground_path": f"/data/{name(i)}"} for i in (1, 2, 1, 3, 4)]))
    flickr.tricks = {"2": ["gone"]}
    words = (str(metadata), "--out", str(out), "--rate", "360000", "--limit", "4", "--size", "200")
    assert command(*words) == 0
    assert "2  done" in (said := capsys.readouterr().out)
    assert "1  gone" in said
    assert Image.open(out / name(1)).size == SIDES["Small"]
    assert command(*words, "--json") == 0
    assert json.loads(capsys.readouterr().out)["counts"] == {"already there": 2, "gone": 1}
    with pytest.raises(FlickrError, match="is a file"):
        command(str(metadata), "--out", str(metadata))


def test_without_a_key(tmp_path, monkeypatch):
    monkeypatch.delenv("FLICKR_API_KEY", raising=False)
    (tmp_path / "list.json").write_text("[]")
    with pytest.raises(FlickrError, match="FLICKR_API_KEY is not set"):
        command(str(tmp_path / "list.json"), "--out", str(tmp_path / "photos"))
    assert not (tmp_path / "photos").exists()


def test_lists(tmp_path):
    path = tmp_path / "list.json"
    path.write_text(
        json.dumps([{"ground_path": "1_a.jpg"}, {}, {"image_path": "x\\2_b.jpg"}, {"ground_path": "1_a.jpg"}])
    )
    assert listed(path) == ["1_a.jpg", "2_b.jpg"]
    assert listed(path, limit=2) == ["1_a.jpg"]
    for text, said in {"{}": "expected a JSON list", "[{}]": "no row has a ground_path", "x": "is no JSON"}.items():
        path.write_text(text)
        with pytest.raises(DatasetError, match=said):
            listed(path)
    with pytest.raises(DatasetError, match="No such file"):
        listed(tmp_path / "none.json")


def test_names_and_sizes():
    assert photo_id("8541234567_0a1b2c3d4e.jpg") == "8541234567"
    assert photo_id("8541234567_0a1b2c3d4e_o.jpg") == "8541234567"
    assert photo_id("IMG_2041.jpg") is photo_id("../1_a.jpg") is None
    sizes = [Size(label, w, h, "") for label, (w, h) in SIDES.items()]
    assert [chosen(sizes, side).label for side in (100, 240, 241, 768, 5000)] == ["Small", "Small", "Medium"] + [
        "Large"
    ] * 2


def test_waiting_can_be_called_off():
    stop, bucket = threading.Event(), TokenBucket(1)
    bucket.take(stop)
    threading.Timer(0.05, stop.set).start()
    start = time.monotonic()
    with pytest.raises(Stopped):
        bucket.take(stop)

    def busy() -> None:
        raise Passing("busy", 100)

    with pytest.raises(Stopped):
        patiently(busy, stop, 3, 100)
    assert time.monotonic() - start < 2
