// The error of native/rules/power.h against the processor's 64-bit mantissas, and its values where there is no error.
// Prints what went wrong; nothing if all is well. Built by test/native.test.ts.
#include <cmath>
#include <cstdio>
#include <initializer_list>
#include <limits>

#include "../../native/rules/power.h"

static_assert(std::numeric_limits<long double>::digits >= 64, "long double must be more exact than what it measures");

namespace {

constexpr int kCount = 1000000;
long wrong = 0;

void report(const char* what, double x, double y, double got, double expected) {
  if (++wrong < 10) std::printf("%s: %a to the power of %a is %a, not %a\n", what, x, y, got, expected);
}

uint64_t state = 1;
uint32_t random32() { return uint32_t((state = state * 6364136223846793005u + 1442695040888963407u) >> 32); }
uint64_t random64() { return uint64_t(random32()) << 32 | random32(); }
double within(double low, double high) { return low + (high - low) * double(random64() >> 11) * 0x1p-53; }

double anyPositive() { return doubleOf(random64() % bitsOf(INFINITY)); }
double denormal() { return doubleOf(random64() >> (12 + random32() % 52)); }
double ordinary() { return std::ldexp(within(1, 2), int(random32() % 20) - 10); }
double nearOne() { return 1 + std::ldexp(within(-0.5, 0.5), -int(random32() % 52)); }
double upToOne() { return within(-1, 1); }
double one() { return 1; }
double large() { return within(-60, 60); }

double lastPlace(double x) { return std::nextafter(std::fabs(x), INFINITY) - std::fabs(x); }

// An error of at most `most` last places of the result.
void measure(const char* what, double (*base)(), double (*exponent)(), double most) {
  for (int i = 0; i < kCount; ++i) {
    const double x = base(), y = exponent(), got = power(x, y);
    const long double exact = std::pow((long double)x, (long double)y);
    const double expected = double(exact);
    const bool close = std::isinf(got) || std::isinf(expected)
                           ? got == expected
                           : std::fabs((long double)got - exact) <= most * (long double)lastPlace(expected);
    if (!close) report(what, x, y, got, expected);
  }
}

// float32: computed in float64, rounded once. One in a million may be rounded wrongly.
void rounded() {
  int misrounded = 0;
  for (int i = 0; i < kCount; ++i) {
    const float x = float(std::ldexp(within(1, 2), int(random32() % 250) - 125)), y = float(within(0, 1));
    misrounded += power(x, y) != float(std::pow((long double)x, (long double)y));
    if (power(x, 1.0f) != x) report("float32", x, 1, power(x, 1.0f), x);
  }
  if (misrounded > 1) report("float32", misrounded, kCount, misrounded, 1);
}

void exactly(double x, double y, double expected) {
  const double got = power(x, y);
  const bool same = expected != expected ? got != got : bitsOf(got) == bitsOf(expected);
  if (!same) report("exactly", x, y, got, expected);
}

void special() {
  const double positive[] = {0x1p-1074, 0.3, 0.5, 1, 2, 1e200}, negative[] = {-0x1p-1074, -1, -INFINITY, NAN};
  for (const double y : {0x1p-1074, 0.2, 0.5, 1.0, 7.0, 1e308}) {
    for (const double zero : {0.0, -0.0}) exactly(zero, y, 0), exactly(zero, -y, INFINITY);
    exactly(INFINITY, y, INFINITY), exactly(INFINITY, -y, 0);
    exactly(1, y, 1), exactly(1, -y, 1);
    for (const double x : negative) exactly(x, y, NAN), exactly(x, -y, NAN), exactly(x, 0, NAN);
    for (const double x : positive) exactly(x, 0, 1), exactly(x, -0.0, 1);
  }
  for (const double x : {0.0, -0.0, double(INFINITY)}) exactly(x, 0, 1), exactly(x, -0.0, 1);
  for (int k = -1074; k < 1024; ++k) exactly(std::ldexp(1, k), 1, std::ldexp(1, k)), exactly(2, k, std::ldexp(1, k));
  exactly(1e200, 2, INFINITY), exactly(1e-200, 2, 0), exactly(0.5, 1e308, 0), exactly(2, 1e308, INFINITY);
}

}  // namespace

int main() {
  measure("any number", anyPositive, upToOne, 1.75);
  measure("an ordinary number", ordinary, upToOne, 1.75);
  measure("a number near 1", nearOne, upToOne, 1.75);
  measure("a denormal number", denormal, upToOne, 1.75);
  measure("a denormal result", denormal, one, 1);
  measure("a large exponent", ordinary, large, 62);
  rounded();
  special();
  return wrong > 0;
}
