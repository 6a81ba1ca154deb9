// A BLAS instead of the product in native/matrix/product.h, where the user names one: faster on some machines, with bits of
// its own.
#pragma once
#include <stdexcept>

#include "product.h"

struct BlasError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// The functions of a shared library with C's interface to BLAS: 32-bit integers.
struct Blas {
  template <class T>
  using Gemm = void (*)(int order, int transposeLeft, int transposeRight, int rows, int columns, int depth, T scale,
                        const T* left, int leftStep, const T* right, int rightStep, T outScale, T* out, int outStep);
  Gemm<float> sgemm;
  Gemm<double> dgemm;

  // `packed` has room for what out holds.
  void multiply(const Product<Float32>& product, Float32* packed) const;
  void multiply(const Product<double>& product, double* packed) const;
};

// The library that KERAS_OPTIMIZERS_BLAS names, opened once a process; null if the variable is not set or empty. Throws
// BlasError.
const Blas* chosenBlas();
