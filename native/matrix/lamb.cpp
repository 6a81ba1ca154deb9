// Lamb's step length: the quotient of two norms (native/rules/lamb.h).
#include "../rules/lamb.h"

#include "../reduce.h"
#include "../update.h"
#include "whole.h"

namespace {

template <class T>
void steer(const Directed& d) {
  const auto k = scalarsOf<Lamb, T>(d.control);
  d.tensor.multiplier = trustRatio<T>(d.squares, d.directionSquares) * k.learning_rate;
}

}  // namespace

const Steer kTrustRatioSteer[] = {steer<float>, steer<double>};
