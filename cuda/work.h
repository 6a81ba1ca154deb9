// Plain data that the kernels read: a step of a plan on a device. All but the record lies there since the plan was built.
#pragma once
#include "../native/matrix/lengths.h"
#include "../native/reduce.h"
#include "../native/work.h"

namespace cuda {

constexpr unsigned kWarp = 32, kThreads = 256, kWarps = kThreads / kWarp;  // of a block
constexpr uint32_t kTile = 2048;  // elements: what a warp does; of a rule whose sums are asked for it is a block of those
constexpr uint32_t kNone = ~0u;

RULE size_t blocksOf(size_t length) { return (length + kBlock - 1) / kBlock; }  // of sums

constexpr unsigned kSide = 64;  // rows and columns of a product that a block computes

// Of an array that the caller brings to every step.
struct Given {
  const void* g;
  uint32_t storage, absent;
};

// What changes from step to step: the controls of the passes, and what the caller has brought. Few controls, and nothing brought,
// travel with the launch: a copy would take as long as all else that a small step needs.
constexpr size_t kFew = 4;
struct Record {
  const Control* controls;  // null: they are in `few`
  const Given* given;
  Control few[kFew];

  RULE const Control* list() const { return controls != nullptr ? controls : few; }
};

// One variable of a unit: a pass that updates, with those around it that touch the same elements.
struct Target {
  void* p;
  const void* g;  // null: given[late] has it
  void* slots[kMaxSlots];
  void *accumulator, *average, *direction;  // null: there is none
  size_t length, firstBlock;                // elements; of its sums, in the partial sums of the unit
  uint32_t late, needs;                     // kNone: none
  uint32_t variable, factor;                // index in the optimizer's list; of its factor
  uint32_t wide, decay;                     // 1: float64
};

// What a warp does.
struct Tile {
  uint32_t target, length;  // elements
  size_t begin;
};

// By their places among the controls; kNone: there is no such pass.
struct Passes {
  uint32_t accumulate, update, zero, average, overwrite;
};

struct StepArguments {
  Record record;
  const Target* targets;
  const Tile* tiles;
  uint32_t count;  // tiles
  Passes passes;
  const Factor* factors;       // of the gradients, or directions; null: all are 1
  uint32_t accumulated;        // 1: that has been done
  double *sums, *ofDirections;  // of a rule that assigns directions: partial sums of squares
};

struct SquaresArguments {
  Record record;
  const Target* targets;
  const Tile* tiles;
  uint32_t count;
  Passes passes;
  double *partials, *squares;  // by block; by variable, of those of one block
};

// Sums of more than one block, and the factors that follow.
struct ClipArguments {
  Record record;
  const Target* targets;
  uint32_t count;         // targets
  const uint32_t* large;  // those of several blocks
  uint32_t largeCount;
  Passes passes;          // those of the first unit, whose clipping is that of all
  const double* partials;
  double *squares;
  double* norm;  // of the host
  uint32_t variables;
  Factor* factors;
};

struct DirectionArguments {
  const Target* targets;
  const Tile* tiles;
  uint32_t count;
  double* ofDirections;
};

struct SteerArguments {
  Record record;
  const Target* targets;
  uint32_t count;
  uint32_t control, whole;
  const double *sums, *ofDirections;
  const Shape* shapes;
  Factor* factors;
  double* squares;  // of the directions
};

struct FiniteArguments {
  Record record;
  const Target* targets;
  const Tile* tiles;
  uint32_t count;
  uint32_t* others;  // becomes 1 if one is not finite
};

struct RowsArguments {
  char* dense;
  const uint32_t* rows;
  const char* values;  // null: zeros
  size_t count, bytes;  // rows, of so many bytes each
};

// Adafactor's means of a variable's matrices.
struct FactorsArguments {
  Record record;
  const Target* target;
  uint32_t control;
  Shape shape;
  void *direction, *r, *c, *v;
  double *bands, *means;  // sums of columns by band; of each matrix, the mean of r
};

// Newton-Schulz: x / (|x| + 1e-7), and a product in native/matrix/product.h's order.
struct NormalizeArguments {
  void* x;
  size_t length;
  const double* squares;
};
struct Side {
  const void* data;
  size_t lines, lineStep, depthStep;
};
struct ProductArguments {
  Record record;
  uint32_t control, scale, base_scale;  // places of two scalars of the rule; kNone: 1, and no base
  Side left, right;
  size_t depth;
  const void* base;
  void* out;  // not an operand
  uint32_t symmetric;
};

}  // namespace cuda
