// Denormals count as zero around float32 kernels, as TensorFlow has it on the CPU; float64 kernels are left alone.
#pragma once
#include "work.h"

#if defined(__SSE__)
#include <xmmintrin.h>
#endif

class FlushDenormals {
 public:
#if defined(__SSE__)
  explicit FlushDenormals(Dtype dtype) : saved_(_mm_getcsr()) {
    constexpr unsigned kFtzDaz = 0x8040, kRounding = 0x6000, kMasked = 0x1f80;
    _mm_setcsr((saved_ & ~(kFtzDaz | kRounding)) | kMasked | (dtype == kFloat32 ? kFtzDaz : 0));
  }
  ~FlushDenormals() { _mm_setcsr(saved_); }

 private:
  unsigned saved_;
#elif defined(__aarch64__)
  explicit FlushDenormals(Dtype dtype) {
    __asm__ volatile("mrs %0, fpcr" : "=r"(saved_));
    const unsigned long long flushed = saved_ & ~(3ull << 22 | 1ull << 24);
    __asm__ volatile("msr fpcr, %0" : : "r"(flushed | (dtype == kFloat32 ? 1ull << 24 : 0)));
  }
  ~FlushDenormals() { __asm__ volatile("msr fpcr, %0" : : "r"(saved_)); }

 private:
  unsigned long long saved_;
#else
  explicit FlushDenormals(Dtype) {}
#endif
 public:
  FlushDenormals(const FlushDenormals&) = delete;
  FlushDenormals& operator=(const FlushDenormals&) = delete;
};

// Whether a float32 operation of this thread has left the normal range (or had no number as its result) since the last
// clearExceptions: the flags that x86 keeps, within a FlushDenormals. kQuickDivision: they are kept, and there is fma.
#if defined(__SSE__) && defined(__FMA__)
constexpr bool kQuickDivision = true;
static inline void clearExceptions() { _mm_setcsr(_mm_getcsr() & ~0x3fu); }
static inline bool leftRange() { return (_mm_getcsr() & 0x1d) != 0; }  // invalid, division by zero, overflow, underflow
#else
constexpr bool kQuickDivision = false;
static inline void clearExceptions() {}
static inline bool leftRange() { return false; }
#endif

// The control bits (rounding, flushing, exception masks) of the calling thread, for the test that finds them restored.
static inline unsigned floatingPointControl() {
#if defined(__SSE__)
  return _mm_getcsr() & ~0x3fu;
#else
  return 0;
#endif
}
