// What the memory allows: loops that read and write the arrays of a step and compute next to nothing, and memcpy over as
// much memory. A step that takes as long as its loop cannot be made faster but by touching fewer bytes.
// Over 200 lines: the loops, their memory and their threads, so that the addon is one file.
#include <napi.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <new>
#include <thread>
#include <vector>

#if defined(__linux__)
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#endif

namespace {

// One walk over the gradient and some of the other arrays: all are read, and all but the gradient written.
struct Pass {
  size_t from, to;   // of the written arrays: the variable is 0, then come the slots
  size_t gradient, slots;  // bytes of an element of those; one of the first written array always has 4
};

struct Arrays {
  float* at;
  size_t length;  // elements of each
  size_t count;   // the gradient is the first
  std::vector<Pass> passes;
  // Not whole pages: where the last 12 bits of addresses agree, loads wait for stores that they have nothing to do with,
  // and everything in cache takes up to 1.4 times as long. And not a power of two of pages: at distances of 128 MB and more
  // the arrays share the banks of the memory, and a loop takes twice as long.
  size_t stride() const {
    constexpr size_t kHuge = 524288;  // elements of a huge page
    return length < kHuge ? length + 128 : (length / kHuge + 2) * kHuge + 128;
  }
  template <class T>
  T* array(size_t index, size_t begin) const {
    return reinterpret_cast<T*>(at + index * stride()) + begin;
  }
};

volatile uint32_t sink;

// Or instead of a sum: integers may be reordered, and so the loop becomes one of vectors.
template <class Gradient>
inline __attribute__((always_inline)) void read(const Gradient* g, size_t n) {
  Gradient all = 0;
  for (size_t i = 0; i < n; ++i) all |= g[i];
  sink = all;
}

// All elements are zero and stay so. `zero` is a parameter, as the compiler would drop the addition of a literal.
template <size_t count, class Gradient, class Slot>
inline __attribute__((always_inline)) void touch(const Gradient* __restrict g, float* __restrict p, Slot* __restrict a,
                                                 Slot* __restrict b, Slot* __restrict c, Slot* __restrict d, size_t n,
                                                 Slot zero) {
  for (size_t i = 0; i < n; ++i) {
    p[i] += float(g[i]);
    if (count > 1) a[i] += zero;
    if (count > 2) b[i] += zero;
    if (count > 3) c[i] += zero;
    if (count > 4) d[i] += zero;
  }
}

template <class Gradient, class Bits, class Slot>
inline __attribute__((always_inline)) void touchTyped(const Arrays& arrays, const Pass& pass, size_t begin, size_t n) {
  const Gradient* g = arrays.array<Gradient>(0, begin);
  float* p = arrays.array<float>(1 + pass.from, begin);
  Slot *a = arrays.array<Slot>(2 + pass.from, begin), *b = arrays.array<Slot>(3 + pass.from, begin),
       *c = arrays.array<Slot>(4 + pass.from, begin), *d = arrays.array<Slot>(5 + pass.from, begin);
  const Slot zero = Slot(sink);
  switch (pass.to - pass.from) {
    case 0: return read(arrays.array<Bits>(0, begin), n);
    case 1: return touch<1>(g, p, a, b, c, d, n, zero);
    case 2: return touch<2>(g, p, a, b, c, d, n, zero);
    case 3: return touch<3>(g, p, a, b, c, d, n, zero);
    case 4: return touch<4>(g, p, a, b, c, d, n, zero);
    case 5: return touch<5>(g, p, a, b, c, d, n, zero);
  }
}

// Elements begin to end of the arrays of every pass.
inline __attribute__((always_inline)) void touchAll(const Arrays& arrays, size_t begin, size_t end) {
  const size_t n = end - begin;
  for (const Pass& pass : arrays.passes) {
    const bool wide = pass.slots == 4;
    if (pass.gradient == 4 && wide) touchTyped<float, uint32_t, float>(arrays, pass, begin, n);
    if (pass.gradient == 4 && !wide) touchTyped<float, uint32_t, uint16_t>(arrays, pass, begin, n);
    if (pass.gradient == 2 && wide) touchTyped<uint16_t, uint16_t, float>(arrays, pass, begin, n);
    if (pass.gradient == 2 && !wide) touchTyped<uint16_t, uint16_t, uint16_t>(arrays, pass, begin, n);
  }
}

using Loop = void (*)(const Arrays&, size_t, size_t);
#if defined(__x86_64__)
__attribute__((target("avx512f,avx512bw"))) void touch512(const Arrays& a, size_t begin, size_t end) {
  touchAll(a, begin, end);
}
__attribute__((target("avx2"))) void touch256(const Arrays& a, size_t begin, size_t end) { touchAll(a, begin, end); }
std::vector<Loop> trafficLoops() {
  if (__builtin_cpu_supports("avx512bw")) return {touch512, touch256};
  if (__builtin_cpu_supports("avx2")) return {touch256};
  return {touchAll};
}
#else
std::vector<Loop> trafficLoops() { return {touchAll}; }
#endif

// The same part of one half of the block onto the other half.
void copy(const Arrays& a, size_t begin, size_t end) {
  const size_t half = a.count * a.stride() / 2, from = begin * a.count / 2, to = end * a.count / 2;
  std::memcpy(a.at + from, a.at + half + from, (to - from) * sizeof(float));
}

struct Free {
  void operator()(void* data) const { std::free(data); }
};

// Huge pages from 2 MB on, as in native/memory.cpp; zeroed, which touches them. One block, kept until another size is asked for.
float* block(size_t bytes) {
  static std::unique_ptr<void, Free> kept;
  static size_t size = 0;
  if (size == bytes) return static_cast<float*>(kept.get());
  const size_t page = size_t(2) << 20, alignment = bytes < page ? 64 : page;
  const size_t rounded = (bytes + alignment - 1) / alignment * alignment;
  kept.reset(std::aligned_alloc(alignment, rounded));
  if (!kept) throw std::bad_alloc();
#if defined(__linux__)
  if (alignment == page) madvise(kept.get(), rounded, MADV_HUGEPAGE);
#endif
  size = bytes;
  return static_cast<float*>(std::memset(kept.get(), 0, rounded));
}

std::vector<Loop> copyLoops() { return {copy}; }

void repeat(Loop loop, const Arrays& arrays, size_t repetitions, size_t part, size_t parts) {
  const auto cut = [&](size_t i) { return i == parts ? arrays.length : arrays.length * i / parts / 16 * 16; };  // whole lines
  for (size_t i = 0; i < repetitions; ++i) loop(arrays, cut(part), cut(part + 1));
}

// Moves the i-th other thread, from 1, to a processor of its own: a thread that has just begun is often left waiting on the
// processor of the one that made it, for longer than a sample takes.
void spread([[maybe_unused]] std::thread& thread, [[maybe_unused]] size_t i) {
#if defined(__linux__)
  cpu_set_t allowed, own;
  if (sched_getaffinity(0, sizeof(allowed), &allowed) != 0) return;
  CPU_CLR(sched_getcpu(), &allowed);
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &allowed) || --i > 0) continue;
    CPU_ZERO(&own);
    CPU_SET(cpu, &own);
    pthread_setaffinity_np(thread.native_handle(), sizeof(own), &own);
    return;
  }
#endif
}

// Every thread repeats its part without waiting for the others: what no step can do, and so a limit.
double secondsOf(Loop loop, const Arrays& arrays, size_t repetitions, size_t threads) {
  const auto start = std::chrono::steady_clock::now();
  std::vector<std::thread> others;
  for (size_t i = 1; i < threads; ++i) {
    others.emplace_back(repeat, loop, std::cref(arrays), repetitions, i, threads);
    spread(others.back(), i);
  }
  repeat(loop, arrays, repetitions, 0, threads);
  for (std::thread& other : others) other.join();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

std::vector<Pass> passesOf(const Napi::Array& list) {
  std::vector<Pass> passes;
  for (uint32_t i = 0; i < list.Length(); ++i) {
    const Napi::Object pass = list.Get(i).As<Napi::Object>();
    const auto of = [&](const char* name) { return size_t(pass.Get(name).As<Napi::Number>().Int64Value()); };
    passes.push_back({of("from"), of("to"), of("gradient"), of("slots")});
  }
  return passes;
}

// f(passes, elements of an array, repetitions, threads): seconds of all repetitions, of the loop that is fastest: which
// width of vectors that is depends on the processor and the size.
template <std::vector<Loop> (*loops)()>
Napi::Value fastest(const Napi::CallbackInfo& info) {
  const auto number = [&](size_t i) { return size_t(info[i].As<Napi::Number>().Int64Value()); };
  Arrays arrays{nullptr, number(1), 1, passesOf(info[0].As<Napi::Array>())};
  for (const Pass& pass : arrays.passes) {
    if (pass.to < pass.from || pass.to > pass.from + 5) throw Napi::RangeError::New(info.Env(), "a pass writes 0 to 5 arrays");
    arrays.count = std::max(arrays.count, 1 + pass.to);
  }
  arrays.at = block(arrays.count * arrays.stride() * sizeof(float));
  double least = HUGE_VAL;
  for (const Loop loop : loops()) least = std::min(least, secondsOf(loop, arrays, number(2), number(3)));
  return Napi::Number::New(info.Env(), least);
}

Napi::Object init(Napi::Env env, Napi::Object exports) {
  exports.Set("traffic", Napi::Function::New<fastest<trafficLoops>>(env));
  exports.Set("memcpy", Napi::Function::New<fastest<copyLoops>>(env));
  return exports;
}

}  // namespace

NODE_API_MODULE(traffic, init)
