#include "mpi_calls.h"

#include "library.h"

namespace distributed {

namespace {

constexpr int kFunneled = 1;  // MPI_THREAD_FUNNELED
constexpr int kTag = 11;
constexpr int kMaxText = 8192;  // MPI_MAX_LIBRARY_VERSION_STRING, the longer one of both

struct OpenMpi {
  using Handle = void*;
  Handle world, byte, errorsReturn;
  static constexpr void* kStatusesIgnore = nullptr;

  explicit OpenMpi(const Library& library)
      : world(library.find("ompi_mpi_comm_world")),
        byte(library.find("ompi_mpi_byte")),
        errorsReturn(library.find("ompi_mpi_errors_return")) {}
  static bool is(const Library& library, const std::string&) { return library.find("ompi_mpi_comm_world") != nullptr; }
};

struct Mpich {
  using Handle = int;
  Handle world = 0x44000000, byte = 0x4c00010d, errorsReturn = 0x54000001;
  static inline void* const kStatusesIgnore = reinterpret_cast<void*>(1);

  explicit Mpich(const Library&) {}
  static bool is(const Library&, const std::string& version) {
    for (const char* const name : {"MPICH", "Intel(R) MPI", "MVAPICH", "CRAY MPICH"})
      if (version.find(name) != std::string::npos) return true;
    return false;
  }
};

template <class Family>
class CallsOf : public MpiCalls {
  using Handle = typename Family::Handle;

 public:
  explicit CallsOf(const Library& library) : family_(library) {
    library.get(initialized_, "MPI_Initialized");
    library.get(init_, "MPI_Init_thread");
    library.get(finalize_, "MPI_Finalize");
    library.get(abort_, "MPI_Abort");
    library.get(rank_, "MPI_Comm_rank");
    library.get(size_, "MPI_Comm_size");
    library.get(dup_, "MPI_Comm_dup");
    library.get(setHandler_, "MPI_Comm_set_errhandler");
    library.get(text_, "MPI_Error_string");
    library.get(send_, "MPI_Isend");
    library.get(receive_, "MPI_Irecv");
    library.get(broadcast_, "MPI_Ibcast");
    library.get(testSome_, "MPI_Testsome");
  }

  void init() override {
    int already = 0, level = 0;
    must("MPI_Initialized", initialized_(&already));
    if (already) throw Error("ERR_COMM_UNAVAILABLE", "MPI has been started in this process by somebody else: it can be started once");
    must("MPI_Init_thread", init_(nullptr, nullptr, kFunneled, &level));
    if (level < kFunneled) throw Error("ERR_COMM_UNAVAILABLE", "this MPI lets no thread but the process's first one call it");
    // Our own, so that nobody else's messages are taken for ours.
    must("MPI_Comm_dup", dup_(family_.world, &comm_));
    must("MPI_Comm_set_errhandler", setHandler_(comm_, family_.errorsReturn));
    must("MPI_Comm_rank", rank_(comm_, &description.rank));
    must("MPI_Comm_size", size_(comm_, &description.size));
  }
  void finalize() override { must("MPI_Finalize", finalize_()); }
  void abort(int exitCode) override { abort_(family_.world, exitCode); }

  void send(const char* from, size_t bytes, int rank) override {
    must("MPI_Isend", send_(from, int(bytes), family_.byte, rank, kTag, comm_, begin(kNobody)));
  }
  void receive(char* to, size_t bytes, int rank) override {
    must("MPI_Irecv", receive_(to, int(bytes), family_.byte, rank, kTag, comm_, begin(rank)));
  }
  void broadcast(char* bytes, size_t count, int root) override {
    must("MPI_Ibcast", broadcast_(bytes, int(count), family_.byte, root, comm_, begin(kNobody)));
  }

  bool test(char* arrived) override {
    if (left_ > 0) {
      int count = 0;
      ended_.resize(requests_.size());
      must("MPI_Testsome", testSome_(int(requests_.size()), requests_.data(), &count, ended_.data(), Family::kStatusesIgnore));
      for (int i = 0; i < count; ++i)
        if (const int rank = ranks_[size_t(ended_[size_t(i)])]; arrived != nullptr && rank != kNobody) __atomic_store_n(arrived + rank, 1, __ATOMIC_RELAXED);
      left_ -= size_t(count > 0 ? count : 0);
    }
    if (left_ > 0) return false;
    requests_.clear();
    ranks_.clear();
    return true;
  }

 private:
  static constexpr int kNobody = -1;

  // Where the request of something that begins goes; `rank` is who sends, if that is to be known.
  Handle* begin(int rank) {
    ++left_;
    ranks_.push_back(rank);
    requests_.push_back(Handle());
    return &requests_.back();
  }

  void must(const char* name, int status) const {
    if (status == 0) return;
    std::string text(kMaxText, '\0');
    int length = 0;
    text_(status, text.data(), &length);
    throw Error("ERR_COMM_PEER_LOST", std::string(name) + " failed: " + text.c_str());
  }

  const Family family_;
  Handle comm_{};
  std::vector<Handle> requests_;
  std::vector<int> ranks_, ended_;
  size_t left_ = 0;

  int (*initialized_)(int*);
  int (*init_)(int*, char***, int, int*);
  int (*finalize_)();
  int (*abort_)(Handle, int);
  int (*rank_)(Handle, int*);
  int (*size_)(Handle, int*);
  int (*dup_)(Handle, Handle*);
  int (*setHandler_)(Handle, Handle);
  int (*text_)(int, char*, int*);
  int (*send_)(const void*, int, Handle, int, int, Handle, Handle*);
  int (*receive_)(void*, int, Handle, int, int, Handle, Handle*);
  int (*broadcast_)(void*, int, Handle, int, Handle, Handle*);
  int (*testSome_)(int, Handle*, int*, int*, void*);
};

// The beginning of what a library says of itself: "Open MPI v4.1.4, package: ...", "MPICH Version:      4.0.2" and more lines.
std::string versionOf(const Library& library) {
  int (*get)(char*, int*) = nullptr;
  library.get(get, "MPI_Get_library_version");
  std::string text(kMaxText, '\0');
  int length = 0;
  get(text.data(), &length);
  text.resize(text.find_first_of(std::string(",\n") + '\0'));
  if (const size_t tab = text.find('\t'); tab != std::string::npos) text.replace(tab, 1, " ");
  return text;
}

}  // namespace

std::unique_ptr<MpiCalls> openMpi(const std::vector<std::string>& libraries) {
  const Library library("MPI", libraries, "MPI_Get_library_version", true);
  const std::string version = versionOf(library);
  std::unique_ptr<MpiCalls> calls;
  if (OpenMpi::is(library, version)) calls = std::make_unique<CallsOf<OpenMpi>>(library);
  else if (Mpich::is(library, version)) calls = std::make_unique<CallsOf<Mpich>>(library);
  else throw Error("ERR_COMM_UNAVAILABLE", "expected Open MPI or a member of MPICH's family, " + library.path() + " says that it is " + version);
  calls->description.library = library.path();
  calls->description.version = version;
  return calls;
}

}  // namespace distributed
