"""The training form computes what GRL computes, gradients included."""

from __future__ import annotations

import torch

from train.model.forward import forward
from train.model.start import start_as_interpolation
from vsapisr.networks.grl import GRL, GRLConfig


def test_same_output_and_gradients():
    torch.manual_seed(0)
    model = GRL(GRLConfig(dim=32, depths=(2,), mlp_dim=32, bias_dim=16, drop_path=0.0))
    image = torch.rand(2, 3, 19, 24)
    gradients = []
    for run in (model, lambda x: forward(model, x)):
        model.zero_grad()
        out = run(image)
        (out * torch.linspace(-1, 1, out.numel()).view_as(out)).mean().backward()
        gradients.append([out.detach()] + [p.grad.clone() for p in model.parameters()])
    for a, b in zip(*gradients):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


def test_new_weights_enlarge():
    torch.manual_seed(0)
    model = GRL(GRLConfig(depths=(1,))).eval()
    start_as_interpolation(model)
    ramp = torch.linspace(0.2, 0.8, 32).expand(1, 3, 32, 32)
    with torch.no_grad():
        out = model(ramp)
    wanted = torch.nn.functional.interpolate(ramp, scale_factor=4, mode="bilinear")
    assert (out - wanted)[..., 32:-32, 32:-32].abs().max() < 0.05  # the rest of the random weights shows a little
