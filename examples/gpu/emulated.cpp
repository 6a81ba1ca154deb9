// gpu.h on this process's own memory: "device pointers" are addresses, work is done where it is enqueued, kernels are loops. Belongs
// to the library's emulated build.
#include <cstdlib>
#include <cstring>
#include <new>

#include "gpu.h"
#include "network.h"

namespace gpu {

const bool kEmulated = true;
std::string problem() { return ""; }

Block::Block(int device, size_t bytes) : device_(device), bytes_(bytes), data_(std::calloc(bytes, 1)) {
  if (data_ == nullptr && bytes > 0) throw std::bad_alloc();
}
Block::~Block() { std::free(data_); }

OwnStream::OwnStream(int device) : device_(device), handle_(&handle_) {}
OwnStream::~OwnStream() = default;

void checkPointer(int, const void*) {}
void write(int, void* to, const void* from, size_t bytes, Stream) { std::memcpy(to, from, bytes); }
void zero(int, void* to, size_t bytes, Stream) { std::memset(to, 0, bytes); }
void order(int, Stream, Stream) {}

Reading::Reading(int device, const void* from, size_t bytes, Stream) : device_(device), host_(::operator new(bytes)) {
  std::memcpy(host_, from, bytes);
}
Reading::~Reading() { ::operator delete(host_); }
const void* Reading::finish() { return host_; }

template <class Kernel>
void launch(int, const Kernel& kernel, Stream) {
  for (unsigned block = 0; block < network::blocksOf(kernel); block++)
    for (unsigned thread = 0; thread < network::kThreads; thread++) network::runThread(kernel, block, thread);
}
template void launch(int, const network::Gather&, Stream);
template void launch(int, const network::Forward&, Stream);
template void launch(int, const network::CrossEntropy&, Stream);
template void launch(int, const network::Tally&, Stream);
template void launch(int, const network::Weights&, Stream);
template void launch(int, const network::Inputs&, Stream);

}  // namespace gpu
