"""Clips that evaluate reads: what cannot be read is said with its name."""

from __future__ import annotations

import re

import av
import numpy as np
import pytest

from train.evaluation.footage import frames
from vsapisr.errors import ClipError


def test_a_file_of_sound_alone_is_named(tmp_path):
    path = tmp_path / "sound.mkv"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("pcm_s16le", rate=48000, layout="stereo")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 2 * 4800), np.int16), format="s16", layout="stereo")
        frame.rate = 48000
        out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    with pytest.raises(ClipError, match=re.escape(f"{path} cannot be read: no video stream")):
        next(frames(path, 0))
