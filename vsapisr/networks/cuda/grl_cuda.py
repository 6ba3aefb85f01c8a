"""The form that runs on CUDA devices: :class:`GRLInference` with its parts replaced by kernels where they are right and
fast.

Nothing is taken on trust: before the first call ever on a device each part from :mod:`vsapisr.networks.cuda.kernels` is
compared with the plain form, and timed against it, by a process of its own (:mod:`.trial`). A part that does
not compile, differs, or is slower stays plain, with a warning unless it was only slower.
"""

from __future__ import annotations

import copy
import importlib.util
import logging
import threading
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from vsapisr.networks.cuda.faults import fatal
from vsapisr.networks.descriptor import Descriptor
from vsapisr.networks.grl import GRL, pad_to_window
from vsapisr.networks.grl_inference import GRLInference
from vsapisr.picture.colour import YUV, Colour, Format, from_rgb
from vsapisr.picture.guard import keep

if TYPE_CHECKING:  # Triton need not be there
    from vsapisr.networks.cuda.kernels.form import KernelBody, KernelTail, Tilings

log = logging.getLogger("vsapisr")

TOLERANCE = {torch.float32: 1e-3, torch.float16: 0.02, torch.bfloat16: 0.1}
"""Of a kernel part's result against the plain one's, as a share of its largest value, 1 at least."""
TRIAL = (2, 3, 40, 56)  # an odd number of windows on both sides, all four classes of shifted ones
TIMED = (1, 3, 256, 256)
SAMPLES = (Format(YUV, 0, 8, 1, 1), Colour(1, False), (8, 0, 4, 12))
USES = ("auto", "kernels", "plain")


def kernels_possible(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether Triton is there and makes good code: half precision on NVIDIA's devices from compute capability 8.0 on.

    Without matrix units for a type, products are unrolled: they compile for minutes and spill registers.
    """
    if importlib.util.find_spec("triton") is None or torch.version.hip or device.type != "cuda":
        return False
    return dtype != torch.float32 and torch.cuda.get_device_capability(device) >= (8, 0)


@dataclass(frozen=True)
class Parts:
    """By kernels: the network, the guard of its colours, the samples of its result."""

    body: KernelBody
    tail: KernelTail
    guard: Callable[[Tensor, Tensor], Tensor]
    samples: Callable[[Tensor, Format, Colour, tuple[int, int, int, int]], list[Tensor]]


class GRLCuda(nn.Module):
    """(B, 3, H, W) RGB in [0, 1] -> (B, 3, 4H, 4W), not clamped; for inference only. The result of a
    float32 image is float32, of others it has the network's own type.

    ``use`` is ``auto``; ``kernels`` takes them without asking for speed, but still for correctness; ``plain`` never
    does.
    """

    scale = 4

    def __init__(self, grl: GRL, dtype: torch.dtype, device: torch.device, use: str = "auto"):
        super().__init__()
        self.plain = GRLInference(grl, dtype).to(device)
        self.config, self.dtype, self.device, self.use = grl.config, dtype, device, use
        self.kernel_body: Callable[[Tensor], Tensor] | None = None
        self.kernel_tail: Callable[[Tensor, int, int], Tensor] | None = None
        self.kernel_guard: Callable[[Tensor, Tensor], Tensor] | None = None
        self.kernel_samples: Callable[[Tensor, Format, Colour, tuple[int, int, int, int]], list[Tensor]] | None = None
        self.lock, self.ready = threading.Lock(), False
        self._source: GRL | None = grl

    @property
    def descriptor(self) -> Descriptor:
        return Descriptor.for_window(self.config.window)

    @property
    def batch_invariant(self) -> bool:
        """Whether an image's result is the same in a batch of any size: libraries choose other kernels for other
        sizes.
        """
        return self.kernel_body is not None and self.kernel_tail is not None

    @property
    def parts(self) -> dict[str, str]:
        """What runs: ``kernels`` or ``plain`` for each part."""
        used = {
            "body": self.kernel_body,
            "tail": self.kernel_tail,
            "guard": self.kernel_guard,
            "samples": self.kernel_samples,
        }
        return {part: "kernels" if kernels else "plain" for part, kernels in used.items()}

    def held(self, batch: int, height: int, width: int) -> object:
        """See :meth:`GRLInference.held`."""
        return None if self.kernel_body else self.plain.held(batch, height, width)

    def plain_body(self, image: Tensor) -> Tensor:
        """(B, 3, H, W), sides multiples of the window -> (B, H, W, C)."""
        x = (image - self.plain.mean).contiguous(memory_format=torch.channels_last)
        features = self.plain.convs[0](x).permute(0, 2, 3, 1).contiguous()
        self.plain.body(features)
        return features

    def plain_tail(self, x: Tensor, height: int, width: int) -> Tensor:
        """(B, h, w, C) -> (B, 3, height, width)."""
        return self.plain.tail(x.permute(0, 3, 1, 2))[..., :height, :width]

    @torch.inference_mode()
    def prepare(self) -> None:
        """Choose the parts, once. Compiles, waits for the device and allocates: not to be done while a graph is
        captured.
        """
        with self.lock:
            if self.ready:
                return
            grl, self._source = self._source, None
            if grl is not None and self.use != "plain" and kernels_possible(self.device, self.dtype):
                try:
                    self.take_kernels(grl)
                except Exception as error:  # a compiler may fail in any way; the plain form does the same work
                    log.warning(
                        "fast kernels cannot be used on %s, going on without: %s", self.device, first_line(error)
                    )
                    self.kernel_body = self.kernel_tail = self.kernel_guard = self.kernel_samples = None
            self.ready = True

    def take_kernels(self, grl: GRL) -> None:
        from vsapisr.networks.cuda.kernels import block, tuning, verdict

        if not block.fits(self.config):
            return
        found = verdict.found(grl, self.dtype, self.device)
        if "failed" in found:
            log.warning("fast kernels do not work on %s, going on without: %s", self.device, found["failed"])
            return
        tilings = tuning.tilings_from(found["tilings"])
        wanted = found["pays" if self.use == "auto" else "right"]
        parts = self.made(grl)
        right = self.agrees(parts, tilings, [part for part in wanted if wanted[part]])  # with these weights too
        if right.get("body"):
            self.kernel_body = lambda image: parts.body(image, tilings)
        if right.get("tail"):
            self.kernel_tail = lambda x, height, width: parts.tail(x, height, width, tilings)
        if right.get("guard"):
            self.kernel_guard = parts.guard
        if right.get("samples"):
            self.kernel_samples = parts.samples
        for part, kind in self.parts.items():
            log.info("%s on %s: %s", part, self.device, "kernels" if kind == "kernels" else "plain form")

    def made(self, grl: GRL) -> Parts:
        from vsapisr.networks.cuda.kernels import guard, samples
        from vsapisr.networks.cuda.kernels.form import KernelBody, KernelTail

        grl = copy.deepcopy(grl).to("cpu").float().eval().requires_grad_(False)
        with torch.no_grad():
            body, tail = KernelBody(grl, self.dtype, self.device), KernelTail(grl, self.dtype, self.device)
        return Parts(body, tail, guard.keep, samples.from_rgb)

    def agrees(self, parts: Parts, tilings: Tilings, names: Sequence[str]) -> dict[str, bool]:
        """Whether each of ``names`` gives what the plain form gives."""
        trial = torch.rand(TRIAL, generator=torch.Generator().manual_seed(0)).to(self.device, self.dtype)
        features = self.plain_body(trial)
        height, width = 4 * TRIAL[2], 4 * TRIAL[3] - 4
        made_up = 2 * torch.rand(*TRIAL[:2], 4 * TRIAL[2], 4 * TRIAL[3], device=self.device, dtype=self.dtype) - 0.5
        quiet = trial.clone()
        quiet[..., : TRIAL[3] // 2] = 0.5
        strip = 16 * features.numel() * features.element_size() // 3  # of several strips
        calls: dict[str, tuple[Callable[[], Tensor], Callable[[], Tensor]]] = {
            "body": (lambda: parts.body(trial, tilings), lambda: features),
            "tail": (
                lambda: parts.tail(features, height, width, tilings, strip),
                lambda: self.plain_tail(features, height, width),
            ),
            "guard": (lambda: parts.guard(made_up.clone(), quiet), lambda: keep(made_up.clone(), quiet)),
            "samples": (
                lambda: levels(parts.samples(made_up[:1], *SAMPLES)),
                lambda: levels(from_rgb(made_up[:1], *SAMPLES)),
            ),
        }
        return {name: self.same(name, *calls[name]) for name in names}

    def same(self, name: str, kernels: Callable[[], Tensor], plain: Callable[[], Tensor]) -> bool:
        """Whether a part compiles and gives what the plain form gives.

        Raises:
            RuntimeError: the device cannot be used any more, or lacks memory.
        """
        wanted = plain().float()
        try:
            difference = (kernels().float() - wanted).abs().max().item()
        except Exception as error:  # see prepare
            if fatal(error):
                raise
            log.warning("the fast %s does not run on %s, going on without: %s", name, self.device, first_line(error))
            return False
        accepted = TOLERANCE[self.dtype] * max(1.0, wanted.abs().max().item())
        if difference <= accepted:  # false for NaN
            return True
        log.warning(
            "the fast %s is inaccurate on %s (difference %.3g, at most %.3g), going on without",
            name,
            self.device,
            difference,
            accepted,
        )
        return False

    def what_pays(
        self,
        parts: Parts,
        tilings: Tilings,
        milliseconds: Callable[[Callable[[], object]], float],
        names: Sequence[str],
    ) -> dict[str, bool]:
        """Whether each of ``names`` is faster than the plain one."""
        image = torch.rand(TIMED, device=self.device, dtype=self.dtype)
        features, side = self.plain_body(image), 4 * TIMED[2]
        enlarged = torch.rand(*TIMED[:2], side, side, device=self.device, dtype=self.dtype)
        calls: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
            "body": (lambda: parts.body(image, tilings), lambda: self.plain_body(image)),
            "tail": (
                lambda: parts.tail(features, side, side, tilings),
                lambda: self.plain_tail(features, side, side),
            ),
            "guard": (lambda: parts.guard(enlarged, image), lambda: keep(enlarged, image)),
            "samples": (lambda: parts.samples(enlarged, *SAMPLES), lambda: from_rgb(enlarged, *SAMPLES)),
        }
        return {name: milliseconds(calls[name][0]) < milliseconds(calls[name][1]) for name in names}

    def keep(self, enlarged: Tensor, source: Tensor) -> Tensor:
        """See :func:`vsapisr.picture.guard.keep`; after a call of the network."""
        if self.kernel_guard and enlarged.is_contiguous() and source.is_contiguous():
            return self.kernel_guard(enlarged, source)
        return keep(enlarged, source)

    def from_rgb(
        self,
        rgb: Tensor,
        format: Format,
        colour: Colour,
        margin: tuple[int, int, int, int],
        more: Tensor | float = 0.0,
        reduction: int = 1,
    ) -> list[Tensor]:
        """See :func:`vsapisr.picture.colour.from_rgb`; after a call of the network."""
        if self.kernel_samples and not isinstance(more, Tensor) and reduction == 1 and rgb.stride(-1) == 1:
            try:
                return self.kernel_samples(rgb, format, colour, margin)
            except Exception as error:  # it is compiled anew for another format than the one that was tried
                if fatal(error):
                    raise
                log.warning("fast samples do not run on %s, going on without: %s", self.device, first_line(error))
                self.kernel_samples = None
        return from_rgb(rgb, format, colour, margin, more, reduction)

    @torch.no_grad()
    def forward(self, image: Tensor) -> Tensor:
        with (
            torch.cuda.device(self.device) if self.device.type == "cuda" else nullcontext()
        ):  # kernels start on the current one
            if not self.ready:
                self.prepare()
            height, width = image.shape[-2:]
            x = pad_to_window(image.to(self.dtype), self.config.window)
            x = (self.kernel_body or self.plain_body)(x)
            out = (self.kernel_tail or self.plain_tail)(x, self.scale * height, self.scale * width)
            return out.float() if image.dtype == torch.float32 else out


def levels(planes: list[Tensor]) -> Tensor:
    """Samples of 8 bits as shares of what may differ from one another by a level."""
    return torch.cat([plane.flatten().float() for plane in planes]) / 100


def first_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else ''}"
