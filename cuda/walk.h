// What the kernels do, written for a group of threads whose barriers are the ends of `each`: on a device that is a block, on the
// host a loop over its threads (emulated/kernels.cpp), so that every line of it can be tested without a GPU. Over 200 lines: a
// body after the other, none of them long.
#pragma once
#include "../native/matrix/lengths.h"
#include "../native/rules.h"
#include "../native/storage.h"
#include "../native/update.h"
#include "work.h"

namespace cuda {

constexpr double kInfinity = __builtin_inf();

template <class E, int n>
struct alignas(sizeof(E) * n) Pack {
  E at[n];
};

// Up to n elements of an array, in one access where all are there and the address allows it.
template <int n, class E>
RULE void load(const void* array, size_t begin, size_t length, Pack<E, n>& to) {
  const E* from = static_cast<const E*>(array) + begin;
  if (length >= n && reinterpret_cast<uintptr_t>(from) % sizeof(to) == 0) {
    to = *reinterpret_cast<const Pack<E, n>*>(from);
  } else {
#pragma unroll
    for (int i = 0; i < n; ++i) to.at[i] = size_t(i) < length ? from[i] : E(0);
  }
}
template <int n, class E>
RULE void store(void* array, size_t begin, size_t length, const Pack<E, n>& from) {
  E* to = static_cast<E*>(array) + begin;
  if (length >= n && reinterpret_cast<uintptr_t>(to) % sizeof(from) == 0) {
    *reinterpret_cast<Pack<E, n>*>(to) = from;
  } else {
#pragma unroll
    for (int i = 0; i < n; ++i)
      if (size_t(i) < length) to[i] = from.at[i];
  }
}

// A whole pack at an address that allows it.
template <int n, class E>
RULE void loadWhole(const void* array, size_t begin, Pack<E, n>& to) {
  to = *reinterpret_cast<const Pack<E, n>*>(static_cast<const E*>(array) + begin);
}
template <int n, class E>
RULE void storeWhole(void* array, size_t begin, const Pack<E, n>& from) {
  *reinterpret_cast<Pack<E, n>*>(static_cast<E*>(array) + begin) = from;
}
template <class P>
RULE bool isAligned(const void* array) {
  return reinterpret_cast<uintptr_t>(array) % sizeof(P) == 0;
}

// The gradients of a target, however they lie in memory.
template <int n, class T>
RULE void loadGradients(const Given& from, size_t begin, size_t length, Pack<T, n>& to) {
  if constexpr (sizeof(T) == sizeof(float)) {
    if (from.storage != kPlain) {
      Pack<uint16_t, n> halves;
      load(from.g, begin, length, halves);
#pragma unroll
      for (int i = 0; i < n; ++i) to.at[i] = from.storage == kBfloat16 ? fromBfloat16(halves.at[i]) : fromFloat16(halves.at[i]);
      return;
    }
  }
  load(from.g, begin, length, to);
}

RULE bool runs(const Record& r, uint32_t pass) { return pass != kNone && r.list()[pass].active != 0; }
RULE bool isAbsent(const Record& r, const Target& s) { return s.needs != kNone && r.given[s.needs].absent != 0; }
RULE Given gradientsOf(const Record& r, const Target& s) {
  return s.late == kNone ? Given{s.g, kPlain, 0} : r.given[s.late];
}

// Keras's preparation of a gradient. Nothing is divided by 1: a division costs more than all else here.
template <class T>
struct Prepared {
  T unscale = 1, multiplier = 1, divisor = 1, limit = 1;
  bool neutral = true, unscales = false, divides = false;
  RULE Prepared() {}
  RULE Prepared(const Control& c, const Factor& f)
      : unscale(T(c.unscale)), multiplier(T(f.multiplier)), divisor(T(f.divisor)), limit(T(c.limit)),
        neutral(c.unscale == 1 && f.multiplier == 1 && f.divisor == 1 && c.limit == kInfinity), unscales(unscale != T(1)),
        divides(divisor != T(1)) {}
  RULE T apply(T g) const {
    if (neutral) return g;
    if (unscales) g = g / unscale;
    g = g * multiplier;
    if (divides) g = g / divisor;
    return clamp(g, limit);
  }
};

// A warp's share of a pack's elements: `lots` at a time, so that several accesses are under way.
template <class T>
struct Shape128 {
  static constexpr int pack = 16 / int(sizeof(T));  // elements
  static constexpr int lots = 2;
  static constexpr uint32_t row = kWarp * uint32_t(pack);  // elements of a lot
  static constexpr int sums = 4;                           // lanes of the sums in native/reduce.h, of each thread
  // A thread's sum for an element of a lot, and the lane that it stands for.
  RULE static int sumOf(int lot, int i) { return sizeof(T) == 8 ? lot * pack + i : i; }
  RULE static unsigned laneOf(unsigned thread, int sum) {
    return sizeof(T) == 8 ? unsigned(sum / pack) * row + thread * pack + unsigned(sum % pack) : thread * pack + unsigned(sum);
  }
};

// Folds the kLanes sums of every warp into its first one.
template <class Group>
RULE void foldAll(Group& group, double* lanes) {
  for (unsigned half = kLanes / 2; half > 0; half /= 2)
    group.each([&](unsigned thread) {
      double* own = lanes + thread / kWarp * kLanes;
      for (unsigned j = thread % kWarp; j < half; j += kWarp) own[j] = own[j] + own[j + half];
    });
}

template <class T>
RULE void putLanes(double* lanes, unsigned thread, const double* sums) {
#pragma unroll
  for (int i = 0; i < Shape128<T>::sums; ++i) lanes[thread / kWarp * kLanes + Shape128<T>::laneOf(thread % kWarp, i)] = sums[i];
}

// A step of one rule: what surrounds it, and the rule; for one that assigns directions, their sums of squares and those of the
// variables as the decay leaves them.
template <class Rule, class T, Slots kSlots>
struct Step {
  using Arguments = StepArguments;
  using Stored = typename Element<T, kSlots>::Stored;
  using S = Shape128<T>;
  static constexpr bool directed = wholeOf<Rule> != kElementwise;
  static constexpr int slots = decltype(Rule::slots)::size, pack = S::pack, lots = S::lots;
  static constexpr size_t shared = directed ? 2 * kWarps * kLanes : 0;
  // Blocks that a processor runs at once, for which the compiler saves registers: with fewer, too few accesses are under way.
  static constexpr int resident = directed || sizeof(T) == sizeof(double) ? 2 : 3;

  // What happens to the elements of a tile.
  struct Plan {
    bool accumulates, updates, zeroes, averages, overwrites, decays, stochastic;
    Given given;
    Prepared<T> accumulated, prepared;
    Decay<T> decay;
    Accumulate::Scalars<T> accumulation;
    Average::Scalars<T> average;
    typename Rule::template Scalars<T> scalars;
    Noise noise;
  };

  struct Lot {
    Pack<T, pack> p, g, accumulator, average, direction;
    Pack<Stored, pack> kept[slots > 0 ? slots : 1];
  };

  RULE static Plan planOf(const Arguments& a, const Target& s, size_t begin) {
    const Record& r = a.record;
    const bool absent = isAbsent(r, s);
    const Control& c = r.list()[a.passes.update];
    const auto scalar = [&](uint32_t pass, int i) { return pass == kNone ? T(1) : T(r.list()[pass].scalars[i]); };
    const bool accumulates = !absent && a.accumulated == 0 && s.accumulator != nullptr && runs(r, a.passes.accumulate);
    const Factor neutral = {1, 1};
    Plan plan = {accumulates,
                 !absent && runs(r, a.passes.update),
                 s.accumulator != nullptr && runs(r, a.passes.zero),
                 s.average != nullptr && runs(r, a.passes.average),
                 s.average != nullptr && runs(r, a.passes.overwrite),
                 s.decay != 0,
                 c.stochastic != 0,
                 gradientsOf(r, s),
                 {},
                 Prepared<T>(c, a.factors == nullptr ? neutral : a.factors[s.factor]),
                 {T(c.weight_decay), T(c.learning_rate)},
                 {scalar(a.passes.accumulate, 0)},
                 {scalar(a.passes.average, 0), scalar(a.passes.average, 1)},
                 scalarsOf<Rule, T>(c),
                 {}};
    if (accumulates) plan.accumulated = Prepared<T>(r.list()[a.passes.accumulate], neutral);
    else if (s.accumulator != nullptr && a.passes.accumulate != kNone) plan.given = {s.accumulator, kPlain, 0};
    plan.noise.first = uint32_t(begin);
    if constexpr (kSlots != kPlainSlots)
#pragma unroll
      for (int i = 0; i < slots; ++i) plan.noise.keys[i] = plan.stochastic ? keyOf(c, s.variable, uint32_t(i), begin) : 0;
    return plan;
  }

  // Most steps are an update and nothing else, of whole packs: that way has no other branches, and few registers.
  RULE static bool isLean(const Target& s, const Plan& plan, uint32_t length) {
    bool lean = plan.updates && !plan.accumulates && !plan.zeroes && !plan.averages && !plan.overwrites &&
                plan.given.storage == kPlain && length % uint32_t(pack) == 0 && isAligned<Pack<T, pack>>(s.p) &&
                isAligned<Pack<T, pack>>(plan.given.g) && (!directed || isAligned<Pack<T, pack>>(s.direction));
#pragma unroll
    for (int i = 0; i < slots; ++i) lean = lean && isAligned<Pack<Stored, pack>>(s.slots[i]);
    return lean;
  }

  template <bool kLean>
  RULE static void loadLot(const Target& s, const Plan& plan, size_t begin, size_t length, Lot& lot) {
    if constexpr (kLean) {
      loadWhole(plan.given.g, begin, lot.g);
      loadWhole(s.p, begin, lot.p);
#pragma unroll
      for (int i = 0; i < slots; ++i) loadWhole(s.slots[i], begin, lot.kept[i]);
      return;
    }
    if (plan.accumulates || plan.updates) loadGradients(plan.given, begin, length, lot.g);
    if (plan.accumulates) load(s.accumulator, begin, length, lot.accumulator);
    if (plan.updates || plan.averages) load(s.p, begin, length, lot.p);
    if (plan.averages || plan.overwrites) load(s.average, begin, length, lot.average);
    if (plan.updates)
#pragma unroll
      for (int i = 0; i < slots; ++i) load(s.slots[i], begin, length, lot.kept[i]);
  }

  template <bool kLean>
  RULE static void storeLot(const Target& s, const Plan& plan, size_t begin, size_t length, const Lot& lot) {
    if constexpr (kLean) {
      if (directed) storeWhole(s.direction, begin, lot.direction);
      else storeWhole(s.p, begin, lot.p);
#pragma unroll
      for (int i = 0; i < slots; ++i) storeWhole(s.slots[i], begin, lot.kept[i]);
      return;
    }
    if (plan.accumulates || plan.zeroes) store(s.accumulator, begin, length, lot.accumulator);
    if (directed && plan.updates) store(s.direction, begin, length, lot.direction);
    if ((!directed && plan.updates) || plan.overwrites) store(s.p, begin, length, lot.p);
    if (plan.averages) store(s.average, begin, length, lot.average);
    if (plan.updates)
#pragma unroll
      for (int i = 0; i < slots; ++i) store(s.slots[i], begin, length, lot.kept[i]);
  }

  template <int... slot>
  RULE static void update(const Plan& plan, T& p, T g, Lot& lot, int i, uint32_t element, Indices<slot...>) {
    if constexpr (kSlots == kPlainSlots) {
      updateOne<kWhole, Rule>(p, g, plan.scalars, Element<T, kPlainSlots>(lot.kept[slot].at[i], 0, 0)...);
    } else if (plan.stochastic) {
      updateOne<kWhole, Rule>(p, g, plan.scalars,
                              Element<T, kStochasticSlots>(lot.kept[slot].at[i], element, plan.noise.keys[slot])...);
    } else {
      updateOne<kWhole, Rule>(p, g, plan.scalars, Element<T, kNearestSlots>(lot.kept[slot].at[i], element, 0)...);
    }
  }

  template <bool kLean>
  RULE static void one(const Plan& plan, Lot& lot, int i, uint32_t element, double& sum, double& ofDirection) {
    T g = lot.g.at[i], p = lot.p.at[i];
    if (!kLean && plan.accumulates) {
      T& accumulator = lot.accumulator.at[i];
      Accumulate::update(accumulator, plan.accumulated.apply(g), plan.accumulation);
      g = accumulator;
    }
    if (kLean || plan.updates) {
      if (plan.decays) p = plan.decay.apply(p);
      T& to = directed ? lot.direction.at[i] : p;
      update(plan, to, plan.prepared.apply(g), lot, i, element, typename IndicesTo<slots>::type());
      if (directed) {
        const double x = p, d = to;
        sum = sum + x * x;
        ofDirection = ofDirection + d * d;
      }
    }
    if (!kLean && plan.zeroes) lot.accumulator.at[i] = 0;
    if (!kLean && plan.averages) Average::update(lot.average.at[i], p, plan.average);
    lot.p.at[i] = !kLean && plan.overwrites ? lot.average.at[i] : p;
  }

  // What a thread does to a lot that it has loaded.
  template <bool kLean>
  RULE static void finish(const Target& s, const Plan& plan, const Tile& tile, uint32_t at, int k, Lot& lot, double* sums,
                          double* ofDirections) {
    const uint32_t left = tile.length - at;
#pragma unroll
    for (int i = 0; i < pack; ++i)
      if (kLean || !directed || uint32_t(i) < left)
        one<kLean>(plan, lot, i, plan.noise.first + at + uint32_t(i), sums[S::sumOf(k, i)], ofDirections[S::sumOf(k, i)]);
    storeLot<kLean>(s, plan, tile.begin + at, left, lot);
  }

  // A thread's elements of a tile. Of elements beyond its end nothing is stored or added.
  RULE static void walk(const Arguments& a, const Tile tile, unsigned lane, double* sums, double* ofDirections) {
    const Target& s = a.targets[tile.target];
    const Plan plan = planOf(a, s, tile.begin);
    const uint32_t all = S::row * uint32_t(lots);
    if (isLean(s, plan, tile.length)) {
      const Target own = s;  // what is stored could overwrite the addresses in memory, for all that the compiler knows
      for (uint32_t first = lane * uint32_t(pack); first < tile.length; first += all) {
        Lot list[lots];
#pragma unroll
        for (int k = 0; k < lots; ++k) {
          const uint32_t at = first + uint32_t(k) * S::row;
          if (at < tile.length) loadLot<true>(own, plan, tile.begin + at, tile.length - at, list[k]);
        }
#pragma unroll
        for (int k = 0; k < lots; ++k) {
          const uint32_t at = first + uint32_t(k) * S::row;
          if (at < tile.length) finish<true>(own, plan, tile, at, k, list[k], sums, ofDirections);
        }
      }
      return;
    }
    for (uint32_t first = lane * uint32_t(pack); first < tile.length; first += all)
#pragma unroll
      for (int k = 0; k < lots; ++k) {
        const uint32_t at = first + uint32_t(k) * S::row;
        if (at >= tile.length) continue;
        Lot lot;
        loadLot<false>(s, plan, tile.begin + at, tile.length - at, lot);
        finish<false>(s, plan, tile, at, k, lot, sums, ofDirections);
      }
  }

  template <class Group>
  RULE static void run(const Arguments& a, Group& group) {
    double *lanes = group.shared, *ofDirections = lanes + (directed ? kWarps * kLanes : 0);
    const uint32_t first = group.block * kWarps;
    group.each([&](unsigned thread) {
      const uint32_t tile = first + thread / kWarp;
      double own[S::sums] = {}, ofOwn[S::sums] = {};
      if (tile < a.count) {
        const Flushing<T> flushing;
        walk(a, a.tiles[tile], thread % kWarp, own, ofOwn);
      }
      if constexpr (directed) {
        putLanes<T>(lanes, thread, own);
        putLanes<T>(ofDirections, thread, ofOwn);
      }
    });
    if constexpr (directed) {
      foldAll(group, lanes);
      foldAll(group, ofDirections);
      group.each([&](unsigned thread) {
        const uint32_t tile = first + thread / kWarp;
        if (thread % kWarp != 0 || tile >= a.count) return;
        const size_t block = a.targets[a.tiles[tile].target].firstBlock + a.tiles[tile].begin / kBlock;
        a.sums[block] = lanes[thread / kWarp * kLanes];
        a.ofDirections[block] = ofDirections[thread / kWarp * kLanes];
      });
    }
  }
};

// Whether a tile of gradients can be read in whole packs.
template <class T>
RULE bool isWhole(const Given& given, const Tile& tile) {
  constexpr uint32_t pack = Shape128<T>::pack;
  return given.storage == kPlain && tile.length % pack == 0 && isAligned<Pack<T, int(pack)>>(given.g);
}

// Calls of(lot, elements left, pack) for a thread's packs of a tile, from `begin` on. A tile of sums is long, and there are few:
// without many accesses under way its warp would wait for most of the time.
template <class T, class Of>
RULE void eachAhead(const void* array, const Tile& tile, uint32_t begin, const Of& of) {
  using S = Shape128<T>;
  constexpr int ahead = 4 * S::lots;
  for (uint32_t first = begin; first < tile.length; first += S::row * uint32_t(ahead)) {
    Pack<T, S::pack> packs[ahead];
#pragma unroll
    for (int k = 0; k < ahead; ++k)
      if (first + uint32_t(k) * S::row < tile.length) loadWhole(array, tile.begin + first + uint32_t(k) * S::row, packs[k]);
#pragma unroll
    for (int k = 0; k < ahead; ++k)
      if (first + uint32_t(k) * S::row < tile.length) of(k, tile.length - first - uint32_t(k) * S::row, packs[k]);
  }
}

// The sums of squares of gradients, block by block, as clipping by norm has them; accumulates before, where that is asked for.
struct SumOfSquares {
  using Arguments = SquaresArguments;
  static constexpr size_t shared = kWarps * kLanes;
  static constexpr int resident = 3;

  template <class T>
  RULE static void add(const Arguments& a, const Target& s, const Tile& tile, unsigned thread, double* lanes) {
    using S = Shape128<T>;
    const Flushing<T> flushing;
    const Record& r = a.record;
    const Factor neutral = {1, 1};
    const bool accumulates = s.accumulator != nullptr && runs(r, a.passes.accumulate);
    const T unscale = T(r.list()[a.passes.update].unscale);
    const bool unscales = r.list()[a.passes.update].unscale != 1;
    const Prepared<T> prepared = accumulates ? Prepared<T>(r.list()[a.passes.accumulate], neutral) : Prepared<T>();
    const Accumulate::Scalars<T> k = {accumulates ? T(r.list()[a.passes.accumulate].scalars[0]) : T(1)};
    const Given given = s.accumulator != nullptr && !accumulates ? Given{s.accumulator, kPlain, 0} : gradientsOf(r, s);
    double sums[S::sums] = {};
    const auto plus = [&](int lot, uint32_t left, const Pack<T, S::pack>& g) {
#pragma unroll
      for (int i = 0; i < S::pack; ++i) {
        if (uint32_t(i) >= left) continue;
        const double x = unscales ? g.at[i] / unscale : g.at[i];
        double& sum = sums[S::sumOf(lot % S::lots, i)];
        sum = sum + x * x;
      }
    };
    const uint32_t begin = thread % kWarp * uint32_t(S::pack);
    if (isAbsent(r, s)) {
    } else if (!accumulates && isWhole<T>(given, tile)) {
      eachAhead<T>(given.g, tile, begin, plus);
    } else {
      for (uint32_t first = begin; first < tile.length; first += S::row * uint32_t(S::lots))
#pragma unroll
        for (int lot = 0; lot < S::lots; ++lot) {
          const uint32_t at = first + uint32_t(lot) * S::row, left = tile.length - at;
          if (at >= tile.length) continue;
          Pack<T, S::pack> g, accumulator;
          loadGradients(given, tile.begin + at, left, g);
          if (accumulates) {
            load(s.accumulator, tile.begin + at, left, accumulator);
#pragma unroll
            for (int i = 0; i < S::pack; ++i) {
              Accumulate::update(accumulator.at[i], prepared.apply(g.at[i]), k);
              g.at[i] = accumulator.at[i];
            }
            store(s.accumulator, tile.begin + at, left, accumulator);
          }
          plus(lot, left, g);
        }
    }
    putLanes<T>(lanes, thread, sums);
  }

  template <class Group>
  RULE static void run(const Arguments& a, Group& group) {
    double* lanes = group.shared;
    const uint32_t first = group.block * kWarps;
    group.each([&](unsigned thread) {
      const uint32_t tile = first + thread / kWarp;
      if (tile >= a.count) return;
      const Target& s = a.targets[a.tiles[tile].target];
      if (s.wide != 0) add<double>(a, s, a.tiles[tile], thread, lanes);
      else add<float>(a, s, a.tiles[tile], thread, lanes);
    });
    foldAll(group, lanes);
    group.each([&](unsigned thread) {
      const uint32_t tile = first + thread / kWarp;
      if (thread % kWarp != 0 || tile >= a.count) return;
      const Target& s = a.targets[a.tiles[tile].target];
      const double sum = lanes[thread / kWarp * kLanes];
      a.partials[s.firstBlock + a.tiles[tile].begin / kBlock] = sum;
      if (s.length <= kBlock) a.squares[s.variable] = sum;
    });
  }
};

// Folds sums[0 .. count) pairwise by index, as foldPairwise, without writing: a sum of 2^k numbers waits at level k for its other
// half; those that never find it move up.
RULE double pairwise(const double* sums, size_t count, size_t step = 1) {
  double waiting[40];
  for (size_t i = 0; i < count; ++i) {
    double sum = sums[i * step];
    int level = 0;
    for (size_t n = i; n % 2 == 1; n /= 2, ++level) sum = waiting[level] + sum;
    waiting[level] = sum;
  }
  double sum = 0;
  bool empty = true;
  for (int level = 0; count >> level != 0; ++level) {
    if ((count >> level) % 2 == 0) continue;
    sum = empty ? waiting[level] : waiting[level] + sum;
    empty = false;
  }
  return sum;
}

// The same by a warp: each thread folds an aligned group of 2^k sums, one of them the rest. `shared` is the warp's, of kWarp
// numbers; what `groupOf` has returned for the count, `finish` needs.
RULE size_t groupOf(size_t count) {
  size_t group = 1;
  while (group * kWarp < count) group *= 2;
  return group;
}
RULE void foldShare(const double* sums, size_t count, unsigned lane, double* shared) {
  const size_t group = groupOf(count), begin = lane * group;
  if (begin < count) shared[lane] = pairwise(sums + begin, count - begin < group ? count - begin : group);
}
RULE double foldShares(const double* shared, size_t count) {
  const size_t group = groupOf(count);
  return pairwise(shared, (count + group - 1) / group);
}

// What follows from the norms: in one block, since the variables are added in the order of the list.
struct Clip {
  using Arguments = ClipArguments;
  static constexpr size_t shared = kThreads + 1;

  template <class T>
  RULE static Factor factorOf(const Control& c, double square, double total) {
    const Flushing<T> flushing;
    return c.clipnorm > 0 ? clipFactor<T>(square, c.clipnorm) : globalClipFactor<T>(total, c.global_clipnorm);
  }

  template <class Group>
  RULE static void run(const Arguments& a, Group& group) {
    double *total = group.shared + kThreads, *shares = group.shared;
    for (uint32_t first = 0; first < a.largeCount; first += kWarps) {
      const auto of = [&](unsigned thread) {
        const uint32_t i = first + thread / kWarp;
        return i < a.largeCount ? &a.targets[a.large[i]] : nullptr;
      };
      group.each([&](unsigned thread) {
        const Target* s = of(thread);
        if (s != nullptr) foldShare(a.partials + s->firstBlock, blocksOf(s->length), thread % kWarp, shares + thread / kWarp * kWarp);
      });
      group.each([&](unsigned thread) {
        const Target* s = of(thread);
        if (s != nullptr && thread % kWarp == 0)
          a.squares[s->variable] = foldShares(shares + thread / kWarp * kWarp, blocksOf(s->length));
      });
    }
    group.each([&](unsigned thread) {
      if (thread == 0) *total = 0;
    });
    for (uint32_t first = 0; first < a.variables; first += kThreads) {
      const uint32_t some = a.variables - first < kThreads ? a.variables - first : kThreads;
      group.each([&](unsigned thread) {
        if (thread < some) shares[thread] = a.squares[first + thread];
      });
      group.each([&](unsigned thread) {
        if (thread != 0) return;
        double sum = *total;
        for (uint32_t i = 0; i < some; ++i) sum = sum + shares[i];
        *total = sum;
      });
    }
    group.each([&](unsigned thread) {
      if (thread == 0) *a.norm = squareRoot(*total);
      const Control& c = a.record.list()[a.passes.update];
      for (uint32_t i = thread; i < a.count; i += kThreads) {
        const Target& s = a.targets[i];
        a.factors[s.factor] = s.wide != 0 ? factorOf<double>(c, a.squares[s.variable], *total) : factorOf<float>(c, a.squares[s.variable], *total);
      }
    });
  }
};

// How directions are subtracted: a warp for each.
struct Steer {
  using Arguments = SteerArguments;
  static constexpr size_t shared = 2 * kThreads;

  template <class T>
  RULE static Factor factorOf(const Arguments& a, const Target& s, const Shape& shape, double square, double ofDirection) {
    const Flushing<T> flushing;
    const Control& c = a.record.list()[a.control];
    if (a.whole == kTrustRatio) return trustLength(scalarsOf<Lamb, T>(c), square, ofDirection);
    if (a.whole == kOrthogonal) return orthogonalLength(scalarsOf<Muon, T>(c), shape);
    return relativeLength(scalarsOf<Adafactor, T>(c), s.length, square, ofDirection);
  }

  template <class Group>
  RULE static void run(const Arguments& a, Group& group) {
    const uint32_t first = group.block * kWarps;
    const auto shareOf = [&](unsigned thread, int which) { return group.shared + which * kThreads + thread / kWarp * kWarp; };
    group.each([&](unsigned thread) {
      const uint32_t i = first + thread / kWarp;
      if (i >= a.count) return;
      const Target& s = a.targets[i];
      const size_t blocks = blocksOf(s.length);
      foldShare(a.sums + s.firstBlock, blocks, thread % kWarp, shareOf(thread, 0));
      foldShare(a.ofDirections + s.firstBlock, blocks, thread % kWarp, shareOf(thread, 1));
    });
    group.each([&](unsigned thread) {
      const uint32_t i = first + thread / kWarp;
      if (i >= a.count || thread % kWarp != 0) return;
      const Target& s = a.targets[i];
      const size_t blocks = blocksOf(s.length);
      const double square = foldShares(shareOf(thread, 0), blocks), ofDirection = foldShares(shareOf(thread, 1), blocks);
      a.squares[i] = ofDirection;
      a.factors[s.factor] = s.wide != 0 ? factorOf<double>(a, s, a.shapes[i], square, ofDirection)
                                        : factorOf<float>(a, s, a.shapes[i], square, ofDirection);
    });
  }
};

// The sums of squares of directions that have been rewritten.
template <class T>
struct SumOfDirections {
  using Arguments = DirectionArguments;
  static constexpr size_t shared = kWarps * kLanes;

  template <class Group>
  RULE static void run(const Arguments& a, Group& group) {
    using S = Shape128<T>;
    const uint32_t first = group.block * kWarps;
    group.each([&](unsigned thread) {
      const Flushing<T> flushing;
      const uint32_t index = first + thread / kWarp;
      if (index >= a.count) return;
      const Tile& tile = a.tiles[index];
      double sums[S::sums] = {};
      for (uint32_t at = thread % kWarp * uint32_t(S::pack), lot = 0; at < tile.length; at += S::row, ++lot) {
        Pack<T, S::pack> d;
        load(a.targets[tile.target].direction, tile.begin + at, tile.length - at, d);
#pragma unroll
        for (int i = 0; i < S::pack; ++i) {
          if (uint32_t(i) >= tile.length - at) continue;
          const double x = d.at[i];
          double& sum = sums[S::sumOf(int(lot % 2), i)];
          sum = sum + x * x;
        }
      }
      putLanes<T>(group.shared, thread, sums);
    });
    foldAll(group, group.shared);
    group.each([&](unsigned thread) {
      const uint32_t index = first + thread / kWarp;
      if (thread % kWarp != 0 || index >= a.count) return;
      const Tile& tile = a.tiles[index];
      a.ofDirections[a.targets[tile.target].firstBlock + tile.begin / kBlock] = group.shared[thread / kWarp * kLanes];
    });
  }
};

// Whether gradients, as the caller gave them, are finite.
struct Finite {
  using Arguments = FiniteArguments;
  static constexpr size_t shared = 0;

  template <class T>
  RULE static bool areFinite(const Given& given, const Tile& tile, unsigned lane) {
    const Flushing<T> flushing;
    bool all = true;
    constexpr int n = Shape128<T>::pack;
    for (uint32_t at = lane * uint32_t(n); at < tile.length; at += Shape128<T>::row) {
      Pack<T, n> g;
      loadGradients(given, tile.begin + at, tile.length - at, g);
#pragma unroll
      for (int i = 0; i < n; ++i) all = all && g.at[i] - g.at[i] == T(0);
    }
    return all;
  }

  template <class Group>
  RULE static void run(const Arguments& a, Group& group) {
    group.each([&](unsigned thread) {
      const uint32_t index = group.block * kWarps + thread / kWarp;
      if (index >= a.count) return;
      const Tile& tile = a.tiles[index];
      const Target& s = a.targets[tile.target];
      if (isAbsent(a.record, s)) return;
      const Given given = gradientsOf(a.record, s);
      const bool finite = s.wide != 0 ? areFinite<double>(given, tile, thread % kWarp) : areFinite<float>(given, tile, thread % kWarp);
      if (!finite) *a.others = 1;
    });
  }
};

// Rows into a dense array, a warp for each; 4 bytes at a time, of which every element has some.
struct PutRows {
  using Arguments = RowsArguments;
  static constexpr size_t shared = 0;

  template <class Group>
  RULE static void run(const Arguments& a, Group& group) {
    group.each([&](unsigned thread) {
      const size_t row = size_t(group.block) * kWarps + thread / kWarp;
      if (row >= a.count) return;
      uint32_t* to = reinterpret_cast<uint32_t*>(a.dense + a.rows[row] * a.bytes);
      const uint32_t* from = reinterpret_cast<const uint32_t*>(a.values + row * a.bytes);
      for (size_t i = thread % kWarp; i < a.bytes / sizeof(*to); i += kWarp) to[i] = a.values == nullptr ? 0 : from[i];
    });
  }
};

}  // namespace cuda
