// Adafactor's second moments of matrices, and the length of its step (native/rules/adafactor.h).
#include <algorithm>

#include "../flush.h"
#include "../threads.h"
#include "../update.h"
#include "lengths.h"
#include "whole.h"

namespace {

template <class T>
constexpr Dtype kDtypeOf = sizeof(T) == sizeof(float) ? kFloat32 : kFloat64;

template <class T>
void steerRelative(const Directed& d) {
  d.set(relativeLength(scalarsOf<Adafactor, T>(d.control), d.tensor.length, d.squares, d.directionSquares));
}

// Calls work(i) for every i < count, on several threads if there is much to do; denormals are as the dtype has them.
template <class T, class Work>
void each(const Directed& d, size_t count, const Work& work) {
  struct Context {
    const Directed& d;
    const Work& work;
  };
  const auto one = [](const void* context, size_t i) {
    const Context& c = *static_cast<const Context*>(context);
    if (c.d.cancelled.load(std::memory_order_relaxed)) return;
    const FlushDenormals flush(kDtypeOf<T>);
    c.work(i);
  };
  const Context context{d, work};
  if (d.tensor.length >= 2 * kChunk) return parallelFor(count, one, &context);
  for (size_t i = 0; i < count; ++i) one(&context, i);
}

size_t blocksOf(size_t length) { return (length + kBlock - 1) / kBlock; }

template <class T>
class Factors {
 public:
  explicit Factors(const Directed& directed)
      : d(directed), k(scalarsOf<Adafactor, T>(d.control)), shape(d.shape), direction(array(const_cast<void*>(d.tensor.g))),
        r(array(d.extra[0])), c(array(d.extra[1])), velocity(array(d.extra[2])),
        sums(static_cast<double*>(d.workspace)) {}

  void steer() {
    const size_t bands = bandsOf(shape), blocks = blocksOf(d.tensor.length);
    each<T>(d, shape.batch * bands, [&](size_t i) { addBand(i / bands, i % bands); });
    each<T>(d, shape.batch, [&](size_t matrix) { finishMeans(matrix); });
    each<T>(d, shape.batch * bands, [&](size_t i) { divideBand(i / bands, i % bands); });
    each<T>(d, blocks, [&](size_t i) { addSquares(i); });
    d.set(relativeLength(k, d.tensor.length, d.squares, foldPairwise(sums, blocks)));
  }

 private:
  static T* array(void* data) { return static_cast<T*>(data); }
  T* matrixOf(T* numbers, size_t matrix) const { return numbers + matrix * shape.rows * shape.columns; }
  double* columnSums(size_t matrix, size_t band) const { return sums + (matrix * bandsOf(shape) + band) * shape.columns; }
  T mean(T before, double sum, size_t count) const { return k.beta_2 * before + k.one_minus_beta_2 * T(sum / double(count)); }

  // The means of a band's rows; of its columns, the sums.
  void addBand(size_t matrix, size_t band) const {
    double rowSums[kBand];
    const size_t first = band * kBand, rows = std::min(kBand, shape.rows - first);
    double* columns = columnSums(matrix, band);
    std::fill(columns, columns + shape.columns, 0.0);
    d.kernels.addFactors[kDtypeOf<T>](matrixOf(direction, matrix) + first * shape.columns, rows, shape.columns, double(k.epsilon_1),
                                      rowSums, columns);
    T* ofRow = r + matrix * shape.rows + first;
    for (size_t i = 0; i < rows; ++i) ofRow[i] = mean(ofRow[i], rowSums[i], shape.columns);
  }

  // The means of a matrix's columns; the mean of its rows goes where their sums were.
  void finishMeans(size_t matrix) const {
    double* all = columnSums(matrix, 0);
    for (size_t bands = bandsOf(shape); bands > 1; bands = (bands + 1) / 2) {
      for (size_t i = 0; i < bands / 2; ++i)
        for (size_t j = 0; j < shape.columns; ++j)
          all[i * shape.columns + j] = all[2 * i * shape.columns + j] + all[(2 * i + 1) * shape.columns + j];
      if (bands % 2 == 1)
        std::copy_n(all + (bands - 1) * shape.columns, shape.columns, all + bands / 2 * shape.columns);
    }
    T* ofColumn = c + matrix * shape.columns;
    for (size_t j = 0; j < shape.columns; ++j) ofColumn[j] = mean(ofColumn[j], all[j], shape.rows);
    double sum = 0;
    for (size_t i = 0; i < shape.rows; ++i) sum += double(r[matrix * shape.rows + i]);
    all[0] = double(T(sum / double(shape.rows)));
  }

  void divideBand(size_t matrix, size_t band) const {
    T scales[kBand];
    const size_t first = band * kBand, rows = std::min(kBand, shape.rows - first), begin = first * shape.columns;
    const T mean = T(columnSums(matrix, 0)[0]);
    for (size_t i = 0; i < rows; ++i) scales[i] = r[matrix * shape.rows + first + i] / mean;
    d.kernels.divideByFactors[kDtypeOf<T>](scales, c + matrix * shape.columns, rows, shape.columns,
                                           matrixOf(velocity, matrix) + begin, matrixOf(direction, matrix) + begin);
  }

  void addSquares(size_t block) const {
    const size_t begin = block * kBlock;
    sums[block] = d.kernels.sumOfSquares[kDtypeOf<T>](d.tensor, begin, std::min(kBlock, d.tensor.length - begin), 1);
  }

  const Directed& d;
  const Adafactor::Scalars<T> k;
  const Shape& shape;
  T *const direction, *const r, *const c, *const velocity;
  double* const sums;
};

template <class T>
void steerFactored(const Directed& d) {
  if (d.tensor.length > 0) Factors<T>(d).steer();
}

}  // namespace

const Steer kRelativeSteer[] = {steerRelative<Float32>, steerRelative<double>};
const Steer kFactoredSteer[] = {steerFactored<Float32>, steerFactored<double>};

size_t factoredBytes(const Shape& shape) {
  const size_t sums = shape.batch * bandsOf(shape) * shape.columns, blocks = blocksOf(shape.batch * shape.rows * shape.columns);
  return std::max(sums, blocks) * sizeof(double);
}
