// Compiled with the flags of avx2 (CMakeLists.txt, binding.gyp).
#include "kernels.inc"
extern const Kernels kAvx2 = tableOf(Rules());
