// float32 as WebAssembly has it, whose results are watched: as long as none of them is a denormal, nor 2^-126, which may have been one, they
// are those of Float32, in a third of the time. What is read has to be looked at beforehand.
#pragma once
#include "float32.h"

// The least magnitude but 0 among the results so far, as Watched::magnitudeOf has it.
static uint32_t leastSeen;
constexpr uint32_t kLeastNormal = 0x01000000u;  // above that of 2^-126

struct Watched {
  float value;

  Watched() = default;
  RULE Watched(int x) : value(float(x)) {}
  RULE Watched(float x) : value(x) {}
  RULE Watched(double x) : value(Float32(x).value) {}
  RULE explicit operator double() const { return double(value); }

  // Twice the bits, less 1, so that 0 is the largest.
  RULE static uint32_t magnitudeOf(float x) { return (Float32::bitsOf(x) << 1) - 1; }
  // Clang's own minimum: a loop with a select for each result would not be vectorized.
  RULE static Watched seen(float result) {
    leastSeen = __builtin_elementwise_min(leastSeen, magnitudeOf(result));
    return result;
  }
  RULE friend Watched operator+(Watched a, Watched b) { return seen(a.value + b.value); }
  RULE friend Watched operator-(Watched a, Watched b) { return seen(a.value - b.value); }
  RULE friend Watched operator*(Watched a, Watched b) { return seen(a.value * b.value); }
  RULE friend Watched operator/(Watched a, Watched b) { return seen(a.value / b.value); }
  RULE friend Watched operator-(Watched x) { return -x.value; }

  RULE friend bool operator<(Watched a, Watched b) { return a.value < b.value; }
  RULE friend bool operator>(Watched a, Watched b) { return a.value > b.value; }
  RULE friend bool operator==(Watched a, Watched b) { return a.value == b.value; }
  RULE friend bool operator!=(Watched a, Watched b) { return a.value != b.value; }
};

RULE Watched squareRoot(Watched x) { return __builtin_sqrtf(x.value); }
RULE Watched magnitude(Watched x) { return __builtin_fabsf(x.value); }
