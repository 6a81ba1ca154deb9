// What surrounds an update in keras/src/optimizers/base_optimizer.py, as rules: p is the state that is written, g what is
// read. A gradient accumulator, the exponential moving average of a variable, and the copy of the average into it.
//   p <- (g + p) / count                          accumulate: count is 1 but in the last micro-step of a cycle
//   p <- momentum p + (1 - momentum) g            average
//   p <- g                                        copy
//   p <- 0                                        zero
//   p <- p - g                                    descend: g is a direction (Whole)
// And what an optimizer that steps in TypeScript has done before: p only decays.
//   prepared <- g                                 prepare
#pragma once
#include "rule.h"

struct Accumulate {
  static constexpr Text name = "accumulate";
  static constexpr auto slots = names();
  static constexpr auto scalars = names("count");
  template <class T>
  struct Scalars {
    T count;
  };
  template <class T>
  RULE static void update(T& p, T g, const Scalars<T>& k) {
    p = (g + p) / k.count;
  }
};

struct Average {
  static constexpr Text name = "average";
  static constexpr auto slots = names();
  static constexpr auto scalars = names("momentum", "one_minus_momentum");
  template <class T>
  struct Scalars {
    T momentum, one_minus_momentum;
  };
  template <class T>
  RULE static void update(T& p, T g, const Scalars<T>& k) {
    p = k.momentum * p + k.one_minus_momentum * g;
  }
};

struct Copy {
  static constexpr Text name = "copy";
  static constexpr auto slots = names();
  static constexpr auto scalars = names();
  template <class T>
  struct Scalars {};
  template <class T>
  RULE static void update(T& p, T g, const Scalars<T>&) {
    p = g;
  }
};

struct Zero {
  static constexpr Text name = "zero";
  static constexpr auto slots = names();
  static constexpr auto scalars = names();
  template <class T>
  using Scalars = Copy::Scalars<T>;
  template <class T>
  RULE static void update(T& p, T, const Scalars<T>&) {
    p = 0;
  }
};

struct Descend {
  static constexpr Text name = "descend";
  static constexpr auto slots = names();
  static constexpr auto scalars = names();
  template <class T>
  using Scalars = Copy::Scalars<T>;
  template <class T>
  RULE static void update(T& p, T g, const Scalars<T>&) {
    p = p - g;
  }
};

struct Prepare {
  static constexpr Text name = "prepare";
  static constexpr auto slots = names("prepared");
  static constexpr auto scalars = names();
  template <class T>
  using Scalars = Copy::Scalars<T>;
  template <class T>
  RULE static void update(T&, T g, T& prepared, const Scalars<T>&) {
    prepared = g;
  }
};
