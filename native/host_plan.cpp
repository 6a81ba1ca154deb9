#include "host_plan.h"

#include <algorithm>
#include <cmath>
#include <type_traits>

#include "flush.h"
#include "matrix/blas.h"
#include "matrix/whole.h"
#include "reduce.h"
#include "threads.h"

namespace {

const char* const kKindNames[] = {"Float32Array", "Float64Array", "Uint16Array", "Uint32Array"};
const char* const kDtypeNames[] = {"float32", "float64"};

size_t blocksOf(size_t length) { return (length + kBlock - 1) / kBlock; }
size_t bytesOf(Dtype dtype, Storage storage) { return storage != kPlain ? 2 : dtype == kFloat32 ? 4 : 8; }

}  // namespace

Storage storageIn(const Array& array, int index, size_t source, const Pass& pass, size_t length) {
  const auto name = [index] { return "arrays[" + std::to_string(index) + "]"; };
  if (array.absent) throw BindError{BindError::kType, name() + " is missing"};
  const bool half = array.kind == Array::kUint16Array && source == 1 && pass.dtype == kFloat32 && pass.half != kPlain;
  if (!half && array.kind != (pass.dtype == kFloat32 ? Array::kFloat32Array : Array::kFloat64Array))
    throw BindError{BindError::kType,
                    name() + " is a " + kKindNames[array.kind] + ", its tensor is " + kDtypeNames[pass.dtype]};
  if (array.length != length)
    throw BindError{BindError::kLength, name() + " has " + std::to_string(array.length) + " elements, its tensor has " +
                                            std::to_string(length)};
  return half ? pass.half : kPlain;
}

namespace {

void*& slotOf(Tensor& tensor, size_t source) {
  return source == 0 ? tensor.p : source == 1 ? const_cast<void*&>(tensor.g) : tensor.slots[source - 2];
}

// The rows of a sparse gradient in an array of the caller's, where they lie in the tensor.
void bindRows(Rows& rows, const Array& array, size_t length) {
  const std::string name = "arrays[" + std::to_string(rows.late) + "]";
  if (array.absent || array.kind != Array::kUint32Array) throw BindError{BindError::kType, name + " is no Uint32Array of rows"};
  rows.at = static_cast<const uint32_t*>(array.data);
  rows.count = array.length;
  const size_t limit = rows.columns > 0 ? length / rows.columns : size_t(-1);
  for (size_t i = 0; i < rows.count; ++i)
    if (rows.at[i] >= limit || (i > 0 && rows.at[i] <= rows.at[i - 1]))
      throw BindError{BindError::kLength, name + " is not ascending, or not within its tensor"};
}

// Calls visit(begin, from, length) for elements of a tensor that lie side by side: the gradients of begin .. begin + length are
// from .. from + length of those that the rows have, of which [from, end) are asked for. None of them crosses a chunk of the
// tensor, since the numbers for stochastic rounding follow from the place of an element in it.
template <class Visit>
void forSpans(const Rows& rows, size_t from, size_t end, const Visit& visit) {
  while (from < end) {
    size_t row = from / rows.columns;
    const size_t begin = size_t(rows.at[row]) * rows.columns + from % rows.columns;
    while (++row < rows.count && rows.at[row] == rows.at[row - 1] + 1 && row * rows.columns < end) {
    }
    const size_t length = std::min({end, row * rows.columns, from + kChunk - begin % kChunk}) - from;
    visit(begin, from, length);
    from += length;
  }
}

// The same for the elements of all other rows, in parts of at most a stage.
template <class Visit>
void forGaps(const Rows& rows, size_t length, const Visit& visit) {
  size_t begin = 0;
  for (size_t i = 0; i <= rows.count; ++i) {
    const size_t end = i < rows.count ? size_t(rows.at[i]) * rows.columns : length;
    for (size_t some; begin < end; begin += some) {
      some = std::min(end - begin, kStage - begin % kStage);
      visit(begin, some);
    }
    begin = end + rows.columns;
  }
}

// Whether a gradient of 0 is one no more when it comes to the rule: after a loss scale of 0, or a norm or a scalar that is not
// finite.
bool isZeroLost(const Tensor& tensor, const Control& c, Dtype dtype) {
  const auto loses = [](double x) { return !(0 * x == 0); };
  const double least = dtype == kFloat32 ? 0x1p-126 : 0x1p-1074;
  return !(std::abs(c.unscale) >= least) || loses(tensor.multiplier / tensor.divisor) || std::any_of(c.scalars, c.scalars + kMaxScalars, loses);
}

void* advanced(void* array, size_t bytes) { return array != nullptr ? static_cast<char*>(array) + bytes : nullptr; }

// A tensor from an element on, whose gradients lie elsewhere.
Tensor spanOf(const Tensor& tensor, Dtype dtype, size_t begin, size_t from) {
  Tensor span = tensor;
  span.first = tensor.first + begin;
  span.p = advanced(tensor.p, begin * bytesOf(dtype, kPlain));
  span.g = advanced(const_cast<void*>(tensor.g), from * bytesOf(dtype, kPlain));
  for (void*& slot : span.slots) slot = advanced(slot, begin * bytesOf(dtype, tensor.storage[2]));
  return span;
}

// The loops are compiled on the promise that the arrays of a tensor do not overlap.
void checkApart(Tensor& tensor, Dtype dtype, size_t sources) {
  const auto endOf = [&](size_t i) {
    return static_cast<const char*>(slotOf(tensor, i)) + tensor.length * bytesOf(dtype, tensor.storage[i]);
  };
  for (size_t i = 0; i < sources; ++i)
    for (size_t j = 0; j < i; ++j) {
      const void *a = slotOf(tensor, i), *b = slotOf(tensor, j);
      if (a != nullptr && b != nullptr && a < endOf(j) && b < endOf(i))
        throw BindError{BindError::kAlias, "two arrays of variable " + std::to_string(tensor.variable) + " overlap in memory"};
    }
}

template <class T>
void setFactors(Pass& pass, const std::vector<double>& squares, double total) {
  const Control& c = *pass.control;
  const FlushDenormals flush(pass.dtype);
  for (Tensor& tensor : pass.tensors) {
    const Factor factor =
        c.clipnorm > 0 ? clipFactor<T>(squares[tensor.variable], c.clipnorm) : globalClipFactor<T>(total, c.global_clipnorm);
    tensor.multiplier = factor.multiplier;
    tensor.divisor = factor.divisor;
  }
}

// Pieces are about a chunk in size: small tensors share one, so that a piece is worth handing to another thread.
void addChunk(Group& group, const Chunk& chunk) {
  if (group.pieces.empty()) group.pieces = {0, 0};
  size_t elements = 0;
  for (uint32_t c = group.pieces[group.pieces.size() - 2]; c < group.pieces.back(); ++c) elements += group.chunks[c].length;
  if (elements + chunk.length > kChunk && elements > 0) group.pieces.push_back(group.pieces.back());
  group.chunks.push_back(chunk);
  ++group.pieces.back();
  group.elements += chunk.length;
}

Group groupOf(size_t index, const Pass& pass) {
  Group group;
  group.passes = {index};
  if (pass.sparse()) return group;  // its pieces differ from step to step
  for (size_t t = 0; t < pass.tensors.size(); ++t)
    for (size_t begin = 0; begin < pass.tensors[t].length; begin += kChunk)
      addChunk(group, {uint32_t(t), begin, std::min(kChunk, pass.tensors[t].length - begin)});
  return group;
}

bool sameLengths(const Pass& a, const Pass& b) {
  if (a.sparse() || b.sparse()) return false;
  const auto same = [](const Tensor& x, const Tensor& y) { return x.length == y.length && x.variable == y.variable; };
  return std::equal(a.tensors.begin(), a.tensors.end(), b.tensors.begin(), b.tensors.end(), same);
}

// The sums of squares of blocks [first, end) of a tensor: 0 for those without a gradient.
template <class T>
void squaresOfBlocks(const Tensor& tensor, const Rows& rows, size_t first, size_t end, T unscale, double* partials) {
  std::fill(partials + first, partials + end, 0.0);
  const T* g = static_cast<const T*>(tensor.g);
  size_t row = size_t(std::lower_bound(rows.at, rows.at + rows.count, first * kBlock / rows.columns) - rows.at);
  for (size_t block = first; row < rows.count;) {
    // the first row that ends behind the block's beginning
    block = std::max(block, size_t(rows.at[row]) * rows.columns / kBlock);
    if (block >= end) return;
    Squares sum;
    const size_t blockBegin = block * kBlock, blockEnd = blockBegin + kBlock;
    for (; row < rows.count && size_t(rows.at[row]) * rows.columns < blockEnd; ++row) {
      const size_t rowBegin = size_t(rows.at[row]) * rows.columns, rowEnd = rowBegin + rows.columns;
      const size_t begin = std::max(rowBegin, blockBegin), length = std::min(rowEnd, blockEnd) - begin;
      sum.addFrom((begin - blockBegin) % kLanes, g + row * rows.columns + (begin - rowBegin), length, Unscaled<T>{unscale});
      if (rowEnd > blockEnd) break;  // the rest of it belongs to the next block
    }
    partials[block++] = sum.fold();
  }
}

size_t workspaceOf(const Pass& pass) {
  size_t most = 0;
  for (const Further& further : pass.further)
    most = std::max(most, workspaceOf(wholeIn(Rules(), pass.rule), further.shape, pass.dtype));
  return most;
}

// p <- p - direction, for every tensor of a directed pass; which assigns the directions from now on.
Pass descentOf(Pass& directed) {
  Pass descent;
  descent.rule = idOf<Descend>(Rules());
  descent.dtype = directed.dtype;
  descent.descends = true;
  for (size_t t = 0; t < directed.tensors.size(); ++t) {
    Tensor& tensor = directed.tensors[t];
    const Source direction{directed.further[t].direction};
    Tensor descending = tensor;
    descending.given = false;
    for (Storage& storage : descending.storage) storage = kPlain;
    for (void*& slot : descending.slots) slot = nullptr;
    descent.add(descending, {directed.sources[t][0], direction}, directed.needs[t]);
    tensor.p = direction.memory->data;
    tensor.decay = false;
    directed.sources[t][0] = direction;
  }
  return descent;
}

// Below this, a pass is done before a helper wakes up.
constexpr size_t kShared = 2 * kChunk;  // elements

alignas(64) const double kZeros[kStage] = {};

// What several passes do one after the other stays in the first-level cache.
constexpr size_t kCached = 1024;  // elements

}  // namespace

size_t Pass::blocks() const { return tensors.empty() ? 0 : firstBlock.back() + blocksOf(tensors.back().length); }

void Pass::add(Tensor tensor, std::vector<Source> from, int need) {
  for (size_t i = 0; i < from.size(); ++i)
    if (from[i].memory) slotOf(tensor, i) = from[i].memory->data;
  firstBlock.push_back(firstBlock.empty() ? 0 : firstBlock.back() + blocksOf(tensors.back().length));
  tensors.push_back(tensor);
  sources.push_back(std::move(from));
  needs.push_back(need);
}

HostPlan::HostPlan(const Kernels& kernels, std::vector<Pass> passes, size_t variables, SharedMemory control)
    : kernels_(kernels), squares_(variables), control_(std::move(control)) {
  addPasses(std::move(passes));
  size_t largest = 0, workspace = 0;
  for (size_t i = 0; i < passes_.size(); ++i) {
    largest = std::max(largest, passes_[i].blocks() * (passes_[i].directed() ? 2 : 1));
    workspace = std::max(workspace, workspaceOf(passes_[i]));
    if (wholeIn(Rules(), passes_[i].rule) == kOrthogonal) blas_ = chosenBlas();  // once: a step throws nothing
    group(i);
    findAverage(i);
  }
  partials_.resize(largest);
  if (workspace > 0) workspace_ = std::make_shared<Memory>(workspace);
}

void HostPlan::addPasses(std::vector<Pass> passes) {
  descents_.resize(passes.size());
  size_t descents = 0;
  for (size_t i = 0; i < passes.size(); ++i) {
    passes[i].control = static_cast<const Control*>(control_->data) + i;
    passes_.push_back(std::move(passes[i]));
    if (!passes_.back().directed()) continue;
    Pass descent = descentOf(passes_.back());
    descent.control = &descents_[descents++];
    passes_.push_back(std::move(descent));
  }
}

// Into the last group of its dtype, if the tensors are the same; a variable has one dtype. What descends waits for all of the
// directions.
void HostPlan::group(size_t index) {
  const Pass& pass = passes_[index];
  const auto ofDtype = [&](const Group& group) { return passes_[group.passes[0]].dtype == pass.dtype; };
  const auto last = std::find_if(groups_.rbegin(), groups_.rend(), ofDtype);
  if (!pass.descends && last != groups_.rend() && sameLengths(passes_[last->passes[0]], pass)) last->passes.push_back(index);
  else groups_.push_back(groupOf(index, pass));
}

// Among the passes before it in its group, the one that writes what this one averages does that in the same loop.
void HostPlan::findAverage(size_t index) {
  if (passes_[index].rule != idOf<Average>(Rules())) return;
  const auto holds = [index](const Group& group) { return group.passes.back() == index; };
  const Group& group = *std::find_if(groups_.begin(), groups_.end(), holds);
  for (const size_t i : group.passes) {
    const Pass &pass = passes_[i], &average = passes_[index];
    bool same = i != index;
    for (size_t t = 0; t < pass.tensors.size(); ++t) same = same && pass.sources[t][0] == average.sources[t][1];
    if (same) passes_[i].average = int(index);
  }
}

void HostPlan::bind(const std::vector<Array>& arrays) {
  for (Pass& pass : passes_)
    for (size_t t = 0; t < pass.tensors.size(); ++t) {
      const std::vector<Source>& sources = pass.sources[t];
      const int needed = pass.needs[t];
      pass.tensors[t].skip = needed >= 0 && arrays[size_t(needed)].absent;
      if (pass.tensors[t].skip) continue;
      if (pass.sparse()) bindRows(pass.rows[t], arrays[size_t(pass.rows[t].late)], pass.tensors[t].length);
      bool changed = false;
      for (size_t i = 0; i < sources.size(); ++i) {
        if (sources[i].late < 0) continue;
        const Array& array = arrays[size_t(sources[i].late)];
        const size_t length = pass.sparse() && i == 1 ? pass.rows[t].elements() : pass.tensors[t].length;
        pass.tensors[t].storage[i] = storageIn(array, sources[i].late, i, pass, length);
        slotOf(pass.tensors[t], i) = array.data;
        changed = true;
      }
      if (changed && !pass.sparse()) checkApart(pass.tensors[t], pass.dtype, sources.size());
    }
}

template <class Work>
void HostPlan::forPieces(Dtype dtype, size_t pieces, size_t elements, const Work& work) const {
  struct Context {
    const HostPlan& plan;
    const Dtype dtype;
    const Work& work;
  };
  const auto piece = [](const void* context, size_t i) {
    const Context& c = *static_cast<const Context*>(context);
    if (c.plan.cancelled_.load(std::memory_order_relaxed)) return;
    const FlushDenormals flush(c.dtype);  // on whatever thread this is
    c.work(i);
  };
  const Context context{*this, dtype, work};
  if (elements >= kShared) return parallelFor(pieces, piece, &context);
  for (size_t i = 0; i < pieces; ++i) piece(&context, i);
}

template <class Work>
void HostPlan::forChunks(const Group& group, const Work& work) const {
  const size_t pieces = group.pieces.empty() ? 0 : group.pieces.size() - 1;
  forPieces(passes_[group.passes[0]].dtype, pieces, group.elements, [&](size_t i) {
    for (uint32_t k = group.pieces[i]; k < group.pieces[i + 1]; ++k) work(group.chunks[k]);
  });
}

void HostPlan::runChunk(const Group& group, const Chunk& chunk, Range range) const {
  int averaged = -1;  // the pass that the one before it has done
  for (const size_t i : group.passes) {
    const Pass& pass = passes_[i];
    const Tensor& tensor = pass.tensors[chunk.tensor];
    if (!runs(i, range) || tensor.skip || int(i) == averaged) continue;
    const Kernels::Update update = kernels_.update[pass.rule][pass.dtype];
    if (averages(pass, range)) {
      averaged = pass.average;
      Tensor both = tensor;
      both.average = passes_[size_t(averaged)].tensors[chunk.tensor].p;
      both.averaging = passes_[size_t(averaged)].control->scalars;
      update(both, chunk.begin, chunk.length, *pass.control);
    } else {
      update(tensor, chunk.begin, chunk.length, *pass.control);
    }
  }
}

void HostPlan::runPasses(Range range) {
  for (const Group& group : groups_) {
    int count = 0;
    for (const size_t i : group.passes) count += runs(i, range) - (runs(i, range) && averages(passes_[i], range));
    if (count == 0) continue;
    if (passes_[group.passes[0]].sparse()) {
      runRows(passes_[group.passes[0]]);
      continue;
    }
    const auto directed = std::find_if(group.passes.begin(), group.passes.end(),
                                       [&](size_t i) { return runs(i, range) && passes_[i].directed(); });
    const bool steers = directed != group.passes.end();
    const size_t most = count > 1 ? kCached : kChunk;
    forChunks(group, [&](const Chunk& chunk) {
      for (size_t done = 0; done < chunk.length; done += most)
        runChunk(group, {chunk.tensor, chunk.begin + done, std::min(most, chunk.length - done)}, range);
      if (steers) addSquaresOf(*directed, chunk);
    });
    if (steers) steer(*directed);
  }
}

// The sums of squares of a chunk of a variable and of its direction, which are in the cache.
void HostPlan::addSquaresOf(size_t directed, const Chunk& chunk) {
  const Pass &pass = passes_[directed], &descent = passes_[directed + 1];
  const Tensor& tensor = descent.tensors[chunk.tensor];
  if (tensor.skip) return;
  for (size_t begin = chunk.begin; begin < chunk.begin + chunk.length; begin += kBlock) {
    const size_t length = std::min(kBlock, chunk.begin + chunk.length - begin);
    double* sums = partials_.data() + pass.firstBlock[chunk.tensor] + begin / kBlock;
    sums[0] = kernels_.sumOfDecayed[pass.dtype](tensor, begin, length, *descent.control);
    sums[pass.blocks()] = kernels_.sumOfSquares[pass.dtype](tensor, begin, length, 1);
  }
}

void HostPlan::steer(size_t directed) {
  const Pass& pass = passes_[directed];
  const FlushDenormals flush(pass.dtype);
  for (size_t t = 0; t < pass.tensors.size() && !cancelled_.load(std::memory_order_relaxed); ++t) {
    if (pass.tensors[t].skip) continue;
    double *squares = partials_.data() + pass.firstBlock[t], *ofDirection = squares + pass.blocks();
    const size_t blocks = blocksOf(pass.tensors[t].length);
    void* extra[kMaxExtra] = {};
    for (size_t i = 0; i < pass.further[t].extra.size(); ++i) extra[i] = pass.further[t].extra[i]->data;
    steerOf(wholeIn(Rules(), pass.rule), pass.dtype)(
        {kernels_, *pass.control, passes_[directed + 1].tensors[t], pass.further[t].shape, foldPairwise(squares, blocks),
         foldPairwise(ofDirection, blocks), extra, cancelled_, blas_, workspace_ ? workspace_->data : nullptr});
  }
}

Control descentControl(const Control& directed) {
  return {directed.active, 1, 0, 0, __builtin_inf(), directed.weight_decay, directed.learning_rate, 0, 0, 0, {}};
}

void HostPlan::setDescents() {
  auto to = descents_.begin();
  for (const Pass& pass : passes_) {
    if (!pass.directed()) continue;
    *to++ = descentControl(*pass.control);
  }
}

// Only what has a gradient is looked at: the rule leaves all else alone, unless nothing is a number any more.
void HostPlan::runRows(const Pass& pass) const {
  const Kernels::Update update = kernels_.update[pass.rule][pass.dtype];
  for (size_t t = 0; t < pass.tensors.size(); ++t) {
    const Tensor& tensor = pass.tensors[t];
    const Rows& rows = pass.rows[t];
    const size_t elements = rows.elements();
    if (tensor.skip) continue;
    forPieces(pass.dtype, (elements + kChunk - 1) / kChunk, elements, [&](size_t i) {
      forSpans(rows, i * kChunk, std::min(elements, (i + 1) * kChunk), [&](size_t begin, size_t from, size_t length) {
        update(spanOf(tensor, pass.dtype, begin, from), 0, length, *pass.control);
      });
    });
    if (!isZeroLost(tensor, *pass.control, pass.dtype)) continue;
    forPieces(pass.dtype, 1, 0, [&](size_t) {
      forGaps(rows, tensor.length, [&](size_t begin, size_t length) {
        Tensor gap = spanOf(tensor, pass.dtype, begin, 0);
        gap.g = kZeros;
        update(gap, 0, length, *pass.control);
      });
    });
  }
}

// The same sums as of the dense gradient, in which all other elements are 0: those of whole blocks are 0 as well.
template <class T>
void HostPlan::addSquaresOfRows(const Pass& pass) {
  for (size_t t = 0; t < pass.tensors.size(); ++t) {
    const Tensor& tensor = pass.tensors[t];
    const Rows& rows = pass.rows[t];
    if (tensor.skip) continue;
    double* partials = partials_.data() + pass.firstBlock[t];
    const size_t elements = rows.elements(), blocks = blocksOf(tensor.length), pieces = (elements + kChunk - 1) / kChunk;
    const auto blockAt = [&](size_t piece) {
      const size_t from = piece * kChunk;
      return piece == 0          ? 0
             : piece == pieces ? blocks
                               : (rows.at[from / rows.columns] * rows.columns + from % rows.columns) / kBlock;
    };
    forPieces(pass.dtype, pieces, elements, [&](size_t i) {
      squaresOfBlocks<T>(tensor, rows, blockAt(i), blockAt(i + 1), T(pass.control->unscale), partials);
    });
    squares_[tensor.variable] = elements > 0 ? foldPairwise(partials, blocks) : 0;
  }
}

// The sum of squares of every gradient of a pass. Threads fill the sums of single blocks; their order is fixed here.
void HostPlan::addSquares(const Group& group, double* sums) {
  const auto clipping = std::find_if(group.passes.begin(), group.passes.end(), [&](size_t i) { return passes_[i].clips(); });
  if (clipping == group.passes.end()) return;
  const Pass& pass = passes_[*clipping];
  if (pass.sparse()) return pass.dtype == kFloat32 ? addSquaresOfRows<float>(pass) : addSquaresOfRows<double>(pass);
  forChunks(group, [&](const Chunk& chunk) {
    const Tensor& tensor = pass.tensors[chunk.tensor];
    if (tensor.skip) return;
    for (size_t begin = chunk.begin; begin < chunk.begin + chunk.length; begin += kBlock)
      partials_[pass.firstBlock[chunk.tensor] + begin / kBlock] = kernels_.sumOfSquares[pass.dtype](
          tensor, begin, std::min(kBlock, chunk.begin + chunk.length - begin), pass.control->unscale);
  });
  for (size_t t = 0; t < pass.tensors.size(); ++t) {
    double* const partials = partials_.data() + pass.firstBlock[t];
    const size_t blocks = blocksOf(pass.tensors[t].length);
    if (pass.tensors[t].skip) continue;
    if (sums != nullptr) std::copy_n(partials, blocks, sums + pass.firstSum[t]);
    else squares_[pass.tensors[t].variable] = foldPairwise(partials, blocks);
  }
}

// The norms of every gradient that is clipped by norm, unless they are given; then the factors.
double HostPlan::clip(const double* squares) {
  std::fill(squares_.begin(), squares_.end(), 0.0);
  if (squares != nullptr) std::copy_n(squares, squares_.size(), squares_.begin());
  else for (const Group& group : groups_) addSquares(group);
  double total = 0;
  for (const double sum : squares_) total += sum;
  for (Pass& pass : passes_)
    if (pass.clips()) (pass.dtype == kFloat32 ? setFactors<float> : setFactors<double>)(pass, squares_, total);
  return std::sqrt(total);
}

size_t HostPlan::firstClipping() const {
  const auto clips = [](const Pass& pass) { return pass.clips(); };
  return size_t(std::find_if(passes_.begin(), passes_.end(), clips) - passes_.begin());
}

double HostPlan::end() {
  setDescents();
  runPasses({0, firstClipping()});
  return endClipped(nullptr);
}

double HostPlan::endSums(double* sums) {
  setDescents();
  runPasses({0, firstClipping()});
  for (const Group& group : groups_) addSquares(group, sums);
  return 0;
}

double HostPlan::endClipped(const double* squares) {
  const size_t clipping = firstClipping();
  if (clipping == passes_.size()) return norm_ = -1;
  norm_ = clip(squares);
  runPasses({clipping, passes_.size()});
  return norm_;
}

// The order does not matter: threads stop when one of them has found a number that is not finite.
void HostPlan::checkFinite(const Group& group) {
  for (const size_t i : group.passes) {
    const Pass& pass = passes_[i];
    const auto check = [&](const Tensor& tensor, size_t begin, size_t length) {
      if (!tensor.given || tensor.skip || !finite_.load(std::memory_order_relaxed)) return;
      if (!kernels_.finite[pass.dtype](tensor, begin, length)) finite_.store(false, std::memory_order_relaxed);
    };
    const auto given = [](const Tensor& tensor) { return tensor.given; };
    if (std::none_of(pass.tensors.begin(), pass.tensors.end(), given)) continue;
    if (!pass.sparse())
      forChunks(group, [&](const Chunk& chunk) { check(pass.tensors[chunk.tensor], chunk.begin, chunk.length); });
    for (size_t t = 0; t < pass.rows.size(); ++t) {
      const size_t elements = pass.rows[t].elements();
      forPieces(pass.dtype, (elements + kChunk - 1) / kChunk, elements, [&](size_t piece) {
        check(pass.tensors[t], piece * kChunk, std::min(kChunk, elements - piece * kChunk));
      });
    }
  }
}

bool HostPlan::finite() {
  finite_.store(true, std::memory_order_relaxed);
  for (const Group& group : groups_) checkFinite(group);
  return finite_.load(std::memory_order_relaxed);
}
