// Schedule-Free AdamW: Defazio et al. 2024, arxiv.org/abs/2405.15682.
// Keras's order of operations: keras/src/optimizers/schedule_free_adamw.py.
//   v <- v + (g^2 - v) (1 - beta_2)               second moment
//   x <- (p - (1 - beta_1) z) / beta_1            the average so far; p is the point y between it and z
//   z <- z - lr g / (sqrt(v / (1 - beta_2^t)) + epsilon)
//   x <- (1 - w) x + w z                          w = 1 / t
//   p <- (1 - beta_1) z + beta_1 x
// Keras means the z before the step where it is read first, and has that on JAX; on TensorFlow it reads the new one.
#pragma once
#include "rule.h"

struct ScheduleFreeAdamW {
  static constexpr Text name = "schedule_free_adamw";
  static constexpr auto slots = names("momentum", "velocity");
  static constexpr auto scalars = names("one_minus_beta_2", "one_minus_beta_1", "beta_1", "learning_rate",
                                        "one_minus_beta_2_power", "epsilon", "one_minus_weight", "weight");
  template <class T>
  struct Scalars {
    T one_minus_beta_2, one_minus_beta_1, beta_1, learning_rate, one_minus_beta_2_power, epsilon, one_minus_weight, weight;
  };
  template <class T>
  RULE static void update(T& p, T g, T& z, T& v, const Scalars<T>& k) {
    v = v + (g * g - v) * k.one_minus_beta_2;
    const T before = (p - k.one_minus_beta_1 * z) / k.beta_1;
    z = z - k.learning_rate * g / (squareRoot(v / k.one_minus_beta_2_power) + k.epsilon);
    const T x = k.one_minus_weight * before + k.weight * z;
    p = k.one_minus_beta_1 * z + k.beta_1 * x;
  }
};
