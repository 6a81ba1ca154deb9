// Ftrl, "follow the regularized leader": McMahan et al. 2013, doi.org/10.1145/2487575.2488200.
// Keras's order of operations: keras/src/optimizers/ftrl.py.
//   N = n + g^2                                   sum of squared gradients
//   z <- z + (g + 2 l2_shrinkage p - (N^power - n^power) / lr p)
//   p <- (clamp(z, l1) - z) / (N^power / lr + 2 l2)
//   n <- N
// power is 1/2 in ftrl, as in the paper, and any number >= 0 in ftrl_power. Keras's l2 holds the paper's beta as beta / (2 lr).
#pragma once
#include "power.h"
#include "rule.h"

struct Ftrl {
  static constexpr Text name = "ftrl";
  static constexpr auto slots = names("accumulator", "linear");
  static constexpr auto scalars = names("learning_rate", "l1", "two_l2", "two_l2_shrinkage");
  template <class T>
  struct Scalars {
    T learning_rate, l1, two_l2, two_l2_shrinkage;
  };
  // before = n^power, after = N^power
  template <class T>
  RULE static void lead(T& p, T g, T before, T after, T& z, const Scalars<T>& k) {
    z = z + (g + k.two_l2_shrinkage * p - (after - before) / k.learning_rate * p);
    p = (clamp(z, k.l1) - z) / (after / k.learning_rate + k.two_l2);
  }
  template <class T>
  RULE static void update(T& p, T g, T& n, T& z, const Scalars<T>& k) {
    const T next = n + g * g;
    lead(p, g, squareRoot(n), squareRoot(next), z, k);
    n = next;
  }
};

struct FtrlPower : Heavy {
  static constexpr Text name = "ftrl_power";
  static constexpr auto slots = Ftrl::slots;
  static constexpr auto scalars = names("learning_rate", "l1", "two_l2", "two_l2_shrinkage", "power");
  template <class T>
  struct Scalars : Ftrl::Scalars<T> {
    T exponent;
  };
  template <class T>
  RULE static void update(T& p, T g, T& n, T& z, const Scalars<T>& k) {
    const T next = n + g * g;
    Ftrl::lead(p, g, power(n, k.exponent), power(next, k.exponent), z, k);
    n = next;
  }
};
