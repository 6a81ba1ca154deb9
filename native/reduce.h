// Reductions in one fixed order, in float64, and what follows from them: the same bits whatever the instruction set, the
// number of threads or the device. A block's kLanes lanes add every kLanes-th element, are folded by halving, and blocks
// are folded pairwise by index. The square of a float32 is exact in float64 and its sum cannot overflow.
#pragma once
#include "rules/rule.h"
#include "work.h"

constexpr int kLanes = 128;

// Folds `width` lanes by halving, a power of two; those beyond it are 0.
RULE double foldLanes(double* lanes, int width) {
  for (int half = width / 2; half > 0; half /= 2)
    for (int j = 0; j < half; ++j) lanes[j] = lanes[j] + lanes[j + half];
  return lanes[0];
}

template <class T>
struct AsItIs {
  RULE T apply(T x) const { return x; }
};
template <class T>
struct Unscaled {
  T unscale;
  RULE T apply(T x) const { return x / unscale; }
};

// The sum of squares of one block, of at most kBlock elements, added in parts of whole kLanes but for the last.
struct Squares {
  double lanes[kLanes] = {};

  template <class T, class Map>
  RULE void addRow(const T* __restrict g, size_t length, const Map map, size_t lane = 0) {
    for (size_t j = 0; j < length; ++j) {
      const double x = double(map.apply(g[j]));
      lanes[lane + j] = lanes[lane + j] + x * x;
    }
  }
  // From any lane on: in a block whose other elements are 0, and leave every lane as it is.
  template <class T, class Map>
  RULE void addFrom(size_t lane, const T* g, size_t length, const Map map) {
    const size_t head = length < kLanes - lane ? length : kLanes - lane;
    addRow(g, head, map, lane);
    add(g + head, length - head, map);
  }
  // Of map.apply(g) for every g.
  template <class T, class Map>
  RULE void add(const T* g, size_t length, const Map map) {
    const size_t whole = length - length % kLanes;
    for (size_t i = 0; i < whole; i += kLanes) addRow(g + i, kLanes, map);
    addRow(g + whole, length - whole, map);
  }
  RULE double fold() { return foldLanes(lanes, kLanes); }
};

// Whether all are finite. Element by element: of finite numbers a sum of squares can overflow.
template <class T>
RULE bool areFinite(const T* __restrict g, size_t length) {
  uint32_t others = 0;
  for (size_t i = 0; i < length; ++i) others |= uint32_t(!(g[i] - g[i] == T(0)));
  return others == 0;
}

// Folds sums[0..count) pairwise by index, in place; an odd one out moves up as it is.
RULE double foldPairwise(double* sums, size_t count) {
  if (count == 0) return 0;
  for (; count > 1; count = (count + 1) / 2) {
    for (size_t i = 0; i < count / 2; ++i) sums[i] = sums[2 * i] + sums[2 * i + 1];
    if (count % 2 == 1) sums[count / 2] = sums[count - 1];
  }
  return sums[0];
}

// Lamb's |p| / |d|, of their sums of squares.
template <class T>
RULE T trustRatio(double p, double d) {
  const T length = T(squareRoot(p)), direction = T(squareRoot(d));
  return length > 0 && direction > 0 ? length / direction : T(1);
}

struct Factor {
  double multiplier, divisor;  // g <- g multiplier / divisor
};

// Exponents within which g * clip, 1 / norm and clip / norm stay in T's range.
template <class T>
constexpr int kSafe = sizeof(T) == 4 ? 100 : 900;

RULE int exponentOf(double x) { return x > 0 ? __builtin_ilogb(x) : 0; }

template <class T>
RULE bool isExtreme(double norm, double clip) {
  const int n = exponentOf(norm), c = exponentOf(clip), safe = kSafe<T>;
  const bool outside = n > safe || n < -safe || c > safe || c < -safe || n + c > safe || n + c < -safe || n - c > safe;
  return outside && norm - norm == 0;
}

// min(1, clip / norm) as a fraction that keeps every |g| <= norm in T's range: g multiplier is near 1, or near 2^24 where
// the multiplier would be too small.
template <class T>
RULE Factor extremeFactor(double norm, double clip) {
  if (norm <= clip) return {1, 1};
  const int down = exponentOf(norm) + exponentOf(clip) - (exponentOf(norm) > kSafe<T> ? 24 : 0);
  return {__builtin_ldexp(clip, -down), __builtin_ldexp(norm, -down)};
}

// Keras's clipnorm, (g clip) / max(norm, clip), with the true norm where Keras's float32 sum of squares leaves its range
// (keras/src/optimizers/base_optimizer.py, _clip_by_norm). NaN and Infinity pass as in Keras.
template <class T>
RULE Factor clipFactor(double sum, double clip) {
  const double norm = squareRoot(sum);
  if (isExtreme<T>(norm, clip)) return extremeFactor<T>(norm, clip);
  return {double(T(clip)), double(T(norm < clip ? clip : norm))};
}

// Keras's global_clipnorm, g (clip min(1 / norm, 1 / clip) + (norm - norm)) in T's arithmetic (clip_by_global_norm).
template <class T>
RULE Factor globalClipFactor(double sum, double clip) {
  const double norm = squareRoot(sum);
  if (isExtreme<T>(norm, clip)) return extremeFactor<T>(norm, clip);
  const T rounded = T(norm), inverse = T(1) / rounded, bound = T(1 / clip);
  const T scale = T(clip) * (inverse < bound ? inverse : bound);
  return {double(scale + (rounded - rounded)), 1};
}
