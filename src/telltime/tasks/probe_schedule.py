"""When TCLR's linear probe lowers its learning rate, validates and stops."""

from dataclasses import dataclass, field

VALIDATED = frozenset({6, *range(11, 50)})
EPOCHS = 100


@dataclass
class ProbeSchedule:
    """The published rule, epoch by epoch; epochs count from 0.

    An epoch whose mean training loss is above the best so far is counted; the count is not reset by a better epoch.
    When it is three, the next epoch starts with the rate a tenth (of the base: 1, 2, 3, ... tenfold steps). The probe
    ends after an epoch run with a rate below 1e-5.

    >>> schedule = ProbeSchedule()
    >>> for epoch in range(EPOCHS):
    ...     rate = schedule.begin()
    ...     ...                              # train an epoch at this rate
    ...     if schedule.end(loss): break
    """

    base: float = 1e-2
    patience: int = 3
    floor: float = 1e-5
    rate: float = field(init=False)
    best: float = field(init=False, default=10000.0)
    _worse: int = field(init=False, default=0)
    _drops: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        self.rate = self.base

    def begin(self) -> float:
        """The learning rate of the epoch that begins."""
        if self._worse == self.patience:
            self._drops += 1
            self.rate = self.base / 10**self._drops
            self._worse = 0
        return self.rate

    def end(self, loss: float) -> bool:
        """Take the mean training loss of the epoch that ended; true when it was the last."""
        if loss > self.best:
            self._worse += 1
        else:
            self.best = loss
        return self.rate < self.floor


def validates(epoch: int, last: int) -> bool:
    """Whether the test set is scored after this epoch: the published epochs, and the last one of a shorter run."""
    return epoch in VALIDATED or epoch == last
