// RMSprop: Tieleman and Hinton 2012, cs.toronto.edu/~tijmen/csc321/slides/lecture_slides_lec6.pdf; centered: Graves 2013,
// arxiv.org/abs/1308.0850. Keras's order of operations: keras/src/optimizers/rmsprop.py.
//   v <- rho v + (1 - rho) g^2                    mean of squares
//   a <- rho a + (1 - rho) g                      centered only: mean, d = v - a^2; else d = v
//   m <- momentum m + lr g / sqrt(d + epsilon)    with momentum; else m is the last term
//   p <- p - m
// epsilon stands under the root. In float32 v - a^2 may be a little below 0, as it may be in Keras.
#pragma once
#include "rule.h"

struct Rmsprop {
  static constexpr Text name = "rmsprop";
  static constexpr auto slots = names("velocity");
  static constexpr auto scalars = names("rho", "one_minus_rho", "learning_rate", "epsilon", "momentum");
  template <class T>
  struct Scalars {
    T rho, one_minus_rho, learning_rate, epsilon, momentum;
  };
  template <class T>
  RULE static void average(T& mean, T x, const Scalars<T>& k) {
    mean = k.rho * mean + k.one_minus_rho * x;
  }
  template <class T>
  RULE static T increment(T g, T d, const Scalars<T>& k) {
    return k.learning_rate * g / squareRoot(d + k.epsilon);
  }
  template <class T>
  RULE static void update(T& p, T g, T& v, const Scalars<T>& k) {
    average(v, g * g, k);
    p = p - increment(g, v, k);
  }
};

struct RmspropMomentum : Rmsprop {
  static constexpr Text name = "rmsprop_momentum";
  static constexpr auto slots = names("velocity", "momentum");
  template <class T>
  RULE static void update(T& p, T g, T& v, T& m, const Scalars<T>& k) {
    average(v, g * g, k);
    m = k.momentum * m + increment(g, v, k);
    p = p - m;
  }
};

struct RmspropCentered : Rmsprop {
  static constexpr Text name = "rmsprop_centered";
  static constexpr auto slots = names("velocity", "average_gradient");
  template <class T>
  RULE static void update(T& p, T g, T& v, T& a, const Scalars<T>& k) {
    average(v, g * g, k);
    average(a, g, k);
    p = p - increment(g, v - a * a, k);
  }
};

struct RmspropCenteredMomentum : Rmsprop {
  static constexpr Text name = "rmsprop_centered_momentum";
  static constexpr auto slots = names("velocity", "momentum", "average_gradient");
  template <class T>
  RULE static void update(T& p, T g, T& v, T& m, T& a, const Scalars<T>& k) {
    average(v, g * g, k);
    average(a, g, k);
    m = k.momentum * m + increment(g, v - a * a, k);
    p = p - m;
  }
};
