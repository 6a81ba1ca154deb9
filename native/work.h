// Plain data that every backend reads: what one pass of a step does, to which arrays.
#pragma once
#include <cstddef>
#include <cstdint>

constexpr int kMaxSlots = 4;
constexpr int kMaxScalars = 16;
constexpr size_t kBlock = 16384;       // elements: the unit of every reduction's order
constexpr size_t kChunk = 2 * kBlock;  // elements: the unit of work; whole blocks

enum Dtype : uint8_t { kFloat32, kFloat64, kDtypes };

// How a stream keeps its elements: as numbers of the pass's dtype, or in fewer bytes than the float32 they stand for
// (native/storage.h).
enum Storage : uint8_t { kPlain, kBfloat16, kFloat16, kStorages };
constexpr const char* kStorageNames[] = {"plain", "bfloat16", "float16"};

constexpr size_t kStage = 1024;        // elements: what is looked at or encoded at a time; chunks are whole stages

// What JavaScript sets for a pass, once a step, in this order (kControls names the same fields).
struct Control {
  double active;                     // 0: the pass does not run in this step
  double unscale;                    // gradients are divided by it; 1 is neutral
  double clipnorm, global_clipnorm;  // L2 limits of each gradient, of all together; 0 or less is none
  double limit;                      // gradients are clamped to [-limit, limit]; Infinity is neutral
  double weight_decay, learning_rate;  // p <- p - p weight_decay learning_rate, where Tensor::decay says so
  double stochastic, seed, iteration;  // 1: what is stored in fewer bytes is rounded at random, by these
  double scalars[kMaxScalars];       // the rule's, in its order
};
constexpr const char* kControls[] = {"active",       "unscale",       "clipnorm",   "global_clipnorm", "limit",
                                     "weight_decay", "learning_rate", "stochastic", "seed",            "iteration"};
static_assert(sizeof(kControls) / sizeof(*kControls) + kMaxScalars == sizeof(Control) / sizeof(double));

// A variable as matrices, one after the other: rows x columns numbers each. Of one dimension: one row.
struct Shape {
  size_t batch, rows, columns;
};

// One variable of a pass.
struct Tensor {
  void* p;
  const void* g;
  void* slots[kMaxSlots];
  size_t length;                    // elements
  size_t first;                     // index of the first of them, for a part of a tensor
  Storage storage[2 + kMaxSlots];   // of p, g, slots
  double multiplier = 1, divisor = 1;  // g <- g multiplier / divisor clips by norm; 1, 1 is neutral
  void* average;                    // of p, updated in the same loop; null: there is none
  const double* averaging;          // scalars of the rule Average
  uint32_t variable;                // index in the optimizer's list: the order in which norms are added
  bool given;                       // g is a gradient as the caller gave it
  bool decay;
  bool skip;                        // nothing happens to it in this step
};

// A part of a tensor, of kChunk elements or the rest.
struct Chunk {
  uint32_t tensor;
  size_t begin, length;  // elements
};
