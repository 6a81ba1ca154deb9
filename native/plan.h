// A plan: the passes of an optimizer's step, each one rule bound to its tensors. Built once, run once a step; on the host
// (host_plan.h) or on a device (cuda/plan.cpp).
#pragma once
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
  SharedMemory memory = nullptr;  // of a device, instead of all this
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
  std::vector<size_t> firstSum;              // of each tensor, in the sums of blocks that a run in two halves gives
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

class Plan {
 public:
  virtual ~Plan() = default;
  // Points every late source to its array. Throws BindError, with nothing written.
  virtual void bind(const std::vector<Array>& arrays) = 0;
  // Begins a run of the active passes in order: on a device all of it goes to its stream; the host does nothing yet.
  virtual void begin() = 0;
  // Ends it, on whatever thread. Returns the L2 norm of all clipped gradients together, or a negative number if no norm was asked
  // for.
  virtual double end() = 0;
  // Both; a device does not wait. kLater - i: `norm(i)` waits for the norm, also while a later step runs.
  virtual double run() = 0;
  virtual double norm(size_t i) = 0;
  // A run in two halves, for tensors that are parts of variables: the first ends before what clips by norm, and writes the sum of
  // squares of every block of what will be clipped; the second is given that of every variable. Both on whatever thread.
  virtual double endSums(double* sums) = 0;
  virtual double endClipped(const double* squares) = 0;
  // Whether every gradient of the caller's, as it was given, is finite. Writes nothing.
  virtual bool finite() = 0;
  // Makes a running plan stop soon, half done: only for an environment that is going away.
  virtual void cancel() {}
};
constexpr double kLater = -2;

// The storage of a tensor's stream in an array of the caller's. Throws BindError if it does not fit.
Storage storageIn(const Array& array, int index, size_t source, const Pass& pass, size_t length);

// What descends is active, and decays, as the directed pass before it.
Control descentControl(const Control& directed);
