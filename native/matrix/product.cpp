#include "product.h"

#include <algorithm>

#include "../flush.h"
#include "../threads.h"
#include "blas.h"

namespace {

// A piece of work: its packed left side lies in the second-level cache, one tile's right side in the first.
constexpr size_t kPieceRows = 4 * kTileRows, kPieceTiles = 8;
template <class T>
constexpr size_t kPieceColumns = kPieceTiles * kTileColumns<T>;

// Below this, a product is done before a helper wakes up.
constexpr size_t kSharedWork = size_t(1) << 20;  // multiplications

size_t partsOf(size_t length, size_t part) { return (length + part - 1) / part; }

template <class T>
constexpr Dtype dtypeOf() {
  return sizeof(T) == sizeof(float) ? kFloat32 : kFloat64;
}

// One panel of `width` lines, k after k; lines that are not there are zeros. The few k's at a time whose lines of the panel
// stay in the first-level cache.
template <class T>
void pack(const Operand<T>& from, size_t first, size_t width, size_t depth, T scale, T* to) {
  const size_t lines = std::min(width, from.lines - first);
  const T* data = from.data + first * from.lineStep;
  constexpr size_t kSome = 64;
  for (size_t begin = 0; begin < depth; begin += kSome) {
    const size_t end = std::min(begin + kSome, depth);
    if (from.lineStep == 1) {
      for (size_t k = begin; k < end; ++k)
        for (size_t i = 0; i < lines; ++i) to[k * width + i] = data[i + k * from.depthStep] * scale;
    } else {
      for (size_t i = 0; i < lines; ++i)
        for (size_t k = begin; k < end; ++k) to[k * width + i] = data[i * from.lineStep + k * from.depthStep] * scale;
    }
    for (size_t k = begin; lines < width && k < end; ++k) std::fill(to + k * width + lines, to + (k + 1) * width, T(0));
  }
}

template <class T>
struct Run {
  const Product<T>& product;
  const Means& means;
  T *left, *right;  // packed
  size_t leftPanels, rightPanels, pieceColumns;

  Run(const Product<T>& p, const Means& m, T* packed)
      : product(p), means(m), left(packed), leftPanels(partsOf(p.left.lines, kTileRows)),
        rightPanels(partsOf(p.right.lines, kTileColumns<T>)), pieceColumns(partsOf(p.right.lines, kPieceColumns<T>)) {
    right = left + packedLength<T>(p.left.lines, 0, p.depth);
  }

  void packOne(size_t panel) const {
    const size_t depth = product.depth, other = panel - leftPanels;
    if (panel < leftPanels)
      pack(product.left, panel * kTileRows, kTileRows, depth, product.scale, left + panel * kTileRows * depth);
    else
      pack(product.right, other * kTileColumns<T>, kTileColumns<T>, depth, T(1), right + other * kTileColumns<T> * depth);
  }

  // One piece of the result: the sums of its tiles, block of k after block.
  void piece(size_t index) const {
    const size_t row = index / pieceColumns * kPieceRows, column = index % pieceColumns * kPieceColumns<T>;
    if (product.symmetric && column >= row + kPieceRows) return;
    alignas(kTileBytes) T sums[kPieceRows * kPieceColumns<T>] = {};
    const size_t rows = std::min(kPieceRows, product.left.lines - row), depth = product.depth;
    const size_t columns = std::min(kPieceColumns<T>, product.right.lines - column);
    for (size_t k = 0; k < depth; k += kDepth)
      for (size_t j = 0; j < columns; j += kTileColumns<T>)
        for (size_t i = 0; i < rows; i += kTileRows)
          means.addTile(left + (row + i) * depth + k * kTileRows, right + (column + j) * depth + k * kTileColumns<T>,
                        std::min(kDepth, depth - k), sums + j * kPieceRows + i * kTileColumns<T>);
    for (size_t i = 0; i < rows; ++i) store(row + i, column, columns, sums + i * kTileColumns<T>);
  }

  // A row of a piece; the tiles of a row lie kPieceRows rows of a tile apart.
  void store(size_t row, size_t column, size_t columns, const T* sums) const {
    const size_t width = product.right.lines;
    const size_t end = product.symmetric ? std::min(columns, row + 1 - std::min(row + 1, column)) : columns;
    for (size_t j = 0; j < end; ++j) {
      const T sum = sums[j / kTileColumns<T> * kTileColumns<T> * kPieceRows + j % kTileColumns<T>];
      T& out = product.out[row * width + column + j];
      out = product.out_scale == 0 ? sum : product.out_scale * out + sum;
      if (product.symmetric) product.out[(column + j) * width + row] = out;
    }
  }

  // Calls each(*this, i) for every i below count, with the flushing of T.
  template <void (Run::*each)(size_t) const>
  void all(size_t count) const {
    const auto body = [](const void* context, size_t i) {
      const Run& run = *static_cast<const Run*>(context);
      if (run.means.cancelled->load(std::memory_order_relaxed)) return;
      const FlushDenormals flush(dtypeOf<T>());
      (run.*each)(i);
    };
    if (product.left.lines * product.right.lines * product.depth >= kSharedWork) return parallelFor(count, body, this);
    for (size_t i = 0; i < count; ++i) body(this, i);
  }
};

}  // namespace

template <class T>
size_t packedLength(size_t leftLines, size_t rightLines, size_t depth) {
  const size_t left = partsOf(leftLines, kTileRows) * kTileRows * depth;
  return partsOf(left, kTileColumns<T>) * kTileColumns<T> + partsOf(rightLines, kTileColumns<T>) * kTileColumns<T> * depth;
}

template <class T>
void multiply(const Product<T>& product, const Means& means, T* packed) {
  if (means.blas != nullptr) return means.blas->multiply(product, packed);
  const Run<T> run(product, means, packed);
  run.template all<&Run<T>::packOne>(run.leftPanels + run.rightPanels);
  run.template all<&Run<T>::piece>(partsOf(product.left.lines, kPieceRows) * run.pieceColumns);
}

template size_t packedLength<Float32>(size_t, size_t, size_t);
template size_t packedLength<double>(size_t, size_t, size_t);
template void multiply(const Product<Float32>&, const Means&, Float32*);
template void multiply(const Product<double>&, const Means&, double*);
