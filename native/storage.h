// How a stream lies in memory when it takes fewer bytes than the float32 numbers it stands for. Rules know nothing of it:
// a stage of elements is decoded into the first-level cache, goes through the rule's loop, and is encoded again. So a
// storage type is a pair of functions on a stage, and one that shares a scale among a block of elements fits as well.
#pragma once
#include "rules/rule.h"
#include "work.h"

RULE uint32_t bitsOf(float x) {
  uint32_t bits;
  __builtin_memcpy(&bits, &x, sizeof(bits));
  return bits;
}
RULE float floatOf(uint32_t bits) {
  float x;
  __builtin_memcpy(&x, &bits, sizeof(x));
  return x;
}

// bfloat16 is the upper half of a float32. NaN keeps its sign and becomes quiet, so that no rounding makes it a number.
RULE float fromBfloat16(uint16_t x) { return floatOf(uint32_t(x) << 16); }
RULE uint16_t toBfloat16(float x, uint32_t increment) {
  const uint32_t bits = bitsOf(x);
  return (bits & 0x7fffffffu) > 0x7f800000u ? uint16_t(bits >> 16 | 0x40) : uint16_t((bits + increment) >> 16);
}
RULE uint32_t toNearestEven(float x) { return 0x7fffu + (bitsOf(x) >> 16 & 1); }

// IEEE half precision. Its denormals are normal in float32; 2^112 moves the exponent from one bias to the other.
RULE float fromFloat16(uint16_t x) {
  const uint32_t sign = uint32_t(x & 0x8000u) << 16, rest = uint32_t(x & 0x7fffu) << 13;
  const float normal = floatOf(rest + (112u << 23)), denormal = floatOf(rest + (113u << 23)) - 0x1p-14f;
  const float number = rest < (1u << 23) ? denormal : rest >= (31u << 23) ? floatOf(rest + (224u << 23)) : normal;
  return floatOf(bitsOf(number) | sign);
}

// What decides how the elements of one stream are rounded in one step.
struct Rounding {
  bool stochastic;
  uint32_t key;
};

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

// `slot` counts the slots of a variable; an index of 2^32 and more changes the key.
RULE Rounding roundingOf(const Control& c, uint32_t variable, uint32_t slot, size_t begin) {
  uint64_t key = mixed(uint64_t(c.seed) + 0x9e3779b97f4a7c15u);
  key = mixed(key ^ uint64_t(c.iteration));
  key = mixed(key ^ (uint64_t(variable) << 8 | slot));
  key = mixed(key ^ uint64_t(begin) >> 32);
  return {c.stochastic != 0, uint32_t(key)};
}

// Elements begin .. begin + length of a stream; length <= kStage.
RULE void decode(Storage storage, const void* stream, size_t begin, size_t length, float* __restrict to) {
  const uint16_t* __restrict from = static_cast<const uint16_t*>(stream) + begin;
  const uint32_t count = uint32_t(length);
  if (storage == kBfloat16)
    for (uint32_t i = 0; i < count; ++i) to[i] = fromBfloat16(from[i]);
  if (storage == kFloat16)
    for (uint32_t i = 0; i < count; ++i) to[i] = fromFloat16(from[i]);
}

RULE void encode(Storage storage, void* stream, size_t begin, size_t length, const float* __restrict from, Rounding rounding) {
  uint16_t* __restrict to = static_cast<uint16_t*>(stream) + begin;
  const uint32_t count = uint32_t(length), first = uint32_t(begin);
  if (storage != kBfloat16) return;  // the only one that is written
  if (rounding.stochastic)
    for (uint32_t i = 0; i < count; ++i) to[i] = toBfloat16(from[i], noise(first + i, rounding.key));
  else
    for (uint32_t i = 0; i < count; ++i) to[i] = toBfloat16(from[i], toNearestEven(from[i]));
}
