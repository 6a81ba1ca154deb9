// Adam: Kingma and Ba 2014, arxiv.org/abs/1412.6980; AMSGrad: Reddi 2018, openreview.net/forum?id=ryQu7f-RZ.
// Keras's order of operations: keras/src/optimizers/adam.py.
//   m <- m + (g - m) (1 - beta_1)                 first moment
//   v <- v + (g^2 - v) (1 - beta_2)               second moment
//   w <- max(w, v)                                adam_amsgrad only, which divides by w's root instead of v's
//   p <- p - m alpha / (sqrt(v) + epsilon)        alpha = lr sqrt(1 - beta_2^t) / (1 - beta_1^t)
// epsilon is the paper's "epsilon hat": it stands beside the root of the uncorrected second moment.
#pragma once
#include "rule.h"

struct Adam {
  static constexpr Text name = "adam";
  static constexpr auto slots = names("momentum", "velocity");
  static constexpr auto scalars = names("one_minus_beta_1", "one_minus_beta_2", "alpha", "epsilon");
  template <class T>
  struct Scalars {
    T one_minus_beta_1, one_minus_beta_2, alpha, epsilon;
  };
  template <class T>
  RULE static void update(T& p, T g, T& m, T& v, const Scalars<T>& k) {
    m = m + (g - m) * k.one_minus_beta_1;
    v = v + (g * g - v) * k.one_minus_beta_2;
    p = p - m * k.alpha / (squareRoot(v) + k.epsilon);
  }
};

struct AdamAmsgrad {
  static constexpr Text name = "adam_amsgrad";
  static constexpr auto slots = names("momentum", "velocity", "velocity_hat");
  static constexpr auto scalars = Adam::scalars;
  template <class T>
  using Scalars = Adam::Scalars<T>;
  template <class T>
  RULE static void update(T& p, T g, T& m, T& v, T& w, const Scalars<T>& k) {
    m = m + (g - m) * k.one_minus_beta_1;
    v = v + (g * g - v) * k.one_minus_beta_2;
    w = maximum(w, v);
    p = p - m * k.alpha / (squareRoot(w) + k.epsilon);
  }
};
