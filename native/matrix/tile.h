// The unit of a matrix product: what an instruction set's inner loop (native/cpu/tile.inc) computes at a time.
#pragma once
#include <cstddef>

constexpr size_t kTileRows = 12, kTileBytes = 64;  // rows, and bytes of each, on every instruction set
template <class T>
constexpr size_t kTileColumns = kTileBytes / sizeof(T);

// Adds left right to the sums of a tile: left is depth x kTileRows, right depth x kTileColumns, sums kTileRows x kTileColumns.
// right and sums are aligned to kTileBytes.
using AddTile = void (*)(const void* left, const void* right, size_t depth, void* sums);
