// A GPU that is this process's own memory: every call is done when it returns. For tests on machines without one; bits are those of
// the host. Blocks are guarded, so that a kernel that writes beyond its arrays is found when they are freed.
#include "../calls.h"

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>

#include "../device.h"
#include "kernel.h"

namespace cuda {

const bool kBuilt = true, kEmulated = true;

namespace {

constexpr size_t kGuard = 256;  // bytes before and after a block, and its alignment
constexpr unsigned char kMark = 0xa5;

struct Block {
  size_t bytes;
  Place place;
  int device;
};
std::mutex mutex;
std::map<char*, Block>& blocks() {
  static std::map<char*, Block>& blocks = *new std::map<char*, Block>;
  return blocks;
}
thread_local int device = 0;

int deviceCount() {
  const char* asked = std::getenv("KERAS_OPTIMIZERS_EMULATED_GPUS");
  return asked != nullptr ? std::atoi(asked) : 1;
}

Status take(void** data, size_t bytes, Place place) {
  constexpr size_t kMemory = size_t(4) << 30;
  if (bytes > kMemory) return kOutOfMemory;
  char* block = static_cast<char*>(std::aligned_alloc(kGuard, (bytes + 3 * kGuard - 1) / kGuard * kGuard));
  if (block == nullptr) return kOutOfMemory;
  std::memset(block, kMark, bytes + 2 * kGuard);
  const std::lock_guard<std::mutex> lock(mutex);
  blocks()[block + kGuard] = {bytes, place, device};
  *data = block + kGuard;
  return kSuccess;
}

Status give(void* data) {
  if (data == nullptr) return kSuccess;
  const std::lock_guard<std::mutex> lock(mutex);
  const auto found = blocks().find(static_cast<char*>(data));
  if (found == blocks().end()) return 1;
  const unsigned char* begin = reinterpret_cast<unsigned char*>(found->first);
  for (size_t i = 0; i < kGuard; ++i)
    if (begin[-ptrdiff_t(i) - 1] != kMark || begin[found->second.bytes + i] != kMark) {
      std::fprintf(stderr, "emulated GPU: a kernel wrote beyond a block of %zu bytes\n", found->second.bytes);
      std::abort();
    }
  std::free(found->first - kGuard);
  blocks().erase(found);
  return kSuccess;
}

Status attributes(Place* place, int* of, const void* data) {
  const std::lock_guard<std::mutex> lock(mutex);
  auto after = blocks().upper_bound(const_cast<char*>(static_cast<const char*>(data)));
  *place = kUnknown;
  *of = -1;
  if (after == blocks().begin()) return kSuccess;
  --after;
  if (static_cast<const char*>(data) >= after->first + after->second.bytes) return kSuccess;
  *place = after->second.place;
  *of = after->second.device;
  return kSuccess;
}

using Clock = std::chrono::steady_clock;
struct Moment {
  Clock::time_point at;
};

// What has been captured, as calls to be made again. A capture runs nothing.
struct Recorded {
  struct Node {
    const Kernel* kernel;
    unsigned blocks;
    alignas(64) char arguments[4096];
    void* to;
    const void* from;
    size_t bytes;
  };
  std::vector<Node> nodes;
};
thread_local Recorded* capturing = nullptr;

void runNode(const Recorded::Node& node) {
  if (node.kernel == nullptr) std::memmove(node.to, node.from, node.bytes);
  else
    for (unsigned block = 0; block < node.blocks; ++block) node.kernel->run(node.arguments, block);
}

Status properties(Properties* to, int index) {
  std::memset(to, 0, sizeof(*to));
  std::snprintf(to->name, sizeof(to->name), "emulated");
  to->uuid[15] = char(index);
  to->memory = size_t(4) << 30;
  to->major = 9;
  to->processors = 1;
  return kSuccess;
}

}  // namespace

const Calls kCalls = {
    {"cudaDriverGetVersion", [](int* v) { return *v = 13000, kSuccess; }},
    {"cudaRuntimeGetVersion", [](int* v) { return *v = 13000, kSuccess; }},
    {"cudaGetDeviceCount", [](int* count) { return *count = deviceCount(), *count > 0 ? kSuccess : 100; }},
    {"cudaGetDeviceProperties", properties},
    {"cudaSetDevice", [](int index) { return device = index, kSuccess; }},
    {"cudaMalloc", [](void** data, size_t bytes) { return take(data, bytes, kDeviceMemory); }},
    {"cudaFree", give},
    {"cudaMemGetInfo", [](size_t* free, size_t* total) { return *free = *total = size_t(4) << 30, kSuccess; }},
    {"cudaHostAlloc", [](void** data, size_t bytes) { return take(data, bytes, kPinned); }},
    {"cudaFreeHost", give},
    {"cudaMemcpyAsync",
     [](void* to, const void* from, size_t bytes, CopyKind, Stream) {
       const Recorded::Node node = {nullptr, 0, {}, to, from, bytes};
       if (capturing != nullptr) capturing->nodes.push_back(node);
       else runNode(node);
       return kSuccess;
     }},
    {"cudaMemsetAsync", [](void* to, int value, size_t bytes, Stream) { return std::memset(to, value, bytes), kSuccess; }},
    {"cudaStreamCreate", [](Stream* stream) { return *stream = new char, kSuccess; }},
    {"cudaStreamSynchronize", [](Stream) { return kSuccess; }},
    {"cudaStreamDestroy", [](Stream stream) { return delete static_cast<char*>(stream), kSuccess; }},
    {"cudaStreamWaitEvent", [](Stream, Event) { return kSuccess; }},
    {"cudaEventCreate", [](Event* event, bool) { return *event = new Moment, kSuccess; }},
    {"cudaEventRecord", [](Event event, Stream) { return static_cast<Moment*>(event)->at = Clock::now(), kSuccess; }},
    {"cudaEventQuery", [](Event) { return kSuccess; }},
    {"cudaEventSynchronize", [](Event) { return kSuccess; }},
    {"cudaEventDestroy", [](Event event) { return delete static_cast<Moment*>(event), kSuccess; }},
    {"cudaEventElapsedTime",
     [](float* to, Event from, Event until) {
       *to = std::chrono::duration<float, std::milli>(static_cast<Moment*>(until)->at - static_cast<Moment*>(from)->at).count();
       return kSuccess;
     }},
    {"cudaLaunchKernel",
     [](const void* kernel, unsigned count, unsigned, void** arguments, Stream) {
       Recorded::Node node = {static_cast<const Kernel*>(kernel), count, {}, nullptr, nullptr, 0};
       std::memcpy(node.arguments, arguments[0], node.kernel->bytes);
       if (capturing != nullptr) capturing->nodes.push_back(node);
       else runNode(node);
       return kSuccess;
     }},
    {"cudaPointerGetAttributes", attributes},
    {"cudaStreamBeginCapture", [](Stream) { return capturing = new Recorded, kSuccess; }},
    {"cudaStreamEndCapture",
     [](Stream, Graph* graph) {
       *graph = capturing;
       capturing = nullptr;
       return kSuccess;
     }},
    {"cudaGraphInstantiate",
     [](GraphExec* to, Graph graph) { return *to = new Recorded(*static_cast<Recorded*>(graph)), kSuccess; }},
    {"cudaGraphLaunch",
     [](GraphExec graph, Stream) {
       for (const Recorded::Node& node : static_cast<Recorded*>(graph)->nodes) runNode(node);
       return kSuccess;
     }},
    {"cudaGraphDestroy", [](Graph graph) { return delete static_cast<Recorded*>(graph), kSuccess; }},
    {"cudaGraphExecDestroy", [](GraphExec graph) { return delete static_cast<Recorded*>(graph), kSuccess; }},
    [] { return kSuccess; },
    [](Status) { return "emulatedError"; },
    [](Status) { return "an error of the emulated GPU"; },
};

}  // namespace cuda
