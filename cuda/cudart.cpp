// The table of calls.h with NVIDIA's runtime, linked statically; for 12.4 and later, and for 13.
#include <cuda_runtime_api.h>

#include <cstring>

#include "calls.h"
#include "device.h"

namespace cuda {
namespace {

static_assert(CUDART_VERSION >= 12040, "keras-optimizers needs CUDA 12.4 or later");
static_assert(kSuccess == cudaSuccess && kOutOfMemory == cudaErrorMemoryAllocation && kNotReady == cudaErrorNotReady);
static_assert(int(kToDevice) == cudaMemcpyHostToDevice && int(kToHost) == cudaMemcpyDeviceToHost);
static_assert(int(kOnDevice) == cudaMemcpyDeviceToDevice);
static_assert(int(kUnknown) == cudaMemoryTypeUnregistered && int(kPinned) == cudaMemoryTypeHost);
static_assert(int(kDeviceMemory) == cudaMemoryTypeDevice && int(kManaged) == cudaMemoryTypeManaged);

cudaStream_t streamOf(Stream stream) { return static_cast<cudaStream_t>(stream); }
cudaEvent_t eventOf(Event event) { return static_cast<cudaEvent_t>(event); }
cudaGraph_t graphOf(Graph graph) { return static_cast<cudaGraph_t>(graph); }
cudaGraphExec_t graphExecOf(GraphExec exec) { return static_cast<cudaGraphExec_t>(exec); }

// CUDA writes through a pointer to its own kind of handle.
template <class Handle, class Create>
Status create(void** to, Create create) {
  Handle made = nullptr;
  const Status status = create(&made);
  if (status == kSuccess) *to = made;
  return status;
}

Status properties(Properties* to, int device) {
  cudaDeviceProp from;
  const Status status = cudaGetDeviceProperties(&from, device);
  if (status != kSuccess) return status;
  static_assert(sizeof to->name == sizeof from.name && sizeof to->uuid == sizeof from.uuid);
  std::memcpy(to->name, from.name, sizeof to->name);
  std::memcpy(to->uuid, &from.uuid, sizeof to->uuid);
  to->memory = from.totalGlobalMem;
  to->major = from.major;
  to->minor = from.minor;
  to->processors = from.multiProcessorCount;
  return status;
}

Status pointerAttributes(Place* place, int* device, const void* pointer) {
  cudaPointerAttributes found;
  const Status status = cudaPointerGetAttributes(&found, pointer);
  if (status != kSuccess) return status;
  *place = Place(found.type);
  *device = found.device;
  return status;
}

}  // namespace

const bool kBuilt = true, kEmulated = false;

const Calls kCalls{
    {"cudaDriverGetVersion", [](int* version) -> Status { return cudaDriverGetVersion(version); }},
    {"cudaRuntimeGetVersion", [](int* version) -> Status { return cudaRuntimeGetVersion(version); }},
    {"cudaGetDeviceCount", [](int* count) -> Status { return cudaGetDeviceCount(count); }},
    {"cudaGetDeviceProperties", properties},
    {"cudaSetDevice", [](int device) -> Status { return cudaSetDevice(device); }},
    {"cudaMalloc", [](void** to, size_t bytes) -> Status { return cudaMalloc(to, bytes); }},
    {"cudaFree", [](void* data) -> Status { return cudaFree(data); }},
    {"cudaMemGetInfo", [](size_t* free, size_t* total) -> Status { return cudaMemGetInfo(free, total); }},
    {"cudaHostAlloc", [](void** to, size_t bytes) -> Status { return cudaHostAlloc(to, bytes, cudaHostAllocDefault); }},
    {"cudaFreeHost", [](void* data) -> Status { return cudaFreeHost(data); }},
    {"cudaMemcpyAsync",
     [](void* to, const void* from, size_t bytes, CopyKind copy, Stream stream) -> Status {
       return cudaMemcpyAsync(to, from, bytes, cudaMemcpyKind(copy), streamOf(stream));
     }},
    {"cudaMemsetAsync",
     [](void* to, int byte, size_t bytes, Stream stream) -> Status {
       return cudaMemsetAsync(to, byte, bytes, streamOf(stream));
     }},
    // Ordered with the legacy default stream, on which a caller that knows nothing of streams works.
    {"cudaStreamCreate", [](Stream* to) -> Status { return create<cudaStream_t>(to, cudaStreamCreate); }},
    {"cudaStreamSynchronize", [](Stream stream) -> Status { return cudaStreamSynchronize(streamOf(stream)); }},
    {"cudaStreamDestroy", [](Stream stream) -> Status { return cudaStreamDestroy(streamOf(stream)); }},
    {"cudaStreamWaitEvent",
     [](Stream stream, Event event) -> Status { return cudaStreamWaitEvent(streamOf(stream), eventOf(event), 0); }},
    {"cudaEventCreate",
     [](Event* to, bool timed) -> Status {
       const unsigned flags = timed ? cudaEventDefault : cudaEventDisableTiming | cudaEventBlockingSync;  // a wait keeps no core busy
       return create<cudaEvent_t>(to, [flags](cudaEvent_t* event) { return cudaEventCreateWithFlags(event, flags); });
     }},
    {"cudaEventRecord", [](Event event, Stream stream) -> Status { return cudaEventRecord(eventOf(event), streamOf(stream)); }},
    {"cudaEventQuery", [](Event event) -> Status { return cudaEventQuery(eventOf(event)); }},
    {"cudaEventSynchronize", [](Event event) -> Status { return cudaEventSynchronize(eventOf(event)); }},
    {"cudaEventDestroy", [](Event event) -> Status { return cudaEventDestroy(eventOf(event)); }},
    {"cudaEventElapsedTime",
     [](float* milliseconds, Event from, Event to) -> Status {
       return cudaEventElapsedTime(milliseconds, eventOf(from), eventOf(to));
     }},
    {"cudaLaunchKernel",
     [](const void* kernel, unsigned blocks, unsigned threads, void** arguments, Stream stream) -> Status {
       return cudaLaunchKernel(kernel, dim3(blocks), dim3(threads), arguments, 0, streamOf(stream));
     }},
    {"cudaPointerGetAttributes", pointerAttributes},
    // Of this thread alone: calls of other threads, of another library too, stay what they are.
    {"cudaStreamBeginCapture",
     [](Stream stream) -> Status { return cudaStreamBeginCapture(streamOf(stream), cudaStreamCaptureModeThreadLocal); }},
    {"cudaStreamEndCapture",
     [](Stream stream, Graph* to) -> Status {
       return create<cudaGraph_t>(to, [stream](cudaGraph_t* graph) { return cudaStreamEndCapture(streamOf(stream), graph); });
     }},
    {"cudaGraphInstantiate",
     [](GraphExec* to, Graph graph) -> Status {
       return create<cudaGraphExec_t>(
           to, [graph](cudaGraphExec_t* exec) { return cudaGraphInstantiate(exec, graphOf(graph), 0ull); });
     }},
    {"cudaGraphLaunch",
     [](GraphExec exec, Stream stream) -> Status { return cudaGraphLaunch(graphExecOf(exec), streamOf(stream)); }},
    {"cudaGraphDestroy", [](Graph graph) -> Status { return cudaGraphDestroy(graphOf(graph)); }},
    {"cudaGraphExecDestroy", [](GraphExec exec) -> Status { return cudaGraphExecDestroy(graphExecOf(exec)); }},
    []() -> Status { return cudaGetLastError(); },
    [](Status status) { return cudaGetErrorName(cudaError_t(status)); },
    [](Status status) { return cudaGetErrorString(cudaError_t(status)); },
};

}  // namespace cuda
