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

// How a loop is run: with the rule's one function; or, for a rule that divides by scalars, quickly, keeping the variable as
// it was in `saved`, and where that was not exact once more from there, with the moments as they are by then.
enum Way { kWhole, kQuick, kRepair };

template <Way kWay, class Rule, class T, class... Slot>
RULE void updateOne(T& p, T g, const typename Rule::template Scalars<T>& scalars, Slot&... slots) {
  if constexpr (!__is_base_of(DividesByScalars, Rule)) {
    Rule::update(p, g, slots..., scalars);
  } else {
    if constexpr (kWay != kRepair) Rule::moments(g, slots..., scalars);
    Rule::template step<kWay == kQuick>(p, g, slots..., scalars);
  }
}

template <class Rule, class T, bool kPrelude, bool kDecay, Way kWay, class... Slot>
RULE void walk(size_t length, const Prelude<T> prelude, const Decay<T> decay,
               const typename Rule::template Scalars<T> scalars, T* __restrict saved, T* __restrict p, const T* __restrict g,
               Slot* __restrict... slots) {
  for (size_t i = 0; i < length; ++i) {
    const T gradient = kPrelude ? prelude.apply(g[i]) : g[i];
    if (kWay == kQuick) saved[i] = p[i];
    if (kWay == kRepair) p[i] = saved[i];
    if (kDecay) p[i] = decay.apply(p[i]);
    updateOne<kWay, Rule>(p[i], gradient, scalars, slots[i]...);
  }
}
