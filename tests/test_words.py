"""What a person reads: help on arguments and options, what a model is, what a run is about to do, what comes next."""

from __future__ import annotations

import inspect
import subprocess
import sys
from dataclasses import dataclass, fields, replace
from pathlib import Path

import pytest
import vapoursynth as vs

import vsapisr
from train import __main__ as steps
from train.fit.config import MANY_PASSES, FitConfig
from train.fit.distributed import Processes
from train.fit.loop import Run, announcement, fit
from train.fit.plan import plan
from train.media.progress import clock
from vsapisr.cli import info
from vsapisr.cli.arguments import table
from vsapisr.config import UpscaleConfig
from vsapisr.described import described
from vsapisr.weights import files

from .fitting import config, drawings, settings


def test_words_below_fields_are_found_in_parents_too() -> None:
    @dataclass
    class Above:
        one: int = 1
        """The ``first``,
        on two lines."""
        none: int = 0

    @dataclass
    class Below(Above):
        two: int = 2
        """Second."""

    assert described(Below) == {"one": "The first, on two lines.", "two": "Second."}


def test_every_argument_of_the_filter_is_explained(capsys: pytest.CaptureFixture) -> None:
    words = described(UpscaleConfig)
    lines = list(table(70))
    assert max(map(len, lines)) <= 100
    text = " ".join(" ".join(lines).split())
    for field in fields(UpscaleConfig):
        assert f"{field.name} (" in text and words[field.name] in text, field.name
    vsapisr.help()
    assert "core.apisr.Upscale(clip" in capsys.readouterr().out


def test_what_editors_show_of_the_plugin_has_every_argument_and_the_way_to_the_rest() -> None:
    """vsstubs writes both into the stubs that editors read."""
    plugin = vs.core.apisr
    shown = inspect.signature(plugin.Upscale).parameters
    assert set(shown) == {"clip"} | {field.name for field in fields(UpscaleConfig)}
    assert all(one.default is None for name, one in shown.items() if name != "clip")
    assert "vsapisr.help()" in plugin.name


def test_help_needs_no_torch() -> None:
    code = "import sys, vsapisr; vsapisr.help(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0


def test_a_model_is_told_in_words_and_raw_on_request() -> None:
    text = "\n".join(info.inside("default"))
    kept = info.metadata(files.find("default"))
    assert f"last step: {kept['iterations']} iterations" in text and f"data: {kept['drawings']} drawings" in text
    assert "\nCard\n" in text and "| light | PSNR-Y dB" in text and "info default --raw" in text
    assert '"degradation":' not in text and max(map(len, text.splitlines())) < 160
    raw = "\n".join(info.inside("default", raw=True))
    assert '"degradation":' in raw and "\nCard\n" not in raw


def test_options_of_a_step_are_grouped_typed_and_explained(capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit):
        steps.main(["fit", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert "--iterations INT" in text and "[default 300000]" in text and "--init TEXT Where the generator" in text
    assert "[data.degradation.stage1.blur]: Blur of the first stage." in text and "VALUE [" not in text
    assert "--out TEXT Folder for all that the run writes. A run continues from last.pth in it. [required]" in text


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(65, "1:05"), (3725, "1:02:05"), (100_000, "27:46:40"), (2.5 * 86400, "2.5 days"), (6567.9 * 3600, "274 days")],
)
def test_long_durations_are_days(seconds: float, words: str) -> None:
    assert clock(seconds) == words


def test_a_run_says_what_it_starts_from_and_goes_on_from(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    folder = drawings(tmp_path / "drawings")
    made = config(settings(folder, tmp_path / "out", iterations=2))
    fit(made)
    first = capsys.readouterr().err
    assert "fit: starts from interpolation, iteration 0 of 2, with " in first and "warning" not in first
    fit(replace(made, iterations=3))
    assert f"fit: goes on from {tmp_path}/out/last.pth, iteration 2 of 3" in capsys.readouterr().err


def test_few_drawings_for_many_iterations_are_warned_of(tmp_path: Path) -> None:
    made = config(settings(drawings(tmp_path / "drawings"), tmp_path / "out"))
    processes = Processes("cpu")
    run = Run(made, processes)
    passes = made.data.batch / (run.feed.drawings * made.data.per_image)
    run.config = replace(made, iterations=int(MANY_PASSES / passes) + 9)
    (_, warning) = announcement(run, None)
    assert warning.startswith(f"fit: warning: {run.feed.drawings} drawings are few for {run.config.iterations:,} ")
    run.config = replace(made, iterations=int(MANY_PASSES / passes) - 9)
    assert len(announcement(run, None)) == 1
    run.feed.close()
    processes.close()
    assert "\nwarning:       " in plan(replace(made, iterations=int(MANY_PASSES / passes) + 9))


def test_each_step_names_the_command_that_follows(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    values = settings(drawings(tmp_path / "drawings"), tmp_path / "run", iterations=1)
    one: FitConfig = config(values)
    assert steps.following("fit", one) == (
        f"python -m train fit --config train/configs/stage2.toml --init {one.out} --data.folder {one.data.folder}"
    )
    target = tmp_path / "mine.safetensors"
    fit(one)
    capsys.readouterr()
    assert steps.main(["export", "--source", one.out, "--target", str(target)]) == 0
    assert f"next: vsapisr upscale PICTURE --model {target}" in capsys.readouterr().err
