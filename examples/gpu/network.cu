// gpu.h with CUDA's runtime. Static and beside another one in the same process: both use the device's primary context, so that
// pointers and streams of one are good in the other.
#include <cuda_runtime.h>

#include "gpu.h"
#include "network.h"

namespace gpu {
namespace {

void check(const char* what, cudaError_t status) {
  if (status == cudaSuccess) return;
  cudaGetLastError();  // so that nobody else finds it
  throw Error(std::string(what) + " failed: " + cudaGetErrorName(status) + ": " + cudaGetErrorString(status));
}

// Before every call: the current device belongs to the thread, and somebody else may have changed it.
void use(int device) { check("cudaSetDevice", cudaSetDevice(device)); }

cudaStream_t of(Stream stream) { return static_cast<cudaStream_t>(stream); }

template <class Kernel>
__global__ void __launch_bounds__(network::kThreads) run(Kernel kernel) {
  network::runThread(kernel, blockIdx.x, threadIdx.x);
}

// Measures no time, which makes it cheap.
cudaEvent_t newEvent() {
  cudaEvent_t event;
  check("cudaEventCreateWithFlags", cudaEventCreateWithFlags(&event, cudaEventDisableTiming));
  return event;
}
}  // namespace

const bool kEmulated = false;

std::string problem() {
  int count = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  if (status == cudaSuccess) return count > 0 ? "" : "cudaGetDeviceCount found no GPU";
  cudaGetLastError();
  return std::string("cudaGetDeviceCount failed: ") + cudaGetErrorName(status) + ": " + cudaGetErrorString(status);
}

Block::Block(int device, size_t bytes) : device_(device), bytes_(bytes) {
  use(device);
  check("cudaMalloc", cudaMalloc(&data_, bytes));
  cudaError_t status = cudaMemset(data_, 0, bytes);
  if (status == cudaSuccess) status = cudaStreamSynchronize(nullptr);  // streams that do not block would not wait for it
  if (status != cudaSuccess) cudaFree(data_);
  check("cudaMemset", status);
}
Block::~Block() {
  if (cudaSetDevice(device_) == cudaSuccess) cudaFree(data_);
}

OwnStream::OwnStream(int device) : device_(device) {
  use(device);
  cudaStream_t stream;
  check("cudaStreamCreateWithFlags", cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
  handle_ = stream;
}
OwnStream::~OwnStream() {
  if (cudaSetDevice(device_) == cudaSuccess) cudaStreamDestroy(of(handle_));
}

void checkPointer(int device, const void* data) {
  use(device);
  cudaPointerAttributes found;
  check("cudaPointerGetAttributes", cudaPointerGetAttributes(&found, data));
  if (found.type != cudaMemoryTypeDevice && found.type != cudaMemoryTypeManaged)
    throw Error("a pointer to memory of cuda:" + std::to_string(device) + " was expected, this one is the host's");
  if (found.device != device)
    throw Error("a pointer to memory of cuda:" + std::to_string(device) + " was expected, this one is of cuda:" +
                std::to_string(found.device));
}

void write(int device, void* to, const void* from, size_t bytes, Stream stream) {
  use(device);
  check("cudaMemcpyAsync", cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, of(stream)));
  check("cudaStreamSynchronize", cudaStreamSynchronize(of(stream)));  // or `from` would have to stay
}

void zero(int device, void* to, size_t bytes, Stream stream) {
  use(device);
  check("cudaMemsetAsync", cudaMemsetAsync(to, 0, bytes, of(stream)));
}

void order(int device, Stream first, Stream then) {
  if (first == then) return;
  use(device);
  const cudaEvent_t event = newEvent();
  cudaError_t status = cudaEventRecord(event, of(first));
  if (status == cudaSuccess) status = cudaStreamWaitEvent(of(then), event, 0);
  cudaEventDestroy(event);  // when it has been reached
  check("cudaStreamWaitEvent", status);
}

Reading::Reading(int device, const void* from, size_t bytes, Stream stream) : device_(device) {
  use(device);
  const cudaEvent_t event = newEvent();
  cudaError_t status = cudaMallocHost(&host_, bytes);
  if (status == cudaSuccess) status = cudaMemcpyAsync(host_, from, bytes, cudaMemcpyDeviceToHost, of(stream));
  if (status == cudaSuccess) status = cudaEventRecord(event, of(stream));
  if (status != cudaSuccess) {
    cudaFreeHost(host_);
    cudaEventDestroy(event);
  }
  check("reading", status);
  event_ = event;
}
Reading::~Reading() {
  if (cudaSetDevice(device_) != cudaSuccess) return;
  cudaEventSynchronize(static_cast<cudaEvent_t>(event_));  // the copy may still be under way
  cudaEventDestroy(static_cast<cudaEvent_t>(event_));
  cudaFreeHost(host_);
}
const void* Reading::finish() {
  use(device_);
  check("cudaEventSynchronize", cudaEventSynchronize(static_cast<cudaEvent_t>(event_)));
  return host_;
}

template <class Kernel>
void launch(int device, const Kernel& kernel, Stream stream) {
  use(device);
  run<<<network::blocksOf(kernel), network::kThreads, 0, of(stream)>>>(kernel);
  check("launching a kernel", cudaGetLastError());
}
template void launch(int, const network::Gather&, Stream);
template void launch(int, const network::Forward&, Stream);
template void launch(int, const network::CrossEntropy&, Stream);
template void launch(int, const network::Tally&, Stream);
template void launch(int, const network::Weights&, Stream);
template void launch(int, const network::Inputs&, Stream);

}  // namespace gpu
