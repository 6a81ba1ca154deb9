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

  bool operator==(const Source& other) const { return memory == other.memory && late == other.late; }
};

// What the caller brought: absent stands for JavaScript's null.
struct Array {
  enum Kind { kFloat32Array, kFloat64Array, kUint16Array, kUint32Array } kind = kFloat32Array;
  void* data = nullptr;
  size_t length = 0;  // elements
  bool absent = true;
};

struct BindError {
  enum Kind { kType, kLength, kAlias } kind;
  std::string message;
};

// What a directed rule has for a tensor beside its streams.
struct Further {
  SharedMemory direction;
  Shape shape;
  std::vector<SharedMemory> extra;
};

// The rows of a tensor whose gradients g has, one after the other; they are brought to each step in the array `late`.
struct Rows {
  int late = -1;
  size_t columns = 0;
  const uint32_t* at = nullptr;  // ascending
  size_t count = 0;

  size_t elements() const { return count * columns; }
};

struct Pass {
  int rule;
  Dtype dtype;
  Storage half = kPlain;  // how a Uint16Array among the gradients is read; plain: not at all
  std::vector<Tensor> tensors;
  std::vector<std::vector<Source>> sources;  // of each tensor: p, g, slots
  std::vector<int> needs;                    // of each tensor: the array whose absence skips it, or -1
  std::vector<Rows> rows;                    // of each tensor, in a pass of sparse gradients; of others none
  std::vector<size_t> firstBlock;            // of each tensor, in the partial sums of the pass
  std::vector<Further> further;              // of each tensor, if the rule is directed: its pass assigns the directions,
  bool descends = false;                     // and the one after it subtracts them
  const Control* control = nullptr;          // JavaScript writes it between the steps
  int average = -1;                          // the pass that averages its variables, right after it; or -1

  void add(Tensor tensor, std::vector<Source> sources, int needs);
  bool sparse() const { return !rows.empty(); }
  bool active() const { return control->active != 0; }
  bool directed() const { return !further.empty(); }
  size_t blocks() const;
  bool clips() const { return active() && (control->clipnorm > 0 || control->global_clipnorm > 0); }
};

// Passes over tensors of the same lengths: what one of them leaves of a tensor, the next finds in the cache. Passes of
// different groups touch different variables, or stand in the order of the groups.
struct Group {
  std::vector<size_t> passes;
  std::vector<Chunk> chunks;
  std::vector<uint32_t> pieces;  // where each piece of work begins in chunks; and their end
  size_t elements = 0;
};

class Plan {
 public:
  // `control` has one Control for each pass. The plan makes a second pass for each directed one.
  Plan(const Kernels& kernels, std::vector<Pass> passes, size_t variables, SharedMemory control);
  // Points every late source to its array. Throws BindError, with nothing written.
  void bind(const std::vector<Array>& arrays);
  // Runs the active passes in order, on the pool's threads where they are large. Returns the L2 norm of all clipped
  // gradients together, or a negative number if no norm was asked for.
  double run();
  // Whether every gradient of the caller's, as it was given, is finite. Writes nothing.
  bool finite();
  // Makes a running plan stop soon, half done: only for an environment that is going away.
  void cancel() { cancelled_.store(true, std::memory_order_relaxed); }

 private:
  // Calls work(i) for every piece of work, with denormals as the dtype has them; on the pool's threads from some elements on.
  template <class Work>
  void forPieces(Dtype dtype, size_t pieces, size_t elements, const Work& work) const;
  template <class Work>
  void forChunks(const Group& group, const Work& work) const;
  struct Range {
    size_t from, to;
  };
  bool runs(size_t pass, Range range) const { return pass >= range.from && pass < range.to && passes_[pass].active(); }
  bool averages(const Pass& pass, Range range) const { return pass.average >= 0 && runs(size_t(pass.average), range); }
  // The active passes of a range, one after the other over every part that fits the cache.
  void runPasses(Range range);
  void runChunk(const Group& group, const Chunk& chunk, Range range) const;
  void runRows(const Pass& pass) const;
  void addSquares(const Group& group);
  template <class T>
  void addSquaresOfRows(const Pass& pass);
  double clip();
  // Gives each pass its control, and a directed one the pass that descends, with a control of the plan's own.
  void addPasses(std::vector<Pass> passes);
  void checkFinite(const Group& group);
  void group(size_t pass);
  void findAverage(size_t pass);
  void setDescents();
  void addSquaresOf(size_t directed, const Chunk& chunk);
  // What follows a directed pass, when it has gone through all of its tensors.
  void steer(size_t directed);

  const Kernels& kernels_;
  std::vector<Pass> passes_;
  std::vector<Group> groups_;
  std::vector<double> squares_;   // of each variable, in the optimizer's order
  std::vector<double> partials_;  // of each block of the largest pass; and of its directions
  std::vector<Control> descents_;  // of the passes that descend, in their order
  SharedMemory control_;
  const struct Blas* blas_ = nullptr;  // for the products of directed passes
  SharedMemory workspace_;  // of the directed passes, one tensor after the other
  std::atomic<bool> cancelled_{false};
  std::atomic<bool> finite_{true};  // as far as it is known
};
