// The Newton-Schulz iteration of Muon (Jordan 2024, kellerjordan.github.io/posts/muon): moves the singular values of a
// matrix towards 1 and leaves its singular vectors. Keras's order of operations: keras/src/optimizers/muon.py.
//   x <- x / (|x| + 1e-7)                         |x| is the Frobenius norm
//   A <- x x';  B <- b A + (c A) A;  x <- a x + B x          as often as `steps` says
// Keras transposes a matrix that has more rows than columns, before and after. Here A is x' x then, and x <- a x + x B: the
// same sums in the same order.
#pragma once
#include "product.h"

template <class T>
struct NewtonSchulz {
  T a, b, c;
  size_t steps;
};

// Numbers of T that the iteration takes as working memory.
template <class T>
size_t newtonSchulzLength(size_t rows, size_t columns);

// `x` is rows x columns and becomes the result. `squares` is the sum of its squares; `memory` is aligned to kTileBytes.
template <class T>
void newtonSchulz(T* x, size_t rows, size_t columns, double squares, const NewtonSchulz<T>& with, const Means& means, T* memory);
