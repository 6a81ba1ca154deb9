// Every call to CUDA that the library makes, in one table: cudart.cpp fills it with NVIDIA's runtime, emulated/calls.cpp with a
// device that is this process's own memory, for tests on machines without a GPU. A test build makes any of them fail (faults.h).
#pragma once
#include <cstddef>
#include <cstdint>

#include "faults.h"

namespace cuda {

using Status = int;  // cudaError_t
using Stream = void*;
using Event = void*;
using Graph = void*;
using GraphExec = void*;
constexpr Status kSuccess = 0, kOutOfMemory = 2, kNotReady = 600;

enum CopyKind : int { kToDevice = 1, kToHost = 2, kOnDevice = 3 };  // cudaMemcpyKind
enum Place : int { kUnknown, kPinned, kDeviceMemory, kManaged };  // cudaMemoryType

struct Properties {
  char name[256];
  char uuid[16];
  size_t memory;  // bytes
  int major, minor, processors;
};

// One of them. Called it gives CUDA's status; `must` throws an Error for any but success (device.cpp).
template <class... Arguments>
struct Call {
  const char* name;
  Status (*function)(Arguments...);

  Status operator()(Arguments... arguments) const {
    const Status fault = faultOf(name);
    return fault != kSuccess ? fault : function(arguments...);
  }
  void must(Arguments... arguments) const { check(name, (*this)(arguments...)); }

 private:
  static void check(const char* name, Status status);
};
void fail(const char* name, Status status);
template <class... Arguments>
void Call<Arguments...>::check(const char* name, Status status) {
  if (status != kSuccess) fail(name, status);
}

struct Calls {
  Call<int*> driverGetVersion, runtimeGetVersion, getDeviceCount;
  Call<Properties*, int> getDeviceProperties;
  Call<int> setDevice;
  Call<void**, size_t> malloc;
  Call<void*> free;
  Call<size_t*, size_t*> memGetInfo;
  Call<void**, size_t> hostAlloc;
  Call<void*> freeHost;
  Call<void*, const void*, size_t, CopyKind, Stream> memcpyAsync;
  Call<void*, int, size_t, Stream> memsetAsync;
  Call<Stream*> streamCreate;
  Call<Stream> streamSynchronize, streamDestroy;
  Call<Stream, Event> streamWaitEvent;
  Call<Event*, bool> eventCreate;  // whether it measures time
  Call<Event, Stream> eventRecord;
  Call<Event> eventQuery, eventSynchronize, eventDestroy;
  Call<float*, Event, Event> eventElapsedTime;  // milliseconds
  Call<const void*, unsigned, unsigned, void**, Stream> launchKernel;  // kernel, blocks, threads of each, arguments
  Call<Place*, int*, const void*> pointerGetAttributes;
  Call<Stream> streamBeginCapture;
  Call<Stream, Graph*> streamEndCapture;
  Call<GraphExec*, Graph> graphInstantiate;
  Call<GraphExec, Stream> graphLaunch;
  Call<Graph> graphDestroy;
  Call<GraphExec> graphExecDestroy;
  Status (*getLastError)();  // and clears it
  const char* (*errorName)(Status);
  const char* (*errorText)(Status);
};
extern const Calls kCalls;

}  // namespace cuda
