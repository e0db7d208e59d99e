"""The bank, and a method that learns to tell videos apart."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tca_toys import batch_of, optimiser_of, small

from telltime.backbones.tca_encoder import TCAEncoder
from telltime.clips.pairs import PairLoader
from telltime.clips.ragged import Ragged, offsets_of
from telltime.methods.bank import NegativeBank, apart
from telltime.methods.tca import TCA


@pytest.mark.filterwarnings("ignore:each step replaces")
@settings(max_examples=30, deadline=None)
@given(st.integers(1, 9), st.lists(st.integers(0, 20), max_size=6))
def test_the_bank_is_a_ring_at_any_count(size: int, counts: list[int]) -> None:
    bank = NegativeBank(size, 1)
    bank.keys.fill_(-1)
    slots, place, number = [-1.0] * size, 0, 0.0
    for count in counts:
        keys = torch.arange(number, number + count)[:, None]
        bank.write(keys, torch.arange(count))
        for key in keys.flatten().tolist():
            slots[place], place = key, (place + 1) % size
        number += count
    assert bank.keys.flatten().tolist() == slots
    assert int(bank.pointer) == place
    assert bank.usable(masked=True)[0].tolist() == [slot >= 0 for slot in slots]


def test_a_small_bank_says_so_once() -> None:
    bank = NegativeBank(4, 2)
    with pytest.warns(UserWarning, match="each step replaces 3 of the bank's 4 negatives"):
        bank.write(torch.rand(3, 2))
    bank.write(torch.rand(3, 2))


def test_related_videos_are_no_negatives() -> None:
    bank = NegativeBank(3, 2)
    bank.write(torch.rand(1, 2), torch.tensor([7]))
    related = torch.tensor([[1, 7], [2, -3]])
    assert bank.usable(related, masked=True).tolist() == [[False, False, False], [True, False, False]]
    assert apart(related, torch.tensor([1, 2, 7])).tolist() == [[False, True, False], [True, False, True]]


@pytest.mark.filterwarnings("ignore:each step replaces")
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_state_holds_all_that_a_resume_needs(momentum: float) -> None:
    whole, halted = small(momentum=momentum), small(momentum=momentum)

    def steps(method: TCA, numbers: range, optimiser: torch.optim.Optimizer) -> list[float]:
        losses = []
        for step in numbers:
            loss, _ = method(batch_of(step, [4], None))
            loss.backward()
            optimiser.step()
            optimiser.zero_grad()
            method.after_step()
            losses.append(loss.item())
        return losses

    expected = steps(whole, range(4), optimiser_of(whole))
    optimiser = optimiser_of(halted)
    got = steps(halted, range(2), optimiser)
    resumed = small(momentum=momentum)
    resumed.load_state_dict(halted.state_dict())
    again = optimiser_of(resumed)
    again.load_state_dict(optimiser.state_dict())
    assert got + steps(resumed, range(2, 4), again) == expected


def test_accumulated_batches_see_the_same_bank() -> None:
    method = small(bank=64)
    before = method.bank.keys.clone()
    method(batch_of(0, [2], None))
    method(batch_of(1, [2], None))
    assert torch.equal(method.bank.keys, before)
    method.after_step()
    assert int(method.bank.pointer) == 8


def test_nothing_is_written_while_measuring() -> None:
    method = small().eval()
    method(batch_of(0, [2], None))
    method.after_step()
    assert int(method.bank.pointer) == 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"loss": "circel"}, "loss is one of circle"),
        ({"momentum": 1.0}, "momentum is 0 or more"),
        ({"temperature": 0.0}, "temperatures must be above 0"),
    ],
)
def test_impossible_arguments_are_refused(options: dict, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        small(**options)


@pytest.mark.parametrize("loss", ["circle", "info-nce", "triplet"])
def test_it_learns_to_see_through_a_disturbance(loss: str) -> None:
    """Copies differ from their originals along one direction that says nothing of the video."""
    generator = torch.Generator().manual_seed(0)
    count, dim = 48, 16
    bent = torch.randn(dim, generator=generator)
    rows = []
    for _ in range(count):
        video = torch.randn(4, dim, generator=generator)
        rows += [video, video + 4 * torch.randn(1, 1, generator=generator) * bent]
    frames = Ragged.of([torch.nn.functional.normalize(each, dim=-1) for each in rows])
    numbers = torch.arange(2 * count)
    items = Ragged(numbers, offsets_of(torch.full((count,), 2)))
    loader = PairLoader(frames, (numbers // 2).numpy(), items, items, numbers.numpy(), 2, 16, 0)
    torch.manual_seed(0)
    scale = {"temperature": 0.1} if loss == "info-nce" else {"gamma": 32.0}
    method = TCA(
        TCAEncoder(dim, heads=2, feedforward=32, dropout=0.0, start="identity"),
        bank=128, loss=loss, mask_unfilled=True, in_batch=True, frame_weight=0.5, **scale,
    )  # fmt: skip
    optimiser = torch.optim.Adam(method.encoder.parameters(), lr=3e-3)

    def found() -> float:
        vectors, _ = method.eval().embed(frames)
        near = (vectors[::2] @ vectors[1::2].T).argmax(1)
        method.train()
        return (near == torch.arange(count)).float().mean().item()

    before = found()
    for epoch in range(12):
        for batch in loader.epoch(epoch):
            loss_, _ = method(method.views(batch, torch.Generator()))
            loss_.backward()
            optimiser.step()
            optimiser.zero_grad()
            method.after_step()
    assert found() > before + 0.1
