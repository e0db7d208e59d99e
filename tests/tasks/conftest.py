import pytest
import torch


@pytest.fixture(autouse=True)
def _tiny(_one_thread: None) -> None:
    """Networks this small only lose time to a second thread."""
    torch.set_num_threads(1)
