// How a direction is subtracted, once its sums are known: for host and device.
#pragma once
#include "../reduce.h"
#include "../rules/adafactor.h"
#include "../rules/lamb.h"
#include "../rules/muon.h"
#include "../work.h"

constexpr size_t kBand = 64;  // rows whose columns Adafactor adds one after the other; bands are folded pairwise
RULE size_t bandsOf(const Shape& shape) { return (shape.rows + kBand - 1) / kBand; }

// Lamb's step length: the quotient of two norms (native/rules/lamb.h). Of the sums of squares of the variable, as the weight decay
// leaves it, and of the direction.
template <class T>
RULE Factor trustLength(const Lamb::Scalars<T>& k, double squares, double directionSquares) {
  return {double(trustRatio<T>(squares, directionSquares) * k.learning_rate), 1};
}

// Adafactor's (native/rules/adafactor.h).
template <class T>
RULE Factor relativeLength(const Adafactor::Scalars<T>& k, size_t elements, double squares, double directionSquares) {
  const T length = T(double(elements));
  const T size = squareRoot(T(squares) / length), step = squareRoot(T(directionSquares) / length);
  return {double(maximum(k.epsilon_2, size) * k.rho), double(maximum(T(1), step / k.clip_threshold))};
}

// Muon's (native/rules/muon.h).
template <class T>
RULE Factor orthogonalLength(const Muon::Scalars<T>& k, const Shape& shape) {
  const T size = squareRoot(T(shape.rows > shape.columns ? shape.rows : shape.columns));
  return {double(k.adjusts != 0 ? k.learning_rate * size * k.rms_rate : k.learning_rate), 1};
}
