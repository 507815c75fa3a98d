"""A TIFF's one image is read as rasterio and tifffile wrote it, or refused, whatever else is in the file."""

from __future__ import annotations

import io
import struct
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import tifffile
from PIL import Image
from rasterio.shutil import copy as gdal_copy
from rasterio.windows import Window

from bitswath.errors import ContainerError, ImageError
from bitswath.imagery.code_files import read
from bitswath.imagery.code_formats import encode_tiff
from bitswath.imagery.decode import decode_image
from bitswath.imagery.images import open_images, read_image

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")


def noise(bands: int, dtype: type = np.uint16, height: int = 48, width: int = 64) -> np.ndarray:
    """(C, H, W), as rasterio takes it."""
    return np.random.default_rng(bands).integers(0, 251, (bands, height, width)).astype(dtype)


def smooth() -> np.ndarray:
    y, x = np.mgrid[:64, :64]
    return np.stack([x * 3, y * 2, x + y]).astype(np.uint8)


def geotiff(
    path: Path,
    data: np.ndarray,
    mask: np.ndarray | None = None,
    overviews: tuple[int, ...] = (),
    internal: bool = True,
    window: Window | None = None,
    shape: tuple[int, int] | None = None,
    **options: Any,
) -> Path:
    """What rasterio writes; with a `window` into an image of `shape`, only that is ever written."""
    height, width = shape or data.shape[1:]
    form = {"height": height, "width": width, "count": len(data), "dtype": data.dtype}
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=internal):
        with rasterio.open(path, "w", driver="GTiff", **form, **options) as file:
            file.write(data, window=window)
            if mask is not None:
                file.write_mask(mask)
        if overviews:
            with rasterio.open(path, "r+") as file:
                file.build_overviews(list(overviews))
    return path


def by_rasterio(path: Path) -> np.ndarray:
    with rasterio.open(path) as file:
        samples: np.ndarray = file.read().transpose(1, 2, 0)
    return samples


def assert_read(path: Path) -> None:
    expected = by_rasterio(path)
    got = read_image(path)
    assert got.dtype == expected.dtype
    np.testing.assert_array_equal(got, expected)


TILED = {"tiled": True, "blockxsize": 16, "blockysize": 32}
MASK = np.pad(np.zeros((40, 50), np.uint8), ((0, 8), (0, 14)), constant_values=255)


# layouts


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"ENDIANNESS": "BIG", "interleave": "band"},
        {"compress": "lzw", "predictor": 2, "interleave": "band", **TILED},
        {"compress": "deflate", "predictor": 2, "ENDIANNESS": "BIG", **TILED},
        {"compress": "zstd", "BIGTIFF": "YES"},
        {"compress": "lzma"},
        {"compress": "packbits"},
        {"compress": "lerc"},
        {"compress": "lerc_zstd", **TILED},
        {"photometric": "minisblack", "ALPHA": "YES"},
    ],
)
@pytest.mark.parametrize(("bands", "dtype"), [(1, np.uint8), (3, np.uint8), (4, np.uint16), (13, np.uint16)])
def test_layouts_and_compressions_of_gdal_are_read(
    tmp_path: Path, options: dict[str, Any], bands: int, dtype: type
) -> None:
    assert_read(geotiff(tmp_path / "a.tif", noise(bands, dtype), **options))


def test_webp_is_read(tmp_path: Path) -> None:
    assert_read(geotiff(tmp_path / "a.tif", smooth(), compress="webp"))


@pytest.mark.parametrize("photometric", ["ycbcr", "rgb"])
def test_jpeg_is_what_libtiff_makes_of_it(tmp_path: Path, photometric: str) -> None:
    path = geotiff(tmp_path / "a.tif", smooth(), compress="jpeg", photometric=photometric)
    with Image.open(path) as image:
        np.testing.assert_array_equal(read_image(path), np.asarray(image.convert("RGB")))


# pages beside the image


@pytest.mark.parametrize("overviews", [(), (2, 4)])
@pytest.mark.parametrize("options", [{}, {"compress": "deflate", "interleave": "band"}, TILED])
@pytest.mark.parametrize("bands", [1, 3, 13])
def test_masks_and_overviews_are_no_images(
    tmp_path: Path, bands: int, options: dict[str, Any], overviews: tuple[int, ...]
) -> None:
    path = geotiff(tmp_path / "a.tif", noise(bands, np.uint8), MASK, overviews, **options)
    assert len(tifffile.TiffFile(path).pages) > 1
    assert_read(path)
    np.testing.assert_array_equal(read(path.read_bytes()), by_rasterio(path))


def test_a_cloud_optimized_file_with_a_mask_is_read(tmp_path: Path) -> None:
    geotiff(tmp_path / "a.tif", noise(3, np.uint8, 600, 700), np.full((600, 700), 255, np.uint8))
    gdal_copy(tmp_path / "a.tif", tmp_path / "cog.tif", driver="COG", blocksize=128, compress="deflate")
    assert len(tifffile.TiffFile(tmp_path / "cog.tif").pages) > 3
    assert_read(tmp_path / "cog.tif")


def test_a_mask_in_a_file_of_its_own_is_not_counted_as_an_image(tmp_path: Path) -> None:
    path = geotiff(tmp_path / "a.tif", noise(3, np.uint8), MASK, internal=False)
    assert (tmp_path / "a.tif.msk").exists()
    assert_read(path)
    assert [name for name, _ in open_images(tmp_path).items] == ["a.tif"]


def test_a_mask_alone_is_refused(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", MASK > 0, subfiletype=4)
    with pytest.raises(ImageError, match="masks and overviews alone"):
        read_image(tmp_path / "a.tif")


# blocks that were never written


@pytest.mark.parametrize("options", [{}, {"compress": "deflate"}, {"compress": "lzw", "interleave": "band"}])
@pytest.mark.parametrize("nodata", [None, 0, 7])
def test_blocks_that_were_never_written_hold_nodata(
    tmp_path: Path, options: dict[str, Any], nodata: int | None
) -> None:
    part = noise(13, height=32, width=16)
    for layout, window in ((TILED, Window(16, 0, 16, 32)), ({"blockysize": 8}, Window(0, 8, 16, 32))):
        options = {"SPARSE_OK": True, "nodata": nodata, **layout, **options}
        path = geotiff(tmp_path / "a.tif", part, window=window, shape=(64, 48), **options)
        counts = tifffile.TiffFile(path).pages.first.databytecounts
        assert min(counts) == 0 < max(counts)
        assert_read(path)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_an_image_that_was_never_written_is_empty(tmp_path: Path, dtype: type) -> None:
    assert_read(geotiff(tmp_path / "a.tif", noise(3, dtype) * 0, SPARSE_OK=True))


@pytest.mark.parametrize("nodata", ["7.0", "1e2", "2.5", "-9999", "70000", "nan", "-inf", "7,5", "none"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_nodata_is_drawn_into_the_range_as_gdal_does(tmp_path: Path, dtype: type, nodata: str) -> None:
    options = {"SPARSE_OK": True, "nodata": 99, **TILED}
    path = geotiff(tmp_path / "a.tif", noise(2, dtype, 32, 16), window=Window(0, 0, 16, 32), shape=(64, 48), **options)
    with tifffile.TiffFile(path, mode="r+b") as file:
        file.pages.first.tags["GDAL_NODATA"].overwrite(nodata)
    assert_read(path)


def test_a_cut_file_is_still_truncated(tmp_path: Path) -> None:
    path = geotiff(tmp_path / "a.tif", noise(3), compress="deflate")
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(ImageError, match="truncated"):
        read_image(path)


@pytest.mark.parametrize("pages", [1, 2, 3])
@pytest.mark.parametrize("back_to", [0, 1, 2])
def test_pages_that_go_in_a_circle_are_refused(pages: int, back_to: int) -> None:
    """As tifffile's own watch for circles does not see, since it looks once, at the hundredth page."""
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as writer:
        for _ in range(pages):
            writer.write(np.zeros((4, 5, 3), np.uint8), photometric="rgb", metadata=None)
    data = bytearray(buffer.getvalue())
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        offsets = [page.offset for page in file.pages]
    tags = struct.unpack_from("<H", data, offsets[-1])[0]
    struct.pack_into("<I", data, offsets[-1] + 2 + 12 * tags, offsets[min(back_to, pages - 1)])
    with pytest.raises(ImageError, match="pages go in a circle"):
        decode_image(bytes(data))


def test_more_pages_than_an_image_may_have_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bitswath.imagery.tiff._MOST_PAGES", 3)
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, np.zeros((4, 5, 6), np.uint8), photometric="minisblack")
    with pytest.raises(ImageError, match="holds more than 3 pages"):
        decode_image(buffer.getvalue())


def test_too_few_blocks_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, noise(1)[0], rowsperstrip=16, metadata=None)
    with tifffile.TiffFile(path, mode="r+b") as file:
        file.pages.first.tags["RowsPerStrip"].overwrite(8)
    with pytest.raises(ImageError, match="lists 3 blocks of samples; expected 6"):
        read_image(path)


# samples of other types, and what is refused


@pytest.mark.parametrize(
    ("data", "options"),
    [
        (noise(3, np.int16) - np.int16(100), {"nodata": -100}),
        (noise(3, np.int8), {}),
        (noise(3, np.uint32), {}),
        (noise(2, np.float64) / 7, {}),
        (noise(3, np.float32) / 3, {"compress": "deflate", "predictor": 3, "nodata": -9999, **TILED}),
        (noise(3) * 16, {"NBITS": 12}),
        (noise(1) * 16, {"NBITS": 12, "compress": "deflate"}),
        (noise(5) * 8, {"NBITS": 11, "interleave": "band"}),
        (noise(3), {"BIGTIFF": "YES", **TILED}),
    ],
)
def test_samples_of_any_type_are_what_gdal_reads(tmp_path: Path, data: np.ndarray, options: dict[str, Any]) -> None:
    assert_read(geotiff(tmp_path / "a.tif", data, **options))


@pytest.mark.parametrize(
    ("data", "options", "reason"),
    [
        (noise(1, np.uint8) & 1, {"NBITS": 1}, "holds 1-bit samples"),
        (noise(1, np.uint8) & 15, {"NBITS": 4}, "holds 4-bit samples"),
        (noise(3, np.complex64), {}, "holds complex64 samples"),
        (noise(1, np.uint8), {"photometric": "miniswhite"}, "MINISWHITE"),
        (noise(4), {"photometric": "cmyk"}, "4 inks of 16 bits"),
        (noise(3, np.uint8), {"photometric": "icclab"}, "ICCLAB"),
    ],
)
def test_other_samples_are_refused_in_one_line(
    tmp_path: Path, data: np.ndarray, options: dict[str, Any], reason: str
) -> None:
    path = geotiff(tmp_path / "a.tif", data, **options)
    with pytest.raises(ImageError, match=f"a.tif: .*{reason}") as caught:
        read_image(path)
    assert "\n" not in str(caught.value)


def test_ycbcr_that_nothing_converts_is_refused(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", smooth().transpose(1, 2, 0), photometric="ycbcr", compression="deflate")
    with pytest.raises(ImageError, match="YCbCr TIFF that is not JPEG"):
        read_image(tmp_path / "a.tif")


def test_bands_of_mixed_depth_are_refused(tmp_path: Path) -> None:
    data = encode_tiff(np.zeros((8, 8, 3), np.uint8), 8)
    (tmp_path / "a.tif").write_bytes(data.replace(struct.pack("<3H", 8, 8, 8), struct.pack("<3H", 8, 8, 16)))
    with pytest.raises(ImageError):
        read_image(tmp_path / "a.tif")


# arrays written page by page


def written(array: np.ndarray, **options: Any) -> bytes:
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tifffile.imwrite(file, array, **options)
    return file.getvalue()


PAGES: list[dict[str, Any]] = [
    {},
    {"metadata": None},
    {"photometric": "minisblack"},
    {"photometric": "minisblack", "metadata": {"axes": "CYX"}},
    {"photometric": "minisblack", "truncate": True},
    {"photometric": "minisblack", "compression": "lzw", "predictor": 2},
    {"photometric": "minisblack", "planarconfig": "separate"},
    {"imagej": True},
    {"imagej": True, "truncate": True},
    {"ome": True},
    {"bigtiff": True, "byteorder": ">", "tile": (16, 16)},
]


@pytest.mark.parametrize("options", PAGES, ids=str)
@pytest.mark.parametrize("shape", [(2, 64, 64), (3, 48, 64), (4, 16, 16), (13, 9, 7), (13, 64, 64), (70, 64, 64)])
def test_bands_that_were_written_as_pages_are_all_read(
    tmp_path: Path, shape: tuple[int, ...], options: dict[str, Any]
) -> None:
    bands = noise(shape[0], np.uint16, *shape[1:])
    (tmp_path / "a.tif").write_bytes(written(bands, **options))
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), bands.transpose(1, 2, 0))


@pytest.mark.parametrize("metadata", [{}, None])
@pytest.mark.parametrize("shape", [(64, 64, 13), (64, 64, 2), (48, 64, 3), (48, 64, 5), (16, 16, 1), (16, 16, 13)])
def test_patches_that_were_written_row_by_row_are_read(
    tmp_path: Path, shape: tuple[int, ...], metadata: dict[str, Any] | None
) -> None:
    patch = noise(shape[0], np.uint16, *shape[1:])
    (tmp_path / "a.tif").write_bytes(written(patch, metadata=metadata))
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), patch)


def test_axes_that_the_file_names_are_kept_to(tmp_path: Path) -> None:
    patch = noise(9, np.uint16, 7, 13)
    (tmp_path / "a.tif").write_bytes(written(patch, photometric="minisblack", metadata={"axes": "YXC"}))
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), patch)


@pytest.mark.parametrize(
    ("shape", "options", "reason"),
    [
        ((13, 64, 64), {"imagej": True, "metadata": {"axes": "ZYX"}}, "13 pages, a stack of depths"),
        ((13, 64, 64), {"ome": True, "metadata": {"axes": "TYX"}}, "13 pages, a stack of times"),
        ((13, 64, 64), {"metadata": {"axes": "TYX"}, "truncate": True}, "13 pages, a stack of times"),
        ((2, 13, 64, 64), {"ome": True, "metadata": {"axes": "TCYX"}}, "2 pages, a stack of times"),
        ((2, 16, 12, 3), {}, "2 pages"),
        ((2, 16, 12, 3), {"metadata": None}, "2 pages"),
    ],
)
def test_stacks_of_images_are_refused(
    tmp_path: Path, shape: tuple[int, ...], options: dict[str, Any], reason: str
) -> None:
    (tmp_path / "a.tif").write_bytes(written(np.zeros(shape, np.uint16), **options))
    with pytest.raises(ImageError, match=reason):
        read_image(tmp_path / "a.tif")


def test_pages_of_two_sizes_are_refused(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(np.zeros((8, 8), np.uint8))
        file.write(np.zeros((8, 9), np.uint8))
    with pytest.raises(ImageError, match="2 pages"):
        read_image(tmp_path / "a.tif")


def test_georeferenced_pages_are_images_of_their_own(tmp_path: Path) -> None:
    place = {"crs": "EPSG:32633", "transform": rasterio.Affine(10, 0, 5e5, 0, -10, 5e6)}
    geotiff(tmp_path / "a.tif", noise(1), **place)
    geotiff(tmp_path / "a.tif", noise(1), APPEND_SUBDATASET="YES", **place)
    with pytest.raises(ImageError, match="2 pages"):
        read_image(tmp_path / "a.tif")


def test_a_cut_file_of_bands_is_truncated(tmp_path: Path) -> None:
    for options in ({}, {"truncate": True}):
        data = written(noise(13), photometric="minisblack", **options)
        (tmp_path / "a.tif").write_bytes(data[:-400])
        with pytest.raises(ImageError):
            read_image(tmp_path / "a.tif")


def test_codes_of_all_pages_are_read_or_refused() -> None:
    bands = noise(13, np.uint8)
    np.testing.assert_array_equal(read(written(bands)), bands.transpose(1, 2, 0))
    with pytest.raises(ContainerError, match="stack of depths"):
        read(written(bands, imagej=True, metadata={"axes": "ZYX"}))
