// A plan: the passes of an optimizer's step, each one rule bound to its tensors. Built once, run once a step.
#pragma once
#include <atomic>
#include <string>
#include <vector>

#include "backends.h"
#include "memory.h"

// Where an array of a tensor lies: in memory of the library, or (memory null) in the array that the caller brings to each
// step under the index `late`, whose address is asked for anew every time.
struct Source {
  SharedMemory memory;
  int late = -1;
};

// What the caller brought: data null and absent true stand for JavaScript's null.
struct Array {
  void* data = nullptr;
  size_t length = 0;  // elements
  Dtype dtype = kFloat32;
  bool absent = true;
};

struct BindError {
  enum Kind { kType, kLength, kAlias } kind;
  std::string message;
};

struct Pass {
  int rule;
  Dtype dtype;
  std::vector<Tensor> tensors;
  std::vector<std::vector<Source>> sources;  // of each tensor: p, g, slots
  std::vector<int> needs;                    // of each tensor: the array whose absence skips it, or -1
  std::vector<size_t> firstBlock;            // of each tensor, in the partial sums of the pass
  std::vector<Chunk> chunks;
  std::vector<uint32_t> pieces;              // where each piece of work begins in chunks; and their end
  Control control = {};

  void add(Tensor tensor, std::vector<Source> sources, int needs);
};

class Plan {
 public:
  Plan(const Kernels& kernels, std::vector<Pass> passes, size_t variables);
  // Points every late source to its array. Throws BindError, with nothing written.
  void bind(const std::vector<Array>& arrays);
  // Runs the active passes in order, on the pool's threads where they are large. Returns the L2 norm of all clipped
  // gradients together, or a negative number if no norm was asked for.
  double run();
  // Makes a running plan stop soon, half done: only for an environment that is going away.
  void cancel() { cancelled_.store(true, std::memory_order_relaxed); }
  std::vector<Pass>& passes() { return passes_; }

 private:
  // Calls work(chunk) for every chunk of a pass.
  template <class Work>
  void forChunks(const Pass& pass, const Work& work) const;
  void addSquares(const Pass& pass);
  double clip();

  const Kernels& kernels_;
  std::vector<Pass> passes_;
  std::vector<double> squares_;   // of each variable, in the optimizer's order
  std::vector<double> partials_;  // of each block of the largest pass
  std::atomic<bool> cancelled_{false};
};
