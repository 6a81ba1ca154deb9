// What a rule may use: the inline macro, lists of names, and the operations on one element whose built-in forms differ
// between compilers. Nothing here has an address, so that no two instruction sets can share a copy of it.
#pragma once

#if defined(__CUDACC__)
#define RULE __host__ __device__ __forceinline__
#else
#define RULE inline __attribute__((always_inline))
#endif

using Text = const char*;

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

RULE float squareRoot(float x) { return __builtin_sqrtf(x); }
RULE double squareRoot(double x) { return __builtin_sqrt(x); }

// NaN passes from either side: never fmax, which drops it.
template <class T>
RULE T maximum(T a, T b) {
  return (a < b) | (b != b) ? b : a;
}
template <class T>
RULE T clamp(T x, T limit) {
  return x > limit ? limit : x < -limit ? -limit : x;
}
