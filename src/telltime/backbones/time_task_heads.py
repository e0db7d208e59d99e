"""The seven modules of TIME's temporal tasks, on the tokens of a network of clips.

Source: Yun et al., "Time Is MattEr: Temporal Self-supervision for Video Transformers", ICML 2022. Names of parameters
are those of the published files.
"""

import torch.nn.functional as F
from torch import Tensor, nn

DIRECTIONS = 9
"""Classes of a patch's motion: still, and eight directions of 45 degrees."""


class TemporalHeads(nn.Module):
    """Tells the place in time of every frame, and where every patch moves until the next frame.

    They are of use in training alone. With 768 channels and 8 frames they have 2,376,977 parameters.

    Args:
        channels: of the tokens.
        frames: places in time of a clip's tokens.
    """

    def __init__(self, channels: int, frames: int) -> None:
        super().__init__()
        self.channels, self.frames = channels, frames
        self.temp_head = nn.Linear(channels, frames)
        self.mlp_q = nn.Linear(channels, channels)
        self.mlp_k = nn.Linear(channels, channels)
        self.mlp_v = nn.Linear(channels, channels)
        self.mlp_proj = nn.Linear(channels, channels)
        self.mlp_norm = nn.LayerNorm(channels, 1e-6)
        self.flow_head = nn.Linear(channels, DIRECTIONS)

    def order(self, tokens: Tensor) -> Tensor:
        """Tokens ``[N, T, h, w, C]`` to scores of the places ``[N, T, T]``: of every frame, for every place."""
        if tokens.shape[1] != self.frames:
            raise ValueError(f"the heads tell {self.frames} places in time, the tokens have {tokens.shape[1]}")
        return self.temp_head(tokens.mean((2, 3)))

    def flow(self, tokens: Tensor) -> Tensor:
        """Tokens ``[N, T, h, w, C]`` to scores of the directions ``[N, T - 1, h * w, 9]``.

        Every patch of a later frame attends to the frame before it, with one head and no residual; its scores belong to
        the patch at its place in the earlier frame, as published.
        """
        grid = tokens.flatten(2, 3)
        earlier = grid[:, :-1]
        queries, keys, values = self.mlp_q(grid[:, 1:]), self.mlp_k(earlier), self.mlp_v(earlier)
        seen = F.scaled_dot_product_attention(*(x.flatten(0, 1)[:, None] for x in (queries, keys, values)))
        return self.flow_head(self.mlp_norm(self.mlp_proj(seen.squeeze(1).unflatten(0, earlier.shape[:2]))))

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens ``[N, T, h, w, C]`` to the scores of :meth:`order` and of :meth:`flow`."""
        return self.order(tokens), self.flow(tokens)
