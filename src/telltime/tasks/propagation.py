"""Label propagation: the masks of a first frame carried through the video, scored as DAVIS does.

Presets (:func:`telltime.features.propagation.preset`):

``dino``
    The protocol of DINO behind published DAVIS scores: 480p, longer side to a multiple of 64, seven frames and the
    first, a window of 12 places each way, the 5 most alike places, temperature 0.1.
``fine``
    Places of 8 pixels instead of the encoder's stride, and a first frame whose places know how much of them an object
    has. It is the default of the embedded encoder.

Objects that come in later are told in the frame they come in, as YouTube-VOS does, and scored from the next one on.
"""

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from telltime.backbones.dense import DenseEncoder
from telltime.backbones.vit_grid import is_vit
from telltime.clips.masks import annotated, first_appearances, read_labels
from telltime.datasets.record import DatasetError, Record, Table
from telltime.features.dense import is_picture
from telltime.features.propagation import PRESETS, Settings, preset, propagate, seen_size, usual_preset
from telltime.media.errors import MediaError, TooShort
from telltime.media.files import whole
from telltime.media.mask import write_mask
from telltime.media.video import Video
from telltime.tasks.dense import Pictures, describe_encoder, describe_masks, masked, things
from telltime.tasks.measuring import Reading, partial_notes
from telltime.tasks.propagated import Passing, Scores, Shown, mask_names
from telltime.tasks.result import Result

SCORED = ("inner", "rest")


def propagation(
    encoder: DenseEncoder,
    table: Table,
    settings: Settings | None = None,
    reading: Reading | None = None,
    *,
    scored: str = "inner",
    name: str | None = None,
    out: Path | None = None,
    masks: bool = False,
) -> Result:
    """J and F of carried masks.

    Metrics, each a mean over all objects of all videos: ``J&F``, ``J`` (region), ``F`` (boundary), ``J_recall``,
    ``F_recall`` (share of frames above 0.5), ``J_decay``, ``F_decay`` (first quarter of the frames less the last);
    and ``objects``, how many there were.

    Args:
        settings: by default the recommended ones of the encoder.
        scored: ``"inner"``, annotated frames but the first and the last, as DAVIS scores; ``"rest"``, the last too.
        name: of the model, for the result.
        out: folder that gets ``objects.json``, the scores of every object; ``None`` writes nothing.
        masks: also write the predictions below ``out/masks``, in the layout and palette of DAVIS.

    Raises:
        DatasetError: nothing has masks, nothing could be read, or nothing could be scored.
    """
    if scored not in SCORED:
        raise ValueError(f"scored is one of {', '.join(SCORED)}, not {scored!r}")
    if masks and out is None:
        raise ValueError("predictions are written below out, which is not given")
    started, reading = time.monotonic(), reading or Reading()
    settings = settings or preset(usual_preset(encoder))
    there = _videos(masked(table))
    run = _Run(encoder, there, settings, reading, scored, out if masks else None)
    rows = run.rows()
    if not run.records:
        raise DatasetError(f"not one of {len(there)} {table.split} videos with masks could be read")
    if not rows and not masks:
        raise DatasetError(f"no video of {table.name}'s {table.split} split has masks enough to be scored")
    if out is not None:
        with whole(out / "objects.json") as beside:
            beside.write_text(json.dumps({"objects": rows}, indent=1) + "\n")
    known = [each for each in PRESETS if preset(each) == settings]
    return Result(
        task="propagation",
        protocol=f"{known[0] if known else 'own settings'}, {scored} frames",
        metrics=_metrics(rows),
        model=describe_encoder(encoder, run.seen or (settings.side, settings.side), name),
        data=describe_masks([there]) | {"settings": vars(settings) | {"scored": scored}},
        records=run.records,
        dropped=reading.policy.dropped,
        seconds=time.monotonic() - started,
        details=run.pictures.details() | things(there) | {"notes": [*partial_notes([table]), *run.notes(rows)]},
    )


class _Run:
    """One evaluation under way."""

    def __init__(
        self, encoder: DenseEncoder, table: Table, settings: Settings, reading: Reading, scored: str, out: Path | None
    ) -> None:
        self.encoder, self.table, self.settings, self.reading = encoder, table, settings, reading
        self.scored, self.out = scored, out
        self.pictures = Pictures([record.id for record in table.records])
        self.records = self.unscored = 0
        self.seen: tuple[int, int] | None = None
        self.sizes: set[tuple[int, int]] = set()

    def rows(self) -> list[dict[str, Any]]:
        """One row for each object that could be scored."""
        found: list[dict[str, Any]] = []
        told = self.reading.told(f"{self.table.split}: propagation")
        policy = self.reading.policy
        for done, record in enumerate(self.table.records, 1):
            try:
                scores = self._video(record)
            except MediaError as error:
                policy.handle(record, error)
                policy.check(len(self.table))
            else:
                self.records += 1
                rows = scores.rows(record.id)
                self.unscored += len(scores.begun) - len(rows)
                found += rows
            if told is not None:
                told(done, len(self.table))
        return found

    def _video(self, record: Record) -> Scores:
        frames = annotated(record)
        counted = set(frames[1:-1] if self.scored == "inner" else frames[1:])
        if not counted and self.out is None:
            least = 3 if self.scored == "inner" else 2
            raise TooShort(record.path, f"has {len(frames)} annotated frames, {least} are needed to be scored")
        begun = first_appearances(record)
        given = {frames[0]: read_labels(record, frames[:1])[0]}
        for label, frame in begun.items():
            if frame != frames[0]:
                truth = read_labels(record, [frame])[0]
                given[frame] = np.where(truth == label, truth, given.get(frame, np.zeros_like(truth)))
        scores, shown = Scores(begun), Shown(self.pictures.wants(record), sorted(counted))
        with Video(record.path, limits=self.reading.limits, span=record.span) as video:
            count = video.probe().frames
            if frames[-1] >= count:
                raise TooShort(record.path, f"holds {count} frames, frame {frames[-1]} has a mask")
            last = count - 1 if self.out is not None else max(counted)
            source = Passing(video, frames[0], last)
            told = {frame - frames[0]: labels for frame, labels in given.items()}
            names = mask_names(record, count) if self.out is not None else {}
            for at, labels in enumerate(propagate(self.encoder, source, told, self.settings), frames[0]):
                if self.out is not None:
                    write_mask(self.out / "masks" / record.id / f"{names[at]}.png", labels)
                if at in counted:
                    truth = read_labels(record, [at])[0]
                    scores.add(at, labels, truth)
                    shown.add(at, source.take(at), truth, labels)
                else:
                    source.take(at)
        size = given[frames[0]].shape
        self.seen = self.seen or seen_size((size[0], size[1]), self.settings)
        self.sizes.add(seen_size((size[0], size[1]), self.settings))
        if shown.frames:
            self.pictures.add(record, *shown.stacked(), scores.mean_j())
        return scores

    def notes(self, rows: list[dict[str, Any]]) -> list[str]:
        """Sentences for the page."""
        assert self.seen is not None
        cell = self.settings.cell or self.encoder.stride
        network = getattr(self.encoder, "network", None)
        rule = "" if network is None or not is_vit(network) else f", positions by the rule {self.encoder.position!r}"
        notes = [f"Frames at {self.seen[0]}x{self.seen[1]}, places of {cell} pixels{rule}."]
        if len(self.sizes) > 1:
            notes.append(
                f"Videos differ in size: they were seen at {len(self.sizes)} sizes, of which that is the first."
            )
        if self.unscored:
            notes.append(f"{self.unscored} objects are in no frame that is scored.")
        if not rows:
            notes.append("No video has masks enough to be scored; predictions were written.")
        return notes


def _videos(table: Table) -> Table:
    """The records that are videos, their objects told apart.

    Raises:
        DatasetError: there are only pictures.
    """
    kept = [i for i, record in enumerate(table.records) if not is_picture(record)]
    if not kept:
        raise DatasetError(f"{table.name} holds single pictures; propagation needs videos, such as davis or masked")
    records = (table.records[i] for i in kept)
    return replace(table, records=tuple(replace(r, masks=r.masks.instances()) for r in records if r.masks is not None))


def _metrics(rows: list[dict[str, Any]]) -> dict[str, float]:
    names = ("J&F", "J", "F", "J_recall", "F_recall", "J_decay", "F_decay")
    found = {name: float(np.mean([row[name] for row in rows])) for name in names} if rows else {}
    return found | {"objects": float(len(rows))}
