// Whether there is a GPU to use, and if not, why, and what to do: from the answers of the table alone.
#include <cstdio>
#include <cstdlib>
#include <tuple>
#include <utility>

#include "calls.h"
#include "device.h"

namespace cuda {
namespace {

constexpr Status kOldDriver = 35, kNoDevice = 100;

// What else can be the matter, and what helps.
constexpr struct {
  Status status;
  const char *code, *wrong, *remedy;
} kFailures[] = {
    {kOutOfMemory, "ERR_CUDA_OOM", "There is no memory left for CUDA to start with",
     "See with nvidia-smi who holds the GPU's, and whether this process may allocate more (ulimit -v)"},
    {34, "ERR_CUDA_STUB", "The libcuda.so.1 that was loaded is the CUDA toolkit's stub, which is for linking only",
     "Remove the toolkit's lib64/stubs from LD_LIBRARY_PATH, or start the container with --gpus all, which brings the driver's"},
    {803, "ERR_CUDA_DRIVER_MISMATCH", "libcuda.so.1 and the kernel's NVIDIA module are of different drivers",
     "After an update of the driver reboot or reload the module; in a container use the host's libcuda.so.1, not the image's"},
    {804, "ERR_CUDA_DRIVER_MISMATCH",
     "The libcuda.so.1 that was loaded is of a forward-compatibility package, which this GPU does not support",
     "Remove cuda-compat from LD_LIBRARY_PATH, or use a container image whose CUDA is not newer than the host's driver"},
    {802, "ERR_CUDA_INIT", "The GPUs are not ready: their NVLink fabric is not up",
     "Start nvidia-fabricmanager in the version of the driver, wait until it is done, and start this process again"},
    {3, "ERR_CUDA_INIT", "CUDA could not be initialized",
     "See whether nvidia-smi works, and whether this user may open /dev/nvidia*"},
    {999, "ERR_CUDA_INIT", "CUDA could not be initialized, and does not say why",
     "See whether nvidia-smi works; after a suspend reload the kernel module nvidia_uvm; if all else fails reboot"},
};

std::string versionText(int version) { return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10); }

// The driver that a runtime asks for: NVIDIA's table of minor version compatibility.
std::string neededDriver(int runtime) {
  const int major = runtime / 1000;
  const std::string of = " for CUDA " + std::to_string(major);
  return major >= 13 ? "driver >= 580" + of : "driver >= 525" + of;
}

std::string reasonForNone() {
  const char* visible = std::getenv("CUDA_VISIBLE_DEVICES");
  if (visible == nullptr)
    return "The NVIDIA driver finds no GPU, and CUDA_VISIBLE_DEVICES is not set. "
           "See whether nvidia-smi -L lists one, or start the container with --gpus all.";
  return "The NVIDIA driver shows no GPU, and CUDA_VISIBLE_DEVICES is set to \"" + std::string(visible) +
         "\". Unset it, or set it to one that nvidia-smi -L lists.";
}

// What is wrong when `call` gives `status`, and what to do.
std::pair<const char*, std::string> explain(const Startup& found, const char* call, Status status) {
  const std::string needs = "this build needs " + neededDriver(found.runtime);
  if (status == kOldDriver && found.driver == 0)
    return {"ERR_CUDA_NO_DRIVER", "There is no NVIDIA driver: libcuda.so.1 could not be loaded. Install one (" + needs +
                                      "), or start the container with --gpus all."};
  if (status == kOldDriver)
    return {"ERR_CUDA_DRIVER_TOO_OLD", "The NVIDIA driver is too old: it supports CUDA " + versionText(found.driver) +
                                           ", this build has CUDA " + versionText(found.runtime) + ". Update it: " + needs + "."};
  if (status == kNoDevice) return {"ERR_CUDA_NO_DEVICE", reasonForNone()};

  const std::string what = std::string(kCalls.errorName(status)) + ", " + kCalls.errorText(status);
  const std::string answer = " (" + std::string(call) + " gives " + std::to_string(status) + ", " + what + "). ";
  for (const auto& failure : kFailures)
    if (failure.status == status) return {failure.code, failure.wrong + answer + failure.remedy + "."};
  return {"ERR_CUDA_INIT", "CUDA does not start" + answer + "See whether nvidia-smi works, and start this process again."};
}

std::string uuidText(const char (&bytes)[16]) {
  std::string text = "GPU";
  for (int i = 0; i < 16; i++) {
    char digits[3];
    std::snprintf(digits, sizeof digits, "%02x", static_cast<unsigned char>(bytes[i]));
    if (i == 0 || i == 4 || i == 6 || i == 8 || i == 10) text += '-';
    text += digits;
  }
  return text;
}

Gpu gpuOf(const Properties& from) {
  return {from.name, uuidText(from.uuid), from.memory, from.major, from.minor, from.processors};
}

// Makes no context: that takes hundreds of megabytes of every GPU, for a question.
Startup probe() {
  Startup found;
  kCalls.driverGetVersion(&found.driver);
  kCalls.runtimeGetVersion(&found.runtime);
  int count = 0;
  const char* call = kCalls.getDeviceCount.name;
  Status status = kCalls.getDeviceCount(&count);
  if (status == kSuccess && count == 0) status = kNoDevice;
  for (int device = 0; status == kSuccess && device < count; device++) {
    Properties properties{};
    call = kCalls.getDeviceProperties.name;
    status = kCalls.getDeviceProperties(&properties, device);
    if (status == kSuccess) found.gpus.push_back(gpuOf(properties));
  }
  if (status != kSuccess) {
    found.gpus.clear();
    std::tie(found.code, found.message) = explain(found, call, status);
    kCalls.getLastError();
  }
  return found;
}

}  // namespace

// Once a process, and never destroyed: threads may ask while it exits.
const Startup& startup() {
  static const Startup& found = *new Startup(probe());
  return found;
}

const char* unusable() { return startup().code != nullptr ? startup().message.c_str() : nullptr; }

}  // namespace cuda
