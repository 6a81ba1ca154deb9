// The matrix product in one fixed order. Every element of the result is a sum over k in blocks of kDepth: in a block k runs
// upwards from 0, each product and each sum rounded in T, and the blocks' sums are added in order. So the bits depend on
// neither the instruction set nor the threads.
#pragma once
#include <atomic>

#include "../rules/rule.h"
#include "tile.h"

constexpr size_t kDepth = 256;  // k's in a block

// lines x depth numbers: an element's place is line * lineStep + k * depthStep. The lines of a left operand are its rows, of
// a right one its columns.
template <class T>
struct Operand {
  const T* data;
  size_t lines, lineStep, depthStep;
};

// out <- out_scale out + (scale left) right, row after row; out is not read where out_scale is 0. An operand may be out.
template <class T>
struct Product {
  Operand<T> left, right;
  size_t depth;
  T scale, out_scale;
  T* out;
  bool symmetric;  // the result is: its lower half is computed, the other mirrored
};

struct Blas;

// What computes a product.
struct Means {
  AddTile addTile;
  const Blas* blas;                    // instead of it, if there is one
  const std::atomic<bool>* cancelled;  // stops between pieces of work
};

// Numbers of T that computing a product takes as working memory.
template <class T>
size_t packedLength(size_t leftLines, size_t rightLines, size_t depth);

// `packed`, the working memory, is aligned to kTileBytes.
template <class T>
void multiply(const Product<T>& product, const Means& means, T* packed);
