"""Makes the networks that are benchmarked beside the zoo's: real architectures with random weights.

They pass through the project's own export and lowering, so stages, thresholds and QONNX are what a
trained network has; only the accuracy is not. One pass of random codes sets the statistics of batch
normalization, so that activations neither vanish nor saturate. Run as a script it makes the bundles,
which takes most of a minute; `bundles` does so in a process of its own, once, because TensorFlow must
not enter the process that measures.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path
from typing import Any

CACHE = Path(__file__).resolve().parent.parent / ".cache"
VGG_WIDTHS = (16, 16, "M", 32, 32, "M", 64, 64, "M", 128, 128, "M", 128, "M")  # the zoo's eurosat-u4-w4a4
NETWORKS: dict[str, tuple[dict[str, Any], int]] = {
    "vgg-w2a2": ({"kind": "vgg", "widths": VGG_WIDTHS}, 2),
    "vgg-w1a1": ({"kind": "vgg", "widths": VGG_WIDTHS}, 1),
    "resnet-w4a4": ({"kind": "resnet", "head": "pool"}, 4),
    "separable-w4a4": ({"kind": "separable", "head": "pool"}, 4),
}
PATCH_SHAPE = (64, 64, 3)
CODE_BITS = 4
CLASSES = 10
ACTIVATION_RANGE = {1: 1.0, 2: 2.0}
"""Largest activation in standard deviations, for widths at which the quantizer's own 3 leaves nearly all at zero."""


def bundles() -> dict[str, Path]:
    """The bundle of each of `NETWORKS`, from the cache or made anew."""
    version = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:12]
    folder = CACHE / "bench-networks" / version
    paths = {name: folder / f"{name}.bsw" for name in NETWORKS}
    if not all(path.exists() for path in paths.values()):
        print("Making the networks to measure, once, for most of a minute ...", file=sys.stderr)
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run([sys.executable, __file__, str(folder)], check=True, stdout=subprocess.DEVNULL)
    return paths


def make(name: str, folder: Path) -> None:
    """Write the bundle `name` into `folder`."""
    import numpy as np

    from bitswath.bundle.bundle import save_bundle
    from bitswath.codecs.uniform import UniformCodec
    from bitswath.models.export.qonnx import export_qonnx
    from bitswath.models.lowering import lower
    from bitswath.models.nets.architectures import InputSpec, build_model
    from bitswath.models.nets.config import ArchitectureConfig, WidthsConfig
    from bitswath.models.nets.quantizers import keras

    architecture, bits = NETWORKS[name]
    keras.utils.set_random_seed(0)
    spec = InputSpec(PATCH_SHAPE, CODE_BITS)
    widths = WidthsConfig(weights=bits, activations=bits)
    model = build_model(ArchitectureConfig(**architecture), spec, CLASSES, widths)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
        for quantizer in getattr(layer, "_output_quantizers", []):
            if bits in ACTIVATION_RANGE:
                layer._output_quantizer_vars["scale"].assign(ACTIVATION_RANGE[bits] / quantizer.highest)
    codes = np.random.default_rng(0).integers(0, 2**CODE_BITS, (16, *PATCH_SHAPE)).astype(np.float32)
    model(codes, training=True)
    proto = export_qonnx(model, spec)
    save_bundle(
        folder / f"{name}.bsw",
        network=lower(proto).network,
        codec=UniformCodec(CODE_BITS),
        patch_shape=PATCH_SHAPE,
        classes=[f"class {index}" for index in range(CLASSES)],
        onnx_model=proto.SerializeToString(),
    )


if __name__ == "__main__":
    for network in NETWORKS:
        make(network, Path(sys.argv[1]))
