// The kernels that there are, for the plans: of NVIDIA's compiler (kernels.cu), or functions of the host (emulated/kernels.cpp).
#pragma once
#include "../native/rules.h"
#include "work.h"

namespace cuda {

// The address of a kernel for a body; a launch finds it by that.
struct Kernels {
  const void* step[Rules::size][kDtypes][2];  // by rule, dtype, and whether its slots are encoded; null: there is none
  const void *squares, *clip, *steer, *finite, *putRows;
  const void *sumOfDirections[kDtypes], *rowMeans[kDtypes], *bandSums[kDtypes], *columnMeans[kDtypes], *divideByFactors[kDtypes];
  const void *normalize[kDtypes], *product[kDtypes];
};
extern const Kernels kKernels;

}  // namespace cuda
