// x to the power of y, of plain float64 operations in one order, so that every compiler and processor has the same bits: the
// libraries' powers differ in their last places. x = 2^e m with m in [sqrt(1/2), sqrt(2)); then x^y = 2^(y e + y log2(m)).
//   log2(m) = 2 / ln(2) (s + s^3 / 3 + s^5 / 5 ...)      s = (m - 1) / (m + 1); Abramowitz and Stegun 4.1.27
//   2^r = 1 + r ln(2) + (r ln(2))^2 / 2! ...             r in [-1/2, 1/2]
// y e is added up of two products without a rounding. test/native/power.cpp measures the error.
#pragma once
#include <cstdint>

#include "rule.h"

RULE uint64_t bitsOf(double x) {
  uint64_t bits;
  __builtin_memcpy(&bits, &x, sizeof(bits));
  return bits;
}
RULE double doubleOf(uint64_t bits) {
  double x;
  __builtin_memcpy(&x, &bits, sizeof(x));
  return x;
}

// c[0] + c[1] x + c[2] x^2 ...
RULE double polynomial(double, double c) { return c; }
template <class... Rest>
RULE double polynomial(double x, double c, Rest... rest) {
  return c + x * polynomial(x, rest...);
}

// A whole number n in [0, 2^52) lies in the low bits of the double 2^52 + n, so no conversion is needed, which SSE2 and AVX2
// do not have. 2^52 + x with another x rounds it to the nearest whole number.
constexpr double kInteger = 0x1p52;
constexpr uint64_t kIntegerBits = 0x4330000000000000u, kFraction = 0x000fffffffffffffu;
constexpr uint64_t kOneBits = 0x3ff0000000000000u, kRootOfHalfBits = 0x3fe6a09e667f3bcdu;

// m in [sqrt(1/2), sqrt(2))
RULE double logarithm2(double m) {
  const double s = (m - 1) / (m + 1);
  return s * polynomial(s * s, 2.8853900817779268, 0.9617966939259756, 0.5770780163555853, 0.4121985831111324,
                        0.3205988979753252, 0.2623081892525388, 0.22195308321368667, 0.19235933878519512,
                        0.16972882833987804, 0.15186263588304877);
}

// r in [-1/2, 1/2]
RULE double power2(double r) {
  return polynomial(r, 1.0, 0.6931471805599453, 0.24022650695910072, 0.05550410866482158, 0.009618129107628477,
                    0.0013333558146428443, 0.0001540353039338161, 1.5252733804059841e-05, 1.321548679014431e-06,
                    1.01780860092397e-07, 7.054911620801123e-09, 4.4455382718708116e-10, 2.5678435993488206e-11,
                    1.3691488853904128e-12);
}

// x 2^k for a whole k in [-kMostExponent, kMostExponent], in two factors, as 2^k may be no double where the result is one.
constexpr int kMostExponent = 1100;  // no double reaches it
RULE double scaleBy2(double x, double k) {
  const uint64_t shifted = bitsOf(k + (kInteger + 2 * kMostExponent)) - kIntegerBits, half = shifted >> 1;
  constexpr uint64_t kBias = uint64_t(1023) - kMostExponent;  // of half the exponent
  return x * doubleOf((half + kBias) << 52) * doubleOf((shifted - half + kBias) << 52);
}

// y is finite. NaN if x is below 0 or NaN; 1 if y is 0; else 0 and Infinity for 0 and Infinity, the other way round if y is
// below 0. An error of at most 2 units in the last place if |y| <= 1, of 2 |y| of them beyond.
RULE double power(double x, double y) {
  const bool tiny = x < 0x1p-1022;
  const uint64_t bits = bitsOf(tiny ? x * 0x1p54 : x) + (kOneBits - kRootOfHalfBits);
  const double e = doubleOf(bits >> 52 | kIntegerBits) - (tiny ? kInteger + 1023 + 54 : kInteger + 1023);
  const double log2 = logarithm2(doubleOf((bits & kFraction) + kRootOfHalfBits));

  const double infinity = __builtin_inf();
  const double total = y * (x == 0 ? -infinity : x == infinity ? infinity : e + log2);
  const double within = total > kMostExponent ? kMostExponent : total < -kMostExponent ? -kMostExponent : total;
  const double k = within + (kInteger + 2 * kMostExponent) - (kInteger + 2 * kMostExponent);
  const double high = doubleOf(bitsOf(y) & ~uint64_t(0x7ffffff));  // 26 bits, so that its product with e is exact
  const double r = (high * e - k) + ((y - high) * e + y * log2);
  const double result = total > kMostExponent ? infinity : total < -kMostExponent ? 0 : scaleBy2(power2(r), k);
  return x >= 0 ? (y == 0 ? 1 : result) : __builtin_nan("");
}

// Rounded once more: correctly, but for very few numbers.
template <class T>
RULE T power(T x, T y) {
  return T(power(double(x), double(y)));
}
