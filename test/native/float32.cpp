// That native/wasm/float32.h computes what this processor computes with denormals flushed: every operation, for random numbers of every
// magnitude, and for those whose results lie around 2^-126. Prints what went wrong; nothing if all is well. Built by test/native.test.ts.
#include <cmath>
#include <cstdio>
#include <type_traits>
#include <vector>

#define RULE inline __attribute__((always_inline))
#include "../../native/flush.h"
#include "../../native/wasm/float32.h"

#if defined(__SSE__)

namespace {

// The same for the processor's type.
RULE float squareRoot(float x) { return __builtin_sqrtf(x); }
RULE float magnitude(float x) { return __builtin_fabsf(x); }

constexpr size_t kCount = 4096;  // pairs at a time

struct Pairs {
  float a[kCount], b[kCount];
  double wide[kCount];
};
// Bits of the results: an operation after the other.
using Bits = std::vector<uint64_t>;

template <class X>
uint64_t bitsOf(X x) {
  uint64_t bits = 0;
  __builtin_memcpy(&bits, &x, sizeof(x));
  if constexpr (!std::is_same_v<X, bool>)
    if (std::isnan(sizeof(X) == 8 ? *reinterpret_cast<const double*>(&x) : *reinterpret_cast<const float*>(&x))) return ~uint64_t(0);
  return bits;
}

constexpr const char* kNames[] = {"a + b", "a - b",  "a * b",  "a / b",  "-a",        "root of a", "magnitude of a", "a < b",
                                  "a > b", "a <= b", "a >= b", "a == b", "a != b", "double(a)", "of double", "of int"};

template <class T>
__attribute__((noinline)) void compute(const Pairs& pairs, Bits& out) {
  out.clear();
  for (size_t i = 0; i < kCount; ++i) {
    const T a = pairs.a[i], b = pairs.b[i];
    for (const uint64_t bits : {bitsOf(a + b), bitsOf(a - b), bitsOf(a * b), bitsOf(a / b), bitsOf(-a), bitsOf(squareRoot(a)),
                                bitsOf(magnitude(a)), bitsOf(a < b), bitsOf(a > b), bitsOf(a <= b), bitsOf(a >= b), bitsOf(a == b),
                                bitsOf(a != b), bitsOf(double(a)), bitsOf(T(pairs.wide[i])), bitsOf(T(int(i) - 2048))})
      out.push_back(bits);
  }
}

uint64_t state = 1;
uint32_t random32() { return uint32_t((state = state * 6364136223846793005u + 1442695040888963407u) >> 32); }
float floatOf(uint32_t bits) {
  float x;
  __builtin_memcpy(&x, &bits, sizeof(x));
  return x;
}
float anyFloat() { return floatOf(random32()); }
// A mantissa at or next to its ends, half of the time; any exponent, if it is not given.
float edged(int exponent) {
  const uint32_t near = random32() % 4, mantissa = random32() % 2 ? near : random32() % 2 ? 0x7fffffu - near : random32() >> 9;
  const uint32_t biased = uint32_t(exponent < 0 ? 0 : exponent > 255 ? 255 : exponent);
  return floatOf((random32() & 0x80000000u) | biased << 23 | mantissa);
}
double rounding() {
  const double quarter = 0x1p-152 * double(int(random32() % 9) - 4), tiny = 0x1p-1074 * double(int(random32() % 3) - 1);
  const double place = random32() % 2 ? 0x1p-126 : double(edged(int(random32() % 3)));
  return (random32() % 2 ? 1 : -1) * (place + quarter) + tiny;
}

void fill(Pairs& pairs, int kind) {
  for (size_t i = 0; i < kCount; ++i) {
    float &a = pairs.a[i], &b = pairs.b[i];
    const int exponent = int(random32() % 256), around = int(random32() % 5) - 2;
    a = kind == 0 ? anyFloat() : edged(exponent);
    b = kind == 0   ? anyFloat()
        : kind == 1 ? edged(128 - exponent + around)   // products around 2^-126
        : kind == 2 ? edged(exponent + 126 + around)   // quotients
        : kind == 3 ? edged(exponent + around)         // sums
                    : edged(int(random32() % 256));
    if (kind == 3 && i % 2 == 0) a = edged(int(random32() % 4)), b = edged(int(random32() % 4));
    if (kind == 5) a = float(int(random32() >> 7)) * 0x1p-75f, b = float(int(random32() >> 7)) * 0x1p-100f;
    const uint64_t wide = uint64_t(random32()) << 32 | random32();
    pairs.wide[i] = kind == 0 ? double(anyFloat()) * (1 + 0x1p-30 * double(random32())) : rounding();
    if (kind == 4) __builtin_memcpy(&pairs.wide[i], &wide, sizeof(wide));
  }
}

}  // namespace

int main() {
  constexpr size_t operations = sizeof(kNames) / sizeof(*kNames);
  static Pairs pairs;
  Bits ours, theirs;
  long wrong = 0, lifted = 0;
  for (int round = 0; round < 6 * 300; ++round) {
    fill(pairs, round % 6);
    compute<Float32>(pairs, ours);
    {
      const FlushDenormals flush(kFloat32);
      compute<float>(pairs, theirs);
    }
    for (size_t i = 0; i < kCount * operations; ++i) {
      const float a = pairs.a[i / operations], b = pairs.b[i / operations];
      if (i % operations == 2) lifted += std::fabs(a * b) == 0x1p-126f && ours[i] << 33 == 0;
      if (ours[i] != theirs[i] && ++wrong < 10)
        std::printf("%s of %a, %a, %a is %llx, not %llx\n", kNames[i % operations], double(a), double(b), pairs.wide[i / operations],
                    (unsigned long long)ours[i], (unsigned long long)theirs[i]);
    }
  }
  if (lifted < 100) std::printf("only %ld products that are rounded up to 2^-126 as denormals\n", lifted), ++wrong;
  return wrong > 0;
}

#else
int main() { std::puts("this processor does not flush as x86 does: not compared"); }
#endif
