#include "plan.h"

#include <algorithm>
#include <cmath>

#include "flush.h"
#include "reduce.h"
#include "threads.h"

namespace {

const char* const kDtypeNames[] = {"float32", "float64"};
constexpr size_t kSizes[] = {4, 8};

size_t blocksOf(size_t length) { return (length + kBlock - 1) / kBlock; }

void*& slotOf(Tensor& tensor, size_t source) {
  return source == 0 ? tensor.p : source == 1 ? const_cast<void*&>(tensor.g) : tensor.slots[source - 2];
}

void check(const Array& array, int index, const Tensor& tensor, Dtype dtype) {
  const auto name = [index] { return "arrays[" + std::to_string(index) + "]"; };
  if (array.absent) throw BindError{BindError::kType, name() + " is missing"};
  if (array.dtype != dtype)
    throw BindError{BindError::kType, name() + " is a " + kDtypeNames[array.dtype] + " array, its tensor is " + kDtypeNames[dtype]};
  if (array.length != tensor.length)
    throw BindError{BindError::kLength, name() + " has " + std::to_string(array.length) + " elements, its tensor has " +
                                            std::to_string(tensor.length)};
}

// The loops are compiled on the promise that the arrays of a tensor do not overlap.
void checkApart(Tensor& tensor, size_t sources, size_t bytes) {
  for (size_t i = 0; i < sources; ++i)
    for (size_t j = 0; j < i; ++j) {
      const char *a = static_cast<char*>(slotOf(tensor, i)), *b = static_cast<char*>(slotOf(tensor, j));
      if (a != nullptr && b != nullptr && a < b + bytes && b < a + bytes)
        throw BindError{BindError::kAlias, "two arrays of variable " + std::to_string(tensor.variable) + " overlap in memory"};
    }
}

bool clips(const Pass& pass) {
  return pass.control.active != 0 && (pass.control.clipnorm > 0 || pass.control.global_clipnorm > 0);
}

template <class T>
void setFactors(Pass& pass, const std::vector<double>& squares, double total) {
  const Control& c = pass.control;
  const FlushDenormals flush(pass.dtype);
  for (Tensor& tensor : pass.tensors) {
    const Factor factor =
        c.clipnorm > 0 ? clipFactor<T>(squares[tensor.variable], c.clipnorm) : globalClipFactor<T>(total, c.global_clipnorm);
    tensor.multiplier = factor.multiplier;
    tensor.divisor = factor.divisor;
  }
}

// Pieces are about a chunk in size: small tensors share one, so that a piece is worth handing to another thread.
void addChunk(Pass& pass, const Chunk& chunk) {
  if (pass.pieces.empty()) pass.pieces = {0, 0};
  size_t elements = 0;
  for (uint32_t c = pass.pieces[pass.pieces.size() - 2]; c < pass.pieces.back(); ++c) elements += pass.chunks[c].length;
  if (elements + chunk.length > kChunk && elements > 0) pass.pieces.push_back(pass.pieces.back());
  pass.chunks.push_back(chunk);
  ++pass.pieces.back();
}

// Below this, a pass is done before a helper wakes up.
constexpr size_t kShared = 2 * kChunk;  // elements

size_t elementsOf(const Pass& pass) {
  size_t elements = 0;
  for (const Tensor& tensor : pass.tensors) elements += tensor.skip ? 0 : tensor.length;
  return elements;
}

}  // namespace

void Pass::add(Tensor tensor, std::vector<Source> from, int need) {
  for (size_t i = 0; i < from.size(); ++i)
    if (from[i].memory) slotOf(tensor, i) = from[i].memory->data;
  for (size_t begin = 0; begin < tensor.length; begin += kChunk)
    addChunk(*this, {uint32_t(tensors.size()), begin, std::min(kChunk, tensor.length - begin)});
  firstBlock.push_back(firstBlock.empty() ? 0 : firstBlock.back() + blocksOf(tensors.back().length));
  tensors.push_back(tensor);
  sources.push_back(std::move(from));
  needs.push_back(need);
}

Plan::Plan(const Kernels& kernels, std::vector<Pass> passes, size_t variables)
    : kernels_(kernels), passes_(std::move(passes)), squares_(variables) {
  size_t largest = 0;
  for (const Pass& pass : passes_)
    if (!pass.tensors.empty()) largest = std::max(largest, pass.firstBlock.back() + blocksOf(pass.tensors.back().length));
  partials_.resize(largest);
}

void Plan::bind(const std::vector<Array>& arrays) {
  for (Pass& pass : passes_)
    for (size_t t = 0; t < pass.tensors.size(); ++t) {
      const std::vector<Source>& sources = pass.sources[t];
      const int needed = pass.needs[t];
      pass.tensors[t].skip = needed >= 0 && arrays[size_t(needed)].absent;
      if (pass.tensors[t].skip) continue;
      bool changed = false;
      for (size_t i = 0; i < sources.size(); ++i) {
        if (sources[i].late < 0) continue;
        const Array& array = arrays[size_t(sources[i].late)];
        check(array, sources[i].late, pass.tensors[t], pass.dtype);
        slotOf(pass.tensors[t], i) = array.data;
        changed = true;
      }
      if (changed) checkApart(pass.tensors[t], sources.size(), pass.tensors[t].length * kSizes[pass.dtype]);
    }
}

template <class Work>
void Plan::forChunks(const Pass& pass, const Work& work) const {
  struct Context {
    const Plan& plan;
    const Pass& pass;
    const Work& work;
  };
  const auto piece = [](const void* context, size_t i) {
    const Context& c = *static_cast<const Context*>(context);
    if (c.plan.cancelled_.load(std::memory_order_relaxed)) return;
    const FlushDenormals flush(c.pass.dtype);  // on whatever thread this is
    for (uint32_t k = c.pass.pieces[i]; k < c.pass.pieces[i + 1]; ++k)
      if (!c.pass.tensors[c.pass.chunks[k].tensor].skip) c.work(c.pass.chunks[k]);
  };
  const Context context{*this, pass, work};
  const size_t pieces = pass.pieces.empty() ? 0 : pass.pieces.size() - 1;
  if (elementsOf(pass) >= kShared) return parallelFor(pieces, piece, &context);
  for (size_t i = 0; i < pieces; ++i) piece(&context, i);
}

// The sum of squares of every gradient of a pass. Threads fill the sums of single blocks; their order is fixed here.
void Plan::addSquares(const Pass& pass) {
  const Kernels::SumOfSquares sumOfSquares = kernels_.sumOfSquares[pass.dtype];
  forChunks(pass, [&](const Chunk& chunk) {
    const char* g = static_cast<const char*>(pass.tensors[chunk.tensor].g);
    for (size_t begin = chunk.begin; begin < chunk.begin + chunk.length; begin += kBlock)
      partials_[pass.firstBlock[chunk.tensor] + begin / kBlock] =
          sumOfSquares(g + begin * kSizes[pass.dtype], std::min(kBlock, chunk.begin + chunk.length - begin), pass.control.unscale);
  });
  for (size_t t = 0; t < pass.tensors.size(); ++t)
    if (!pass.tensors[t].skip)
      squares_[pass.tensors[t].variable] = foldPairwise(partials_.data() + pass.firstBlock[t], blocksOf(pass.tensors[t].length));
}

// The norms of every gradient that is clipped by norm, then the factors.
double Plan::clip() {
  std::fill(squares_.begin(), squares_.end(), 0.0);
  for (const Pass& pass : passes_)
    if (clips(pass)) addSquares(pass);
  double total = 0;
  for (const double sum : squares_) total += sum;
  for (Pass& pass : passes_)
    if (clips(pass)) (pass.dtype == kFloat32 ? setFactors<float> : setFactors<double>)(pass, squares_, total);
  return std::sqrt(total);
}

double Plan::run() {
  double norm = -1;
  for (Pass& pass : passes_) {
    if (pass.control.active == 0) continue;
    if (norm < 0 && clips(pass)) norm = clip();
    const Kernels::Update update = kernels_.update[pass.rule][pass.dtype];
    forChunks(pass, [&](const Chunk& chunk) { update(pass.tensors[chunk.tensor], chunk.begin, chunk.length, pass.control); });
  }
  return norm;
}
