"""What the degradation model draws, and how often."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import pytest

from train.degradation import pipeline
from train.degradation.config import (
    BlurConfig,
    CodecConfig,
    DegradationConfig,
    NoiseConfig,
    ResizeConfig,
    Stage1Config,
    Stage2Config,
    preset,
)
from train.degradation.draws import Blur, Codec, Draw, Noise, Resize, draw, draw_codec, draw_scale, generator
from train.degradation.resize import RESIZERS
from train.degradation.run import DegradeConfig
from train.preview import PreviewConfig
from train.settings import load
from vsapisr.errors import ArgumentError

from .distributions import fits_integers, fits_shares, fits_uniform

COUNT = 4000


@pytest.fixture(scope="module")
def drawn() -> list[Draw]:
    config = DegradationConfig()
    return [draw(generator("tests", number), config, 720, 1280) for number in range(COUNT)]


def stages(record: Draw) -> tuple[list, list]:
    """The steps of stage 1 (up to its codec) and the rest."""
    first = next(n for n, step in enumerate(record.steps) if isinstance(step, Codec))
    return list(record.steps[: first + 1]), list(record.steps[first + 1 :])


def test_kernel_choices_follow_the_configuration(drawn):
    blurs = [step for record in drawn for step in stages(record)[0] if isinstance(step, Blur)]
    assert len(blurs) == COUNT
    config = BlurConfig()
    shares = {kind: 0.9 * weight for kind, weight in zip(config.kinds, config.weights)} | {"sinc": 0.1}
    fits_shares([step.kind for step in blurs], shares)
    fits_shares([step.size for step in blurs], dict.fromkeys(range(7, 22, 2), 1.0))
    fits_uniform([step.sigma_x for step in blurs if step.kind != "sinc"], 0.2, 3.0)
    turned = [step for step in blurs if step.kind.endswith("aniso")]
    fits_uniform([step.sigma_y for step in turned], 0.2, 3.0)
    fits_uniform([step.angle for step in turned], -math.pi, math.pi)
    assert all(step.sigma_x == step.sigma_y for step in blurs if step.kind.endswith("_iso") or step.kind == "iso")
    fits_uniform([step.beta for step in blurs if step.kind.startswith("generalized")], 0.5, 4.0)
    fits_uniform([step.beta for step in blurs if step.kind.startswith("plateau")], 1.0, 2.0)
    sincs = [step for step in blurs if step.kind == "sinc"]
    fits_uniform([step.cutoff for step in sincs if step.size < 13], math.pi / 3, math.pi)
    fits_uniform([step.cutoff for step in sincs if step.size >= 13], math.pi / 5, math.pi)


def test_second_blur_is_drawn_less_often_and_narrower(drawn):
    blurs = [[step for step in stages(record)[1] if isinstance(step, Blur)] for record in drawn]
    fits_shares([len(steps) for steps in blurs], {0: 0.2, 1: 0.8})
    fits_uniform([steps[0].sigma_x for steps in blurs if steps and steps[0].kind != "sinc"], 0.2, 1.5)


@pytest.mark.parametrize(("stage", "sigma", "scale"), [(0, 30.0, 3.0), (1, 25.0, 2.5)])
def test_noise_choices_follow_the_configuration(drawn, stage, sigma, scale):
    steps = [step for record in drawn for step in stages(record)[stage] if isinstance(step, Noise)]
    assert len(steps) == COUNT
    fits_shares([step.kind for step in steps], {"gaussian": 0.5, "poisson": 0.5})
    fits_shares([step.grey for step in steps], {True: 0.4, False: 0.6})
    fits_uniform([step.amount for step in steps if step.kind == "gaussian"], 1.0, sigma)
    fits_uniform([step.amount for step in steps if step.kind == "poisson"], 0.05, scale)
    assert len({step.seed for step in steps}) == COUNT


def test_final_codec_choices_follow_the_configuration(drawn):
    last = [record.steps[-1] for record in drawn]
    shares = {"jpeg": 0.06, "webp": 0.1, "avif": 0.1, "mpeg2": 0.12, "mpeg4": 0.12, "h264": 0.3, "h265": 0.2}
    fits_shares([step.name for step in last], shares)
    by_name = {name: [step for step in last if step.name == name] for name in shares}
    for name in ("jpeg", "webp", "avif"):
        fits_integers([step.quality for step in by_name[name]], 20, 95)
    fits_integers([step.effort for step in by_name["webp"]], 0, 6)
    fits_integers([step.effort for step in by_name["avif"]], 5, 11)
    fits_integers([step.quality for step in by_name["mpeg2"] + by_name["mpeg4"]], 8, 31)
    fits_integers([step.quality for step in by_name["h264"]], 23, 38)
    fits_integers([step.quality for step in by_name["h265"]], 28, 42)
    presets = [step.effort for name in ("h264", "h265") for step in by_name[name]]
    fits_shares(presets, {"slow": 0.05, "medium": 0.35, "fast": 0.3, "faster": 0.2, "superfast": 0.1})


def test_first_codec_choices_follow_the_configuration(drawn):
    steps = [stages(record)[0][-1] for record in drawn]
    fits_shares([step.name for step in steps], {"jpeg": 0.4, "webp": 0.6})
    fits_integers([step.quality for step in steps], 20, 95)


@pytest.mark.parametrize(("low", "config"), [(0.1, Stage1Config()), (0.15, Stage2Config())])
def test_scales_go_up_down_and_stay_as_configured(low, config):
    rng = generator("scales", 0)
    scales = [draw_scale(rng, config.resize) for _ in range(COUNT)]
    fits_shares([(s > 1) - (s < 1) for s in scales], {1: 0.2, -1: 0.7, 0: 0.1})
    fits_uniform([s for s in scales if s > 1], 1.0, 1.2)
    fits_uniform([s for s in scales if s < 1], low, 1.0)


def test_the_resize_is_shuffled_independently_in_both_stages():
    """With scales that are never kept, its place among the other steps shows: before blur, after it, after noise."""
    resizes = {"weights": (0.5, 0.5, 0.0), "scale": (0.5, 2.0)}
    config = DegradationConfig(
        stage1=Stage1Config(resize=ResizeConfig(**resizes)),
        stage2=Stage2Config(resize=ResizeConfig(**resizes), blur=BlurConfig()),
    )
    pairs = []
    for number in range(2000):
        first, second = stages(draw(generator("slots", number), config, 720, 1280))
        places = [[n for n, step in enumerate(part) if isinstance(step, Resize)] for part in (first, second)]
        if all(places):  # a factor of almost 1 may round to no resize at all
            pairs.append((places[0][0], places[1][0]))
    assert len(pairs) > 1950
    fits_shares(pairs, {(a, b): 1.0 for a in range(3) for b in range(3)})


def test_interpolations_are_equally_likely(drawn):
    steps = [step for record in drawn for step in record.steps if isinstance(step, Resize)]
    fits_shares([step.interpolation for step in steps], dict.fromkeys(RESIZERS, 1.0))


def test_resize_slots_can_be_listed_and_all_be_used():
    config = DegradationConfig(stage1=Stage1Config(resize=ResizeConfig(placement="all", weights=(0, 1, 0))))
    first, _ = stages(draw(generator("all", 0), config, 720, 1280))
    assert [type(step).__name__ for step in first] == ["Resize", "Blur", "Resize", "Noise", "Resize", "Codec"]
    config = DegradationConfig(stage1=Stage1Config(resize=ResizeConfig(slots=())))
    assert not any(
        isinstance(s, Resize) for n in range(50) for s in stages(draw(generator("none", n), config, 64, 64))[0]
    )


def test_realesrgan_has_its_final_filter_and_both_orders():
    ends = []
    for number in range(1000):
        steps = draw(generator("r", number), preset("realesrgan"), 720, 1280).steps
        ends.append((isinstance(steps[-1], Codec), steps[-1 if not isinstance(steps[-1], Codec) else -2]))
    fits_shares([last for last, _ in ends], {True: 0.5, False: 0.5})
    fits_shares([isinstance(s, Blur) and s.kind == "sinc" for last, s in ends if not last], {True: 0.8, False: 0.2})


def test_bsrgan_shuffles():
    config = dataclasses.replace(
        preset("bsrgan"),
        stage1=dataclasses.replace(
            preset("bsrgan").stage1, resize=ResizeConfig(weights=(0, 1, 0), scale=(0.5, 1.0)), codec=CodecConfig()
        ),
    )
    orders = {tuple(type(s).__name__ for s in draw(generator("b", n), config, 64, 64).steps[:-1]) for n in range(800)}
    assert len(orders) > 50
    assert all(isinstance(draw(generator("b", n), config, 64, 64).steps[-1], Codec) for n in range(20))


def test_toml_tables_complete_a_preset(tmp_path):
    """What a file leaves out is the named preset's; the documented example files are the paper's values in full."""
    file = tmp_path / "d.toml"
    file.write_text('preset = "bsrgan"\n[stage1.noise]\ngaussian_sigma = [1, 2]\n')
    bsrgan = preset("bsrgan")
    noises = dataclasses.replace(bsrgan.stage1.noise, gaussian_sigma=(1.0, 2.0))
    assert load(DegradationConfig, file) == dataclasses.replace(
        bsrgan, stage1=dataclasses.replace(bsrgan.stage1, noise=noises)
    )
    configs = Path(pipeline.__file__).parent.parent / "configs"
    assert load(DegradeConfig, configs / "degrade.toml").degradation == DegradationConfig()
    assert load(PreviewConfig, configs / "preview.toml").degradation == DegradationConfig()
    file.write_text("[stage2.codec]\nh264_cfr = [1, 2]\n")
    with pytest.raises(ArgumentError, match="stage2.codec.h264_cfr.*h264_crf"):
        load(DegradationConfig, file)
    file.write_text("[stage2.codec]\nh264_crf = [40, 60]\n")
    with pytest.raises(ArgumentError, match="stage2.codec.h264_crf.*51"):
        load(DegradationConfig, file)


def test_streams_depend_on_every_number_and_on_the_name():
    keys = [
        ("degrade", 0, 0, 0),
        ("degrade", 1, 0, 0),
        ("degrade", 0, 1, 0),
        ("degrade", 0, 0, 1),
        ("preview", 0, 0, 0),
    ]
    assert len({draw(generator(*key), DegradationConfig(), 64, 64) for key in keys}) == len(keys)
    assert draw(generator(*keys[0]), DegradationConfig(), 64, 64) == draw(
        generator(*keys[0]), DegradationConfig(), 64, 64
    )


@pytest.mark.parametrize(
    ("kind", "values", "word"),
    [
        (BlurConfig, {"sizes": (8, 21)}, "sizes.*odd"),
        (BlurConfig, {"sigma": (3.0, 0.2)}, "sigma.*smaller first"),
        (BlurConfig, {"weights": (1.0,)}, "weights.*6 numbers"),
        (BlurConfig, {"probability": 1.5}, "probability.*0 to 1"),
        (NoiseConfig, {"grey_probability": -0.1}, "grey_probability"),
        (ResizeConfig, {"slots": ("anywhere",)}, "slots.*before_blur"),
        (ResizeConfig, {"scale": (0.0, 1.2)}, "scale"),
        (CodecConfig, {"names": ("gif",), "weights": (1.0,)}, "names.*jpeg"),
        (CodecConfig, {"h264_crf": (20, 60)}, "h264_crf.*51"),
        (Stage1Config, {"codec": CodecConfig(names=("h264",), weights=(1.0,))}, "codec.names.*odd"),
        (DegradationConfig, {"preset": "mine"}, "preset.*paper"),
        (DegradationConfig, {"order": "random"}, "order"),
        (DegradationConfig, {"codec_first_probability": 0.5}, "codec_first_probability"),
    ],
)
def test_wrong_values_are_named(kind, values, word):
    with pytest.raises(ArgumentError, match=word):
        kind(**values)


def test_codecs_draw_all_they_may_and_probability_zero_draws_none():
    assert draw_codec(generator("x"), CodecConfig(probability=0.0)) == []
