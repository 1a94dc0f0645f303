"""What every task shares."""

import pytest

torch = pytest.importorskip("torch", reason="needs the extra: pip install '.[train]'")

from resound.training.tasks import follow  # noqa: E402


def test_the_mean_of_weights_keeps_the_mean_of_what_norms_measured():
    mean, network = torch.nn.BatchNorm1d(2), torch.nn.BatchNorm1d(2)
    with torch.no_grad():
        network.weight.fill_(3.0)
        network.running_mean.fill_(1.0)
        network.num_batches_tracked.fill_(7)
    follow(mean, network, 0.75)
    assert torch.equal(mean.weight, torch.full((2,), 1.5))
    assert torch.equal(mean.running_mean, torch.full((2,), 0.25))
    assert int(mean.num_batches_tracked) == 7
