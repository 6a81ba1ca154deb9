// Lion: Chen et al. 2023, arxiv.org/abs/2302.06675. Keras's order of operations: keras/src/optimizers/lion.py.
//   p <- p - lr sign(m beta_1 + g (1 - beta_1))   with the m of the step before
//   m <- m beta_2 + g (1 - beta_2)
#pragma once
#include "rule.h"

struct Lion {
  static constexpr Text name = "lion";
  static constexpr auto slots = names("momentum");
  static constexpr auto scalars = names("beta_1", "one_minus_beta_1", "beta_2", "one_minus_beta_2", "learning_rate");
  template <class T>
  struct Scalars {
    T beta_1, one_minus_beta_1, beta_2, one_minus_beta_2, learning_rate;
  };
  template <class T>
  RULE static void update(T& p, T g, T& m, const Scalars<T>& k) {
    p = p - k.learning_rate * sign(m * k.beta_1 + g * k.one_minus_beta_1);
    m = m * k.beta_2 + g * k.one_minus_beta_2;
  }
};
