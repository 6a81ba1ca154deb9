// Stochastic gradient descent, with momentum (Polyak 1964, doi.org/10.1016/0041-5553(64)90137-5) and Nesterov's form
// (Sutskever 2013, proceedings.mlr.press/v28/sutskever13). Keras's order of operations: keras/src/optimizers/sgd.py.
//   p <- p - g lr                                 sgd
//   m <- m mu - g lr;  p <- p + m                 sgd_momentum
//   m <- m mu - g lr;  p <- p + (m mu - g lr)     sgd_nesterov
// The learning rate is inside the momentum (PyTorch has it outside): changing it does not rescale what m holds.
#pragma once
#include "rule.h"

struct Sgd : Sparse {
  static constexpr Text name = "sgd";
  static constexpr auto slots = names();
  static constexpr auto scalars = names("learning_rate");
  template <class T>
  struct Scalars {
    T learning_rate;
  };
  template <class T>
  RULE static void update(T& p, T g, const Scalars<T>& k) {
    p = p - g * k.learning_rate;
  }
};

struct SgdMomentum {
  static constexpr Text name = "sgd_momentum";
  static constexpr auto slots = names("momentum");
  static constexpr auto scalars = names("learning_rate", "momentum");
  template <class T>
  struct Scalars {
    T learning_rate, momentum;
  };
  template <class T>
  RULE static void update(T& p, T g, T& m, const Scalars<T>& k) {
    m = m * k.momentum - g * k.learning_rate;
    p = p + m;
  }
};

struct SgdNesterov {
  static constexpr Text name = "sgd_nesterov";
  static constexpr auto slots = SgdMomentum::slots;
  static constexpr auto scalars = SgdMomentum::scalars;
  template <class T>
  using Scalars = SgdMomentum::Scalars<T>;
  template <class T>
  RULE static void update(T& p, T g, T& m, const Scalars<T>& k) {
    const T step = g * k.learning_rate;
    m = m * k.momentum - step;
    p = p + (m * k.momentum - step);
  }
};
