"""The scene classifier of TICL: frames weighted by a 1x1 convolution, then one linear layer."""

import torch
from torch import Tensor, nn


class SceneHead(nn.Module):
    """A learned weighted sum of a video's frame features, and class scores of it.

    Beside the frames it may take features of the whole video (VideoMAE's mean token): normalised, then put in front.

    Args:
        dim: numbers of a frame's feature.
        classes: how many there are.
        frames: of a video.
        video_dim: numbers of the video's own feature; 0 for none.
    """

    def __init__(self, dim: int, classes: int, frames: int = 4, video_dim: int = 0) -> None:
        super().__init__()
        self.dim, self.classes, self.frames, self.video_dim = dim, classes, frames, video_dim
        self.conv1x1 = nn.Conv2d(frames, 1, 1)
        self.norm = nn.LayerNorm(video_dim) if video_dim else None
        self.classifier = nn.Linear(dim + video_dim, classes)

    def aggregated(self, frames: Tensor) -> Tensor:
        """Float ``[N, frames, dim]`` to ``[N, dim]``."""
        return self.conv1x1(frames.unsqueeze(-1)).squeeze(-1).squeeze(1)

    def forward(self, frames: Tensor, video: Tensor | None = None) -> Tensor:
        """Class scores ``[N, classes]``.

        Args:
            frames: float ``[N, frames, dim]``.
            video: float ``[N, video_dim]``, where the head takes it.
        """
        summed = self.aggregated(frames)
        if self.norm is None:
            return self.classifier(summed)
        if video is None:
            raise ValueError(f"this head takes {self.video_dim} numbers of the whole video beside its frames")
        return self.classifier(torch.cat([self.norm(video), summed], -1))
