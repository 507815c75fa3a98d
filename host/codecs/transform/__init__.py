"""The codec of compressed frames: a band transform, a DCT of 16 x 16, steps, Huffman codes (docs/transform.md)."""

from __future__ import annotations

from bitswath.basics.lazy import lazily

__all__, __getattr__ = lazily(__name__, {"codec": ("TransformCodec",)})
