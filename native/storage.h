// How a stream lies in memory when it takes fewer bytes than the float32 numbers it stands for. Rules know nothing of it: an
// Element of a state is decoded into a float before the rule, and encoded after it, in the same loop. Gradients, which may
// come in any storage, are decoded a stage at a time into the first-level cache; so would be a storage whose elements share
// a scale, which has no Element of its own.
#pragma once
#include "rules/rule.h"
#include "work.h"

RULE uint32_t bitsOf(Float32 x) {
  uint32_t bits;
  __builtin_memcpy(&bits, &x, sizeof(bits));
  return bits;
}
RULE Float32 floatOf(uint32_t bits) {
  Float32 x;
  __builtin_memcpy(&x, &bits, sizeof(x));
  return x;
}

// bfloat16 is the upper half of a float32. NaN keeps its sign and becomes quiet, so that no rounding makes it a number.
RULE Float32 fromBfloat16(uint16_t x) { return floatOf(uint32_t(x) << 16); }
RULE uint16_t toBfloat16(Float32 x, uint32_t increment) {
  const uint32_t bits = bitsOf(x);
  return (bits & 0x7fffffffu) > 0x7f800000u ? uint16_t(bits >> 16 | 0x40) : uint16_t((bits + increment) >> 16);
}
RULE uint32_t toNearestEven(Float32 x) { return 0x7fffu + (bitsOf(x) >> 16 & 1); }

// IEEE half precision. Its denormals are normal in float32; 2^112 moves the exponent from one bias to the other.
RULE Float32 fromFloat16(uint16_t x) {
  const uint32_t sign = uint32_t(x & 0x8000u) << 16, rest = uint32_t(x & 0x7fffu) << 13;
  const Float32 normal = floatOf(rest + (112u << 23)), denormal = floatOf(rest + (113u << 23)) - 0x1p-14f;
  const Float32 number = rest < (1u << 23) ? denormal : rest >= (31u << 23) ? floatOf(rest + (224u << 23)) : normal;
  return floatOf(bitsOf(number) | sign);
}

// A random 16-bit number for every element: a hash of its index and the key, so that it depends on nothing else.
RULE uint32_t noise(uint32_t element, uint32_t key) {
  const uint32_t x = (element ^ key) * 0x9e3779b1u;
  return (x ^ x >> 15 ^ key) * 0x85ebca77u >> 16;
}

RULE uint64_t mixed(uint64_t x) {
  x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
  x = (x ^ x >> 27) * 0x94d049bb133111ebu;
  return x ^ x >> 31;
}

// What the random numbers of one slot of a variable in one step follow from; `slot` counts the slots of the variable, and an
// element of 2^32 and more changes the key.
RULE uint32_t keyOf(const Control& c, uint32_t variable, uint32_t slot, size_t element) {
  uint64_t key = mixed(uint64_t(c.seed) + 0x9e3779b97f4a7c15u);
  key = mixed(key ^ uint64_t(c.iteration));
  key = mixed(key ^ (uint64_t(variable) << 8 | slot));
  return uint32_t(mixed(key ^ uint64_t(element) >> 32));
}

// How the slots of a tensor are stored, which is the same for all of them.
enum Slots { kPlainSlots, kNearestSlots, kStochasticSlots };

// What is stored of a number that is an element of a slot.
template <Slots kSlots>
RULE uint16_t encoded(Float32 x, uint32_t element, uint32_t key) {
  return toBfloat16(x, kSlots == kStochasticSlots ? noise(element, key) : toNearestEven(x));
}

// One element of a slot while a loop works on it: `value` is a T, and is stored when the element goes.
template <class T, Slots kSlots>
struct Element {
  using Stored = T;
  T& value;
  RULE Element(T& at, uint32_t, uint32_t) : value(at) {}
};
template <Slots kSlots>
struct Encoded {
  using Stored = uint16_t;
  Float32 value;
  uint16_t& at;
  uint32_t element, key;
  RULE Encoded(uint16_t& from, uint32_t index, uint32_t by) : value(fromBfloat16(from)), at(from), element(index), key(by) {}
  RULE ~Encoded() { at = encoded<kSlots>(value, element, key); }
};
template <>
struct Element<Float32, kNearestSlots> : Encoded<kNearestSlots> {
  using Encoded::Encoded;
};
template <>
struct Element<Float32, kStochasticSlots> : Encoded<kStochasticSlots> {
  using Encoded::Encoded;
};

// Elements begin .. begin + length of a stream; length <= kStage.
RULE void decode(Storage storage, const void* stream, size_t begin, size_t length, Float32* __restrict to) {
  const uint16_t* __restrict from = static_cast<const uint16_t*>(stream) + begin;
  const uint32_t count = uint32_t(length);
  if (storage == kBfloat16)
    for (uint32_t i = 0; i < count; ++i) to[i] = fromBfloat16(from[i]);
  if (storage == kFloat16)
    for (uint32_t i = 0; i < count; ++i) to[i] = fromFloat16(from[i]);
}
