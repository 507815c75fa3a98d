// The native core, its lowest rooms first, and what the module `bitswath._native` is bound from. After the colon stand
// the rooms that a room's files may include, all of them further up; tests/host/native/test_native.py holds them to it.
//
//   common        :                                           instruction sets, threads of a call, aligned memory
//   packing       : common                                    codes to dense bytes on the link, and back
//   encoding      : common packing                            samples to codes, alone or straight into frames
//   transform     : common                                    samples to compressed frames of varying length, and back
//   kernels/types :                                           what tensors and accumulators are stored as
//   kernels/bits  : common kernels/types                      inner loops over codes of one or two bits
//   kernels/winograd : common                                 a convolution's tiles to points of fewer products, and back
//   kernels       : common kernels/bits kernels/types kernels/winograd  all inner loops, a set for each instruction set
//   engine/graph  :                                           the integer network: stages checked, ranges proved
//   engine/steps  : common kernels engine/graph               a stage as a step: layout, choice of kernel, thresholds
//   engine/plan   : common packing engine/steps               a graph compiled into steps over one arena
//   engine        : common engine/plan                        frames through a plan on every thread, batches queued
//   native        :                                           this header
//   bindings      : packing encoding transform engine native  numpy arrays in, numpy arrays out; the only Python
#pragma once

#include <pybind11/pybind11.h>

namespace bitswath {

void bind_packing(pybind11::module_& m);
void bind_codecs(pybind11::module_& m);
void bind_transform(pybind11::module_& m);
void bind_emulator(pybind11::module_& m);

}  // namespace bitswath
