"""All of the generator's loss, term by term."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from .colour_loss import colour
from .config import LossConfig
from .features import LAYERS, NORMALISATION, FeatureNetwork, empty
from .files import load
from .gan import generator_gan
from .perceptual import PerceptualLoss
from .pixel import l1, lines, mse, overshoot
from .random_features import initialise

__all__ = ["GeneratorLoss"]


class GeneratorLoss(nn.Module):
    """(output, target, fake_scores) -> weighted scalars "l1", "mse", "colour", "overshoot", "lines", one of each
    feature network ("vgg", "resnet" or "drawings", "photographs"), "adversarial"; the loss is their sum.

    ``output``, ``target``: (B, 3, H, W) RGB, the target in [0, 1] (the pseudo-GT). ``fake_scores``: the discriminator's
    maps of ``output``, with a graph. A term is left out when its weight is 0, and "adversarial" also without scores.
    The feature networks are built here, on the CPU; ``.to(device)`` moves them. Nothing in here is learned: the state
    dict need not go into checkpoints, as ``config`` says it all.

    Raises:
        WeightsError: files of the feature networks are missing or wrong; see :mod:`.files`.
        ValueError: in forward, when the shapes of output and target differ.
    """

    def __init__(self, config: LossConfig):
        super().__init__()
        self.config = config
        self._metadata: dict[str, str] = {"features": "none"}
        self.perceptual = nn.ModuleDict(
            {name: self._build(name) for name in config.networks if any(config.layers(name))}
        )

    def _build(self, name: str) -> PerceptualLoss:
        weights = {layer: w for layer, w in zip(LAYERS[name], self.config.layers(name)) if w}
        body, scales = empty(name, list(weights)), None
        self._metadata["features"] = self.config.features
        if self.config.features == "random":
            seed = self.config.features_seed
            scales = initialise(name, body, list(weights), seed)
            self._metadata[name] = f"random weights, seed {seed}"
        else:
            self._metadata[name] = load(name, body, self.config)
        return PerceptualLoss(FeatureNetwork(body, list(weights), scales, NORMALISATION[name]), list(weights.values()))

    def metadata(self) -> dict[str, str]:
        """What the perceptual loss compares with: "features", and the file or seed of each network in use."""
        return dict(self._metadata)

    def forward(self, output: Tensor, target: Tensor, fake_scores: Sequence[Tensor] | None = None) -> dict[str, Tensor]:
        terms = {}
        if self.config.l1:
            terms["l1"] = self.config.l1 * l1(output, target)
        if self.config.mse:
            terms["mse"] = self.config.mse * mse(output, target)
        if self.config.colour:
            terms["colour"] = self.config.colour * colour(output, target)
        if self.config.overshoot:
            terms["overshoot"] = self.config.overshoot * overshoot(output, target)
        if self.config.lines:
            terms["lines"] = self.config.lines * lines(output, target)
        for name, loss in self.perceptual.items():
            terms[name] = loss(output, target)
        if self.config.adversarial and fake_scores is not None:
            terms["adversarial"] = self.config.adversarial * generator_gan(fake_scores)
        return terms
