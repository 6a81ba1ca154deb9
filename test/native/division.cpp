// That the quick division of native/rules/rule.h is the processor's, or that the processor's flags say otherwise.
// Prints what went wrong; nothing if all is well. Built by test/native.test.ts with -mfma.
#include <cmath>
#include <cstdint>
#include <cstdio>

#include "../../native/flush.h"
#include "../../native/rules/rule.h"

static_assert(kQuickDivision, "build it with -mfma");

namespace {

long wrong = 0;

// A function of its own, so that its operations stay between clearExceptions and leftRange.
__attribute__((noinline)) void divideQuickly(const float* x, const Divisor<float>& by, float* quotient) {
  *quotient = divide<true>(*x, by);
}

void compare(float x, const Divisor<float>& by) {
  float quick;
  clearExceptions();
  divideQuickly(&x, by, &quick);
  if (leftRange()) return;
  const float real = divide<false>(x, by);
  uint32_t a, b;
  __builtin_memcpy(&a, &quick, 4);
  __builtin_memcpy(&b, &real, 4);
  if (a != b && !(quick != quick && real != real) && ++wrong < 10)
    std::printf("%a / %a is %a, not %a\n", double(x), double(by.value), double(real), double(quick));
}

// x with a 32-bit integer as its inverse modulo 2^32; x is odd.
uint32_t inverseOf(uint32_t x) {
  uint32_t inverse = x;
  for (int i = 0; i < 5; ++i) inverse *= 2 - x * inverse;
  return inverse;
}

// Every mantissa X for which X 2^s / C is an odd M and r / C, |r| <= kMost: the quotient lies next to the middle between two
// floats, where a rounding may go astray. Elsewhere the error of the quick quotient, below 2^-22 of a last place, does no harm.
void hardest(uint32_t C) {
  constexpr int64_t kMost = 63;
  const Divisor<float> by(std::ldexp(float(C), -24));
  const int shared = __builtin_ctz(C);
  const uint32_t odd = C >> shared, inverse = inverseOf(odd);
  for (int s = 24; s <= 25; ++s) {
    const uint32_t modulus = uint32_t(1) << (s - shared);
    for (int64_t r = -kMost; s > shared && r <= kMost; r += 2) {
      if (std::llabs(r) << shared > kMost) continue;
      for (uint64_t M = uint32_t(-r) * inverse & (modulus - 1); M < uint64_t(1) << 25; M += modulus) {
        const uint64_t X = (M * odd + uint64_t(r)) >> (s - shared);
        if (M >= uint64_t(1) << 24 && X >= uint64_t(1) << 23 && X < uint64_t(1) << 24) compare(float(X), by);
      }
    }
  }
}

uint64_t state = 1;
uint32_t random32() { return uint32_t((state = state * 6364136223846793005u + 1442695040888963407u) >> 32); }
float anyFloat() {
  const uint32_t bits = random32();
  float x;
  __builtin_memcpy(&x, &bits, 4);
  return x;
}

}  // namespace

int main() {
  const FlushDenormals flush(kFloat32);
  for (uint32_t C = 1u << 23; C < 1u << 24; ++C) hardest(C);
  const float special[] = {0, -0.0f, INFINITY, -INFINITY, NAN, 0x1p-149f, 0x1p-126f, -0x1p-126f, 0x1.fffffep127f, 1};
  for (int i = 0; i < 4000000; ++i) {
    const float near = std::ldexp(1 + float(random32() % 1000) / 1000, -int(random32() % 70));
    compare(anyFloat(), Divisor<float>(i % 2 == 0 ? near : anyFloat()));
  }
  for (const float x : special)
    for (const float c : special) compare(x, Divisor<float>(c));
  for (int i = 0; i < 100000; ++i)
    for (const float x : special) compare(x, Divisor<float>(anyFloat()));
  return wrong > 0;
}
