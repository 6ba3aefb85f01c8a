"""ICNet, the image complexity network of IC9600 (Feng et al., TPAMI 2023), in the layout of its published checkpoint.

Two ResNet-18 trunks see the same picture: one 512x512 and only as deep as layer2 (detail), one 256x256 and whole
(context). Every stage is followed by channel weights learnt from the channel's spatial layout (SLAM).
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vsapisr.errors import WeightsError
from vsapisr.needs import lacks_memory, without_memory
from vsapisr.weights.files import plain_content, shown

SIZE = 512
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def resize(x: Tensor, size: int) -> Tensor:
    """(B, C, H, W) -> (B, C, size, size), bilinear with aligned corners; nothing when the height fits already."""
    if x.shape[2] == size:
        return x
    return F.interpolate(x, (size, size), mode="bilinear", align_corners=True)


class BasicBlock(nn.Module):
    """Residual block of ResNet-18 (He et al. 2015), named as torchvision names it."""

    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample = None
        if stride != 1:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(y + (x if self.downsample is None else self.downsample(x)))


def stage(inputs: int, outputs: int, stride: int = 2) -> nn.Sequential:
    """A layer of ResNet-18."""
    return nn.Sequential(BasicBlock(inputs, outputs, stride), BasicBlock(outputs, outputs, 1))


def stem() -> nn.Sequential:
    """conv1, bn1, relu, maxpool, layer1: (B, 3, S, S) -> (B, 64, S/4, S/4)."""
    return nn.Sequential(
        nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(3, 2, 1), stage(64, 64, 1)
    )


class SLAM(nn.Module):
    """Each channel times a weight in (0, 1) read from its own map, reduced to size x size."""

    def __init__(self, size: int):
        super().__init__()
        self.size = size
        self.linear = nn.Sequential(nn.Linear(size * size, 512), nn.ReLU(), nn.Linear(512, 1))

    def forward(self, x: Tensor) -> Tensor:
        weight = self.linear(resize(x, self.size).flatten(2)).sigmoid()  # (B, C, 1)
        return x * weight[..., None]


class ConvNormReLU(nn.Module):
    def __init__(self, inputs: int, outputs: int, kernel: int):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, 1, kernel // 2)
        self.bn = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)))


class MapHead(nn.Module):
    def __init__(self, channels: int):
        super().__init__()
        self.to_map = nn.Sequential(nn.Conv2d(channels, 1, 1), nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        return self.to_map(x)


class ICNet(nn.Module):
    """(B, 3, 512, 512) RGB, ImageNet-normalised -> complexity (B,) and its map (B, 1, 64, 64), both in (0, 1)."""

    def __init__(self):
        super().__init__()
        self.b1_1, self.b1_1_slam = stem(), SLAM(32)
        self.b1_2, self.b1_2_slam = stage(64, 128), SLAM(32)
        self.b2_1, self.b2_1_slam = stem(), SLAM(32)
        self.b2_2, self.b2_2_slam = stage(64, 128), SLAM(32)
        self.b2_3, self.b2_3_slam = stage(128, 256), SLAM(16)
        self.b2_4, self.b2_4_slam = stage(256, 512), SLAM(8)
        self.up1, self.up2 = ConvNormReLU(128, 256, 1), ConvNormReLU(512, 256, 1)
        self.to_map_f, self.to_map_f_slam = ConvNormReLU(512, 512, 3), SLAM(32)
        self.to_map = MapHead(512)
        self.to_score_f, self.to_score_f_slam = ConvNormReLU(512, 512, 3), SLAM(32)
        self.head = nn.Sequential(nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 1), nn.Sigmoid())

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        detail = self.b1_1_slam(self.b1_1(x))  # (B, 64, 128, 128)
        detail = self.b1_2_slam(self.b1_2(detail))  # (B, 128, 64, 64)
        context = self.b2_1_slam(self.b2_1(resize(x, SIZE // 2)))  # (B, 64, 64, 64)
        context = self.b2_2_slam(self.b2_2(context))  # (B, 128, 32, 32)
        context = self.b2_3_slam(self.b2_3(context))  # (B, 256, 16, 16)
        context = self.b2_4_slam(self.b2_4(context))  # (B, 512, 8, 8)
        both = torch.cat([self.up1(resize(detail, 64)), self.up2(resize(context, 64))], 1)  # (B, 512, 64, 64)
        complexity_map = self.to_map(self.to_map_f_slam(self.to_map_f(both)))
        features = self.to_score_f_slam(self.to_score_f(both)).mean((2, 3))
        return self.head(features)[:, 0], complexity_map


def load_icnet(path: str | Path, device: torch.device | str = "cpu") -> ICNet:
    """ICNet with the weights of ``path``: IC9600's ``ck.pth``, a flat state dict. No code in the file is run.

    Raises:
        WeightsError: no such file, not a checkpoint, or one of another network; names what does not fit.
    """
    path = Path(path)
    if not path.is_file():
        raise WeightsError(f"ICNet weights {str(path)!r}: no such file; IC9600's authors publish it as ck.pth")
    try:
        state = plain_content(path)
    except Exception as error:  # the unpickler meets arbitrary bytes and raises nearly anything
        if lacks_memory(error):
            raise WeightsError(without_memory(error, f"to read {path}")) from None
        raise WeightsError(
            f"ICNet weights {str(path)!r}: not a checkpoint of plain tensors "
            f"({shown(str(error).splitlines()[0], 200) if str(error) else type(error).__name__})"
        ) from None
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise WeightsError(
            f"ICNet weights {str(path)!r}: a flat state dict is needed, got "
            f"{sorted(map(str, state))[:4] if isinstance(state, dict) else type(state).__name__}"
        )
    model = ICNet()
    own = model.state_dict()
    missing, unknown = sorted(own.keys() - state.keys()), sorted(state.keys() - own.keys())
    if missing or unknown:
        raise WeightsError(
            f"ICNet weights {str(path)!r} are of another network: {len(missing)} entries missing "
            f"({', '.join(missing[:3])}), {len(unknown)} unknown ({', '.join(unknown[:3])})"
        )
    for name, value in own.items():
        if state[name].shape != value.shape:
            raise WeightsError(
                f"ICNet weights {str(path)!r}: {name} has shape {tuple(state[name].shape)}, "
                f"{tuple(value.shape)} is needed"
            )
    model.load_state_dict(state)
    return model.eval().requires_grad_(False).to(device)
