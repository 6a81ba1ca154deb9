// A plan on the host: chunk by chunk on the pool's threads.
#pragma once
#include <atomic>

#include "plan.h"

// Passes over tensors of the same lengths: what one of them leaves of a tensor, the next finds in the cache. Passes of
// different groups touch different variables, or stand in the order of the groups.
struct Group {
  std::vector<size_t> passes;
  std::vector<Chunk> chunks;
  std::vector<uint32_t> pieces;  // where each piece of work begins in chunks; and their end
  size_t elements = 0;
};

class HostPlan : public Plan {
 public:
  // `control` has one Control for each pass. The plan makes a second pass for each directed one.
  HostPlan(const Kernels& kernels, std::vector<Pass> passes, size_t variables, SharedMemory control);
  void bind(const std::vector<Array>& arrays) override;
  void begin() override {}
  double end() override;
  double endSums(double* sums) override;
  double endClipped(const double* squares) override;
  double run() override { return end(); }
  double norm(size_t) override { return norm_; }
  bool finite() override;
  void cancel() override { cancelled_.store(true, std::memory_order_relaxed); }

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
  size_t firstClipping() const;
  // Into squares_, or the sums of blocks into `sums`.
  void addSquares(const Group& group, double* sums = nullptr);
  template <class T>
  void addSquaresOfRows(const Pass& pass);
  double clip(const double* squares);
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
  double norm_ = -1;  // of the last run
  const struct Blas* blas_ = nullptr;  // for the products of directed passes
  SharedMemory workspace_;  // of the directed passes, one tensor after the other
  std::atomic<bool> cancelled_{false};
  std::atomic<bool> finite_{true};  // as far as it is known
};
