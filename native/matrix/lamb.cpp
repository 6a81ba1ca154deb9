// Lamb's step length: the quotient of two norms (native/rules/lamb.h).
#include "../update.h"
#include "lengths.h"
#include "whole.h"

namespace {

template <class T>
void steer(const Directed& d) {
  d.set(trustLength(scalarsOf<Lamb, T>(d.control), d.squares, d.directionSquares));
}

}  // namespace

const Steer kTrustRatioSteer[] = {steer<Float32>, steer<double>};
