// Compiled with the flags of baseline (CMakeLists.txt, binding.gyp).
#include "kernels.inc"
extern const Kernels kBaseline = tableOf(Rules());
