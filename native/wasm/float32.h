// float32 for machines that cannot flush denormals: a number whose operators count a denormal as the zero of its sign, before and after,
// to the bit as x86 does with FTZ and DAZ (Intel 64 and IA-32 Architectures Software Developer's Manual, volume 1, 10.2.3). What
// only moves a number keeps its bits. A result is flushed if it is below 2^-126 once rounded to 24 bits, whatever its exponent.
// All of it is without branches, so that loops over it are vectorized. test/native/float32.cpp asks the processor.
#pragma once
#include <cstddef>
#include <cstdint>

struct Float32 {
  float value;

  Float32() = default;
  RULE Float32(int x) : value(float(x)) {}
  RULE Float32(size_t x) : value(float(x)) {}
  RULE Float32(float x) : value(x) {}
  // Half a last place below 2^-126 is rounded to it, to even.
  RULE Float32(double x) : value(zeroIf(__builtin_fabs(x) < 0x1p-126 - 0x1p-151, float(x))) {}
  RULE explicit operator double() const { return double(number()); }

  RULE static uint32_t bitsOf(float x) {
    uint32_t bits;
    __builtin_memcpy(&bits, &x, sizeof(bits));
    return bits;
  }
  RULE static float of(uint32_t bits) {
    float x;
    __builtin_memcpy(&x, &bits, sizeof(x));
    return x;
  }
  // Of x's sign.
  RULE static float zeroIf(bool tiny, float x) { return of(bitsOf(x) & (tiny ? 0x80000000u : 0xffffffffu)); }
  RULE static float flushed(float x) { return zeroIf((bitsOf(x) & 0x7f800000u) == 0, x); }
  // As arithmetic and comparisons take it.
  RULE float number() const { return flushed(value); }

  // A sum below 2^-126 is exact.
  RULE friend Float32 operator+(Float32 a, Float32 b) { return flushed(a.number() + b.number()); }
  RULE friend Float32 operator-(Float32 a, Float32 b) { return flushed(a.number() - b.number()); }
  // A product may be rounded up to 2^-126 as a denormal, and not with 24 bits: 2^64 times the product is rounded to these.
  RULE friend Float32 operator*(Float32 a, Float32 b) {
    const float x = a.number(), y = b.number();
    return zeroIf(__builtin_fabsf(x * 0x1p64f * y) < 0x1p-62f, x * y);
  }
  // A quotient below 2^-126 is so by at least 2^-24 of it, and would not be rounded up to that with 24 bits.
  RULE friend Float32 operator/(Float32 a, Float32 b) {
    const float x = a.number(), y = b.number();
    return zeroIf(__builtin_fabsf(x) * 0x1p64f < __builtin_fabsf(y) * 0x1p-62f, x / y);
  }
  RULE friend Float32 operator-(Float32 x) { return -x.value; }

  RULE friend bool operator<(Float32 a, Float32 b) { return a.number() < b.number(); }
  RULE friend bool operator>(Float32 a, Float32 b) { return a.number() > b.number(); }
  RULE friend bool operator<=(Float32 a, Float32 b) { return a.number() <= b.number(); }
  RULE friend bool operator>=(Float32 a, Float32 b) { return a.number() >= b.number(); }
  RULE friend bool operator==(Float32 a, Float32 b) { return a.number() == b.number(); }
  RULE friend bool operator!=(Float32 a, Float32 b) { return a.number() != b.number(); }
};

// No square root of a normal number is a denormal.
RULE Float32 squareRoot(Float32 x) { return __builtin_sqrtf(x.number()); }
RULE Float32 magnitude(Float32 x) { return __builtin_fabsf(x.value); }
