"""The demo's page, and its last screen."""

from pathlib import Path

from telltime.datasets.record import Record
from telltime.demo.clock import Times
from telltime.demo.segments import AFTER, BEFORE
from telltime.demo.walk import LEARNED, RANDOM, Walk
from telltime.media.video import Video
from telltime.report.clock import hhmm
from telltime.report.contact_sheet import card
from telltime.report.dense import painted_frames
from telltime.report.evaluation import neighbour_rows
from telltime.report.page import Page
from telltime.report.plots import compare, curves
from telltime.report.strips import strip
from telltime.tasks.neighbours import still_frames

NAMES = {
    "recall@1": "nearest neighbour has the same class (R@1)",
    "top1": "linear classifier (top-1)",
    "temporal_distinctness": "a quarter of a video finds itself (distinctness)",
}
SHORT = {"recall@1": "R@1", "top1": "linear", "temporal_distinctness": "distinctness"}
TERMS = ("ic_global", "ic_local", "local_local", "global_local")
NEXT = (
    "telltime index MY_VIDEOS --index my-index",
    "telltime search MY_VIDEO --index my-index --report hits.html",
    "telltime when MY_PHOTO",
    "telltime fit tclr-small --data folder --root MY_VIDEOS --out runs/mine",
    "telltime segment MY_VIDEO --out masks",
)


def write_page(walk: Walk) -> Path:
    """``report.html`` in the walk's folder: what was learned from, how, how well, and the search."""
    seconds = sum(walk.seconds.values())
    page = Page(
        "telltime: learning from time", f"Everything here was measured in one run of {seconds / 60:.1f} minutes."
    )
    page.scores(
        {NAMES[name]: scores[LEARNED] for name, scores in walk.scores.items()},
        {NAMES[name]: f"{scores[RANDOM]:.3f} with random weights" for name, scores in walk.scores.items()},
    )
    page.section("The footage", "Drawn for this run, so that the truth is known. Labels were not used to learn.")
    for path in _one_per_class(walk.folder / "footage"):
        video = Video(path)
        frames = video.probe().frames
        page.strip(
            strip(video.frames(range(0, frames, max(1, frames // 8)), partial=True).pixels, path.parent.name, most=8)
        )
    page.section("Learning", "TCLR contrasts clips of different videos, and clips of one video along time.")
    steps = [row["step"] for row in walk.steps]
    page.figure(
        curves({term: (steps, [row[term] for row in walk.steps]) for term in TERMS}, y="loss"),
        "Each term of the loss, against training steps.",
    )
    page.section("What it learned", "The same network before and after, on videos it never saw.")
    page.figure(
        compare(
            {model: {SHORT[name]: scores[model] for name, scores in walk.scores.items()} for model in (RANDOM, LEARNED)}
        ),
        "Guessing gives " + ", ".join(f"{value:.3f} for {SHORT[name]}" for name, value in walk.chance.items()) + ".",
    )
    page.strips(neighbour_rows(walk.results["neighbours"].details["neighbours"]))
    page.section(
        "Searching real shots",
        "Second halves of the shots of real clips ask for their first halves. The network has only seen drawn footage.",
    )
    page.table(
        ["model", *next(iter(walk.shots.values())).metrics],
        [[name, *result.metrics.values()] for name, result in walk.shots.items()],
    )
    page.strips(neighbour_rows(walk.shots[LEARNED].details["neighbours"]))
    _show_copies(page, walk)
    _show_times(page, walk)
    _show_segments(page, walk)
    page.section("Next, on your own videos and photos").code(NEXT)
    return page.write(walk.folder / "report.html")


def last_screen(walk: Walk, report: Path) -> str:
    """What was learned, in a few lines, and what to try next."""
    width = max(map(len, NAMES.values()))
    lines = [f"{'':{width}}  {RANDOM:>15}  {LEARNED:>12}  {'chance':>7}"]
    for name, scores in walk.scores.items():
        chance = f"{walk.chance[name]:7.3f}" if name in walk.chance else ""
        lines.append(f"{NAMES[name]:{width}}  {scores[RANDOM]:15.3f}  {scores[LEARNED]:12.3f}  {chance}")
    first, last = walk.steps[0], walk.steps[-1]
    lines += ["", "loss terms, first to last: " + ", ".join(f"{t} {first[t]:.2f} -> {last[t]:.2f}" for t in TERMS)]
    found = {name: result.metrics["recall@1"] for name, result in walk.shots.items()}
    lines.append(f"real shots found at first try: {found[LEARNED]:.0%} ({found[RANDOM]:.0%} with random weights)")
    if walk.copies:
        how_well = f"mAP {walk.copies.mean_ap:.3f} among {walk.copies.videos} videos"
        lines.append(f"edited copies of real shots, with telltime index and search: {how_well}")
    if walk.times:
        lines.append(
            f"drawn photos told to {walk.times.error:.1f} h on average ({walk.times.constant:.1f} h by a constant)"
        )
        lines += [f"  {words}" for words in _clocks(walk.times)]
    if walk.segments:
        before, after = (f"{100 * walk.segments.miou[name]:.1f} %" for name in (BEFORE, AFTER))
        lines.append(f"unseen drawn footage segmented without labels: mIoU {before} -> {after} by tuning on time")
    lines += ["", f"the whole story, with pictures: {report}", "", "next, on your own videos:"]
    return "\n".join([*lines, *(f"  {command}" for command in NEXT)])


def _show_copies(page: Page, walk: Walk) -> None:
    """The search for edited copies: how many were found of each edit, and one search with its hits."""
    found = walk.copies
    if found is None:
        return
    page.section(
        "Finding copies",
        f"Each real shot asks for its own edited copies among {found.videos} videos: mAP {found.mean_ap:.3f}. This is "
        "what telltime index and telltime search do, with the embedded network and no training.",
    )
    page.table(["edit", "copies among the first hits"], [[name, share] for name, share in found.by_edit.items()])
    rows = {
        "query": {"id": found.query.name, "label": "asked for", "frames": still_frames(_record(found.query))},
        "hits": [
            {
                "id": Path(hit.path).name,
                "label": "copy" if right else "another video",
                "frames": still_frames(_record(Path(hit.path))),
                "score": hit.score,
                "correct": right,
            }
            for hit, right in zip(found.hits, found.right, strict=True)
        ],
    }
    page.strips(neighbour_rows([rows]))


def _show_times(page: Page, walk: Walk) -> None:
    """Photos with the clocks drawn for them, and what was found about the cameras."""
    times = walk.times
    if times is None:
        return
    page.section(
        "Telling the time",
        f"{times.photos} photos drawn under the sun of one place, told by the small head that ships with the package: "
        f"off by {times.error:.1f} h on average, where the best constant answer is off by {times.constant:.1f} h. The "
        "circle on a clock's rim is what the file claims.",
    )
    page.sheet([card(one, f"about {hhmm(one.median)}") for one in times.shown])
    page.text(
        f"One camera's clock was set {times.wrong_by:g} h ahead. What the photos say: " + " ".join(_clocks(times))
    )


def _show_segments(page: Page, walk: Walk) -> None:
    """Clusters of places of the real shots, with the embedded network as it comes and tuned on time."""
    found = walk.segments
    if found is None:
        return
    page.section(
        "Masks without labels",
        f"The embedded image network, tuned by TimeT for {found.steps} steps on {found.videos} videos, the real shots "
        "among them: clusters of places, carried along a clip, say what its last frame shows. k-means on the places of "
        f"{found.unseen} drawn sequences it never saw, whose masks are known, matches them with a mean IoU of "
        f"{100 * found.miou[AFTER]:.1f} %, and of {100 * found.miou[BEFORE]:.1f} % with the network as it comes. "
        "For the real shots no masks are known: judge by eye.",
    )
    for shot in found.shots:
        layers = {shot.name: shot.frames}
        layers |= {name: painted_frames(shot.frames, labels) for name, labels in shot.clusters.items()}
        page.stack([strip(frames, name, height=150) for name, frames in layers.items()])


def _clocks(times: Times) -> list[str]:
    """A sentence for each camera."""
    told = []
    for camera, found in times.offsets.items():
        least, most = (minutes / 60 for minutes in found.interval)
        verdict = (
            f"add {found.mending / 60:+g} h ({least:+.1f} to {most:+.1f})" if found.wrong else "its clock is right"
        )
        told.append(f"{camera}: {verdict}.")
    return told


def _record(path: Path) -> Record:
    return Record(path.name, path)


def _one_per_class(root: Path, most: int = 6) -> list[Path]:
    folders = sorted(folder for folder in (root / "UCF-101").iterdir() if folder.is_dir())
    return [min(folder.iterdir()) for folder in folders[:most]]
