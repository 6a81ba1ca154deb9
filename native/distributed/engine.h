// What moves bytes between processes: MPI and NCCL, each behind the same few calls. All of them are made on one thread (line.h).
#pragma once
#include <cstddef>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "../memory.h"

namespace distributed {

// An error with the stable code that JavaScript shows.
class Error : public std::runtime_error {
 public:
  Error(const char* code_, const std::string& message) : std::runtime_error(message), code(code_) {}
  const char* code;
};

// An exchange is an allGather that says who has come, where the engine can tell, and whose messages may be of different lengths where
// there is more room than bytes.
enum Kind { kExchange, kAllToAll, kAllGather, kBroadcast, kKinds };
constexpr const char* kKindNames[] = {"exchange", "allToAll", "allGather", "broadcast"};

// A part of a memory of the host, or of a GPU where the engine reads that.
struct Place {
  SharedMemory memory;
  size_t offset;
  char* data() const { return static_cast<char*>(memory->data) + offset; }
  bool onDevice() const { return memory->device >= 0; }
};

struct Collective {
  Kind kind;
  Place send, receive;  // of a broadcast the same
  size_t bytes;         // of the part of a rank; of a broadcast all
  size_t room;          // for the part of a rank in what is received
  int root;
  char* arrived;        // of an exchange, else null: by rank, 1 where its bytes have come; behind those in what is received
};

// What is known of an engine once it has started, for messages.
struct Description {
  int rank, size;
  std::string library, version;  // its file, and what it says of itself
};

class Engine {
 public:
  virtual ~Engine() = default;
  virtual bool started() = 0;  // called until it is true
  virtual void begin(const Collective& collective) = 0;
  virtual bool ended() = 0;  // of what has begun; called until it is true
  virtual bool closed() = 0;  // with all other ranks; called until it is true
  // At once. MPI ends the job, for which it has an exit code. `aborts` comes first, on the thread that asks: a call may hang.
  virtual void aborts(int) {}
  virtual void abort(int exitCode) = 0;
  // What has begun will never end: nobody asks any more. Its memory stays, if something may still write there.
  virtual void abandon() = 0;
  virtual Description describe() const = 0;
};

}  // namespace distributed
