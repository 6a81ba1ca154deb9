// NCCL: between GPUs, one a process. What lies on the host goes through memory of the GPU.
#pragma once
#include <string>
#include <vector>

#include "engine.h"

namespace distributed {

// What rank 0 makes and all others are told: NCCL's, of 128 bytes.
struct NcclId {
  char bytes[128];
};

// Needs neither GPU nor driver. Throws Error.
NcclId newNcclId(const std::vector<std::string>& libraries, std::string& version);

std::shared_ptr<Engine> newNccl(const std::vector<std::string>& libraries, const NcclId& id, int rank, int size, int gpu);

}  // namespace distributed
