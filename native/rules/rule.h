// What a rule may use: the inline macro, lists of names, and the operations on one element whose built-in forms differ
// between compilers. Nothing here has an address, so that no two instruction sets can share a copy of it.
#pragma once

#if defined(__CUDACC__)
#define RULE __host__ __device__ __forceinline__
#else
#define RULE inline __attribute__((always_inline))
#endif

using Text = const char*;

// A rule whose step follows from all of a variable says so by `whole`: it assigns a direction, in place of the variable, and
// what native/matrix/ has under this name says how the direction is subtracted.
enum Whole { kElementwise, kTrustRatio, kRelative, kFactored, kOrthogonal };

// The names of a rule's slots or scalars, in the order of its arguments.
template <int n>
struct Names {
  static constexpr int size = n;
  Text at[n > 0 ? n : 1];
};
template <class... Name>
constexpr Names<sizeof...(Name)> names(Name... name) {
  return {{name...}};
}

// The float32 of every kernel: the processor's, which flushes denormals there (native/flush.h), or one that does it by itself.
#if defined(__wasm__)
#include "../wasm/watched.h"
#else
using Float32 = float;
RULE float squareRoot(float x) { return __builtin_sqrtf(x); }
RULE float magnitude(float x) { return __builtin_fabsf(x); }
#endif
RULE double squareRoot(double x) { return __builtin_sqrt(x); }

// A divisor that all elements of a loop share. A rule that divides by one says so by being a DividesByScalars, and may be
// run in two ways with the same bits: with real divisions, or quickly, by the rounded inverse and one correction with the
// exact remainder (Markstein 1990, doi.org/10.1147/rd.341.0111: the quotient is correctly rounded, for every divisor, unless
// an operation leaves float32's range; test/native/division.cpp goes through all of them). The loop asks the processor
// afterwards whether one did, and repairs; a divisor that gets an infinity of its sign as inverse makes sure of that.
template <class T>
struct Divisor {
  T value, inverse;
  RULE Divisor(T x) : value(x), inverse(inRange(x) ? 1 / x : T(x < 0 ? -__builtin_inf() : __builtin_inf())) {}
  RULE static bool inRange(T x) { return x > T(0x1p-60) && x < T(0x1p60); }
};
template <bool kQuick, class T>
RULE T divide(T x, const Divisor<T>& by) {
#if defined(__FMA__)
  if (kQuick) {
    const float quotient = x * by.inverse, excess = __builtin_fmaf(quotient, by.value, -x);
    return __builtin_fmaf(excess, -by.inverse, quotient);  // this form keeps the sign of a zero, if by > 0
  }
#endif
  return x / by.value;
}
struct DividesByScalars {};

// A rule that leaves an element alone whose gradient is 0 says so by being a Sparse: a sparse gradient costs its rows then, and
// not the whole variable.
struct Sparse {};

RULE double magnitude(double x) { return __builtin_fabs(x); }

// NaN passes from either side: never fmax, which drops it.
template <class T>
RULE T maximum(T a, T b) {
  return (a < b) | (b != b) ? b : a;
}
// 0 for a zero of either sign, NaN for NaN.
template <class T>
RULE T sign(T x) {
  return x > 0 ? T(1) : x < 0 ? T(-1) : x == 0 ? T(0) : x;
}
template <class T>
RULE T clamp(T x, T limit) {
  return x > limit ? limit : x < -limit ? -limit : x;
}
