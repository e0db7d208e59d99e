"""A network that embeds videos, with what it needs to know of them: loaded, used and saved."""

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from telltime import __version__
from telltime.checkpoints.build import build, build_seeded, check_fits, describe
from telltime.checkpoints.clip_spec import OF_TIME, ClipSpec
from telltime.checkpoints.errors import CheckpointError
from telltime.checkpoints.folder import read_folder, weights_hash, write_folder
from telltime.checkpoints.folder_kind import hugging_face_settings
from telltime.checkpoints.hugging_face import read_hugging_face
from telltime.checkpoints.published import Published, recognise
from telltime.checkpoints.resolve import resolve
from telltime.checkpoints.unpickle import load_published
from telltime.media.video import Video
from telltime.methods.method import Embedding
from telltime.views.readers import TestReader
from telltime.views.time_reader import TimeTestReader

__all__ = ["CheckpointError", "ClipSpec", "Model", "build", "convert", "load"]


class Model(nn.Module):
    """A backbone, the clips it takes, and what was trained with it.

    Clips given to :meth:`prepare`, :meth:`features` and :meth:`classify` are uint8 RGB ``[N, T, 3, S, S]`` as ``media``
    and ``views.geometry`` give them, already cropped and resized; channel order and scale are this class's business.

    Args:
        backbone: float clips ``[N, 3, T, H, W]`` to a map ``[N, C, T', h, w]``.
        clip: the clips it was trained on.
        head: projection head of its pre-training, kept for going on with it; features do not pass through it.
        classifier: what ``reads`` names, ``[N, C]``, to scores ``[N, classes]``.
        meta: where it comes from (JSON values): method, architecture, source, licence, notes, ``first_label``.
        reads: what the classifier was trained on: ``"pooled"`` features, or what a video transformer gives beside its
            tokens for telling the ``"class"``.
    """

    def __init__(
        self,
        backbone: nn.Module,
        clip: ClipSpec | None = None,
        head: nn.Module | None = None,
        classifier: nn.Linear | None = None,
        meta: Mapping[str, Any] | None = None,
        reads: Literal["pooled", "class"] = "pooled",
    ) -> None:
        super().__init__()
        if reads not in ("pooled", "class"):
            raise ValueError(f'a classifier reads "pooled" features or the "class" token, not {reads!r}')
        if reads == "class" and not hasattr(backbone, "tokens_and_class"):
            raise ValueError(f"{type(backbone).__name__} gives no class token for a classifier to read")
        self.reads = reads
        self.backbone = backbone
        self.head = head
        self.classifier = classifier
        self.clip = clip or ClipSpec()
        self.meta = dict(meta or {})

    @property
    def device(self) -> torch.device:
        """Where its weights are."""
        return next(self.parameters()).device

    def prepare(self, clips: Tensor) -> Tensor:
        """RGB uint8 ``[N, T, 3, S, S]`` to the backbone's float32 ``[N, 3, T, S, S]``, on the model's device."""
        if clips.dtype != torch.uint8 or clips.ndim != 5 or clips.shape[2] != 3:
            raise ValueError(f"clips are uint8 [N, T, 3, S, S], not {clips.dtype} {list(clips.shape)}")
        x = clips.to(self.device, non_blocking=True).transpose(1, 2)
        x = (x.flip(1) if self.clip.order == "bgr" else x).float() / 255
        if self.clip.mean is not None:
            x = x - x.new_tensor(self.clip.mean).view(3, 1, 1, 1)
        if self.clip.std is not None:
            x = x / x.new_tensor(self.clip.std).view(3, 1, 1, 1)
        return x.contiguous(memory_format=torch.channels_last_3d)

    def forward(self, clips: Tensor) -> Embedding:
        """The same clips to features, with gradient and in the mode the model is in: for training on top."""
        return self.encode(self.prepare(clips))

    def encode(self, clips: Tensor) -> Embedding:
        """Float clips ``[N, 3, T, H, W]``, as :meth:`prepare` or a method's views give them, to features."""
        features = self.backbone(clips)
        slices = features.mean((3, 4), dtype=torch.promote_types(features.dtype, torch.float32))
        return Embedding(features, slices, slices.mean(2))

    @torch.no_grad()
    def features(self, clips: Tensor, batch: int = 16, bf16: bool = False) -> Embedding:
        """Features in evaluation mode, without gradient, ``batch`` clips at a time.

        Args:
            clips: RGB uint8 ``[N, T, 3, S, S]``.
            batch: how many go through the backbone at once; the features do not depend on it.
            bf16: compute in bfloat16 where the device is fast in it (features then differ in the third digit).
        """
        was = self.training
        self.eval()
        try:
            with torch.autocast(self.device.type, torch.bfloat16, enabled=bf16):
                parts = [self.forward(part) for part in clips.split(batch)]
        finally:
            self.train(was)
        return Embedding(*(torch.cat(part) for part in zip(*parts, strict=True)))

    def embed(self, video: Video | Tensor, positions: int = 9, batch: int = 16) -> Tensor:
        """One vector of a whole video: the mean over test positions of the time slices, channel after channel.

        Args:
            video: a video, or its clips as RGB uint8 ``[positions, T, 3, S, S]``.
            positions: how many clips are taken, evenly spread; each is the centred square at ``clip.crop`` of the short
                side. A position the video is too short for is left out.

        Returns:
            float32 ``[1, C * T']`` on the CPU, element ``c * T' + t``; its length (norm) is left as it is.

        Raises:
            MediaError: the video cannot be read, or is too short for any clip.
        """
        if isinstance(video, Video):
            item = self.reader(positions)(video)
            video = item["clips"][item["present"]]
        return self.features(video, batch).slices.flatten(1).mean(0, keepdim=True).float().cpu()

    def reader(self, positions: int = 9) -> TestReader | TimeTestReader:
        """Reads the test clips of a video as :meth:`features` takes them: in RGB, cut and resized for this network."""
        clip = self.clip
        if clip.sampling == "segments":
            return TimeTestReader(clip.size, clip.frames, positions, crops=1, scale=1 / clip.crop)
        return TestReader(positions, clip.size, clip.frames, clip.stride, clip.crop, order="rgb")

    def classify(self, clips: Tensor) -> Tensor:
        """Scores of clips, ``[N, classes]``; column ``k`` is label ``k`` counted as the classifier's file does.

        Raises:
            ValueError: the model has no classifier.
        """
        if self.classifier is None:
            raise ValueError("this model has no classifier; train one with telltime evaluate linear or finetune")
        with torch.no_grad():
            return self.classifier(self.for_classes(clips))

    @torch.no_grad()
    def for_classes(self, clips: Tensor, batch: int = 16, bf16: bool = False) -> Tensor:
        """What the classifier takes of clips, float32 ``[N, C]``, in evaluation mode.

        Args:
            clips, batch, bf16: as for :meth:`features`.
        """
        if self.reads == "pooled":
            return self.features(clips, batch, bf16).pooled
        was = self.training
        self.eval()
        backbone: Any = self.backbone
        try:
            with torch.autocast(self.device.type, torch.bfloat16, enabled=bf16):
                return torch.cat([backbone.tokens_and_class(self.prepare(x))[1].float() for x in clips.split(batch)])
        finally:
            self.train(was)

    def digest(self) -> str:
        """A hash of all that decides its output: weights, classes and their arguments, clips. 32 hexadecimal digits."""
        content = json.dumps([self._described(), weights_hash(self.state_dict())], sort_keys=True)
        return hashlib.blake2b(content.encode(), digest_size=16).hexdigest()

    def save(self, folder: str | Path) -> Path:
        """Write ``model.safetensors`` and ``config.json`` into ``folder``, made if needed; :func:`load` reads them.

        Raises:
            CheckpointError: a part of the model cannot be described by class and arguments, or ``folder`` is a file.
        """
        made = {"telltime": __version__, "digest": self.digest()}
        return write_folder(Path(folder), self._described() | {"meta": self.meta} | made, self.state_dict())

    def _described(self) -> dict[str, Any]:
        linear = self.classifier
        return {
            "backbone": describe(self.backbone),
            "head": None if self.head is None else describe(self.head),
            "classifier": linear and {"in_features": linear.in_features, "out_features": linear.out_features},
            "clip": self.clip.described(),
        } | ({"reads": self.reads} if self.reads != "pooled" else {})


def load(model: str | Path, device: str | torch.device = "cpu") -> Model:
    """The model that ``model`` names, in evaluation mode.

    Args:
        model: a run or saved model folder; a published checkpoint file; a recipe (the network it trains, with random
            weights of seed 0); a timm name, whose weights are downloaded unless they lie in timm's cache
            (``NAME@random``: random weights of seed 0, no download); or ``hf-hub:OWNER/NAME``, a saved model on the
            Hugging Face hub.
        device: where to put it.

    Raises:
        CheckpointError: nothing answers to the name, or what does is damaged, unknown or unsafe.
    """
    source = resolve(model)
    loaders: dict[str, Callable[[str], Model]] = {
        "folder": _saved,
        "published": convert,
        "recipe": _recipe,
        "timm": _timm,
        "hub": _hub,
    }
    return loaders[source.kind](source.name).to(device).eval()


def convert(file: str | Path, content: Mapping[str, Any] | None = None, *, heads: bool = True) -> Model:
    """The model in a file that a method's authors published, in evaluation mode.

    Args:
        content: of the file, where it was read already.
        heads: keep what its training needed beside the backbone (projection heads, modules of temporal tasks).

    Raises:
        CheckpointError: the file is unsafe or damaged, or its keys are not exactly those of a known network.
    """
    content = load_published(file) if content is None else content
    try:
        return published_model(recognise(content), Path(file).name, heads)
    except CheckpointError as error:
        raise type(error)(f"{file}: {error}") from error


def published_model(found: Published, source: str, heads: bool = True) -> Model:
    """The model whose parts were recognised in a file named ``source``.

    Raises:
        CheckpointError: its keys or shapes are not exactly those of the network it looks like.
    """
    skeleton: dict[str, Any] = {"backbone": {"class_path": found.class_path, "init_args": found.init_args}}
    state = {f"backbone.{key}": value for key, value in found.backbone.items()}
    if found.head and heads:
        channels, dim = (found.head[key].shape[-1] if key in found.head else 1 for key in ("fc1.weight", "bn2.weight"))
        of_tclr = {
            "class_path": "telltime.methods.tclr.ProjectionHead",
            "init_args": {"channels": channels, "dim": dim},
        }
        skeleton |= {"head": found.head_of or of_tclr}
        state |= {f"head.{key}": value for key, value in found.head.items()}
    if found.classifier:
        sizes = found.classifier["weight"].shape
        skeleton |= {"classifier": {"in_features": sizes[1], "out_features": sizes[0]}}
        state |= {f"classifier.{key}": value for key, value in found.classifier.items()}
    skeleton |= {"clip": found.clip, "reads": found.reads}
    return _assemble(skeleton | {"meta": found.meta | {"kind": found.kind, "source": source}}, state)


def _saved(folder: str) -> Model:
    if (settings := hugging_face_settings(Path(folder))) is not None:
        return _hugging_face(Path(folder), settings)
    config, state = read_folder(Path(folder))
    if config.get("kind") == "describer":
        raise CheckpointError(f"{folder} describes single frames, it is no model of clips; it serves to search videos")
    if config.get("kind") == "dense":
        raise CheckpointError(
            f"{folder} is an encoder of places, it is no model of clips; it serves 'telltime segment' and the dense "
            "evaluations, such as 'telltime evaluate clustering'"
        )
    if config.get("kind") == "clock":
        raise CheckpointError(f"{folder} tells the time of photos, it is no model of clips; give it to 'telltime when'")
    try:
        return _assemble(config, state)
    except CheckpointError as error:
        raise CheckpointError(f"{folder}: {error}") from error


def _hugging_face(folder: Path, settings: Mapping[str, Any]) -> Model:
    try:
        return published_model(read_hugging_face(folder, settings), folder.name)
    except CheckpointError as error:
        raise type(error)(f"{folder}: {error}") from error


def _assemble(config: Mapping[str, Any], state: Mapping[str, Tensor]) -> Model:
    """The model that ``config`` describes with the weights ``state``; sizes are compared before memory is taken."""
    with torch.device("meta"):
        check_fits(_skeleton(config), state, "the file")
    with torch.random.fork_rng(devices=[]):
        model = _skeleton(config)
    model.load_state_dict(state)
    return model.eval()


def _skeleton(config: Mapping[str, Any]) -> Model:
    """The model that ``config`` describes, its weights as initialised."""
    try:
        head, classifier = config.get("head"), config.get("classifier")
        return Model(
            build(**config["backbone"]),
            ClipSpec(**config.get("clip", {})),
            build(**head) if head else None,
            nn.Linear(**classifier) if classifier else None,
            config.get("meta"),
            config.get("reads", "pooled"),
        )
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise CheckpointError(f"its config.json is not that of a model ({error})") from error


def _recipe(path: str) -> Model:
    """The network of a recipe: only ``method`` is read, of it the backbone and the clips its reader makes."""
    import yaml

    try:
        method = yaml.safe_load(Path(path).read_text(encoding="utf-8"))["method"]
        arguments = method["init_args"]
        source = arguments.get("reader") or {}
        reader = (source.get("init_args") or {}) | {k: arguments[k] for k in ("mean", "std") if k in arguments}
        known = OF_TIME if str(source.get("class_path")).endswith(".TimeReader") else {}
        read = {key: reader[key] for key in ("frames", "size", "order", "mean", "std") if key in reader}
        clip = ClipSpec(**known | read)
        network = arguments["backbone"]
        plain = {key: value for key, value in (network.get("init_args") or {}).items() if key != "image"}
        backbone = build_seeded(network["class_path"], plain)
    except (yaml.YAMLError, KeyError, TypeError, AttributeError, ValueError) as error:
        raise CheckpointError(f"{path}: its method names no backbone that can be built ({error})") from error
    name = method["class_path"].split(".")[-2]
    meta = {"method": name, "source": f"recipe {Path(path).stem}, random weights of seed 0", "notes": ["not trained"]}
    return Model(backbone, clip, meta=meta)


def _timm(name: str) -> Model:
    from telltime.backbones.image import FrameEncoder

    architecture, _, tag = name.partition("@")
    arguments = {"name": architecture, "pretrained": tag != "random"}
    try:
        backbone = build_seeded("telltime.backbones.image.FrameEncoder", arguments)
    except (OSError, RuntimeError, ValueError) as error:
        raise CheckpointError(
            f"{name}: timm's weights cannot be had ({error}); {architecture}@random needs none"
        ) from error
    assert isinstance(backbone, FrameEncoder)
    meta = {"method": "frames", "source": f"timm {name}", "licence": "see timm's page of these weights"}
    return Model(backbone, ClipSpec(order="rgb", **backbone.values()), meta=meta)


def _hub(name: str) -> Model:
    from huggingface_hub import snapshot_download

    try:
        wanted = ["model.safetensors", "config.json", "preprocessor_config.json"]
        folder = snapshot_download(name, allow_patterns=wanted)
        settings = hugging_face_settings(Path(folder))
        if settings is not None and not (Path(folder) / wanted[0]).exists():
            folder = snapshot_download(name, allow_patterns=[*wanted, "pytorch_model.bin"])
        return _saved(folder)
    except CheckpointError:
        raise
    except Exception as error:  # whatever network and hub may do
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise CheckpointError(f"hf-hub:{name}: the hub gives no model ({first})") from error
