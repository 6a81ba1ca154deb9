// Lamb: Adam whose step is as long as the variable, for large batches. You et al. 2019, arxiv.org/abs/1904.00962; Keras's order
// of operations: keras/src/optimizers/lamb.py.
//   m <- m + (g - m) (1 - beta_1)                 first moment
//   v <- v + (g^2 - v) (1 - beta_2)               second moment
//   d <- m / (1 - beta_1^t) / (sqrt(v / (1 - beta_2^t)) + epsilon)
//   p <- p - (|p| / |d|) lr d                     the norms of all of p and d; a quotient without two norms > 0 is 1
// In the paper, the weight decay is a part of d; in Keras it has changed p before.
#pragma once
#include "rule.h"

struct Lamb : DividesByScalars {
  static constexpr Text name = "lamb";
  static constexpr Whole whole = kTrustRatio;
  static constexpr auto slots = names("momentum", "velocity");
  static constexpr auto scalars = names("one_minus_beta_1", "one_minus_beta_2", "one_minus_beta_1_power",
                                        "one_minus_beta_2_power", "epsilon", "learning_rate");
  template <class T>
  struct Scalars {
    T one_minus_beta_1, one_minus_beta_2;
    Divisor<T> one_minus_beta_1_power, one_minus_beta_2_power;
    T epsilon, learning_rate;
  };
  template <class T>
  RULE static void moments(T g, T& m, T& v, const Scalars<T>& k) {
    m = m + (g - m) * k.one_minus_beta_1;
    v = v + (g * g - v) * k.one_minus_beta_2;
  }
  template <bool kQuick, class T>
  RULE static void step(T& d, T, T m, T v, const Scalars<T>& k) {
    d = divide<kQuick>(m, k.one_minus_beta_1_power) /
        (squareRoot(divide<kQuick>(v, k.one_minus_beta_2_power)) + k.epsilon);
  }
};
