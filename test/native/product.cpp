// That the matrix product has the bits of the plain loops that define it, on any number of threads, and that Newton-Schulz has
// the same ones for a matrix and its transpose. Prints what went wrong, and without arguments nothing else; with a number, the
// speed at that size. Built by test/native.test.ts once for each instruction set.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "../../native/cpu/tile.inc"
#include "../../native/matrix/blas.cpp"
#include "../../native/matrix/newton_schulz.cpp"
#include "../../native/matrix/product.cpp"
#include "../../native/threads.cpp"

namespace {

long wrong = 0;
std::atomic<bool> cancelled{false};

uint64_t state = 1;
// Of many sizes, a few of them denormal.
template <class T>
T random() {
  state = state * 6364136223846793005u + 1442695040888963407u;
  const T x = T(int64_t(state) >> 20) * T(0x1p-43);
  return state % 101 == 0 ? x * T(1e-38) : x;
}
template <class T>
struct Numbers {
  T* data;
  size_t length;
  explicit Numbers(size_t n) : data(static_cast<T*>(std::aligned_alloc(64, (n * sizeof(T) / 64 + 1) * 64))), length(n) {
    for (size_t i = 0; i < n; ++i) data[i] = random<T>();
  }
  Numbers(const Numbers& other) : Numbers(other.length) { std::memcpy(data, other.data, length * sizeof(T)); }
  ~Numbers() { std::free(data); }
};

// The definition.
template <class T>
void plain(const Product<T>& p, const Numbers<T>& old, T* out) {
  const FlushDenormals flush(dtypeOf<T>());
  const auto at = [](const Operand<T>& o, size_t line, size_t k) { return o.data[line * o.lineStep + k * o.depthStep]; };
  for (size_t i = 0; i < p.left.lines; ++i)
    for (size_t j = 0; j < p.right.lines; ++j) {
      T whole = 0;
      for (size_t block = 0; block < p.depth; block += kDepth) {
        T sum = 0;
        for (size_t k = block; k < p.depth && k < block + kDepth; ++k) {
          const size_t line = p.symmetric && j > i ? j : i, other = p.symmetric && j > i ? i : j;
          const T term = T(at(p.left, line, k) * p.scale) * at(p.right, other, k);
          sum = sum + term;
        }
        whole = whole + sum;
      }
      const T before = old.data[p.symmetric && j > i ? j * p.right.lines + i : i * p.right.lines + j];
      out[i * p.right.lines + j] = p.out_scale == 0 ? whole : T(p.out_scale * before) + whole;
    }
}

template <class T>
Means means() {
  return {addTile<T>, nullptr, &cancelled};
}

template <class T>
void compare(const char* what, size_t rows, size_t columns, size_t depth, const T* a, const T* b) {
  if (std::memcmp(a, b, rows * columns * sizeof(T)) == 0) return;
  if (++wrong < 10) std::printf("%s %zu x %zu x %zu of %zu bytes differs\n", what, rows, columns, depth, sizeof(T));
}

template <class T>
void checkProduct(size_t rows, size_t columns, size_t depth, bool turned, T scale, T out_scale) {
  const Numbers<T> left(rows * depth), right(columns * depth), old(rows * columns);
  Numbers<T> out = old, expected = old, packed(packedLength<T>(rows, columns, depth));
  const Operand<T> l = {left.data, rows, turned ? 1 : depth, turned ? rows : 1};
  const Operand<T> r = {right.data, columns, turned ? depth : 1, turned ? 1 : columns};
  const Product<T> product = {l, r, depth, scale, out_scale, out.data, false};
  plain(product, old, expected.data);
  multiply(product, means<T>(), packed.data);
  compare("product", rows, columns, depth, out.data, expected.data);
}

template <class T>
void checkSymmetric(size_t side, size_t depth, T out_scale) {
  const Numbers<T> x(side * depth);
  Numbers<T> old(side * side), packed(packedLength<T>(side, side, depth));
  for (size_t i = 0; i < side; ++i)
    for (size_t j = 0; j < i; ++j) old.data[j * side + i] = old.data[i * side + j];
  Numbers<T> half = old, whole = old, expected = old;
  const Operand<T> lines = {x.data, side, depth, 1};
  Product<T> product = {lines, lines, depth, 1, out_scale, half.data, true};
  plain(product, old, expected.data);
  multiply(product, means<T>(), packed.data);
  compare("half a symmetric product", side, side, depth, half.data, expected.data);
  product.symmetric = false;
  product.out = whole.data;
  multiply(product, means<T>(), packed.data);
  compare("a whole symmetric product", side, side, depth, whole.data, expected.data);
}

template <class T>
void iterate(Numbers<T>& x, size_t rows, size_t columns, size_t steps) {
  Numbers<T> memory(newtonSchulzLength<T>(rows, columns));
  double squares = 0;
  for (size_t i = 0; i < x.length; ++i) squares += double(x.data[i]) * x.data[i];
  newtonSchulz<T>(x.data, rows, columns, squares, {T(3.4445), T(-4.775), T(2.0315), steps}, means<T>(), memory.data);
}

template <class T>
void checkTransposed(size_t rows, size_t columns) {
  Numbers<T> x(rows * columns), turned = x, back = x;
  for (size_t i = 0; i < rows; ++i)
    for (size_t j = 0; j < columns; ++j) turned.data[j * rows + i] = x.data[i * columns + j];
  double squares = 0;
  for (size_t i = 0; i < x.length; ++i) squares += double(x.data[i]) * x.data[i];
  const NewtonSchulz<T> with = {T(3.4445), T(-4.775), T(2.0315), 3};
  Numbers<T> memory(newtonSchulzLength<T>(rows, columns)), other(newtonSchulzLength<T>(columns, rows));
  newtonSchulz<T>(x.data, rows, columns, squares, with, means<T>(), memory.data);
  newtonSchulz<T>(turned.data, columns, rows, squares, with, means<T>(), other.data);
  for (size_t i = 0; i < rows; ++i)
    for (size_t j = 0; j < columns; ++j) back.data[i * columns + j] = turned.data[j * rows + i];
  compare("a transposed iteration", rows, columns, 0, x.data, back.data);
}

template <class T>
void checkAll() {
  const size_t sizes[] = {0, 1, 2, 11, 12, 13, 17, 47, 49, 130};
  for (const size_t rows : sizes)
    for (const size_t columns : sizes)
      for (const size_t depth : {size_t(0), size_t(1), size_t(255), size_t(256), size_t(257), size_t(600)})
        checkProduct<T>(rows, columns, depth, (rows + columns) % 2 == 0, depth % 2 == 0 ? T(1) : T(2.0315), T(rows % 3));
  for (const size_t side : {1, 5, 48, 49, 129, 260})
    for (const size_t depth : {1, 70, 520}) checkSymmetric<T>(side, depth, T(depth % 3));
  checkTransposed<T>(1, 33);
  checkTransposed<T>(150, 149);
  checkTransposed<T>(61, 300);
}

template <class T>
void measure(size_t side) {
  for (const int threads : {1, 2}) {
    setThreadCount(threads);
    double best = 1e9;
    for (int i = 0; i < 5; ++i) {
      Numbers<T> x(side * side);
      const auto begin = std::chrono::steady_clock::now();
      iterate(x, side, side, 5);
      best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
    }
    std::printf("%zu-byte numbers, %d threads: %.1f ms\n", sizeof(T), threads, best * 1e3);
  }
}

}  // namespace

int main(int count, char** arguments) {
  if (count > 1) return measure<float>(size_t(std::atol(arguments[1]))), measure<double>(size_t(std::atol(arguments[1]))), 0;
  for (const int threads : {1, 2, 5}) {
    setThreadCount(threads);
    checkAll<float>();
    checkAll<double>();
  }
  return wrong > 0;
}
