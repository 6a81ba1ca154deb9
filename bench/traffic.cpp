// What the memory allows: loops that read and write the arrays of a step and compute next to nothing, and memcpy over as
// much memory. A step that takes as long as its loop cannot be made faster but by touching fewer bytes.
#include <napi.h>

#include <algorithm>
#include <chrono>
#include <cmath>
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

// p, g, m, v one after the other, or as many of them as the rule has.
struct Arrays {
  float* at;
  size_t length;  // elements of each
  size_t count;
  // Not whole pages: where the last 12 bits of addresses agree, loads wait for stores that they have nothing to do with,
  // and everything in cache takes up to 1.4 times as long.
  size_t stride() const { return length + 64; }
};

// Every element is read once and, but for the gradient's, written once. All are zero and stay so.
template <size_t count>
inline __attribute__((always_inline)) void touch(float* __restrict p, const float* __restrict g, float* __restrict m,
                                                 float* __restrict v, size_t n) {
  for (size_t i = 0; i < n; ++i) {
    float x = g[i];
    if (count > 2) x = m[i] += x;
    if (count > 3) x = v[i] += x;
    p[i] += x;
  }
}

// Elements begin to end of every array.
inline __attribute__((always_inline)) void touchAll(const Arrays& a, size_t begin, size_t end) {
  const size_t n = end - begin;
  float *p = a.at + begin, *g = p + a.stride(), *m = g + a.stride(), *v = m + a.stride();
  if (a.count == 2) touch<2>(p, g, nullptr, nullptr, n);
  if (a.count == 3) touch<3>(p, g, m, nullptr, n);
  if (a.count == 4) touch<4>(p, g, m, v, n);
}

using Loop = void (*)(const Arrays&, size_t, size_t);
#if defined(__x86_64__)
__attribute__((target("avx512f"))) void touch512(const Arrays& a, size_t begin, size_t end) { touchAll(a, begin, end); }
__attribute__((target("avx2"))) void touch256(const Arrays& a, size_t begin, size_t end) { touchAll(a, begin, end); }
std::vector<Loop> trafficLoops() {
  if (__builtin_cpu_supports("avx512f")) return {touch512, touch256};
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

// f(number of arrays: 2, 3 or 4; elements of each; repetitions; threads): seconds of all repetitions, of the loop that is
// fastest: which width of vectors that is depends on the processor and the size.
template <std::vector<Loop> (*loops)()>
Napi::Value fastest(const Napi::CallbackInfo& info) {
  const auto number = [&](size_t i) { return size_t(info[i].As<Napi::Number>().Int64Value()); };
  Arrays arrays{nullptr, number(1), number(0)};
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
