"""Data sets on disk whose files are empty: reading a layout opens no video."""

import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

Plant = Callable[..., Path]


@pytest.fixture
def plant(tmp_path: Path) -> Plant:
    """``plant(names, root="data")`` makes empty files; ``plant({name: text})`` files with text."""

    def make(files: Iterable[str] | dict[str, str], root: str = "data") -> Path:
        folder = tmp_path / root
        folder.mkdir(exist_ok=True, parents=True)
        texts = files if isinstance(files, dict) else dict.fromkeys(files, "")
        for name, text in texts.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text.encode())
        return folder

    return make


@pytest.fixture
def ucf(plant: Plant) -> Path:
    """Four classes whose official order is not that of ``sorted()``, lists with CRLF, three folds."""
    classes = ["HammerThrow", "Hammering", "HandstandPushups", "Kayaking"]
    official = [classes[1], classes[0], classes[2], classes[3]]
    stem = {c: c for c in classes} | {"HandstandPushups": "HandStandPushups"}
    every = {c: [f"{c}/v_{stem[c]}_g{g:02d}_c{k:02d}.avi" for g in (1, 8) for k in (1, 2)] for c in classes}
    plant([f"UCF-101/{name}" for names in every.values() for name in names])
    lists = {"classInd.txt": "".join(f"{i} {c}\r\n" for i, c in enumerate(official, 1))}
    for fold in (1, 2, 3):
        train_group = "g08" if fold == 1 else "g01"
        train = [(n, official.index(c) + 1) for c in official for n in every[c] if train_group in n]
        test = [n for c in official for n in every[c] if train_group not in n]
        lists[f"trainlist{fold:02d}.txt"] = "".join(f"{n} {i}\r\n" for n, i in train)
        lists[f"testlist{fold:02d}.txt"] = "".join(f"{n}\r\n" for n in test)
    return plant({f"ucfTrainTestlist/{name}": text for name, text in lists.items()})
