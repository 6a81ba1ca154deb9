#include "device.h"

const char* cudaUnusable() { return "this build has no CUDA kernels"; }
