// Adadelta: Zeiler 2012, arxiv.org/abs/1212.5701. Keras's order of operations: keras/src/optimizers/adadelta.py.
//   a <- rho a + (1 - rho) g^2                    mean of squared gradients
//   x <- -sqrt(d + epsilon) g / sqrt(a + epsilon)
//   d <- rho d + (1 - rho) x^2                    mean of squared steps
//   p <- p + lr x                                 the paper has lr = 1
#pragma once
#include "rule.h"

struct Adadelta {
  static constexpr Text name = "adadelta";
  static constexpr auto slots = names("accumulated_grad", "accumulated_delta_var");
  static constexpr auto scalars = names("rho", "one_minus_rho", "learning_rate", "epsilon");
  template <class T>
  struct Scalars {
    T rho, one_minus_rho, learning_rate, epsilon;
  };
  template <class T>
  RULE static void update(T& p, T g, T& a, T& d, const Scalars<T>& k) {
    a = k.rho * a + k.one_minus_rho * (g * g);
    const T x = -(squareRoot(d + k.epsilon) * g / squareRoot(a + k.epsilon));
    d = k.rho * d + k.one_minus_rho * (x * x);
    p = p + k.learning_rate * x;
  }
};
