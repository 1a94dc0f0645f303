"""The best order is the one that trying all would find, and only its pairs learn."""

from __future__ import annotations

from itertools import permutations

import pytest

torch = pytest.importorskip("torch", reason="needs the extra: pip install '.[train]'")

from resound.losses import best_orders, in_order, l1, permutation_invariant, si_sdr  # noqa: E402


@pytest.mark.parametrize("n_sources", [1, 2, 3, 4, 5, 6])
def test_the_search_equals_trying_all(n_sources):
    pairwise = torch.randn(8, n_sources, n_sources, generator=torch.Generator().manual_seed(n_sources))
    found = best_orders(pairwise)
    assert found.shape == (8, n_sources)
    assert found.dtype == torch.int64
    for losses, order in zip(pairwise.tolist(), found.tolist(), strict=True):
        sums = {tried: sum(losses[i][j] for i, j in enumerate(tried)) for tried in permutations(range(n_sources))}
        assert tuple(order) == min(sums, key=sums.get)


@pytest.mark.parametrize("n_sources", [2, 3, 5])
def test_shuffled_sources_are_found_again(n_sources):
    generator = torch.Generator().manual_seed(0)
    target = torch.randn(4, n_sources, 500, generator=generator)
    shuffle = torch.stack([torch.randperm(n_sources, generator=generator) for _ in range(4)])
    estimate = in_order(target, shuffle) + 0.1 * torch.randn(4, n_sources, 500, generator=generator)
    loss, order = permutation_invariant(si_sdr, estimate, target)
    assert torch.equal(order, shuffle.argsort(dim=1))
    torch.testing.assert_close(loss, si_sdr(in_order(estimate, order), target))
    assert float(loss.max()) < -15


def test_only_the_chosen_pairs_have_a_gradient():
    target = torch.stack([torch.zeros(10), torch.ones(10)])[None]
    estimate = torch.stack([torch.full((10,), 0.9), torch.full((10,), 0.1)])[None].requires_grad_()
    loss, order = permutation_invariant(l1, estimate, target)
    assert order.tolist() == [[1, 0]]
    torch.testing.assert_close(loss, torch.tensor([[0.1, 0.1]]))
    loss.sum().backward()
    torch.testing.assert_close(estimate.grad, torch.tensor([-0.1, 0.1])[None, :, None].expand(1, 2, 10))


def test_a_pair_that_is_not_chosen_cannot_spoil_the_gradient():
    """Its loss is infinite, and so its gradient would be: zero times that is no number."""
    target = torch.tensor([[[0.0], [1.0]]])
    estimate = torch.tensor([[[0.0], [1.0]]], requires_grad=True)
    loss, _ = permutation_invariant(lambda e, t: -(1 - (e - t).abs()).log().sum(-1), estimate, target)
    loss.sum().backward()
    assert bool(estimate.grad.isfinite().all())


@pytest.mark.parametrize("n_sources", [2, 5])
def test_what_is_no_number_has_some_order(n_sources):
    order = best_orders(torch.full((2, n_sources, n_sources), torch.nan))
    assert order.sort().values.tolist() == [list(range(n_sources))] * 2


def test_options_reach_the_loss():
    estimate = torch.randn(2, 2, 400)
    loss, _ = permutation_invariant(
        l1, estimate, estimate.flip(1), sample_rate=8000, bandwidth_hz=torch.full((2,), 2e3)
    )
    assert float(loss.max()) == 0


def test_an_order_first_looked_for_in_validation_serves_training():
    with torch.inference_mode():
        best_orders(torch.randn(2, 3, 3))
    estimate = torch.randn(2, 3, 50, requires_grad=True)
    permutation_invariant(l1, estimate, torch.randn(2, 3, 50))[0].sum().backward()  # would raise
    assert bool(estimate.grad.any())
