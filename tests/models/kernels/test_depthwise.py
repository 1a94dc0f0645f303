"""The depthwise convolution: torch's numbers and gradients."""

import pytest

torch = pytest.importorskip("torch", reason="needs the extra: pip install '.[train]'")

from resound.models.kernels.depthwise import depthwise  # noqa: E402


@pytest.mark.parametrize(("kernel", "dilation", "before"), [(3, 2, 2), (3, 2, 4), (3, 8, 8), (1, 1, 0), (2, 3, 3)])
def test_the_depthwise_convolution_is_that_of_torch(kernel, dilation, before):
    wide = {"dtype": torch.float64, "requires_grad": True}
    torch.manual_seed(0)
    n, taps, bias = torch.randn(2, 7, 5, **wide), torch.randn(kernel, 5, **wide), torch.randn(5, **wide)
    padded = torch.nn.functional.pad(n.transpose(1, 2), (before, (kernel - 1) * dilation - before))
    expected = torch.nn.functional.conv1d(padded, taps.t().unsqueeze(1), bias, dilation=dilation, groups=5)
    torch.testing.assert_close(depthwise(n, taps, bias, dilation, before), expected.transpose(1, 2))
    assert torch.autograd.gradcheck(lambda *x: depthwise(*x, dilation, before), (n, taps, bias))
