// One element: prelude, decay, rule, average. And the walk over a chunk of them.
#pragma once
#include "rules/rule.h"
#include "rules/state.h"
#include "storage.h"
#include "work.h"

// The gradient's way from the caller to the rule in Keras: g / unscale * multiplier / divisor (loss scale, clipping by norm),
// clamped to the limit. Operations with a neutral number are exact, so they may be left out, and a division by a power of
// two is a multiplication: nothing is left in most steps, one multiplication where a loss scale or a norm is all there is, and
// one division in the rest. Of two divisions, one is done beforehand (native/cpu/kernels.inc).
enum Preparation { kNothing, kScale, kDivide };

template <class T>
struct Prelude {
  T first = 1, second, divisor, third = 1, limit;  // g * first * second / divisor * third

  RULE Prelude(const Control& c, const Tensor& t) : second(T(t.multiplier)), divisor(T(t.divisor)), limit(T(c.limit)) {
    if (isPowerOfTwo(c.unscale)) {
      first = T(1 / c.unscale);
    } else {
      third = second;
      second = 1;
      divisor = T(c.unscale);
    }
  }
  RULE static Preparation of(const Control& c, const Tensor& t) {
    const bool unlimited = t.divisor == 1 && c.limit == __builtin_inf();
    if (unlimited && c.unscale == 1) return t.multiplier == 1 ? kNothing : kScale;
    return unlimited && t.multiplier == 1 && isPowerOfTwo(c.unscale) ? kScale : kDivide;
  }
  // And such that its inverse is a normal number.
  RULE static bool isPowerOfTwo(double x) {
    uint64_t bits;
    __builtin_memcpy(&bits, &x, sizeof(bits));
    return x > 0x1p-100 && x < 0x1p100 && bits << 12 == 0;
  }
  // Whether there are two divisions.
  RULE static bool isLong(const Control& c, const Tensor& t) { return t.divisor != 1 && !isPowerOfTwo(c.unscale); }

  template <Preparation kPreparation>
  RULE T apply(T g) const {
    if (kPreparation == kNothing) return g;
    if (kPreparation == kScale) return g * (first * second);  // one of them is 1
    return clamp(g * first * second / divisor * third, limit);
  }
};

template <class T>
struct Decay {
  T weight_decay, learning_rate;
  RULE T apply(T p) const { return p - p * weight_decay * learning_rate; }
};

// The numbers from 0 on, as a type to deduce them from.
template <int... n>
struct Indices {};
template <int n, int... rest>
struct IndicesTo : IndicesTo<n - 1, n - 1, rest...> {};
template <int... n>
struct IndicesTo<0, n...> {
  using type = Indices<n...>;
};

// A rule's scalars in a dtype.
template <class Rule, class T, int... scalar>
RULE typename Rule::template Scalars<T> scalarsOf(const Control& c, Indices<scalar...>) {
  return {T(c.scalars[scalar])...};
}
template <class Rule, class T>
RULE typename Rule::template Scalars<T> scalarsOf(const Control& c) {
  return scalarsOf<Rule, T>(c, typename IndicesTo<decltype(Rule::scalars)::size>::type());
}

// The moving average of a variable as a further stream of its loop, where there is one (kAverage).
template <class T>
struct Averaging {
  T* __restrict average;
  Average::Scalars<T> scalars;
};

// How a loop is run: with the rule's one function; or, for a rule that divides by scalars, quickly, keeping what it
// overwrites; and where that was not exact once more from there. Moments are exact either way, so that the repair finds them
// as they are by then, but for encoded ones, which have been rounded since.
enum Way { kWhole, kQuick, kRepair };
template <class T, class Stored>
struct Kept {
  T p[kStage], average[kStage];
  Stored slots[kMaxSlots][sizeof(Stored) < sizeof(T) ? kStage : 1];
};

template <Way kWay, class Rule, class T, class... Slot>
RULE void updateOne(T& p, T g, const typename Rule::template Scalars<T>& scalars, Slot&&... slots) {
  if constexpr (!__is_base_of(DividesByScalars, Rule)) {
    Rule::update(p, g, slots.value..., scalars);
  } else {
    if constexpr (kWay != kRepair) Rule::moments(g, slots.value..., scalars);
    Rule::template step<kWay == kQuick>(p, g, slots.value..., scalars);
  }
}

// What the random numbers for encoded slots are made of.
struct Noise {
  uint32_t first;  // element
  uint32_t keys[kMaxSlots];
};

template <class Rule, class T, Preparation kPreparation, bool kDecay, bool kAverage, Slots kSlots, Way kWay, int... slot,
          class... Slot>
RULE void walk(size_t length, const Prelude<T> prelude, const Decay<T> decay, const Averaging<T> averaging,
               const typename Rule::template Scalars<T> scalars, const Noise noise, Indices<slot...>,
               Kept<T, typename Element<T, kSlots>::Stored>* __restrict kept, T* __restrict p, const T* __restrict g,
               Slot* __restrict... slots) {
  T* __restrict average = averaging.average;
  constexpr bool kEncoded = kSlots != kPlainSlots;
  const uint32_t count = uint32_t(length);
  for (uint32_t i = 0; i < count; ++i) {
    const T gradient = prelude.template apply<kPreparation>(g[i]);
    if (kWay == kQuick) kept->p[i] = p[i];
    if (kWay == kRepair) p[i] = kept->p[i];
    if constexpr (kEncoded && kWay == kQuick) ((kept->slots[slot][i] = slots[i]), ...);
    if constexpr (kEncoded && kWay == kRepair) ((slots[i] = kept->slots[slot][i]), ...);
    if (kDecay) p[i] = decay.apply(p[i]);
    updateOne<kEncoded && kWay == kRepair ? kWhole : kWay, Rule>(
        p[i], gradient, scalars, Element<T, kSlots>(slots[i], noise.first + i, noise.keys[slot])...);
    if (!kAverage) continue;
    if (kWay == kQuick) kept->average[i] = average[i];
    if (kWay == kRepair) average[i] = kept->average[i];
    Average::update(average[i], p[i], averaging.scalars);
  }
}
