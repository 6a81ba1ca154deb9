#include "rows.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "flush.h"

namespace {

// Row and position of every slice in one number, so that sorting keeps the order of a row's slices.
template <class Index>
size_t fillKeys(const Slices& slices, double rows, uint64_t* keys) {
  const Index* indices = static_cast<const Index*>(slices.indices);
  for (size_t i = 0; i < slices.count; ++i) {
    const Index index = indices[i];  // read once: another thread may write it
    const double row = double(index);
    if (!(row >= 0 && row < rows && row == std::floor(row))) return i;
    keys[i] = uint64_t(row) << 32 | i;
  }
  return slices.count;
}

template <class T>
size_t sumSlices(const Slices& slices, const MergedRows& to) {
  const T* values = static_cast<const T*>(slices.values);
  size_t count = 0;
  for (size_t i = 0; i < slices.count; ++i) {
    const uint32_t row = uint32_t(to.keys[i] >> 32);
    const T* slice = values + size_t(uint32_t(to.keys[i])) * slices.columns;
    if (count == 0 || to.rows[count - 1] != row) {
      to.rows[count] = row;
      if (slices.columns > 0) std::memcpy(static_cast<T*>(to.values) + count * slices.columns, slice, slices.columns * sizeof(T));
      ++count;
    } else {
      T* sum = static_cast<T*>(to.values) + (count - 1) * slices.columns;
      for (size_t j = 0; j < slices.columns; ++j) sum[j] = sum[j] + slice[j];
    }
  }
  return count;
}

}  // namespace

double mergeSlices(Dtype dtype, const Slices& slices, double rows, const MergedRows& to) {
  const size_t good = slices.kind == Slices::kInt32    ? fillKeys<int32_t>(slices, rows, to.keys)
                      : slices.kind == Slices::kUint32 ? fillKeys<uint32_t>(slices, rows, to.keys)
                                                       : fillKeys<double>(slices, rows, to.keys);
  if (good < slices.count) return -1 - double(good);
  std::sort(to.keys, to.keys + slices.count);
  const FlushDenormals flush(dtype);
  return double(dtype == kFloat32 ? sumSlices<float>(slices, to) : sumSlices<double>(slices, to));
}

void putRows(void* dense, const uint32_t* rows, size_t count, size_t bytes, const void* values) {
  if (bytes == 0) return;
  for (size_t i = 0; i < count; ++i) {
    char* row = static_cast<char*>(dense) + size_t(rows[i]) * bytes;
    if (values != nullptr) std::memcpy(row, static_cast<const char*>(values) + i * bytes, bytes);
    else std::memset(row, 0, bytes);
  }
}
