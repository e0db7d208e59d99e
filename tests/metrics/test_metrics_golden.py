"""Retrieval and probe scores against the reference programs."""

import numpy as np
import pytest
import torch

from telltime.metrics.classification import topk_accuracy, validation_loss, video_scores
from telltime.metrics.retrieval import available_mean, published_mean, recall_at


@pytest.fixture(scope="module")
def seed(golden):
    """Which seed the files were made with: the one that makes an input they hold."""
    held = golden.npz("tclr_losses.npz")["ic_zis"]
    made = (s for s in range(100) if np.allclose(golden.inputs.unit("tclr/ic/zis", held.shape, s), held, atol=1e-6))
    return next(made)


@pytest.mark.parametrize("block", [37, 4096])
def test_recall(golden, seed, block):
    file = golden.json("tclr_retrieval_recall.json")
    sizes = [file[k] for k in ("n_gallery", "n_query", "dim", "classes")]
    gallery, gallery_labels, query, query_labels = golden.inputs.retrieval(seed, *sizes)
    assert gallery_labels.tolist() == file["gallery_labels"]
    scores = recall_at(query, query_labels, gallery, gallery_labels, (1, 5, 10, 20, 50), block=block)
    for name, percent in (file["own_check"] | file["reference"]).items():
        assert scores[int(name[2:])] * 100 == pytest.approx(percent, abs=1e-9)


def test_accumulated_feature(golden, seed):
    expected = golden.npz("tclr_retrieval_features.npz")["accum"]
    clips = golden.tensor("tclr/ret/clipfeat", (9, len(expected), expected.shape[1] // 4, 4), seed)
    features = clips.flatten(2).transpose(0, 1)
    present = torch.ones(features.shape[:2], dtype=torch.bool)
    for position, video in ((2, 1), (4, 1)):
        present[video, position] = False
    np.testing.assert_allclose(published_mean(features, present), expected, atol=1e-6)
    directions = (torch.nn.functional.normalize(f(features, present)) for f in (published_mean, available_mean))
    torch.testing.assert_close(*directions)


def test_video_accuracy_and_loss(golden, seed):
    file = golden.json("tclr_linear_protocol.json")
    logits = golden.inputs.clip_logits(seed, file["labels"]).transpose(0, 1)
    labels = torch.tensor(file["labels"])
    present = torch.ones(logits.shape[:2], dtype=torch.bool)
    for position, video in file["missing"]:
        present[video, position] = False
    assert topk_accuracy(video_scores(logits, present), labels)[1] == pytest.approx(file["accuracy"], abs=1e-12)
    # The reference averages over batches of shuffled videos, so its figure moves with the order of an unseeded shuffle.
    loss = validation_loss(logits, labels, present)
    spread = [
        validation_loss(logits[order], labels[order], present[order], batch)
        for batch in (4, 8)
        for order in (torch.randperm(len(labels), generator=torch.Generator().manual_seed(s)) for s in range(20))
    ]
    assert abs(file["val_loss"] - loss) < max(abs(value - loss) for value in spread)
