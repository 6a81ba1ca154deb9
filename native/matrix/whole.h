// What follows a rule that assigns a direction: a function for each kind of Whole, which looks at all of a variable and says
// how the direction is subtracted. It may rewrite the direction; it allocates nothing.
#pragma once
#include <atomic>

#include "../kernels.h"
#include "../reduce.h"

constexpr size_t kMaxExtra = 3;

struct Directed {
  const Kernels& kernels;
  const Control& control;  // of the rule
  Tensor& tensor;          // p, and as g the direction; its multiplier and divisor are to be set
  const Shape& shape;
  double squares, directionSquares;  // sums over p, as the weight decay leaves it, and over the direction; in one fixed order
  void* const* extra;                // what the rule keeps for the variable beside its slots; at most kMaxExtra
  const std::atomic<bool>& cancelled;
  const struct Blas* blas;  // for products; null: our own
  void* workspace;  // as many bytes as the kind needs, aligned to 64; nothing in it lasts

  void set(const Factor& factor) const { tensor.multiplier = factor.multiplier, tensor.divisor = factor.divisor; }
};
using Steer = void (*)(const Directed&);

// With the arithmetic of a dtype; denormals are as it has them.
extern const Steer kTrustRatioSteer[kDtypes], kRelativeSteer[kDtypes], kFactoredSteer[kDtypes], kOrthogonalSteer[kDtypes];

// What the functions for kFactored and kOrthogonal need as workspace, for a variable.
size_t factoredBytes(const Shape& shape);
size_t orthogonalBytes(const Shape& shape, Dtype dtype);

// By what a rule says of itself.
inline Steer steerOf(Whole whole, Dtype dtype) {
  constexpr const Steer* steers[] = {nullptr, kTrustRatioSteer, kRelativeSteer, kFactoredSteer, kOrthogonalSteer};
  return steers[whole][dtype];
}
inline size_t workspaceOf(Whole whole, const Shape& shape, Dtype dtype) {
  return whole == kFactored ? factoredBytes(shape) : whole == kOrthogonal ? orthogonalBytes(shape, dtype) : 0;
}
