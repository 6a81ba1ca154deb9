// One element: prelude, decay, rule. And the walk over a chunk of them.
#pragma once
#include "rules/rule.h"
#include "work.h"

// The gradient's way from the caller to the rule: unscaling, clipping by norm, clipping by value. Keras divides where
// this divides; with neutral values every operation is exact, so it may be left out (kPrelude false).
template <class T>
struct Prelude {
  T unscale, multiplier, divisor, limit;
  RULE T apply(T g) const { return clamp(g / unscale * multiplier / divisor, limit); }
};

template <class T>
struct Decay {
  T weight_decay, learning_rate;
  RULE T apply(T p) const { return p - p * weight_decay * learning_rate; }
};

template <class Rule, class T, bool kPrelude, bool kDecay, class... Slot>
RULE void walk(size_t length, const Prelude<T> prelude, const Decay<T> decay,
               const typename Rule::template Scalars<T> scalars, T* __restrict p, const T* __restrict g,
               Slot* __restrict... slots) {
  for (size_t i = 0; i < length; ++i) {
    const T gradient = kPrelude ? prelude.apply(g[i]) : g[i];
    if (kDecay) p[i] = decay.apply(p[i]);
    Rule::update(p[i], gradient, slots[i]..., scalars);
  }
}
