"""Configurations of the steps ``curate`` and ``prepare``."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..settings import check

METHODS = ("topk", "partitions")
BASES = ("sharpened", "plain")


@dataclass(frozen=True, kw_only=True)
class SelectionConfig:
    """Which of a video's I-frames are taken. Changing any of it needs no new scan, except a smaller ``every``."""

    method: str = "topk"
    """"topk": the best of the whole video (the paper). "partitions": the best of each part (the public code)."""
    topk: int = 10
    """topk: pictures per video."""
    partitions: int = 8
    """partitions: parts of equal duration a video is cut into."""
    per_partition: int = 2
    per_partition_long: int = 3
    """partitions: the same for videos longer than ``long_minutes``."""
    long_minutes: float = 30.0
    every: int = 0
    """Every how many-th I-frame is scored; 0 is the method's own: 1 for topk, 5 for partitions."""
    minimum_score: float | None = None
    """Least complexity, in the scorer's own unit. Without it every score will do."""
    duplicate_bits: int = 8
    """Two pictures whose 64-bit hashes differ in no more bits than this are one drawing; -1 keeps duplicates."""
    duplicates_across: bool = True
    """Compare with the pictures taken from earlier videos too: openings and endings come with every episode."""
    blank_spread: float = 6.0
    """Least standard deviation of luma, 0..255: black, white, fades."""
    credits: float = 0.75
    """Likeness to a page of lettering from which a picture is left out; above 1 keeps all."""
    letterbox: bool = True
    """Cut off black bars."""
    minimum_side: int = 256
    """Least width and height after the bars are cut, at the height of ``prepare``: a training crop must fit."""
    refill: bool = False
    """Take the next best for a picture that was struck out by hand."""

    def __post_init__(self) -> None:
        check(self.method in METHODS, "method", self.method, ", ".join(METHODS))
        for key in ("topk", "partitions", "per_partition", "per_partition_long", "minimum_side"):
            check(getattr(self, key) >= 1, key, getattr(self, key), "1 or more")
        check(self.every >= 0, "every", self.every, "0 (the method's own), 1 or more")
        check(-1 <= self.duplicate_bits <= 63, "duplicate_bits", self.duplicate_bits, "-1 to 63")
        check(self.long_minutes > 0, "long_minutes", self.long_minutes, "above 0")

    @property
    def stride(self) -> int:
        """Every how many-th I-frame is scored."""
        return self.every or (5 if self.method == "partitions" else 1)


@dataclass(frozen=True, kw_only=True)
class CurateConfig:
    """Videos -> scored I-frames -> a folder of chosen pictures."""

    videos: str
    """Folder, searched with all below it, or one file."""
    out: str
    """Folder for the manifest, the pictures, the contact sheets and strike.txt."""
    height: int = 720
    """Videos of fewer lines, as shown, are left out."""
    scorer: str = "compress"
    """"compress", "icnet", "random" or "iqa:<metric of pyiqa>"."""
    icnet_weights: str = ""
    """Path of IC9600's ck.pth."""
    device: str = "auto"
    """For icnet and iqa: "auto", "cpu", "cuda"."""
    batch: int = 8
    """Pictures scored at once."""
    seed: int = 0
    """For random."""
    threads: int = 0
    """Of the decoder; 0 is one per core."""
    cluster: str = ""
    """"auto", "local" or HOST:PORT of its head: by the nodes of a Ray cluster."""
    selection: SelectionConfig = field(default_factory=SelectionConfig)

    def __post_init__(self) -> None:
        check(self.height >= 8, "height", self.height, "8 or more")
        check(self.batch >= 1, "batch", self.batch, "1 or more")
        check(self.threads >= 0, "threads", self.threads, "0 (one per core) or more")


@dataclass(frozen=True, kw_only=True)
class PrepareConfig:
    """Chosen pictures -> production resolution -> GT and pseudo-GT."""

    source: str
    """What ``curate`` wrote (its ``out``), any folder of pictures, or one picture."""
    out: str
    """Folder; GT goes to out/gt, pseudo-GT to out/pseudo_gt, under the same names, held out pictures to out/val."""
    height: int = 720
    """Lines of the whole frame, black bars that were cut off included. Lower pictures are left out."""
    multiple: int = 8
    """Width and height are cropped, right and bottom, to multiples of it."""
    minimum_side: int = 256
    """Least width and height of the result."""
    pseudo_gt: bool = True
    """Make the line-enhanced version too."""
    validation: float = 0.05
    """Share of the pictures that is held out for validation: those go to out/val alone. Which ones follows from seed
    and name, so that new pictures move no old one."""
    apart: tuple[str, ...] = ()
    """Folders of pictures or videos that will be measured on; pictures that show the same are not trained on."""
    gamma: tuple[float, float] = (0.97, 0.98)
    """Range of the XDoG's gamma, drawn per picture from seed and name."""
    base: str = "sharpened"
    """What lines are blended onto: "sharpened" (the paper's supplement and code) or "plain" (its Eq. 3)."""
    seed: int = 0
    force: bool = False
    """Replace files that are in the way and that this step did not write."""
    threads: int = 0
    """Pictures at once; 0 is one per core."""
    cluster: str = ""
    """"auto", "local" or HOST:PORT of its head: by the nodes of a Ray cluster."""

    def __post_init__(self) -> None:
        for key in ("height", "multiple", "minimum_side"):
            check(getattr(self, key) >= 1, key, getattr(self, key), "1 or more")
        check(self.base in BASES, "base", self.base, ", ".join(BASES))
        check(0 <= self.validation < 1, "validation", self.validation, "a share, 0 to less than 1")
        check(self.threads >= 0, "threads", self.threads, "0 (one per core) or more")
        check(self.gamma[0] <= self.gamma[1], "gamma", self.gamma, "[low, high] with low <= high")
