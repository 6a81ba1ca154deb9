// The parts of a step that go through matrices: Adafactor's means, Muon's Newton-Schulz iteration; in the order of native/matrix/.
// Over 200 lines: a body after the other.
#pragma once
#include "../native/matrix/product.h"
#include "walk.h"

namespace cuda {

// Calls of(i) for every i below count, by a thread for each.
template <class T, class Group, class Of>
RULE void forEach(Group& group, size_t count, const Of& of) {
  group.each([&](unsigned thread) {
    const Flushing<T> flushing;
    const size_t i = size_t(group.block) * kThreads + thread;
    if (i < count) of(i);
  });
}

template <class T>
RULE T meanOf(const Adafactor::Scalars<T>& k, T before, double sum, size_t count) {
  return k.beta_2 * before + k.one_minus_beta_2 * T(sum / double(count));
}

// The means of rows: a warp for each.
template <class T>
struct RowMeans {
  using Arguments = FactorsArguments;
  static constexpr size_t shared = kWarps * kLanes;

  template <class Group>
  RULE static void run(const Arguments& a, Group& group) {
    const auto rowOf = [&](unsigned thread) { return size_t(group.block) * kWarps + thread / kWarp; };
    const size_t rows = a.shape.batch * a.shape.rows, columns = a.shape.columns;
    if (isAbsent(a.record, *a.target)) return;
    group.each([&](unsigned thread) {
      const Flushing<T> flushing;
      const auto k = scalarsOf<Adafactor, T>(a.record.list()[a.control]);
      double* lanes = group.shared + thread / kWarp * kLanes;
      for (unsigned lane = thread % kWarp; lane < unsigned(kLanes); lane += kWarp) {
        double sum = 0;
        if (rowOf(thread) < rows) {
          const T* g = static_cast<const T*>(a.direction) + rowOf(thread) * columns;
          for (size_t j = lane; j < columns; j += kLanes) {
            const double x = g[j] * g[j] + k.epsilon_1;
            sum = sum + x;
          }
        }
        lanes[lane] = sum;
      }
    });
    foldAll(group, group.shared);
    group.each([&](unsigned thread) {
      const Flushing<T> flushing;
      if (thread % kWarp != 0 || rowOf(thread) >= rows) return;
      T& r = static_cast<T*>(a.r)[rowOf(thread)];
      r = meanOf(scalarsOf<Adafactor, T>(a.record.list()[a.control]), r, group.shared[thread / kWarp * kLanes], columns);
    });
  }
};

// The sums of columns over a band of rows: a thread for each.
template <class T>
struct BandSums {
  using Arguments = FactorsArguments;
  static constexpr size_t shared = 0;

  template <class Group>
  RULE static void run(const Arguments& a, Group& group) {
    const size_t batch = a.shape.batch, rows = a.shape.rows, columns = a.shape.columns;
    const size_t bands = bandsOf(a.shape), count = batch * bands * columns;
    if (isAbsent(a.record, *a.target)) return;
    forEach<T>(group, count, [&](size_t i) {
      const T epsilon = scalarsOf<Adafactor, T>(a.record.list()[a.control]).epsilon_1;
      const size_t column = i % columns, matrix = i / columns / bands, first = i / columns % bands * kBand;
      const T* g = static_cast<const T*>(a.direction) + matrix * rows * columns + column;
      double sum = 0;
      for (size_t row = first; row < first + kBand && row < rows; ++row) {
        const T of = g[row * columns];
        const double x = of * of + epsilon;
        sum = sum + x;
      }
      a.bands[i] = sum;
    });
  }
};

// The means of columns: a thread for each; and the means of the rows' means, by the first thread of a matrix.
template <class T>
struct ColumnMeans {
  using Arguments = FactorsArguments;
  static constexpr size_t shared = 0;

  template <class Group>
  RULE static void run(const Arguments& a, Group& group) {
    const size_t batch = a.shape.batch, rows = a.shape.rows, columns = a.shape.columns;
    const size_t bands = bandsOf(a.shape), count = batch * columns;
    if (isAbsent(a.record, *a.target)) return;
    forEach<T>(group, count, [&](size_t i) {
      const size_t column = i % columns, matrix = i / columns;
      T& c = static_cast<T*>(a.c)[i];
      const double sum = pairwise(a.bands + matrix * bands * columns + column, bands, columns);
      c = meanOf(scalarsOf<Adafactor, T>(a.record.list()[a.control]), c, sum, rows);
      if (column != 0) return;
      const T* r = static_cast<const T*>(a.r) + matrix * rows;
      double all = 0;
      for (size_t row = 0; row < rows; ++row) all = all + r[row];
      a.means[matrix] = double(T(all / double(rows)));
    });
  }
};

template <class T>
struct DivideByFactors {
  using Arguments = FactorsArguments;
  static constexpr size_t shared = 0;

  template <class Group>
  RULE static void run(const Arguments& a, Group& group) {
    const size_t batch = a.shape.batch, rows = a.shape.rows, columns = a.shape.columns;
    const size_t count = batch * rows * columns;
    if (isAbsent(a.record, *a.target)) return;
    forEach<T>(group, count, [&](size_t i) {
      const size_t row = i / columns, matrix = row / rows;
      const T scale = static_cast<const T*>(a.r)[row] / T(a.means[matrix]);
      T &v = static_cast<T*>(a.v)[i], &d = static_cast<T*>(a.direction)[i];
      v = scale * static_cast<const T*>(a.c)[matrix * columns + i % columns];
      d = d / rootOfMoment(v);
    });
  }
};

template <class T>
struct Normalize {
  using Arguments = NormalizeArguments;
  static constexpr size_t shared = 0;

  template <class Group>
  RULE static void run(const Arguments& a, Group& group) {
    forEach<T>(group, a.length, [&](size_t i) {
      const T norm = T(squareRoot(*a.squares)), divisor = norm + T(1e-7);
      T& x = static_cast<T*>(a.x)[i];
      x = x / divisor;
    });
  }
};

// A product (native/matrix/product.h): a block computes kSide x kSide of it, a thread kOwn x kOwn, as k goes by.
template <class T>
struct Product {
  using Arguments = ProductArguments;
  static constexpr unsigned kOwn = 4, kAcross = kSide / kOwn;
  static constexpr size_t kSlice = 16;  // k's that lie in shared memory; kDepth are a block of sums
  static constexpr size_t shared = 2 * kSide * kSlice * sizeof(T) / sizeof(double);
  static_assert(kAcross * kAcross == kThreads, "a thread for each part");

  struct Own {
    T part[kOwn][kOwn], sum[kOwn][kOwn];
  };

  RULE static void fill(const Side& side, size_t first, size_t k, size_t depth, T scale, bool scales, unsigned thread, T* to) {
    for (unsigned i = thread; i < kSide * kSlice; i += kThreads) {
      // Neighbouring threads read what lies side by side.
      const bool byLine = side.lineStep == 1;
      const size_t line = byLine ? i % kSide : i / kSlice, at = byLine ? i / kSide : i % kSlice;
      const bool there = first + line < side.lines && k + at < depth;
      const T x = there ? static_cast<const T*>(side.data)[(first + line) * side.lineStep + (k + at) * side.depthStep] : T(0);
      to[at * kSide + line] = scales ? x * scale : x;
    }
  }

  template <class Group>
  RULE static void run(const Arguments& a, Group& group) {
    T *left = reinterpret_cast<T*>(group.shared), *right = left + kSide * kSlice;
    const size_t across = (a.right.lines + kSide - 1) / kSide;
    const size_t row = group.block / across * kSide, column = group.block % across * kSide;
    if (a.symmetric != 0 && column > row) return;
    const Control& c = a.record.list()[a.control];
    const T scale = a.scale == kNone ? T(1) : T(c.scalars[a.scale]);
    typename Group::template Each<Own> each;
    group.each([&](unsigned thread) {
      Own& own = each[thread];
#pragma unroll
      for (unsigned i = 0; i < kOwn; ++i)
        for (unsigned j = 0; j < kOwn; ++j) own.part[i][j] = own.sum[i][j] = 0;
    });
    for (size_t k = 0; k < a.depth; k += kSlice) {
      group.each([&](unsigned thread) {
        const Flushing<T> flushing;
        fill(a.left, row, k, a.depth, scale, a.scale != kNone, thread, left);
        fill(a.right, column, k, a.depth, T(1), false, thread, right);
      });
      group.each([&](unsigned thread) {
        const Flushing<T> flushing;
        Own& own = each[thread];
        const size_t some = a.depth - k < kSlice ? a.depth - k : kSlice;
        const unsigned i0 = thread / kAcross * kOwn, j0 = thread % kAcross * kOwn;
        for (size_t at = 0; at < some; ++at)
#pragma unroll
          for (unsigned i = 0; i < kOwn; ++i)
            for (unsigned j = 0; j < kOwn; ++j)
              own.part[i][j] = own.part[i][j] + left[at * kSide + i0 + i] * right[at * kSide + j0 + j];
        if ((k + kSlice) % kDepth != 0 && k + kSlice < a.depth) return;
#pragma unroll
        for (unsigned i = 0; i < kOwn; ++i)
          for (unsigned j = 0; j < kOwn; ++j) {
            own.sum[i][j] = own.sum[i][j] + own.part[i][j];
            own.part[i][j] = 0;
          }
      });
    }
    group.each([&](unsigned thread) {
      const Flushing<T> flushing;
      const size_t i0 = row + thread / kAcross * kOwn, j0 = column + thread % kAcross * kOwn, width = a.right.lines;
      const T base_scale = a.base_scale == kNone ? T(0) : T(c.scalars[a.base_scale]);
      T* out = static_cast<T*>(a.out);
      for (size_t i = i0; i < i0 + kOwn && i < a.left.lines; ++i)
        for (size_t j = j0; j < j0 + kOwn && j < width; ++j) {
          if (a.symmetric != 0 && j > i) continue;
          const T sum = each[thread].sum[i - i0][j - j0];
          const T x = base_scale == 0 ? sum : base_scale * static_cast<const T*>(a.base)[i * width + j] + sum;
          out[i * width + j] = x;
          if (a.symmetric != 0) out[j * width + i] = x;
        }
    });
  }
};

}  // namespace cuda
