// Memory, streams and errors of devices: each call goes through the table (calls.h). Over 200 lines: they share what is known of a
// device.
#include <algorithm>
#include <array>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <deque>

#include "internal.h"
#include "kernels.h"

namespace cuda {

namespace {

constexpr int kMaxDevices = 64;

// Never destroyed: environments give memory back while the process exits.
struct Device {
  std::mutex mutex;
  Stream own = nullptr;
  std::atomic<Stream> stream{nullptr};
  std::atomic<size_t> live{0};
  std::deque<Pinned::Block*> free;  // those that the device may still use wait for their events
  size_t freeBytes = 0;
};
Device& deviceAt(int index) {
  static std::array<Device, kMaxDevices>& devices = *new std::array<Device, kMaxDevices>;
  return devices[size_t(index)];
}

// What has happened to the process: after an error of this kind every call to CUDA fails, until it ends.
struct Health {
  std::mutex mutex;
  std::atomic<bool> poisoned{false};
  std::string first;
  std::array<std::string, 8> launches;  // the last ones, by `count`
  size_t count = 0;
};
Health& health() {
  static Health& health = *new Health;
  return health;
}

bool isSticky(Status status) {
  constexpr Status sticky[] = {214, 220, 226, 700, 702, 710, 714, 715, 716, 717, 718, 719, 721, 810, 911};
  return std::find(std::begin(sticky), std::end(sticky), status) != std::end(sticky);
}

bool isBlocking() {
  static const bool blocking = [] {
    const char* asked = std::getenv("KERAS_OPTIMIZERS_CUDA_BLOCKING");
    return asked != nullptr && std::strcmp(asked, "1") == 0;
  }();
  return blocking;
}

std::string textOf(const char* name, Status status) {
  return std::string(name) + " failed with " + kCalls.errorName(status) + " (" + std::to_string(status) + "): " + kCalls.errorText(status);
}

[[noreturn]] void failPoisoned() {
  Health& h = health();
  const std::lock_guard<std::mutex> lock(h.mutex);
  throw Error("ERR_OPT_POISONED", "no GPU can be used in this process any more: " + h.first +
                                      "; start a new process, from the last checkpoint");
}

void poison(const std::string& text) {
  Health& h = health();
  const std::lock_guard<std::mutex> lock(h.mutex);
  if (h.poisoned.load()) return;
  h.first = text;
  const size_t last = std::min(h.count, h.launches.size());
  for (size_t i = 0; i < last; ++i)
    h.first += (i == 0 ? "; the last launches, any of which may be the reason: " : ", ") + h.launches[(h.count - last + i) % h.launches.size()];
  h.poisoned.store(true);
}

void noteLaunch(const char* name) {
  Health& h = health();
  const std::lock_guard<std::mutex> lock(h.mutex);
  h.launches[h.count++ % h.launches.size()] = name;
}

// The stream of a device that has been selected.
Stream current(int device) {
  Device& d = deviceAt(device);
  if (const Stream stream = d.stream.load()) return stream;
  const std::lock_guard<std::mutex> lock(d.mutex);
  if (d.own == nullptr) kCalls.streamCreate.must(&d.own);
  if (d.stream.load() == nullptr) d.stream.store(d.own);
  return d.stream.load();
}

class DeviceMemory : public Memory {
 public:
  DeviceMemory(int device, void* data, size_t bytes, bool owned) : Memory(data, bytes, device), owned_(owned) {
    if (owned) deviceAt(device).live.fetch_add(bytes);
  }
  ~DeviceMemory() override {
    if (!owned_) return;
    deviceAt(device).live.fetch_sub(bytes);
    if (isPoisoned() || data == nullptr) return;
    const Status selected = kCalls.setDevice(device);
    absorb(kCalls.free.name, selected == kSuccess ? kCalls.free(data) : selected);
  }

 private:
  bool owned_;
};

// `after` waits for what `before` has got so far.
void order(Stream before, Stream after) {
  Event event;
  kCalls.eventCreate.must(&event, false);
  Status status = kCalls.eventRecord(event, before);
  const char* name = kCalls.eventRecord.name;
  if (status == kSuccess) {
    status = kCalls.streamWaitEvent(after, event);
    name = kCalls.streamWaitEvent.name;
  }
  kCalls.eventDestroy(event);  // its work is done by CUDA when the stream gets there
  if (status != kSuccess) fail(name, status);
}

}  // namespace

void fail(const char* name, Status status) {
  kCalls.getLastError();
  if (isPoisoned()) failPoisoned();
  const std::string text = textOf(name, status);
  if (isSticky(status)) {
    poison(text);
    failPoisoned();
  }
  if (status == kOutOfMemory) throw Error("ERR_OPT_OOM", "out of memory: " + text, status);
  throw Error("ERR_OPT_CUDA", text, status);
}

void absorb(const char* name, Status status) {
  if (status == kSuccess) return;
  kCalls.getLastError();
  if (isSticky(status)) poison(textOf(name, status));
}

void note(const char* name, Status status) {
  absorb(name, status);
  if (isPoisoned()) failPoisoned();
}

bool isPoisoned() { return health().poisoned.load(); }

void checkUsable(int device) {
  if (isPoisoned()) failPoisoned();
  const Startup& found = startup();
  if (found.code != nullptr) throw Error(found.code, found.message);
  if (device < 0 || size_t(device) >= std::min(found.gpus.size(), size_t(kMaxDevices)))
    throw Error("ERR_CUDA_NO_DEVICE", "there is no cuda:" + std::to_string(device) + ": this process sees " +
                                          std::to_string(found.gpus.size()) + " GPU(s), counted from 0");
}

void select(int device) {
  checkUsable(device);
  kCalls.setDevice.must(device);
}

SharedMemory allocate(int device, size_t bytes) {
  select(device);
  void* data = nullptr;
  const Stream stream = current(device);
  if (const Status status = bytes > 0 ? kCalls.malloc(&data, bytes) : kSuccess; status != kSuccess) {
    kCalls.getLastError();
    size_t free = 0, total = 0;
    const bool known = status == kOutOfMemory && kCalls.memGetInfo(&free, &total) == kSuccess;
    if (status != kOutOfMemory) fail(kCalls.malloc.name, status);
    throw Error("ERR_OPT_OOM", "out of memory on cuda:" + std::to_string(device) + ": " + std::to_string(bytes) + " bytes were asked for" +
                                   (known ? ", " + std::to_string(free) + " of " + std::to_string(total) + " are free" : ""), status);
  }
  const SharedMemory memory = std::make_shared<DeviceMemory>(device, data, bytes, true);
  if (bytes > 0) kCalls.memsetAsync.must(data, 0, bytes, stream);
  return memory;
}

SharedMemory borrow(int device, void* data, size_t bytes) {
  select(device);
  Place place = kUnknown;
  int found = -1;
  const Status status = bytes > 0 ? kCalls.pointerGetAttributes(&place, &found, data) : kSuccess;
  if (isSticky(status)) fail(kCalls.pointerGetAttributes.name, status);
  if (status != kSuccess) kCalls.getLastError();
  if (bytes > 0 && (status != kSuccess || (place != kDeviceMemory && place != kManaged)))
    throw Error("ERR_CUDA_POINTER", "a pointer to memory of cuda:" + std::to_string(device) + " is expected, got " +
                                        (place == kPinned ? "one to pinned memory of the host" : "one that CUDA does not know as device memory"));
  if (bytes > 0 && found != device)
    throw Error("ERR_CUDA_POINTER",
                "a pointer to memory of cuda:" + std::to_string(device) + " is expected, got one to memory of cuda:" + std::to_string(found));
  return std::make_shared<DeviceMemory>(device, data, bytes, false);
}

size_t liveBytes(int device) { return deviceAt(device).live.load(); }

void* streamOf(int device) {
  select(device);
  return current(device);
}

void useStream(int device, void* stream) {
  select(device);
  const Stream before = current(device);
  const Stream after = stream != nullptr ? stream : deviceAt(device).own;
  if (after == nullptr || before == after) return;
  order(after, after);  // fails for a stream of another device, which nothing could be ordered behind later
  order(before, after);
  deviceAt(device).stream.store(after);
}

void waitFor(int device, void* other) {
  select(device);
  order(other, current(device));
}

void waitIn(int device, void* other) {
  select(device);
  order(current(device), other);
}

constexpr size_t kPart = size_t(8) << 20;  // bytes that go through page-locked memory at once
void write(const Memory& to, const void* from, size_t bytes) {
  select(to.device);
  const Stream stream = current(to.device);
  for (size_t done = 0; done < bytes; done += kPart) {
    const size_t some = std::min(kPart, bytes - done);
    Pinned pinned(to.device, some);
    std::memcpy(pinned.data(), static_cast<const char*>(from) + done, some);
    kCalls.memcpyAsync.must(static_cast<char*>(to.data) + done, pinned.data(), some, kToDevice, stream);
    pinned.begun();
  }
}

void copy(const Memory& to, const Memory& from, size_t bytes) {
  select(to.device);
  if (bytes > 0) kCalls.memcpyAsync.must(to.data, from.data, bytes, kOnDevice, current(to.device));
}

void putRows(const Memory& dense, const uint32_t* rows, size_t count, size_t bytes, const void* values) {
  if (bytes == 0) return;
  select(dense.device);
  const Stream stream = current(dense.device);
  const size_t most = std::max<size_t>(1, kPart / (bytes + sizeof(*rows)));
  for (size_t done = 0; done < count; done += most) {
    const size_t some = std::min(most, count - done), before = (some * sizeof(*rows) + 15) / 16 * 16;
    Pinned pinned(dense.device, before + (values != nullptr ? some * bytes : 0));  // which the kernel reads where it is
    char* const at = static_cast<char*>(pinned.data());
    std::memcpy(at, rows + done, some * sizeof(*rows));
    if (values != nullptr) std::memcpy(at + before, static_cast<const char*>(values) + done * bytes, some * bytes);
    const RowsArguments arguments = {static_cast<char*>(dense.data), reinterpret_cast<const uint32_t*>(at),
                                     values != nullptr ? at + before : nullptr, some, bytes};
    launch(stream, "rows", kKernels.putRows, (some + kWarps - 1) / kWarps, &arguments);
    pinned.begun();
  }
}

void launch(Stream stream, const char* name, const void* kernel, size_t blocks, const void* arguments) {
  if (blocks == 0) return;
  if (blocks > 0x7fffffffu) throw Error("ERR_OPT_TOO_LARGE", std::string("too many elements for a launch of ") + name);
  void* list[] = {const_cast<void*>(arguments)};
  noteLaunch(name);
  kCalls.launchKernel.must(kernel, unsigned(blocks), kThreads, list, stream);
  if (isBlocking()) kCalls.streamSynchronize.must(stream);
}

namespace {
// Whether the device has done with a block.
bool isDone(Pinned::Block& block) {
  if (!block.waiting) return true;
  const Status status = kCalls.eventQuery(block.event);
  if (status != kSuccess) note(kCalls.eventQuery.name, status);
  block.waiting = status != kSuccess;
  return !block.waiting;
}

// A free block that is large enough, but not much too large, and that the device has done with; null if there is none. They are in
// the order of the stream: behind one that the device has not reached it has reached none.
Pinned::Block* reused(Device& d, size_t bytes) {
  const std::lock_guard<std::mutex> lock(d.mutex);
  for (auto at = d.free.begin(); at != d.free.end(); ++at) {
    Pinned::Block* block = *at;
    if (block->bytes < bytes || block->bytes / 4 > bytes) continue;
    if (!isDone(*block)) return nullptr;
    d.free.erase(at);
    d.freeBytes -= block->bytes;
    return block;
  }
  return nullptr;
}

void destroy(Pinned::Block* block) {
  if (!isPoisoned()) {
    kCalls.eventDestroy(block->event);
    kCalls.freeHost(block->data);
  }
  delete block;
}
}  // namespace

// Of sizes of 2^n, so that one fits many.
Pinned::Pinned(int device, size_t bytes) : device_(device), block_(nullptr) {
  size_t size = 4096;
  while (size < bytes) size *= 2;
  block_ = reused(deviceAt(device), size);
  if (block_ != nullptr) return;
  auto made = std::make_unique<Block>(Block{nullptr, size, nullptr, false});
  kCalls.eventCreate.must(&made->event, false);
  const Status status = kCalls.hostAlloc(&made->data, size);
  if (status != kSuccess) {
    kCalls.eventDestroy(made->event);
    fail(kCalls.hostAlloc.name, status);
  }
  block_ = made.release();
}

Pinned::~Pinned() {
  constexpr size_t kKept = size_t(1) << 30;  // bytes of free blocks, of each device: making one takes longer than using it
  if (isPoisoned()) {
    destroy(block_);
    return;
  }
  if (begun_) {
    const Stream stream = deviceAt(device_).stream.load();
    const Status recorded = kCalls.eventRecord(block_->event, stream);
    absorb(kCalls.eventRecord.name, recorded);
    block_->waiting = recorded == kSuccess;
    if (!block_->waiting) {  // then it is waited for
      const Status status = kCalls.streamSynchronize(stream);
      absorb(kCalls.streamSynchronize.name, status);
      if (status != kSuccess) return;  // the block may be in use for ever
    }
  }
  Device& d = deviceAt(device_);
  const std::lock_guard<std::mutex> lock(d.mutex);
  if (block_->waiting) d.free.push_back(block_);
  else d.free.push_front(block_);
  d.freeBytes += block_->bytes;
  try {
    while (d.freeBytes > kKept && isDone(*d.free.front())) {
      d.freeBytes -= d.free.front()->bytes;
      destroy(d.free.front());
      d.free.pop_front();
    }
  } catch (const Error&) {  // every GPU is useless, which the next call says
  }
}

struct Reading::State {
  SharedMemory from;
  std::vector<std::unique_ptr<Pinned>> parts;
  std::unique_ptr<Mark> mark;
};
constexpr size_t kReadPart = size_t(64) << 20;

Reading::Reading(SharedMemory from) : state_(new State) {
  select(from->device);
  const Stream stream = current(from->device);
  for (size_t done = 0; done < from->bytes; done += kReadPart) {
    const size_t some = std::min(kReadPart, from->bytes - done);
    state_->parts.push_back(std::make_unique<Pinned>(from->device, some));
    Pinned& pinned = *state_->parts.back();
    kCalls.memcpyAsync.must(pinned.data(), static_cast<const char*>(from->data) + done, some, kToHost, stream);
    pinned.begun();
  }
  state_->mark = std::make_unique<Mark>(from->device);
  state_->from = std::move(from);
}
Reading::~Reading() = default;

void Reading::finish(void* to) {
  state_->mark->wait();
  size_t done = 0;
  for (const auto& part : state_->parts) {
    const size_t some = std::min(kReadPart, state_->from->bytes - done);
    std::memcpy(static_cast<char*>(to) + done, part->data(), some);
    part->ended();
    done += some;
  }
}

Mark::Mark(int device, bool timed) : device_(device) {
  select(device);
  const Stream stream = current(device);
  kCalls.eventCreate.must(&event_, timed);
  const Status status = kCalls.eventRecord(event_, stream);
  if (status == kSuccess) return;
  kCalls.eventDestroy(event_);
  fail(kCalls.eventRecord.name, status);
}
Mark::~Mark() {
  if (!isPoisoned() && kCalls.setDevice(device_) == kSuccess) kCalls.eventDestroy(event_);
}
bool Mark::reached() const {
  select(device_);
  const Status status = kCalls.eventQuery(event_);
  if (status == kNotReady) return kCalls.getLastError(), false;
  if (status != kSuccess) fail(kCalls.eventQuery.name, status);
  return true;
}
void Mark::wait() const {
  select(device_);
  kCalls.eventSynchronize.must(event_);
}
float Mark::since(const Mark& earlier) const {
  float milliseconds = 0;
  kCalls.eventElapsedTime.must(&milliseconds, earlier.event_, event_);
  return milliseconds;
}

}  // namespace cuda
