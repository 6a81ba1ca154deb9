#include "backends.h"

extern const Kernels kBaseline, kAvx2, kAvx512;

namespace {
#if defined(__x86_64__)
const char* noAvx512() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw") &&
                 __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("fma")
             ? nullptr
             : "this processor has no AVX-512 (f, vl, bw, dq) with FMA";
}
const char* noAvx2() {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? nullptr : "this processor has no AVX2 with FMA";
}
#else
const char* noAvx512() { return "this processor is not an x86-64"; }
const char* noAvx2() { return noAvx512(); }
#endif
const char* never() { return nullptr; }
const char* ofVariables() { return "it steps variables that lie on a GPU, and is not chosen"; }
}  // namespace

const Backend kBackends[] = {
    {"avx512", noAvx512, &kAvx512},
    {"avx2", noAvx2, &kAvx2},
    {"baseline", never, &kBaseline},
    {"cuda", ofVariables, nullptr},
};
const int kBackendCount = sizeof(kBackends) / sizeof(*kBackends);
