"""The ONNX form: ONNX Runtime computes what PyTorch does, at sizes the graph was never told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from train.export.export import ExportConfig, export
from vsapisr.networks.grl import GRL, GRLConfig
from vsapisr.weights import files as weights

from .networks import perturbed

onnx = pytest.importorskip("onnx", reason="the extra onnx is not installed")
runtime = pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
from train.export.onnx_form import OPSET, build  # noqa: E402

SIZES = ((8, 8), (40, 24), (64, 72))
"""Height and width: a single window, all of whose sides wrap onto itself, and more."""
SMALL = GRLConfig(dim=24, depths=(3, 2), heads_window=3, heads_stripe=2, mlp_dim=40, bias_dim=16)


def session(model: onnx.ModelProto) -> runtime.InferenceSession:
    options = runtime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    return runtime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def worst(network: GRL, dtype: torch.dtype, sizes: tuple[tuple[int, int], ...]) -> float:
    """The largest difference of any output value from PyTorch's in fp32 of the same, where needed rounded, input."""
    run, errors = session(build(network, dtype, {})), []
    kind = np.float16 if dtype == torch.float16 else np.float32
    for height, width in sizes:
        x = torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(height)).to(dtype).float()
        (got,) = run.run(["output"], {"input": x.numpy().astype(kind)})
        assert got.shape == (1, 3, 4 * height, 4 * width) and got.dtype == kind
        with torch.no_grad():
            errors.append(np.abs(got.astype(np.float32) - network(x).numpy()).max())
    return max(errors)


def test_fp32_is_what_pytorch_gives():
    assert worst(perturbed(SMALL), torch.float32, SIZES) < 1e-4


def test_the_shipped_weights_in_both_precisions():
    network = weights.load(weights.find("default"))
    assert worst(network, torch.float32, SIZES[1:2]) < 1e-4
    assert worst(network, torch.float16, SIZES) < 2e-3  # half a level of 255


def test_half_precision_stores_and_takes_halves():
    model = build(perturbed(SMALL), torch.float16, {})
    half = onnx.TensorProto.FLOAT16
    assert {end.type.tensor_type.elem_type for end in (*model.graph.input, *model.graph.output)} == {half}
    large = {weight.data_type for weight in model.graph.initializer if np.prod(weight.dims) > 16}
    assert large - {onnx.TensorProto.INT64} == {half}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_only_plain_operators_of_at_most_five_axes(dtype):
    """What runtimes and their converters refuse or run badly: ScatterND, loops, conditions, tensors of six axes."""
    model = onnx.shape_inference.infer_shapes(build(perturbed(SMALL), dtype, {}), strict_mode=True, data_prop=True)
    values = [*model.graph.value_info, *model.graph.input, *model.graph.output]
    axes = {value.name: len(value.type.tensor_type.shape.dim) for value in values}
    made = [name for node in model.graph.node for name in node.output]
    assert max(axes[name] for name in made) <= 5  # all are known
    assert max(len(weight.dims) for weight in model.graph.initializer) <= 5
    kinds = {node.op_type for node in model.graph.node}
    assert {"Reshape", "Transpose"} <= kinds and not kinds & {"ScatterND", "GatherND", "NonZero", "Loop", "If", "Scan"}


def test_names_shapes_opset_and_properties():
    model = build(perturbed(SMALL), torch.float32, {"iterations": "7", "vsapisr": "1.2"})
    ends = {
        end.name: [d.dim_param or d.dim_value for d in end.type.tensor_type.shape.dim]
        for end in (*model.graph.input, *model.graph.output)
    }
    assert ends == {"input": [1, 3, "height", "width"], "output": [1, 3, "four_heights", "four_widths"]}
    assert {p.key: p.value for p in model.metadata_props} == {"iterations": "7", "vsapisr": "1.2"}
    assert [(o.domain, o.version) for o in model.opset_import] == [("", OPSET)]
    onnx.checker.check_model(model, full_check=True)


def test_a_fixed_size_is_known_through_to_the_output():
    """As vs-mlrt has it: it writes the tile's size into the input's shape and asks the session for the output's."""
    model = build(perturbed(SMALL), torch.float32, {})
    for place, size in ((2, 48), (3, 64)):
        model.graph.input[0].type.tensor_type.shape.dim[place].dim_value = size
    assert session(onnx.shape_inference.infer_shapes(model)).get_outputs()[0].shape == [1, 3, 192, 256]


def test_other_sizes_are_refused_not_computed_wrongly():
    with pytest.raises(Exception, match="reshape|Reshape"):
        session(build(perturbed(SMALL), torch.float32, {})).run(None, {"input": np.zeros((1, 3, 12, 16), np.float32)})


def test_exported_files_run(tmp_path: Path):
    target = tmp_path / "w.onnx"
    export(ExportConfig(source="fidelity", target=(str(target),), precision="fp16"))
    model = onnx.load(target)
    assert next(p.value for p in model.metadata_props if p.key == "iterations") == "5000"
    (got,) = session(model).run(None, {"input": np.full((1, 3, 8, 16), 0.5, np.float16)})
    assert got.shape == (1, 3, 32, 64) and abs(float(got.mean()) - 0.5) < 0.05
