"""Makes what the board tests run on, in the development environment: bundles with builds, two small ones and EuroSAT's.
   python -m tests.board.builds FOLDER

pynq needs an older numpy than the hardware tools do, so that the tests themselves run elsewhere.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np

from bitswath.bundle.bundle import NETWORK, save_bundle
from bitswath.codecs.uniform import UniformCodec
from bitswath.network.network import INPUT, Add, Head, Network, TensorSpec
from tests import paths
from tests.compressed_cases import bundle_of, convolutional

SMALL, EUROSAT, COMPRESSED = "small.bsw", "eurosat.bsw", "compressed.bsw"
SHAPE = (4, 5, 3)
VALUES = 60
BOARD = "Pynq-Z2"
ZOO = paths.ZOO / "eurosat-u4-w4a4.bsw"


def doubling() -> Network:
    """What the residual design computes: twice each code."""
    return Network(TensorSpec(SHAPE, 0, 15), (Add("sum", (INPUT, INPUT), (1, 1)),), Head(np.ones(1), np.zeros(1)))


def small(folder: Path) -> None:
    """A bundle with the residual design as its build."""
    from tests.designs import residual

    bundle = save_bundle(
        folder / SMALL,
        network=doubling(),
        codec=UniformCodec(4),
        patch_shape=SHAPE,
        classes=[f"class {i}" for i in range(SHAPE[-1])],
    )
    residual(bundle.path / "hw" / BOARD, network=bundle.manifest.files[NETWORK].sha256)


def compressed(folder: Path) -> None:
    """A bundle whose frames are compressed, with a build of a small network behind the decoder."""
    from tests.hw.built import built

    bundle = bundle_of(convolutional(), folder)
    (bundle.path / "hw").mkdir()
    built(bundle, BOARD, bundle.path / "hw" / BOARD, cycles=6000, depth=33)


def eurosat(folder: Path) -> None:
    """The zoo's bundle, built for a Pynq-Z2 and not counted, which takes longest and is not needed here."""
    bundle = shutil.copytree(ZOO, folder / EUROSAT)
    options = ("--board", BOARD, "--target-fps", "1350", "--estimate")
    subprocess.run([sys.executable, "-m", "bitswath", "build", bundle, *options], check=True, timeout=3600)


def main() -> None:
    folder = Path(sys.argv[1])
    for make, name in ((small, SMALL), (compressed, COMPRESSED), (eurosat, EUROSAT)):
        print(f"making {folder / name}", flush=True)
        make(folder)


if __name__ == "__main__":
    main()
