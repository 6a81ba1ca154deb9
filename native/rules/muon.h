// Muon: momentum whose direction is made orthogonal, matrix by matrix. Jordan 2024, kellerjordan.github.io/posts/muon; the step's
// size as in Liu et al. 2025, arxiv.org/abs/2502.16982. Keras's order of operations: keras/src/optimizers/muon.py.
//   m <- m + (g + m (momentum - 1))               a sum, not a mean
//   u <- m                                        muon
//   u <- g + momentum m                           muon_nesterov
//   u <- Newton-Schulz of u                       native/matrix/newton_schulz.h
//   p <- p - u lr sqrt(max(rows, columns)) rms_rate
// The last two lines are native/matrix/muon.cpp's and that of the rule Descend. Without an rms_rate (`adjusts` is 0), u lr.
#pragma once
#include "rule.h"

struct Muon {
  static constexpr Text name = "muon";
  static constexpr Whole whole = kOrthogonal;
  static constexpr auto slots = names("momentum");
  static constexpr auto scalars = names("momentum_minus_one", "momentum", "learning_rate", "adjusts", "rms_rate", "muon_a",
                                        "muon_b", "muon_c", "ns_steps");
  template <class T>
  struct Scalars {
    T momentum_minus_one, momentum, learning_rate, adjusts, rms_rate, muon_a, muon_b, muon_c, ns_steps;
  };
  template <class T>
  RULE static void update(T& u, T g, T& m, const Scalars<T>& k) {
    m = m + (g + m * k.momentum_minus_one);
    u = m;
  }
};

struct MuonNesterov {
  static constexpr Text name = "muon_nesterov";
  static constexpr Whole whole = Muon::whole;
  static constexpr auto slots = Muon::slots;
  static constexpr auto scalars = Muon::scalars;
  template <class T>
  using Scalars = Muon::Scalars<T>;
  template <class T>
  RULE static void update(T& u, T g, T& m, const Scalars<T>& k) {
    m = m + (g + m * k.momentum_minus_one);
    u = g + k.momentum * m;
  }
};
