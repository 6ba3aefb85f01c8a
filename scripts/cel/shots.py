"""The shot list, as data: who stands where, what moves and how long each drawing is held."""

from __future__ import annotations

from dataclasses import dataclass

from .look import AOI, HARU, Look, Pose

__all__ = ["MIXED", "SHOTS", "Actor", "Shot", "at", "length"]


@dataclass(frozen=True)
class Actor:
    """A character in a shot. Places are design pixels of a 640x360 picture, times are frames."""

    look: Look
    unit: int
    """Half a face's width; a multiple of 5, so that layers fall on whole pixels."""
    x: int
    y: int
    """Where the head is in frame 0."""
    pose: Pose = Pose()
    mouths: tuple[int, ...] = (0,)
    """Mouth shapes in turn, each held for three frames."""
    blinks: tuple[int, ...] = ()
    """Frames at which the eyes begin to shut; a blink takes eight frames."""
    step: int = 0
    """Design pixels to the right every second frame."""
    bob: tuple[int, ...] = (0,)
    """Design pixels down, in turn, each for two frames."""
    sways: tuple[float, ...] = (0.0,)
    """Hair in the wind, in turn, each for four frames."""
    nods: tuple[tuple[int, float], ...] = ()
    """(frame from which, tilt in degrees)."""

    def pose_at(self, n: int) -> Pose:
        """The drawing shown in frame ``n``."""
        eyes = self.pose.eyes
        for start in self.blinks:
            if start <= n < start + 8:
                eyes = 0.45 if n < start + 2 or n >= start + 6 else 0.0
        tilt = self.pose.tilt
        for start, angle in self.nods:
            tilt = angle if n >= start else tilt
        p = self.pose
        return Pose(
            self.mouths[n // 3 % len(self.mouths)],
            eyes,
            p.turn,
            tilt,
            p.look,
            p.brows,
            self.sways[n // 4 % len(self.sways)],
            p.smile,
        )

    def place_at(self, n: int) -> tuple[int, int]:
        """The head's place in frame ``n``."""
        return self.x + self.step * (n // 2), self.y + self.bob[n // 2 % len(self.bob)]


@dataclass(frozen=True)
class Shot:
    """One shot between two cuts."""

    frames: int
    background: str
    actors: tuple[Actor, ...] = ()
    pan: int = 0
    """Design pixels the camera moves to the right per frame."""
    near: str = ""
    """A layer close to the camera; it passes by twice as fast."""
    lines: tuple[tuple[str, float, float], ...] = ()
    """Lettering of a title card: text, height of its middle, size."""


_CHATTER = (1, 2, 1, 2, 0, 1, 2, 2, 1, 0, 0, 1, 2, 1, 0, 2, 1, 0, 0, 0)

SHOTS: dict[str, Shot] = {
    "talk": Shot(
        72,
        "classroom",
        (Actor(AOI, 75, 320, 158, Pose(turn=0.25, look=0.2), _CHATTER, blinks=(30, 62), nods=((45, 3.0),)),),
    ),
    "slide": Shot(
        60,
        "school",
        (
            Actor(
                AOI,
                50,
                150,
                172,
                Pose(turn=0.7, look=0.8, smile=0.9),
                blinks=(24,),
                sways=(0.0, 0.35, 0.6, 0.35, 0.0, -0.15),
            ),
            Actor(
                HARU,
                50,
                690,
                160,
                Pose(turn=-0.7, look=-0.6, tilt=-3.0, brows=0.6),
                (2, 1, 2, 0, 1, 2),
                step=-8,
                bob=(0, -3, -5, -3, 0, 2),
            ),
        ),
    ),
    "pan": Shot(60, "town", pan=3, near="foreground"),
    "title": Shot(
        48,
        "title",
        lines=(
            ("EPISODE 1", 134, 20.0),
            ("The Quiet Window", 178, 52.0),
            ("tea, rain, and a letter from the coast", 238, 16.0),
        ),
    ),
}

MIXED: tuple[str, ...] = ("talk", "slide", "pan", "title")
"""The shots of "mixed", with hard cuts between them: 240 frames."""


def length(shot: str) -> int:
    """Frames of a shot, or of "mixed"; an unknown name raises KeyError naming the known ones."""
    if shot == "mixed":
        return sum(SHOTS[name].frames for name in MIXED)
    if shot not in SHOTS:
        raise KeyError(f"no shot named {shot!r}; known: {', '.join((*SHOTS, 'mixed'))}")
    return SHOTS[shot].frames


def at(shot: str, n: int) -> tuple[Shot, int]:
    """The shot on screen and the frame's number within it; ``n`` begins anew after the end."""
    n %= length(shot)
    if shot != "mixed":
        return SHOTS[shot], n
    for name in MIXED:
        if n < SHOTS[name].frames:
            return SHOTS[name], n
        n -= SHOTS[name].frames
    raise AssertionError("n is below the sum of the lengths")
