// Over 200 lines: one class, whose tables, launches and answers belong together.
#include "plan.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <map>
#include <tuple>

#include "internal.h"
#include "kernels.h"

namespace cuda {

namespace {

constexpr size_t kRing = 16;  // steps whose records may be under way

// A pass that updates, and those around it that touch the same elements: one launch does them all. For a rule that assigns
// directions there is a second unit, which subtracts them.
struct Unit {
  size_t pass;
  Passes passes;
  bool descends = false;
  size_t first = 0, count = 0;                                         // of its targets
  size_t firstTile = 0, tiles = 0, firstBlockTile = 0, blockTiles = 0;  // of its walk, and of its sums
};

// One table after the other in a block of memory.
class Layout {
 public:
  size_t add(size_t bytes) {
    const size_t at = bytes_;
    bytes_ += (bytes + 255) / 256 * 256;
    return at;
  }
  size_t bytes() const { return bytes_; }

 private:
  size_t bytes_ = 0;
};

bool isAsked(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr && std::strcmp(value, "1") == 0;
}

template <class List>
constexpr uint32_t placeOf(const List& list, const char* name) {
  for (uint32_t i = 0; i < uint32_t(list.size); ++i)
    if (std::strcmp(list.at[i], name) == 0) return i;
  return kNone;
}

template <class... Rule>
const char* nameOf(RuleList<Rule...>, int rule) {
  constexpr Text names[] = {Rule::name...};
  return names[rule];
}

size_t sizeOf(const Pass& pass) { return pass.dtype == kFloat32 ? sizeof(float) : sizeof(double); }
size_t blocksFor(size_t warps) { return (warps + kWarps - 1) / kWarps; }
size_t blocksOfThreads(size_t threads) { return (threads + kThreads - 1) / kThreads; }
Whole wholeOfPass(const Pass& pass) { return wholeIn(Rules(), pass.rule); }

class DevicePlan : public Plan {
 public:
  DevicePlan(int device, std::vector<Pass> passes, size_t variables, SharedMemory control)
      : device_(device), passes_(std::move(passes)), variables_(variables), control_(std::move(control)),
        captures_(isAsked("KERAS_OPTIMIZERS_CUDA_GRAPH") && !isAsked("KERAS_OPTIMIZERS_CUDA_BLOCKING")) {
    select(device_);
    countLate();
    for (size_t i = 0; i < passes_.size(); ++i) addUnit(i);
    checkParts();
    layOut();
    for (Event& event : events_) kCalls.eventCreate.must(&event, false);
  }

  ~DevicePlan() override {
    if (isPoisoned() || kCalls.setDevice(device_) != kSuccess) return;
    for (const Event event : events_)
      if (event != nullptr) kCalls.eventDestroy(event);
    for (const auto& [key, graph] : graphs_)
      if (graph != nullptr) kCalls.graphExecDestroy(graph);
    if (capturing_ != nullptr) kCalls.streamDestroy(capturing_);
  }

  void bind(const std::vector<Array>& arrays) override {
    std::vector<Given> given(given_.size());
    for (size_t i = 0; i < given.size(); ++i) given[i].absent = i < arrays.size() && arrays[i].absent;
    for (const Pass& pass : passes_)
      for (size_t t = 0; t < pass.tensors.size(); ++t) {
        const int index = pass.sources[t][1].late, needed = pass.needs[t];
        if (index < 0 || (needed >= 0 && given[size_t(needed)].absent != 0)) continue;
        const size_t length = pass.tensors[t].length;
        const Storage storage = storageOf(arrays[size_t(index)], index, pass, length);
        given[size_t(index)].storage = storage;
        bytes_[size_t(index)] = length * (storage != kPlain ? sizeof(uint16_t) : sizeOf(pass));
      }
    given_ = std::move(given);
    arrays_ = arrays;
  }

  void begin() override { start(true); }

  void start(bool ends) {
    if (half_)
      throw Error("ERR_OPT_POISONED", "a step was broken off half done on cuda:" + std::to_string(device_) +
                                          ": go on from the last checkpoint, with a new optimizer");
    select(device_);
    bring();
    clipped_ = clips();
    const bool marked = ends || clipped_ || !isFew();  // whether anybody waits for the step
    const size_t slot = marked ? fillRecord() : 0;
    const Stream stream = streamOf(device_);
    if (!replay(stream, slot)) enqueue(stream, slot);
    if (marked) passed(stream, slot);
    letGo();
  }

  // The step has happened, whatever these calls say; only what makes the GPU useless is an error.
  double end() override {
    const Status selected = kCalls.setDevice(device_);
    const Status status = selected == kSuccess ? kCalls.eventSynchronize(events_[last_]) : selected;
    if (status != kSuccess) {
      settle(streamOf(device_), kCalls.eventSynchronize.name, status);
      return clipped_ ? kLater - double(last_) : -1;
    }
    return clipped_ ? *normAt(last_) : -1;
  }

  double endSums(double*) override { refuseHalves(); }
  double endClipped(const double*) override { refuseHalves(); }

  double run() override {
    start(false);
    return clipped_ ? kLater - double(last_) : -1;
  }

  // Nothing but the event and the norm of that step is looked at: a later one may be running.
  double norm(size_t i) override {
    select(device_);
    kCalls.eventSynchronize.must(events_[i % kRing]);
    return *normAt(i % kRing);
  }

  bool finite() override {
    select(device_);
    bring();
    const size_t slot = fillRecord();
    const Stream stream = streamOf(device_);
    sendRecord(stream, slot);
    kCalls.memsetAsync.must(at<void>(others_), 0, sizeof(uint32_t), stream);
    for (const Unit& unit : units_) {
      if (unit.descends) continue;
      const FiniteArguments arguments = {record(), targets(unit), tiles(unit), uint32_t(unit.tiles), at<uint32_t>(others_)};
      launch(stream, "finite", kKernels.finite, blocksFor(unit.tiles), &arguments);
    }
    passed(stream, slot);
    letGo();
    uint32_t others = 0;
    answer(others_, &others, sizeof(others));
    return others == 0;
  }

 private:
  [[noreturn]] static void refuseHalves() { throw Error("ERR_OPT_DEVICE", "a run in two halves expects variables of the host"); }

  void countLate() {
    int late = 0;
    for (const Pass& pass : passes_) {
      if (pass.sparse()) throw Error("ERR_OPT_DEVICE", "a step on rows expects variables of the host");
      for (size_t t = 0; t < pass.tensors.size(); ++t) late = std::max({late, pass.sources[t][1].late + 1, pass.needs[t] + 1});
    }
    given_.resize(size_t(late));
    bytes_.resize(size_t(late));
    incoming_.resize(size_t(late));
  }

  static bool isOf(const Pass& pass, int rule) { return pass.rule == rule; }
  static bool isPartOfOthers(const Pass& pass) { return kKernels.step[pass.rule][pass.dtype][0] == nullptr; }

  // The pass of a rule, one of whose tensors has a memory as its source; and which tensor that is.
  std::pair<uint32_t, size_t> find(int rule, size_t source, const SharedMemory& memory) const {
    for (size_t i = 0; i < passes_.size(); ++i)
      for (size_t t = 0; memory && isOf(passes_[i], rule) && t < passes_[i].tensors.size(); ++t)
        if (passes_[i].sources[t][source].memory == memory) return {uint32_t(i), t};
    return {kNone, 0};
  }

  void addUnit(size_t index) {
    const Pass& pass = passes_[index];
    if (isPartOfOthers(pass)) return;
    const bool directed = pass.directed();
    Unit unit{index, {kNone, uint32_t(index), kNone, kNone, kNone}};
    Unit descent{index, {kNone, uint32_t(passes_.size() + descents_), kNone, kNone, kNone}, true};
    unit.first = targetList_.size();
    Unit& last = directed ? descent : unit;  // has what follows the update
    std::vector<Target> descending;
    for (size_t t = 0; t < pass.tensors.size(); ++t) {
      const Tensor& tensor = pass.tensors[t];
      const std::vector<Source>& sources = pass.sources[t];
      Target target = {};
      target.p = sources[0].memory->data;
      target.length = tensor.length;
      target.variable = tensor.variable;
      target.factor = uint32_t(targetList_.size());
      target.firstBlock = blocks_;
      target.wide = pass.dtype == kFloat64;
      target.decay = tensor.decay;
      target.needs = pass.needs[t] < 0 ? kNone : uint32_t(pass.needs[t]);
      for (size_t i = 2; i < sources.size(); ++i) target.slots[i - 2] = sources[i].memory->data;
      const auto [accumulate, from] = find(idOf<Accumulate>(Rules()), 0, sources[1].memory);
      const Source& gradient = accumulate == kNone ? sources[1] : passes_[accumulate].sources[from][1];
      target.g = gradient.memory ? gradient.memory->data : nullptr;
      target.late = gradient.memory ? kNone : uint32_t(gradient.late);
      if (accumulate != kNone) {
        unit.passes.accumulate = accumulate;
        target.accumulator = sources[1].memory->data;
        last.passes.zero = find(idOf<Zero>(Rules()), 0, sources[1].memory).first;
      }
      const auto [average, averaged] = find(idOf<Average>(Rules()), 1, sources[0].memory);
      if (average != kNone) {
        target.average = passes_[average].sources[averaged][0].memory->data;
        last.passes.average = average;
        last.passes.overwrite = find(idOf<::Copy>(Rules()), 0, sources[0].memory).first;
      }
      if (directed) {
        target.direction = pass.further[t].direction->data;
        Target other = target;
        other.g = target.direction;
        other.late = kNone;
        descending.push_back(other);
        shapeList_.push_back(pass.further[t].shape);
        workspace(pass, pass.further[t].shape);
      } else {
        shapeList_.push_back({});
      }
      if (tensor.length > kBlock) large_.push_back(uint32_t(targetList_.size()));
      blocks_ += blocksOf(tensor.length);
      targetList_.push_back(target);
      attached_ += 1 * (accumulate != kNone) + 1 * (average != kNone);
    }
    unit.count = pass.tensors.size();
    addTiles(unit, directed);
    units_.push_back(unit);
    if (!directed) return;
    ++descents_;
    descent.first = targetList_.size();
    descent.count = descending.size();
    targetList_.insert(targetList_.end(), descending.begin(), descending.end());
    shapeList_.resize(targetList_.size());
    addTiles(descent, false);
    units_.push_back(descent);
  }

  void addTiles(Unit& unit, bool directed) {
    const auto add = [&](size_t tile, size_t& first, size_t& count) {
      first = tileList_.size();
      for (size_t i = 0; i < unit.count; ++i) {
        const size_t length = targetList_[unit.first + i].length;
        for (size_t begin = 0; begin < length; begin += tile)
          tileList_.push_back({uint32_t(i), uint32_t(std::min(tile, length - begin)), begin});
      }
      count = tileList_.size() - first;
    };
    add(kBlock, unit.firstBlockTile, unit.blockTiles);
    if (directed) std::tie(unit.firstTile, unit.tiles) = std::make_pair(unit.firstBlockTile, unit.blockTiles);
    else add(kTile, unit.firstTile, unit.tiles);
  }

  // What a directed rule needs for one of its matrices; they come one after the other.
  void workspace(const Pass& pass, const Shape& s) {
    const size_t side = std::min(s.rows, s.columns);
    if (wholeOfPass(pass) == kFactored)
      workspace_ = std::max(workspace_, (s.batch * bandsOf(s) * s.columns + s.batch) * sizeof(double));
    if (wholeOfPass(pass) == kOrthogonal) workspace_ = std::max(workspace_, (2 * side * side + s.rows * s.columns) * sizeOf(pass));
  }

  // Every accumulation and every average is a part of a unit.
  void checkParts() const {
    size_t parts = 0;
    for (const Pass& pass : passes_) {
      const bool counted = isOf(pass, idOf<Accumulate>(Rules())) || isOf(pass, idOf<Average>(Rules()));
      if (counted) parts += pass.tensors.size();
      if (isOf(pass, idOf<Prepare>(Rules())) || (counted && units_.empty()))
        throw Error("ERR_OPT_DEVICE", "a step in TypeScript expects variables of the host");
    }
    if (parts != attached_) throw Error("ERR_OPT_DEVICE", "a plan for a device expects every accumulator and average to belong to an update");
  }

  void layOut() {
    Layout layout;
    const size_t controls = passes_.size() + descents_;
    recordBytes_ = controls * sizeof(Control) + given_.size() * sizeof(Given);
    targets_ = layout.add(targetList_.size() * sizeof(Target));
    tiles_ = layout.add(tileList_.size() * sizeof(Tile));
    largeList_ = layout.add(large_.size() * sizeof(uint32_t));
    shapes_ = layout.add(shapeList_.size() * sizeof(Shape));
    const size_t tables = layout.bytes();
    record_ = layout.add(recordBytes_);
    factors_ = layout.add(targetList_.size() * sizeof(Factor));
    sums_ = layout.add(blocks_ * sizeof(double));
    ofDirections_ = layout.add(descents_ > 0 ? blocks_ * sizeof(double) : 0);
    squares_ = layout.add(variables_ * sizeof(double));
    directionSquares_ = layout.add(targetList_.size() * sizeof(double));
    others_ = layout.add(sizeof(uint32_t));
    work_ = layout.add(workspace_);
    block_ = allocate(device_, layout.bytes());
    ring_ = std::make_unique<Pinned>(device_, (recordBytes_ + sizeof(double)) * kRing);
    std::vector<char> all(tables);
    const auto put = [&](size_t at, const auto& list) {
      if (!list.empty()) std::memcpy(all.data() + at, list.data(), list.size() * sizeof(list[0]));
    };
    put(targets_, targetList_);
    put(tiles_, tileList_);
    put(largeList_, large_);
    put(shapes_, shapeList_);
    write(*block_, all.data(), tables);
    tileList_ = {};
  }

  template <class T>
  T* at(size_t offset) const {
    return reinterpret_cast<T*>(static_cast<char*>(block_->data) + offset);
  }
  bool isFew() const { return given_.empty() && passes_.size() + descents_ <= kFew && !captures_; }
  Record record() const {
    Record record = {at<Control>(record_), at<Given>(record_ + (passes_.size() + descents_) * sizeof(Control)), {}};
    if (!isFew()) return record;
    record.controls = nullptr;
    fillControls(record.few);
    return record;
  }
  // The controls of the passes, and those of what descends. Returns where they end.
  Control* fillControls(Control* to) const {
    const Control* from = static_cast<const Control*>(control_->data);
    to = std::copy_n(from, passes_.size(), to);
    for (size_t i = 0; i < passes_.size(); ++i)
      if (passes_[i].directed()) *to++ = descentControl(from[i]);
    return to;
  }
  // Of the host, after the records: the device writes it there.
  double* normAt(size_t slot) const {
    return reinterpret_cast<double*>(static_cast<char*>(ring_->data()) + recordBytes_ * kRing) + slot;
  }
  const Target* targets(const Unit& unit) const { return at<Target>(targets_) + unit.first; }
  const Tile* tiles(const Unit& unit) const { return at<Tile>(tiles_) + unit.firstTile; }
  const Tile* blockTiles(const Unit& unit) const { return at<Tile>(tiles_) + unit.firstBlockTile; }

  Storage storageOf(const Array& array, int index, const Pass& pass, size_t length) const {
    if (!array.memory) return storageIn(array, index, 1, pass, length);
    const std::string name = "arrays[" + std::to_string(index) + "]";
    if (array.memory->device != device_)
      throw BindError{BindError::kType, name + " lies on another device than its variable, cuda:" + std::to_string(device_)};
    if (array.memory->bytes == length * sizeOf(pass)) return kPlain;
    if (pass.dtype == kFloat32 && pass.half != kPlain && array.memory->bytes == length * sizeof(uint16_t)) return pass.half;
    throw BindError{BindError::kLength, name + " has " + std::to_string(array.memory->bytes) + " bytes, its tensor has " +
                                            std::to_string(length) + " elements of " + std::to_string(sizeOf(pass))};
  }

  // What the caller has brought goes to the device, so that it may be overwritten when this returns.
  void bring() {
    for (size_t i = 0; i < given_.size(); ++i) {
      if (i >= arrays_.size() || arrays_[i].absent) continue;
      if (arrays_[i].memory) {
        given_[i].g = arrays_[i].memory->data;
        continue;
      }
      if (bytes_[i] == 0) continue;
      if (!incoming_[i] || incoming_[i]->bytes < bytes_[i]) incoming_[i] = allocate(device_, bytes_[i]);
      write(*incoming_[i], arrays_[i].data, bytes_[i]);
      given_[i].g = incoming_[i]->data;
    }
  }

  // Memory that its owner gives back goes when the device has done with it, and not when there is another step.
  void letGo() {
    for (Array& array : arrays_) array.memory.reset();
  }

  // Into the next place of the ring; the only wait is for a step that is as many steps behind as the ring has places.
  size_t fillRecord() {
    const size_t slot = next_ % kRing;
    if (next_ >= kRing) kCalls.eventSynchronize.must(events_[slot]);
    ++next_;
    char* to = static_cast<char*>(ring_->data()) + slot * recordBytes_;
    Control* const end = fillControls(reinterpret_cast<Control*>(to));
    if (!given_.empty()) std::memcpy(end, given_.data(), given_.size() * sizeof(Given));
    return slot;
  }

  void sendRecord(Stream stream, size_t slot) {
    if (recordBytes_ == 0 || isFew()) return;
    kCalls.memcpyAsync.must(at<void>(record_), static_cast<char*>(ring_->data()) + slot * recordBytes_, recordBytes_, kToDevice, stream);
    ring_->begun();
  }

  // What was asked for is in the stream.
  void passed(Stream stream, size_t slot) {
    last_ = slot;
    const Status status = kCalls.eventRecord(events_[slot], stream);
    if (status != kSuccess) settle(stream, kCalls.eventRecord.name, status);
  }

  // Waits for the stream, where an event cannot say how far it is; throws if it cannot get further.
  static void settle(Stream stream, const char* name, Status status) {
    note(name, status);
    note(kCalls.streamSynchronize.name, kCalls.streamSynchronize(stream));
  }

  const Control& controlOf(size_t pass) const { return static_cast<const Control*>(control_->data)[pass]; }
  bool isActive(uint32_t pass) const { return pass != kNone && controlOf(pass).active != 0; }
  bool clips() const {
    return std::any_of(units_.begin(), units_.end(), [&](const Unit& unit) {
      const Control& c = controlOf(unit.pass);
      return c.active != 0 && (c.clipnorm > 0 || c.global_clipnorm > 0);
    });
  }

  void enqueue(Stream stream, size_t slot) {
    sendRecord(stream, slot);
    if (clipped_) clip(stream, slot);
    for (const Unit& unit : units_) step(stream, unit);
    half_ = false;
  }

  // A launch that writes what outlives the step: the last of them makes it whole.
  void writing(Stream stream, const char* name, const void* kernel, size_t blocks, const void* arguments) {
    launch(stream, name, kernel, blocks, arguments);
    half_ = true;
  }

  void clip(Stream stream, size_t slot) {
    uint32_t count = 0;
    for (const Unit& unit : units_) {
      count = std::max(count, uint32_t(unit.first + unit.count));
      if (unit.descends || !isActive(unit.passes.update)) continue;
      const SquaresArguments arguments = {record(),    targets(unit),      blockTiles(unit),    uint32_t(unit.blockTiles),
                                          unit.passes, at<double>(sums_), at<double>(squares_)};
      const auto start = unit.passes.accumulate == kNone ? &DevicePlan::reading : &DevicePlan::writing;
      (this->*start)(stream, "norms", kKernels.squares, blocksFor(unit.blockTiles), &arguments);
    }
    const ClipArguments arguments = {record(), at<Target>(targets_), count, at<uint32_t>(largeList_), uint32_t(large_.size()),
                                     units_[0].passes, at<double>(sums_), at<double>(squares_), normAt(slot),
                                     uint32_t(variables_), at<Factor>(factors_)};
    ring_->begun();
    launch(stream, "clip", kKernels.clip, 1, &arguments);
  }
  void reading(Stream stream, const char* name, const void* kernel, size_t blocks, const void* arguments) {
    launch(stream, name, kernel, blocks, arguments);
  }

  void step(Stream stream, const Unit& unit) {
    const Pass& pass = passes_[unit.pass];
    const Passes& p = unit.passes;
    const bool updates = isActive(uint32_t(unit.pass));
    if (!updates && !isActive(p.accumulate) && !isActive(p.zero) && !isActive(p.average) && !isActive(p.overwrite)) return;
    const bool encoded = !pass.tensors.empty() && !unit.descends && pass.tensors[0].storage[2] != kPlain;
    const int rule = unit.descends ? idOf<Descend>(Rules()) : pass.rule;
    const bool clipped = clipped_ && updates;
    const StepArguments arguments = {record(), targets(unit), tiles(unit), uint32_t(unit.tiles), p,
                                     clipped || unit.descends ? at<Factor>(factors_) : nullptr, clipped,
                                     at<double>(sums_), at<double>(ofDirections_)};
    writing(stream, nameOf(Rules(), rule), kKernels.step[rule][pass.dtype][encoded], blocksFor(unit.tiles), &arguments);
    if (!updates || unit.descends || !pass.directed()) return;
    if (wholeOfPass(pass) == kFactored) factor(stream, unit);
    const SteerArguments steer = {record(), targets(unit), uint32_t(unit.count), p.update, uint32_t(wholeOfPass(pass)),
                                  at<double>(sums_), at<double>(ofDirections_), at<Shape>(shapes_) + unit.first,
                                  at<Factor>(factors_), at<double>(directionSquares_) + unit.first};
    launch(stream, "steer", kKernels.steer, blocksFor(unit.count), &steer);
    if (wholeOfPass(pass) == kOrthogonal) orthogonalize(stream, unit);
  }

  bool isAbsentHere(const Target& target) const { return target.needs != kNone && given_[target.needs].absent != 0; }

  void factor(Stream stream, const Unit& unit) {
    const Pass& pass = passes_[unit.pass];
    for (size_t i = 0; i < unit.count; ++i) {
      const Shape& shape = pass.further[i].shape;
      const auto& extra = pass.further[i].extra;
      const Target& target = targetList_[unit.first + i];
      if (isAbsentHere(target) || target.length == 0) continue;
      double* const bands = at<double>(work_);
      const FactorsArguments arguments = {record(), targets(unit) + i, unit.passes.update, shape, target.direction, extra[0]->data,
                                          extra[1]->data, extra[2]->data, bands, bands + shape.batch * bandsOf(shape) * shape.columns};
      const auto start = [&](const char* name, const void* const* kernels, size_t threads) {
        launch(stream, name, kernels[pass.dtype], blocksOfThreads(threads), &arguments);
      };
      start("row means", kKernels.rowMeans, shape.batch * shape.rows * kWarp);
      start("band sums", kKernels.bandSums, shape.batch * bandsOf(shape) * shape.columns);
      start("column means", kKernels.columnMeans, shape.batch * shape.columns);
      start("division by factors", kKernels.divideByFactors, target.length);
    }
    const DirectionArguments arguments = {targets(unit), blockTiles(unit), uint32_t(unit.blockTiles), at<double>(ofDirections_)};
    launch(stream, "norms of directions", kKernels.sumOfDirections[pass.dtype], blocksFor(unit.blockTiles), &arguments);
  }

  void orthogonalize(Stream stream, const Unit& unit) {
    const Pass& pass = passes_[unit.pass];
    for (size_t i = 0; i < unit.count; ++i) {
      const Target& target = targetList_[unit.first + i];
      if (isAbsentHere(target) || target.length == 0) continue;
      const NormalizeArguments normalize = {target.direction, target.length, at<double>(directionSquares_) + unit.first + i};
      launch(stream, "normalization", kKernels.normalize[pass.dtype], blocksOfThreads(target.length), &normalize);
      iterate(stream, unit, pass, pass.further[i].shape, target);
    }
  }

  // native/matrix/newton_schulz.cpp; a product never writes where it reads.
  void iterate(Stream stream, const Unit& unit, const Pass& pass, const Shape& shape, const Target& target) {
    constexpr uint32_t a = placeOf(Muon::scalars, "muon_a"), b = placeOf(Muon::scalars, "muon_b"),
                       c = placeOf(Muon::scalars, "muon_c"), steps = placeOf(Muon::scalars, "ns_steps");
    const size_t rows = shape.rows, columns = shape.columns, side = std::min(rows, columns), depth = std::max(rows, columns);
    const size_t bytes = sizeOf(pass);
    char *gram = at<char>(work_), *next = gram + side * side * bytes, *x = static_cast<char*>(target.direction);
    char* other = next + side * side * bytes;
    for (size_t n = size_t(controlOf(unit.pass).scalars[steps]); n > 0; --n) {
      const Side ofRows = {x, rows, columns, 1}, ofColumns = {x, columns, 1, columns};
      const Side lines = rows > columns ? ofColumns : ofRows, ofGram = {gram, side, 1, side}, ofNext = {next, side, 1, side};
      multiply(stream, pass, {record(), unit.passes.update, kNone, kNone, lines, lines, depth, nullptr, gram, 1});
      multiply(stream, pass, {record(), unit.passes.update, c, b, ofGram, ofGram, side, gram, next, 1});
      if (rows > columns) multiply(stream, pass, {record(), unit.passes.update, kNone, a, ofRows, ofNext, side, x, other, 0});
      else multiply(stream, pass, {record(), unit.passes.update, kNone, a, ofNext, ofColumns, side, x, other, 0});
      std::swap(x, other);
    }
    if (x != target.direction) kCalls.memcpyAsync.must(target.direction, x, target.length * bytes, kOnDevice, stream);
  }

  void multiply(Stream stream, const Pass& pass, const ProductArguments& arguments) {
    const auto parts = [](size_t lines) { return (lines + kSide - 1) / kSide; };
    launch(stream, "product", kKernels.product[pass.dtype], parts(arguments.left.lines) * parts(arguments.right.lines), &arguments);
  }

  // The same step as one launch of a graph, which was captured for each place of the ring; false if that does not apply.
  bool replay(Stream stream, size_t slot) {
    const bool simple = std::none_of(passes_.begin(), passes_.end(), [](const Pass& pass) {
      return pass.directed() && wholeOfPass(pass) != kTrustRatio;
    });
    if (!captures_ || !simple || passes_.size() > 32) return false;
    uint64_t key = slot;
    for (size_t i = 0; i < passes_.size(); ++i) key |= uint64_t(isActive(uint32_t(i))) << (i + 8);
    // The first time it runs as it is, so that no kernel is loaded in the middle of a capture.
    const auto [found, isNew] = graphs_.emplace(key, nullptr);
    if (isNew) return false;
    if (found->second == nullptr) found->second = capture(slot);
    kCalls.graphLaunch.must(found->second, stream);
    return true;
  }

  // On a stream of its own, so that nothing of anybody else's gets into it.
  GraphExec capture(size_t slot) {
    if (capturing_ == nullptr) kCalls.streamCreate.must(&capturing_);
    Graph graph = nullptr;
    GraphExec exec = nullptr;
    kCalls.streamBeginCapture.must(capturing_);
    try {
      enqueue(capturing_, slot);
    } catch (...) {
      half_ = false;  // nothing has run
      if (kCalls.streamEndCapture(capturing_, &graph) == kSuccess && graph != nullptr) kCalls.graphDestroy(graph);
      kCalls.getLastError();
      throw;
    }
    kCalls.streamEndCapture.must(capturing_, &graph);
    const Status status = kCalls.graphInstantiate(&exec, graph);
    kCalls.graphDestroy(graph);
    if (status != kSuccess) fail(kCalls.graphInstantiate.name, status);
    return exec;
  }

  // Waits for what the stream has got so far, and copies a few bytes.
  void answer(size_t from, void* to, size_t bytes) {
    select(device_);
    const Stream stream = streamOf(device_);
    Pinned pinned(device_, bytes);
    kCalls.memcpyAsync.must(pinned.data(), at<void>(from), bytes, kToHost, stream);
    pinned.begun();
    kCalls.streamSynchronize.must(stream);
    pinned.ended();
    std::memcpy(to, pinned.data(), bytes);
  }

  const int device_;
  const std::vector<Pass> passes_;
  const size_t variables_;
  const SharedMemory control_;
  const bool captures_;
  std::vector<Unit> units_;
  std::vector<Target> targetList_;
  std::vector<Tile> tileList_;  // until they lie on the device
  std::vector<Shape> shapeList_;
  std::vector<uint32_t> large_;  // targets of several blocks
  size_t blocks_ = 0, descents_ = 0, attached_ = 0, workspace_ = 0, recordBytes_ = 0;
  // Where the tables are in the block.
  size_t targets_ = 0, tiles_ = 0, largeList_ = 0, shapes_ = 0, record_ = 0, factors_ = 0, sums_ = 0, ofDirections_ = 0,
         squares_ = 0, directionSquares_ = 0, others_ = 0, work_ = 0;
  SharedMemory block_;
  std::unique_ptr<Pinned> ring_;
  Event events_[kRing] = {};
  size_t next_ = 0, last_ = 0;  // of the ring
  std::vector<Array> arrays_;
  std::vector<Given> given_;
  std::vector<size_t> bytes_;          // of what was brought,
  std::vector<SharedMemory> incoming_;  // and where it goes, if it comes from the host
  std::map<uint64_t, GraphExec> graphs_;
  Stream capturing_ = nullptr;
  bool clipped_ = false;  // the last run asked for norms
  bool half_ = false;
};

}  // namespace

int deviceOf(const std::vector<Pass>& passes) {
  int device = -2;
  const auto look = [&](const SharedMemory& memory) {
    if (!memory) return;
    if (device != -2 && memory->device != device)
      throw Error("ERR_OPT_DEVICE", "the memories of a plan lie on several devices");
    device = memory->device;
  };
  for (const Pass& pass : passes) {
    for (const auto& sources : pass.sources)
      for (const Source& source : sources) look(source.memory);
    for (const Further& further : pass.further) {
      look(further.direction);
      for (const SharedMemory& memory : further.extra) look(memory);
    }
  }
  return std::max(device, -1);
}

std::shared_ptr<Plan> newPlan(int device, std::vector<Pass> passes, size_t variables, SharedMemory control) {
  return std::make_shared<DevicePlan>(device, std::move(passes), variables, std::move(control));
}

}  // namespace cuda
