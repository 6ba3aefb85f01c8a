"""Weights, checkpoints and parts of a video's work that lie or were damaged: one line, no memory, nothing lost."""

from __future__ import annotations

import json
import os
import pickle
from contextlib import suppress
from pathlib import Path

import av
import pytest
import torch
from safetensors.torch import load_file, save_file

from scripts.clips import encode
from scripts.stress import files_kept, fixtures
from train.fit import checkpoint
from train.fit.loop import fit
from train.fit.plan import plan
from vsapisr.cli import info
from vsapisr.config import UpscaleConfig
from vsapisr.errors import VideoError, WeightsError
from vsapisr.video.run import upscale_video
from vsapisr.video.settings import VideoSettings
from vsapisr.video.times import Times
from vsapisr.weights import files as weights
from vsapisr.weights.hidden import METADATA

FIRST = "conv_first.weight"


@pytest.fixture(scope="module")
def state() -> dict[str, torch.Tensor]:
    return load_file(fixtures.small())


def saved(path: Path, content: object) -> Path:
    torch.save(content, path)
    return path


def test_sizes_without_end_take_neither_time_nor_memory(tmp_path, state):
    path = tmp_path / "w.pth"
    far = saved(path, {**state, "layers.99999999.blocks.0.attn.x": torch.zeros(1)})
    with pytest.raises(WeightsError, match="does not fit GRL: Unexpected key"):
        weights.load(far, (8, 2))
    far = saved(path, {**state, "layers.999999.blocks.0.attn.x": torch.zeros(1)})
    with pytest.raises(WeightsError, match="it has a layer 999999 and no layer 1$"):
        weights.load(far, (8, 2))
    wide = torch.zeros(1, dtype=torch.float16).expand(10**11, 3, 3, 3)
    with pytest.raises(WeightsError, match=f"fewer values than it says, or none of real numbers, in {FIRST}"):
        weights.load(saved(path, {**state, FIRST: wide}), (8, 2))
    with pytest.raises(WeightsError, match="none of real numbers"):
        weights.load(saved(path, {**state, FIRST: state[FIRST].to_sparse()}))
    # all values are there, and ask for a network of 10^12 of them in its other layers
    said = {METADATA: json.dumps({"window": 8, "anchor_down": 2})}
    save_file({**state, FIRST: torch.zeros(10**6, 3, 1, 1)}, tmp_path / "w.safetensors", said)
    with pytest.raises(WeightsError, match="does not fit GRL"):
        weights.load(tmp_path / "w.safetensors")


def test_names_out_of_a_file_are_shown_on_one_line(tmp_path, state):
    path = saved(tmp_path / "w.pth", {f"\x1b[31m{name}\n": value for name, value in state.items()})
    with pytest.raises(WeightsError, match=r"it starts with \\x1b\[31mconv") as caught:
        weights.load(path)
    assert str(caught.value).isprintable()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "data",
    [b"\x80", b"\x80\x02.", b"\x80\x02a.", pickle.dumps([1], 4), b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n)R."],
)
def test_any_bytes_are_no_checkpoint(tmp_path, data):
    path = tmp_path / "last.pth"
    path.write_bytes(data)
    with pytest.raises(checkpoint.CheckpointError, match=f"^{path} is "):
        checkpoint.load(path)


@pytest.mark.skipif(os.name == "nt", reason="no pipes in folders on Windows")
@pytest.mark.timeout(60)
def test_a_pipe_is_not_waited_for(tmp_path):
    path = tmp_path / "last.pth"
    os.mkfifo(path)
    for read, error in ((weights.contents, WeightsError), (checkpoint.load, checkpoint.CheckpointError)):
        with pytest.raises(error, match=f"^{path} is no file$"):
            read(path)


@pytest.mark.parametrize("key", ["history", "generator", "optimizers", "data", "random", "config", "iteration"])
@pytest.mark.parametrize("way", ["gone", "another kind", "emptied"])
def test_a_checkpoint_without_one_of_its_parts_is_called_damaged(tmp_path, key, way):
    out, last = tmp_path / "run", tmp_path / "run" / "last.pth"
    out.mkdir()
    content = torch.load(files_kept.trained() / "last.pth", weights_only=True)
    whole = content.pop(key)
    if way != "gone":
        content[key] = type(whole)() if way == "emptied" else [[1]] if isinstance(whole, dict) else {"a": 1}
    saved(last, content)
    if way == "emptied" and key in ("iteration", "random", "optimizers"):  # which says something: none yet
        return
    with pytest.raises(checkpoint.CheckpointError, match=f"^{last} is damaged"):
        fit(files_kept.training(out, iterations=3))
    if key == "config":
        with pytest.raises(checkpoint.CheckpointError, match=f"^{last} is damaged"):
            plan(files_kept.training(out, iterations=3))


def test_what_a_file_says_of_itself_may_be_anything(tmp_path, state):
    path = tmp_path / "w.safetensors"
    sizes = json.dumps({"window": 8, "anchor_down": 2})
    for said in ('{"data": 1}', '{"data": {"degradation": [], "batch": {}, "patch": "x"}}', "[" * 9999, "[1]"):
        save_file(state, path, {METADATA: sizes, "config": said, "blend": said, "iterations": "3", "drawings": "1"})
        assert "dim" in "".join(info.inside(str(path))) and list(info.inside(str(path), raw=True))


@pytest.fixture(scope="module")
def calm(tmp_path_factory) -> bytes:
    target = tmp_path_factory.mktemp("calm") / "large.mkv"
    files_kept.enlarge(target)
    return target.read_bytes()


def half(folder: Path) -> Path:
    target = folder / "large.mkv"
    with suppress(files_kept.Stopped):
        files_kept.enlarge(target, stop=True)
    return target


@pytest.mark.parametrize("damage", ["chunk cut", "note emptied", "note of another kind"])
def test_a_chunk_that_was_damaged_since_is_made_anew(tmp_path, calm, damage):
    target = half(tmp_path)
    work = Path(f"{target}.work")
    chunk, note = work / "000000.mkv", work / "000000.json"
    if damage == "chunk cut":
        chunk.write_bytes(chunk.read_bytes()[:-50])
    else:
        note.write_text("" if damage == "note emptied" else "[1]")
    files_kept.enlarge(target)
    assert target.read_bytes() == calm


def test_damage_that_its_length_does_not_show_is_a_line(tmp_path, calm):
    target = half(tmp_path)
    chunk = Path(f"{target}.work") / "000000.mkv"
    whole = chunk.read_bytes()
    chunk.write_bytes(bytes(len(whole)))
    with pytest.raises(VideoError, match=f"^{chunk} is damaged; delete it, and the same command makes it anew$"):
        files_kept.enlarge(target)
    chunk.unlink()
    files_kept.enlarge(target)
    assert target.read_bytes() == calm


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"unit": [1, 0], "pts": [0], "end": 1}', '{"unit": [1, 24], "pts": [3, "x"], "end": 4}',
             '{"unit": [1, 24], "pts": [3, 2], "end": 4}', '{"unit": [1, 24], "pts": 3, "end": 4}', "[" * 99999]
)  # fmt: skip
def test_damaged_times_are_a_line(tmp_path, text):
    path = tmp_path / "times.json"
    path.write_text(text)
    with pytest.raises(VideoError, match=f"^{path} is damaged"):
        Times.read(path)
    path.unlink()
    with pytest.raises(VideoError, match="cannot be read"):
        Times.read(path)
    path.mkdir()
    with pytest.raises(VideoError, match="is no file"):
        Times.read(path)


def test_a_video_of_one_frame(tmp_path):
    source, target = tmp_path / "one.mkv", tmp_path / "large.mkv"
    encode(source, [fixtures.drawn(1, 96, 64)])
    config = UpscaleConfig(model=str(fixtures.small()), device="cpu")
    upscale_video(source, target, VideoSettings(upscale=config, encoder="libx264", preset="ultrafast"))
    with av.open(str(target)) as file:
        (frame,) = file.decode(video=0)
        assert (frame.width, frame.height) == (384, 256)


@pytest.mark.parametrize("name", ["x" * 100_000, "y" * 300 + ".pth", "a/" * 3000, "nul\0.pth"])
def test_a_name_that_no_file_can_have(name):
    with pytest.raises(WeightsError, match="^(unknown model|model file) '") as caught:
        weights.find(name)
    assert len(str(caught.value)) < 1000
