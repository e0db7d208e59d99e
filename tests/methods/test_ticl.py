import pytest
import torch

from telltime.features.feature_loader import FeatureLoader
from telltime.methods.ticl import TICL
from telltime.metrics import circular

GENERATOR = torch.Generator()


def toy(count=256, seed=0):
    """Features that tell the time: its place on the circle, and noise."""
    draw = torch.Generator().manual_seed(seed)
    hours = torch.rand(count, generator=draw, dtype=torch.float64) * 24
    turn = hours * (torch.pi / 12)
    noise = torch.randn(count, 6, generator=draw)
    waves = torch.stack([torch.cos(turn), torch.sin(turn), torch.cos(2 * turn), torch.sin(2 * turn)], 1)
    return torch.cat([1.5 * waves.float(), noise], 1), hours


def loader(features, hours, batch=64, **more):
    count = len(features)
    months, folds = torch.full((count,), -1.0), torch.arange(count) % 4
    return FeatureLoader(features, hours, months, folds, batch, 0, **more)


def fit(method, batches, epochs, lr):
    optimiser = torch.optim.Adam(method.parameters(), lr=lr)
    for epoch in range(epochs):
        for batch in batches.epoch(epoch):
            optimiser.zero_grad()
            method(method.views(batch, GENERATOR)).loss.backward()
            optimiser.step()
    return method.eval()


@pytest.mark.parametrize(
    ("head", "more", "lr"),
    [
        ("cosine", {"arguments": {"hidden": 16}}, 2e-3),
        ("cosine", {"arguments": {"hidden": 16}, "loss": "in-batch"}, 2e-3),
        ("cosine", {"arguments": {"hidden": 16}, "loss": "soft"}, 2e-3),
        ("soft", {"decay": 1e-3}, 0.3),
        ("mixture", {}, 0.1),
        ("month", {}, 0.3),
    ],
)
def test_every_head_learns_to_tell_the_time(head, more, lr):
    torch.manual_seed(0)
    features, hours = toy()
    method = fit(TICL(dim=10, head=head, **more), loader(features, hours), 12, lr)
    others, truth = toy(seed=1)
    with torch.no_grad():
        density = method.density(others)
    error = circular.distance(circular.circular_median(density.numpy()), truth.numpy()).mean()
    assert error < 1.2, "a constant is off by six"


def test_a_fold_s_head_never_sees_its_fold():
    torch.manual_seed(0)
    features, hours = toy(32)
    method = TICL(dim=10, head="soft", folds=4)
    batches = loader(features, hours, batch=32)
    batch = next(iter(batches.epoch(0)))
    views = method.views(batch, GENERATOR)
    views.features.requires_grad_()
    for number, head in enumerate(method.others):
        with torch.no_grad():
            head.out.weight.normal_()
        loss, _ = method._term(head, views, views.rows[1 + number])
        (grad,) = torch.autograd.grad(loss, views.features)
        seen = grad.abs().sum(1) > 0
        torch.testing.assert_close(seen, batch["fold"] != number)


def test_the_rule_of_whole_minutes_gives_the_classes():
    method = TICL(classes=1440, dim=2, head="soft")
    hours = torch.arange(1440, dtype=torch.float64) / 60
    views = method.views({"features": torch.zeros(1440, 2), "hours": hours}, GENERATOR)
    torch.testing.assert_close(views.classes, torch.arange(1440))


@pytest.mark.parametrize("mode", ["always", "first-epoch"])
def test_train_modes(mode):
    method = TICL(dim=10, train_mode=mode, arguments={"hidden": 4}).train()
    flags = []
    for epoch in (0, 1, 0):
        batch = {"features": torch.randn(4, 10), "hours": torch.rand(4) * 24, "epoch": torch.full((4,), epoch)}
        method(method.views(batch, GENERATOR))
        flags.append(method.clock.training)
    assert flags == ([True] * 3 if mode == "always" else [True, False, True])


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"head": "cosin"}, "head is one of"),
        ({"classes": 0}, "classes"),
        ({"classes": 1441}, "classes"),
        ({"width": 0.0}, "widths"),
        ({"folds": 1}, "folds"),
        ({"loss": "pairs"}, "loss"),
        ({"arguments": {"harmonics": 3}}, "harmonics"),
    ],
)
def test_wrong_arguments_are_told(wrong, word):
    with pytest.raises(ValueError, match=word):
        TICL(dim=4, **wrong)


def test_features_of_another_size_name_the_setting():
    with pytest.raises(ValueError, match=r"method\.dim=5"):
        TICL(dim=4, head="soft").views({"features": torch.zeros(2, 5), "hours": torch.zeros(2)}, GENERATOR)


def test_batches_depend_on_seed_and_epoch_alone():
    features, hours = toy(50)
    many = loader(features, hours, batch=16, least=7)
    assert len(many) == 8
    whole = [batch["hours"] for batch in many.epoch(3)]
    rest = [batch["hours"] for batch in many.epoch(3, skip_batches=5)]
    assert all(torch.equal(a, b) for a, b in zip(whole[5:], rest, strict=True))
    assert sorted(torch.cat(whole[:4]).tolist()) == sorted(hours.tolist())
    parts = [loader(features, hours, batch=16, rank=rank, world=2) for rank in (0, 1)]
    both = [torch.cat([b["hours"] for b in pair]) for pair in zip(*(p.epoch(0) for p in parts), strict=True)]
    assert all(
        torch.equal(a, b["hours"]) for a, b in zip(both, loader(features, hours, batch=16).epoch(0), strict=True)
    )
    assert len(loader(features, hours, batch=16, drop_last=True)) == 3
    assert len(loader(features, hours, batch=64, drop_last=True)) == 1
