// The table of functions that an instruction set fills: every rule for every dtype, and the reductions.
#pragma once
#include "rules.h"
#include "work.h"

struct Kernels {
  // Updates tensor's elements begin .. begin + length.
  using Update = void (*)(const Tensor& tensor, size_t begin, size_t length, const Control& control);
  // Sum of squares of the elements begin .. begin + length of g / unscale; length <= kBlock.
  using SumOfSquares = double (*)(const Tensor& tensor, size_t begin, size_t length, double unscale);

  // The same of the variable, as the weight decay leaves it; nothing is written.
  using SumOfDecayed = double (*)(const Tensor& tensor, size_t begin, size_t length, const Control& control);

  Update update[Rules::size][kDtypes];
  SumOfSquares sumOfSquares[kDtypes];
  SumOfDecayed sumOfDecayed[kDtypes];
};
