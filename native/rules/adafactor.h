// Adafactor: second moments of a matrix as the product of its rows' and its columns' means, for models whose state has to be
// small. Shazeer and Stern 2018, arxiv.org/abs/1804.04235; Keras's order of operations: keras/src/optimizers/adafactor.py.
//   s <- g^2 + epsilon_1
//   r <- b r + (1 - b) mean(s, columns)           one number for each row; b = 1 - t^beta_2_decay
//   c <- b c + (1 - b) mean(s, rows)              one for each column
//   v <- (r / mean(r)) c
//   d <- g / sqrt(v)
//   p <- p - max(epsilon_2, RMS(p)) rho d / max(1, RMS(d) / clip_threshold)        RMS: root of the mean of squares
// adafactor, for variables of less than two dimensions, has v <- b v + (1 - b) s. In adafactor_factored, d is the gradient until
// native/matrix/adafactor.cpp has made the rest of it.
// Where neither a row nor a column has a gradient, v underflows to 0: Keras divides 0 by it, and the variable is NaN from then on.
// Here the root is that of the smallest normal number at least.
#pragma once
#include "rule.h"

template <class T>
RULE T rootOfMoment(T v) {
  return squareRoot(maximum(v, T(sizeof(T) == sizeof(float) ? 0x1p-126 : 0x1p-1022)));
}

struct Adafactor {
  static constexpr Text name = "adafactor";
  static constexpr Whole whole = kRelative;
  static constexpr auto slots = names("velocity");
  static constexpr auto scalars = names("beta_2", "one_minus_beta_2", "epsilon_1", "epsilon_2", "rho", "clip_threshold");
  template <class T>
  struct Scalars {
    T beta_2, one_minus_beta_2, epsilon_1, epsilon_2, rho, clip_threshold;
  };
  template <class T>
  RULE static void update(T& d, T g, T& v, const Scalars<T>& k) {
    v = k.beta_2 * v + k.one_minus_beta_2 * (g * g + k.epsilon_1);
    d = g / rootOfMoment(v);
  }
};

struct AdafactorFactored {
  static constexpr Text name = "adafactor_factored";
  static constexpr Whole whole = kFactored;
  static constexpr auto slots = names();
  static constexpr auto scalars = Adafactor::scalars;
  template <class T>
  using Scalars = Adafactor::Scalars<T>;
  template <class T>
  RULE static void update(T& d, T g, const Scalars<T>&) {
    d = g;
  }
};
