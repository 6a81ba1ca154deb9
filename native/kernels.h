// The table of functions that an instruction set fills: every rule for every dtype, the reductions, and the matrix product.
#pragma once
#include "matrix/tile.h"
#include "rules.h"
#include "work.h"

struct Kernels {
  // Updates tensor's elements begin .. begin + length.
  using Update = void (*)(const Tensor& tensor, size_t begin, size_t length, const Control& control);
  // Sum of squares of the elements begin .. begin + length of g / unscale; length <= kBlock.
  using SumOfSquares = double (*)(const Tensor& tensor, size_t begin, size_t length, double unscale);
  // Whether the elements begin .. begin + length of g are numbers: neither NaN nor infinite.
  using Finite = bool (*)(const Tensor& tensor, size_t begin, size_t length);

  // The same of the variable, as the weight decay leaves it; nothing is written.
  using SumOfDecayed = double (*)(const Tensor& tensor, size_t begin, size_t length, const Control& control);

  // Adafactor's sums of g^2 + epsilon over each of some rows, and over each column on top of what `columnSums` has.
  using AddFactors = void (*)(const void* g, size_t rows, size_t columns, double epsilon, double* rowSums, double* columnSums);
  // v <- scales x c, the outer product; direction <- direction / sqrt(v).
  using DivideByFactors = void (*)(const void* scales, const void* c, size_t rows, size_t columns, void* v, void* direction);

  Update update[Rules::size][kDtypes];
  SumOfSquares sumOfSquares[kDtypes];
  SumOfDecayed sumOfDecayed[kDtypes];
  AddFactors addFactors[kDtypes];
  DivideByFactors divideByFactors[kDtypes];
  AddTile addTile[kDtypes];
  Finite finite[kDtypes];
};
