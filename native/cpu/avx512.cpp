// Compiled with the flags of avx512 (CMakeLists.txt, binding.gyp).
#include "kernels.inc"
extern const Kernels kAvx512 = tableOf(Rules());
