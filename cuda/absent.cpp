// A build without CUDA: says so wherever a GPU is asked for.
#include "device.h"
#include "plan.h"

namespace cuda {

const bool kBuilt = false, kEmulated = false;

namespace {

constexpr const char* kCode = "ERR_CUDA_NOT_BUILT";
constexpr const char* kMessage =
    "This build of keras-optimizers has no CUDA: it was compiled without the CUDA toolkit. "
    "Use device 'cpu', or build it where nvcc is, with -DCUDA=ON.";

[[noreturn]] void refuse() { throw Error(kCode, kMessage); }

}  // namespace

const Startup& startup() {
  static const Startup& found = *new Startup{kCode, kMessage, 0, 0, {}};
  return found;
}
const char* unusable() { return kMessage; }

SharedMemory allocate(int, size_t) { refuse(); }
SharedMemory borrow(int, void*, size_t) { refuse(); }

size_t liveBytes(int) { refuse(); }
void* streamOf(int) { refuse(); }
void useStream(int, void*) { refuse(); }
void waitFor(int, void*) { refuse(); }
void waitIn(int, void*) { refuse(); }

void write(const Memory&, const void*, size_t) { refuse(); }
void copy(const Memory&, const Memory&, size_t) { refuse(); }
void putRows(const Memory&, const uint32_t*, size_t, size_t, const void*) { refuse(); }

struct Reading::State {};
Reading::Reading(SharedMemory) { refuse(); }
Reading::~Reading() = default;
void Reading::finish(void*) { refuse(); }

int deviceOf(const std::vector<Pass>&) { return -1; }
std::shared_ptr<Plan> newPlan(int, std::vector<Pass>, size_t, SharedMemory) { refuse(); }

Mark::Mark(int, bool) { refuse(); }
Mark::~Mark() = default;
bool Mark::reached() const { refuse(); }
void Mark::wait() const { refuse(); }
float Mark::since(const Mark&) const { refuse(); }

Lane::Lane(int device) : device_(device) { refuse(); }
Lane::~Lane() = default;
void Lane::use() const { refuse(); }
void Lane::follow() const { refuse(); }
void Lane::copy(void*, const void*, size_t, bool) const { refuse(); }
void Lane::mark() const { refuse(); }
bool Lane::reached() const { refuse(); }

}  // namespace cuda
