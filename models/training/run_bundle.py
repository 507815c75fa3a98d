"""A run of `bitswath train` as a bundle."""

from __future__ import annotations

from pathlib import Path

from bitswath.bundle.bundle import Bundle, save_bundle
from bitswath.bundle.manifest import Sensor, Source
from bitswath.errors import ExportError
from bitswath.models.data.catalogue import CATALOGUE
from bitswath.models.export.qonnx import export_qonnx
from bitswath.models.lowering import lower
from bitswath.models.nets.config import DataConfig
from bitswath.models.training.trained import load_trained

__all__ = ["bundle_trained"]


def bundle_trained(folder: Path, output: Path) -> tuple[Bundle, DataConfig]:
    """Bundle a run of `bitswath train`; the bundle and the data it was trained on.

    Raises `ExportError` for a network that is not quantized, and what lowering raises.
    """
    trained = load_trained(folder)
    info = trained.info
    if info.config.widths is None:
        raise ExportError(f"{folder}: holds a float network, and bundles hold quantized ones; train it with widths")
    proto = export_qonnx(trained.model, trained.spec)
    bundle = save_bundle(
        output,
        network=lower(proto).network,
        codec=trained.codec,
        patch_shape=info.patch_shape,
        sensor=_sensor(info.config.data, info.patch_shape[2]),
        classes=info.classes,
        onnx_model=proto.SerializeToString(),
        provenance=Source(
            training=info.config.model_dump(mode="json"),
            dataset=info.dataset,
            dataset_digest=info.dataset_digest,
            exporter="bitswath",
        ),
    )
    return bundle, info.config.data


def _sensor(data: DataConfig, bands: int) -> Sensor | None:
    """That of a data set whose images are taken as they are."""
    published = CATALOGUE.get(data.name)
    known = published.sensor if published else None
    if known is None or known.bands is None or len(known.bands) != bands or data.size or data.resize:
        return None
    return known
