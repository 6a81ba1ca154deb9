// Adagrad: Duchi, Hazan and Singer 2011, jmlr.org/papers/v12/duchi11a.html.
// Keras's order of operations: keras/src/optimizers/adagrad.py.
//   a <- a + g^2
//   p <- p - lr g / sqrt(a + epsilon)
#pragma once
#include "rule.h"

struct Adagrad : Sparse {
  static constexpr Text name = "adagrad";
  static constexpr auto slots = names("accumulator");
  static constexpr auto scalars = names("learning_rate", "epsilon");
  template <class T>
  struct Scalars {
    T learning_rate, epsilon;
  };
  template <class T>
  RULE static void update(T& p, T g, T& a, const Scalars<T>& k) {
    a = a + g * g;
    p = p - k.learning_rate * g / squareRoot(a + k.epsilon);
  }
};
