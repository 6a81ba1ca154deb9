#include "newton_schulz.h"

#include <algorithm>
#include <cmath>

#include "../flush.h"

namespace {

template <class T>
size_t gramLength(size_t side) {
  return (side * side + kTileColumns<T> - 1) / kTileColumns<T> * kTileColumns<T>;
}

template <class T>
void divide(T* x, size_t length, double squares) {
  const FlushDenormals flush(sizeof(T) == sizeof(float) ? kFloat32 : kFloat64);
  const T norm = T(std::sqrt(squares)), divisor = norm + T(1e-7);
  for (size_t i = 0; i < length; ++i) x[i] = x[i] / divisor;
}

}  // namespace

template <class T>
size_t newtonSchulzLength(size_t rows, size_t columns) {
  const size_t side = std::min(rows, columns), depth = std::max(rows, columns);
  const size_t last = rows > columns ? packedLength<T>(depth, side, side) : packedLength<T>(side, depth, side);
  return gramLength<T>(side) + std::max({packedLength<T>(side, side, depth), packedLength<T>(side, side, side), last});
}

template <class T>
void newtonSchulz(T* x, size_t rows, size_t columns, double squares, const NewtonSchulz<T>& with, const Means& means, T* memory) {
  const size_t side = std::min(rows, columns), depth = std::max(rows, columns);
  T *const gram = memory, *const packed = memory + gramLength<T>(side);
  const Operand<T> ofRows = {x, rows, columns, 1}, ofColumns = {x, columns, 1, columns}, ofGram = {gram, side, 1, side};
  const Operand<T>& lines = rows > columns ? ofColumns : ofRows;
  const Product<T> square = {lines, lines, depth, 1, 0, gram, true};
  const Product<T> polynomial = {ofGram, ofGram, side, with.c, with.b, gram, true};
  const Product<T> last = rows > columns ? Product<T>{ofRows, ofGram, side, 1, with.a, x, false}
                                         : Product<T>{ofGram, ofColumns, side, 1, with.a, x, false};
  divide(x, rows * columns, squares);
  for (size_t i = 0; i < with.steps; ++i)
    for (const Product<T>* product : {&square, &polynomial, &last}) multiply(*product, means, packed);
}

template size_t newtonSchulzLength<Float32>(size_t, size_t);
template size_t newtonSchulzLength<double>(size_t, size_t);
template void newtonSchulz(Float32*, size_t, size_t, double, const NewtonSchulz<Float32>&, const Means&, Float32*);
template void newtonSchulz(double*, size_t, size_t, double, const NewtonSchulz<double>&, const Means&, double*);
