#include "blas.h"

#include <dlfcn.h>

#include <algorithm>
#include <cstdlib>
#include <mutex>
#include <optional>
#include <string>

namespace {

constexpr const char* kVariable = "KERAS_OPTIMIZERS_BLAS";
constexpr int kRowMajor = 101, kAsItIs = 111, kTransposed = 112;  // cblas.h

// The out that is an operand as well is read from a copy: a BLAS may write before it has read.
template <class T>
Operand<T> apart(Operand<T> operand, const Product<T>& product, T* copy) {
  if (operand.data != product.out) return operand;
  std::copy(product.out, product.out + product.left.lines * product.right.lines, copy);
  operand.data = copy;
  return operand;
}

// Between two rows of what is stored, which are the k's where `byDepth` says so, else the lines. A BLAS wants a row to fit
// also where there is only one.
template <class T>
int stepOf(const Operand<T>& operand, bool byDepth, size_t depth) {
  return int(byDepth ? std::max(operand.depthStep, operand.lines) : std::max(operand.lineStep, depth));
}

template <class T>
void run(Blas::Gemm<T> gemm, const Product<T>& product, T* packed) {
  const int rows = int(product.left.lines), columns = int(product.right.lines);
  if (rows == 0 || columns == 0) return;
  const Operand<T> left = apart(product.left, product, packed), right = apart(product.right, product, packed);
  const bool leftTurned = left.depthStep != 1, rightTurned = right.lineStep != 1;
  gemm(kRowMajor, leftTurned ? kTransposed : kAsItIs, rightTurned ? kTransposed : kAsItIs, rows, columns, int(product.depth),
       product.scale, left.data, stepOf(left, leftTurned, product.depth), right.data, stepOf(right, !rightTurned, product.depth),
       product.out_scale, product.out, columns);
}

void* symbolOf(void* library, const char* name, const std::string& path) {
  if (void* const symbol = dlsym(library, name)) return symbol;
  throw BlasError(std::string(kVariable) + " expects a library with cblas_sgemm and cblas_dgemm, " + path + " has no " + name);
}

Blas open(const std::string& path) {
  void* const library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);  // never closed: a BLAS has threads of its own
  if (library == nullptr)
    throw BlasError(std::string(kVariable) + " expects the path of a shared library, got " + path + ": " + dlerror());
  return {reinterpret_cast<Blas::Gemm<float>>(symbolOf(library, "cblas_sgemm", path)),
          reinterpret_cast<Blas::Gemm<double>>(symbolOf(library, "cblas_dgemm", path))};
}

}  // namespace

void Blas::multiply(const Product<float>& product, float* packed) const { run(sgemm, product, packed); }
void Blas::multiply(const Product<double>& product, double* packed) const { run(dgemm, product, packed); }

const Blas* chosenBlas() {
  static std::mutex mutex;
  static std::optional<Blas> chosen;
  const std::lock_guard<std::mutex> lock(mutex);
  const char* const path = std::getenv(kVariable);
  if (!chosen && path != nullptr && *path != 0) chosen = open(path);
  return chosen ? &*chosen : nullptr;
}
