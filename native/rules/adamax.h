// Adamax: Kingma and Ba 2014, arxiv.org/abs/1412.6980, section 7.1.
// Keras's order of operations: keras/src/optimizers/adamax.py.
//   m <- m + (g - m) (1 - beta_1)                 first moment
//   u <- max(beta_2 u, |g|)                       infinity norm
//   p <- p - lr m / ((1 - beta_1^t) (u + epsilon))
// The paper has no epsilon.
#pragma once
#include "rule.h"

struct Adamax {
  static constexpr Text name = "adamax";
  static constexpr auto slots = names("momentum", "norm");
  static constexpr auto scalars =
      names("one_minus_beta_1", "beta_2", "learning_rate", "one_minus_beta_1_power", "epsilon");
  template <class T>
  struct Scalars {
    T one_minus_beta_1, beta_2, learning_rate, one_minus_beta_1_power, epsilon;
  };
  template <class T>
  RULE static void update(T& p, T g, T& m, T& u, const Scalars<T>& k) {
    m = m + (g - m) * k.one_minus_beta_1;
    u = maximum(k.beta_2 * u, magnitude(g));
    p = p - k.learning_rate * m / (k.one_minus_beta_1_power * (u + k.epsilon));
  }
};
