// WebAssembly has no BLAS to choose.
#include "../matrix/blas.h"

void Blas::multiply(const Product<Float32>&, Float32*) const { __builtin_trap(); }
void Blas::multiply(const Product<double>&, double*) const { __builtin_trap(); }
