// Nadam: Adam with Nesterov momentum. Dozat 2016, openreview.net/forum?id=OM0jvwB8jIp57ZJjtNEZ.
// Keras's order of operations: keras/src/optimizers/nadam.py.
//   m <- m + (g - m) (1 - beta_1)                 first moment
//   v <- v + (g^2 - v) (1 - beta_2)               second moment
//   p <- p - (u' m / (1 - U') + (1 - u) g / (1 - U)) lr / (sqrt(v / (1 - beta_2^t)) + epsilon)
// u, u' are this step's and the next one's momentum, U, U' their running products (lib/optimizers/nadam.ts).
// The paper's first moment uses u instead of beta_1, and its epsilon stands as here, beside the corrected root.
#pragma once
#include "rule.h"

struct Nadam : DividesByScalars {
  static constexpr Text name = "nadam";
  static constexpr auto slots = names("momentum", "velocity");
  static constexpr auto scalars =
      names("one_minus_beta_1", "one_minus_beta_2", "next_momentum", "one_minus_next_product", "one_minus_momentum",
            "one_minus_product", "one_minus_beta_2_power", "learning_rate", "epsilon");
  template <class T>
  struct Scalars {
    T one_minus_beta_1, one_minus_beta_2, next_momentum;
    Divisor<T> one_minus_next_product;
    T one_minus_momentum;
    Divisor<T> one_minus_product, one_minus_beta_2_power;
    T learning_rate, epsilon;
  };
  template <class T>
  RULE static void moments(T g, T& m, T& v, const Scalars<T>& k) {
    m = m + (g - m) * k.one_minus_beta_1;
    v = v + (g * g - v) * k.one_minus_beta_2;
  }
  template <bool kQuick, class T>
  RULE static void step(T& p, T g, T m, T v, const Scalars<T>& k) {
    const T m_hat = divide<kQuick>(k.next_momentum * m, k.one_minus_next_product) +
                    divide<kQuick>(k.one_minus_momentum * g, k.one_minus_product);
    p = p - m_hat * k.learning_rate / (squareRoot(divide<kQuick>(v, k.one_minus_beta_2_power)) + k.epsilon);
  }
};
