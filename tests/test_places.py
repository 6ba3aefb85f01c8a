"""Where steps write: one run at a time, and nothing of a person's is replaced."""

from __future__ import annotations

import subprocess
import sys
from contextlib import closing
from pathlib import Path

import cv2
import numpy as np
import pytest

from train.__main__ import main
from train.curation.config import CurateConfig, PrepareConfig
from train.curation.curate import Curated, curate, remove_pictures
from train.curation.manifest import Manifest
from train.curation.prepare import prepare
from train.degradation.run import DegradeConfig, run_degrade
from train.evaluation.config import EvaluateConfig
from train.evaluation.evaluate import evaluate
from train.fit.loop import fit
from train.media.places import LOCK, MARK, alone, below, claim
from train.preview import PreviewConfig, run_preview
from vsapisr.errors import ArgumentError, VsapisrError

from .conftest import ROOT
from .fitting import config, drawings, settings

HOLDER = """
import sys
from pathlib import Path
from train.media.places import alone

with alone(Path(sys.argv[1]), "fit"):
    print("held", flush=True)
    sys.stdin.read()
"""


def everything(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_one_run_at_a_time_and_a_killed_one_gives_the_folder_back(tmp_path):
    out = tmp_path / "out"
    command = [sys.executable, "-c", HOLDER, str(out)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout.readline() == b"held\n"
        said = rf"out' is in use by fit, process {other.pid} on .*, since 20"
        with pytest.raises(ArgumentError, match=said), alone(out, "fit"):
            pass
        other.kill()
        other.wait()
    assert (out / LOCK).exists()  # as it was left
    with alone(out, "curate"), pytest.raises(ArgumentError, match="in use by curate"), alone(out, "fit"):
        pass
    assert not list(out.iterdir())


@pytest.mark.parametrize("step", ["fit", "curate", "prepare", "degrade", "preview", "evaluate"])
def test_every_step_that_writes_to_a_folder_has_it_to_itself(tmp_path, step):
    folder, out = drawings(tmp_path / "d", 1), tmp_path / "out"
    steps = {
        "fit": lambda: fit(config(settings(folder, out))),
        "curate": lambda: curate(CurateConfig(videos=str(folder), out=str(out))),
        "prepare": lambda: prepare(PrepareConfig(source=str(folder), out=str(out))),
        "degrade": lambda: run_degrade(DegradeConfig(source=str(folder), out=str(out))),
        "preview": lambda: run_preview(PreviewConfig(source=str(folder), out=str(out))),
        "evaluate": lambda: evaluate(EvaluateConfig(gt=str(folder), out=str(out), models=())),
    }
    with alone(out, "another"), pytest.raises(VsapisrError, match="in use by another"):
        steps[step]()


def test_degrade_never_replaces_drawings_nor_what_it_did_not_write(tmp_path):
    folder, out = drawings(tmp_path / "d", 2), tmp_path / "out"
    before = everything(folder)
    assert main(["degrade", "--source", str(folder), "--out", str(folder)]) == 2
    assert main(["degrade", "--source", str(folder), "--out", f"{folder}/../d/"]) == 2
    assert everything(folder) == before
    for name in ("0.png", "1.json", "draws.jsonl"):
        out.mkdir(exist_ok=True)
        (out / name).write_bytes(b"a person's")
        with pytest.raises(ArgumentError, match=f"has files that degrade did not write and would replace .{name}"):
            run_degrade(DegradeConfig(source=str(folder), out=str(out)))
        assert everything(out) == {name: b"a person's"}
        (out / name).unlink()
    (out / "0.png").write_bytes(b"a person's")
    assert run_degrade(DegradeConfig(source=str(folder), out=str(out), force=True)).written == 2
    (out / "0.png").unlink()
    assert run_degrade(DegradeConfig(source=str(folder), out=str(out))).written == 1  # the others are its own


def large(folder: Path) -> Path:
    folder.mkdir()
    for number in range(2):
        noise = np.random.default_rng(number).integers(0, 255, (80, 96, 3), np.uint8)
        cv2.imwrite(str(folder / f"{number}.png"), noise)
    return folder


def test_prepare_never_replaces_its_source_nor_what_it_did_not_write(tmp_path):
    folder, out = large(tmp_path / "gt"), tmp_path / "out"
    small = {"height": 40, "minimum_side": 8, "validation": 0.0, "pseudo_gt": False}
    before = everything(folder)
    with pytest.raises(ArgumentError, match="^source: .* originals would be replaced"):
        prepare(PrepareConfig(source=str(folder), out=str(tmp_path), **small))
    assert everything(folder) == before
    (out / "val").mkdir(parents=True)
    (out / "val" / "1.png").write_bytes(b"a person's")  # which would be removed, for it is not held out
    with pytest.raises(ArgumentError, match="prepare did not write and would replace .val/1.png"):
        prepare(PrepareConfig(source=str(folder), out=str(out), **small))
    assert (out / "val" / "1.png").read_bytes() == b"a person's" and not any((out / "gt").iterdir())
    assert prepare(PrepareConfig(source=str(folder), out=str(out), force=True, **small)).written == 2
    (folder / "0.png").write_bytes((folder / "1.png").read_bytes())
    assert prepare(PrepareConfig(source=str(folder), out=str(out), **small)).written == 1


def test_reports_and_sheets_are_taken_over_only_from_earlier_runs(tmp_path):
    folder, out = drawings(tmp_path / "d", 1), tmp_path / "out"
    measure = {"gt": str(folder), "models": (), "levels": ("light",), "metrics": ()}
    show = {"source": str(folder), "what": ("lines",)}
    with pytest.raises(ArgumentError, match="^source: "):
        run_preview(PreviewConfig(out=str(folder), **show))
    for name in ("table.md", "sheet-light.png", "0.lines.png"):
        out.mkdir(exist_ok=True)
        (out / name).write_bytes(b"a person's")
        with pytest.raises(ArgumentError, match=f"would replace .{name}"):
            if "lines" in name:
                run_preview(PreviewConfig(out=str(out), **show))
            else:
                evaluate(EvaluateConfig(out=str(out), **measure))
        assert everything(out) == {name: b"a person's"}
        (out / name).unlink()
    for _ in range(2):
        evaluate(EvaluateConfig(out=str(out), **measure))
        run_preview(PreviewConfig(out=str(out), **show))
    (out / MARK).unlink()
    with pytest.raises(ArgumentError, match="evaluate did not write"):
        evaluate(EvaluateConfig(out=str(out), **measure))
    evaluate(EvaluateConfig(out=str(out), force=True, **measure))


def test_a_run_begins_in_no_folder_with_other_weights(tmp_path):
    folder, out = drawings(tmp_path / "d"), tmp_path / "out"
    out.mkdir()
    for name in ("best.pth", "iteration_00000004.pth", "log.jsonl"):
        (out / name).write_bytes(b"a person's")
        with pytest.raises(ArgumentError, match=f"fit did not write and would replace .{name}.; give another folder$"):
            fit(config(settings(folder, out)))
        assert everything(out) == {name: b"a person's"}
        (out / name).unlink()
    fit(config(settings(folder, out, iterations=1)))
    (out / MARK).unlink()  # a run of before there were marks
    fit(config(settings(folder, out, iterations=2)))


def test_a_damaged_mark_is_none(tmp_path):
    for text in ("", "[]", '{"steps": 3}', "\udcff"):
        (tmp_path / MARK).write_bytes(text.encode("utf-8", "surrogateescape"))
        (tmp_path / "a").touch()
        with pytest.raises(ArgumentError, match="would replace .a"):
            claim(tmp_path, "fit", ["a"])


@pytest.mark.parametrize("name", ["../kept.png", "a/../../kept.png", "/kept.png", "..\\kept.png", "C:kept.png", ""])
def test_names_in_a_record_that_lead_outside_remove_nothing(tmp_path, name):
    """As in a manifest.sqlite from somewhere else."""
    out, kept = tmp_path / "out", tmp_path / "kept.png"
    out.mkdir()
    kept.write_bytes(b"mine")
    with closing(Manifest(out / "manifest.sqlite")) as manifest:
        manifest.put("files", {"name": name, "frame": None, "crop": "", "full_height": 1})
        with pytest.raises(ArgumentError, match="which does not lie below it"):
            remove_pictures(out, manifest, Curated())
    assert kept.read_bytes() == b"mine"
    assert below(out, "sub/fine.png") == out / "sub/fine.png"
