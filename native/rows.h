// The rows of a sparse gradient: merged, so that each comes once, and put into a dense gradient that is zero elsewhere.
#pragma once
#include <cstddef>
#include <cstdint>

#include "work.h"

// A sparse gradient as it is given: `count` slices of `columns` numbers, each with the index of its row.
struct Slices {
  enum Indices { kInt32, kUint32, kFloat64 } kind;
  const void* indices;
  const void* values;
  size_t count, columns;
};

// Where merged rows go: room for as many as there are slices, and for a key of each.
struct MergedRows {
  uint32_t* rows;
  void* values;
  uint64_t* keys;
};

// The rows in ascending order, each with the sum of its slices in the order in which they came, in the arithmetic of the dtype.
// Returns how many there are; or -1 - i, with nothing summed, if index i is no whole number in [0, rows).
double mergeSlices(Dtype dtype, const Slices& slices, double rows, const MergedRows& to);

// Writes rows, of `bytes` each, into `dense`; zeros if there are no values.
void putRows(void* dense, const uint32_t* rows, size_t count, size_t bytes, const void* values);
