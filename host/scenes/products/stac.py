"""STAC items: of a map, and of the bundle that made it, with the Machine Learning Model extension (MLM 1.4).

Items are of STAC 1.1, written with pystac. A map's item has the extensions projection and classification, and a link to
its model's item where that is known.
"""

from __future__ import annotations

import json
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from bitswath.basics.files import write_atomic
from bitswath.bundle.bundle import NETWORK, Bundle, how_pixels_enter
from bitswath.errors import SceneError
from bitswath.network.network import Conv, Dense
from bitswath.scenes.gdal import rasterio_module, scene_extra
from bitswath.scenes.products.made import Map
from bitswath.version import __version__

__all__ = ["bundle_item", "map_item", "save_item"]

_CLASSES = "https://stac-extensions.github.io/classification/v2.0.0/schema.json"
_PROJECTION = "https://stac-extensions.github.io/projection/v2.0.0/schema.json"
_PROCESSING = "https://stac-extensions.github.io/processing/v1.2.0/schema.json"
_COG = "image/tiff; application=geotiff; profile=cloud-optimized"


def map_item(made: Map, model: str | None = None) -> dict[str, Any]:
    """The item of a map. `model`: address of the bundle's item. Raises `SceneError` where nobody knows where it is."""
    if not made.grid.placed:
        raise SceneError(f"{made.outputs.labels}: has no place on Earth, which a STAC item needs")
    pystac, rasterio = scene_extra("pystac"), rasterio_module()
    height, width = made.grid.shape
    a, b, c, d, e, f = made.grid.transform
    corners = [(x * a + y * b + c, x * d + y * e + f) for x, y in ((0, 0), (0, height), (width, height), (width, 0))]
    ring = [list(map(list, [*corners, corners[0]]))]
    ground = rasterio.warp.transform_geom(
        made.grid.crs, "EPSG:4326", {"type": "Polygon", "coordinates": ring}, precision=7
    )
    longitudes, latitudes = zip(*ground["coordinates"][0])
    taken = _when(made.scene.taken)
    item = pystac.Item(
        id=made.outputs.labels.stem,
        geometry=ground,
        bbox=[min(longitudes), min(latitudes), max(longitudes), max(latitudes)],
        datetime=taken or datetime.now(timezone.utc),
        properties={
            "created": _text(datetime.now(timezone.utc)),
            "gsd": made.grid.gsd_m,
            "processing:software": {"bitswath": __version__},
            "mlm:name": made.bundle.name,
            **_projection(made),
        },
        stac_extensions=[_PROJECTION, _CLASSES, _PROCESSING],
    )
    item.add_asset("landcover", _asset(made.outputs.labels, "classes", {"classification:classes": _classes(made)}))
    if made.outputs.confidence is not None:
        item.add_asset("confidence", _asset(made.outputs.confidence, "score of the class"))
    if made.outputs.scores is not None:
        item.add_asset("scores", _asset(made.outputs.scores, "score of each class"))
    if model is not None:
        item.add_link(pystac.Link("mlm:model", model, "application/geo+json", made.bundle.name))
    found: dict[str, Any] = item.to_dict(include_self_link=False)
    return found


def bundle_item(bundle: Bundle) -> dict[str, Any]:
    """The item of a bundle as a model: what it takes, what it answers, what runs it; of the whole Earth."""
    pystac, mlm = scene_extra("pystac"), scene_extra("pystac.extensions.mlm")
    manifest = bundle.manifest
    item = pystac.Item(
        id=bundle.name,
        geometry={"type": "Polygon", "coordinates": [[[-180, -90], [180, -90], [180, 90], [-180, 90], [-180, -90]]]},
        bbox=[-180, -90, 180, 90],
        datetime=manifest.provenance.created,
        properties={"description": f"{how_pixels_enter(bundle)}; {len(bundle.classes)} classes"},
    )
    task = mlm.TaskType.CLASSIFICATION
    mlm.MLMExtension.ext(item, add_if_missing=True).apply(
        name=bundle.name,
        architecture=_architecture(bundle),
        tasks=[task],
        input=[_model_input(bundle, mlm)],
        output=[_model_output(bundle, mlm, task)],
        framework="bitswath",
        framework_version=manifest.provenance.bitswath,
        memory_size=manifest.files[NETWORK].bytes,
        total_parameters=sum(stage.weights.size for stage in bundle.network.stages if isinstance(stage, Conv | Dense)),
        pretrained=True,
        pretrained_source=manifest.provenance.source.dataset,
        accelerator_constrained=False,
        accelerator_summary="FPGA as a FINN dataflow accelerator, or any processor by bitswath's bit-exact emulator",
    )
    kinds = {NETWORK: "application/octet-stream", "model.onnx": "application/octet-stream; application=onnx"}
    for name in manifest.files:
        roles = ["mlm:model", "data"] if name == NETWORK else ["data"]
        item.add_asset(name, pystac.Asset(name, media_type=kinds.get(name), roles=roles))
        if name == NETWORK:
            item.assets[name].extra_fields["mlm:artifact_type"] = "bitswath.network"
    found: dict[str, Any] = item.to_dict(include_self_link=False)
    return found


def save_item(item: dict[str, Any], path: Path) -> None:
    write_atomic(path, (json.dumps(item, indent=2) + "\n").encode())


def _projection(made: Map) -> dict[str, Any]:
    epsg = rasterio_module().crs.CRS.from_wkt(made.grid.crs).to_epsg()
    code = {"proj:code": f"EPSG:{epsg}"} if epsg else {"proj:code": None, "proj:wkt2": made.grid.crs}
    return {**code, "proj:shape": list(made.grid.shape), "proj:transform": list(made.grid.transform)}


def _classes(made: Map) -> list[dict[str, Any]]:
    pairs = zip(made.classes, made.colours)
    return [
        {"value": value, "name": _plain(name), "title": name, "color_hint": "".join(f"{part:02X}" for part in colour)}
        for value, (name, colour) in enumerate(pairs)
    ]


def _asset(path: Path, title: str, fields: dict[str, Any] | None = None) -> Any:
    return scene_extra("pystac").Asset(
        f"./{path.name}", title=title, media_type=_COG, roles=["data"], extra_fields=fields or {}
    )


def _model_input(bundle: Bundle, mlm: Any) -> Any:
    entry = bundle.manifest.input
    named = entry.sensor.bands if entry.sensor else None
    height, width, bands = entry.patch_shape
    structure = mlm.InputStructure.create(
        [-1, height, width, bands], ["batch", "height", "width", "bands"], _data_type(entry.patch_dtype)
    )
    return mlm.ModelInput.create("patches", list(named or ()), structure, description=how_pixels_enter(bundle))


def _model_output(bundle: Bundle, mlm: Any, task: Any) -> Any:
    item_classes = scene_extra("pystac.extensions.classification").Classification
    classes = [
        item_classes.create(value=value, name=_plain(name), description=name)
        for value, name in enumerate(bundle.classes)
    ]
    structure = mlm.ResultStructure.create([-1, len(bundle.classes)], ["batch", "classes"], _data_type("float32"))
    return mlm.ModelOutput.create("logits", [task], structure, classes=classes)


def _data_type(name: str) -> Any:
    return scene_extra("pystac.extensions.raster").DataType(name)


def _architecture(bundle: Bundle) -> str:
    training = bundle.manifest.provenance.source.training or {}
    found = training.get("architecture")
    kind = found.get("kind") if isinstance(found, dict) else None
    return str(kind) if kind else f"integer network of {len(bundle.network.stages)} stages"


def _plain(name: str) -> str:
    """Letters, digits, - and _: what the extension allows."""
    return "".join(sign if (sign.isascii() and sign.isalnum()) or sign in "-_" else "_" for sign in name)


def _when(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=timezone.utc)


def _text(when: datetime) -> str:
    return when.replace(microsecond=0).isoformat().replace("+00:00", "Z")
