// Other processes as JavaScript reaches them: MPI, NCCL.
#include <algorithm>
#include <cstring>

#include "../distributed/mpi.h"
#include "../distributed/nccl.h"
#include "connection.h"

namespace {

// Runs a part that may throw an error of an engine's, which becomes one of JavaScript's.
template <class Part>
auto withEngine(Napi::Env env, const Part& part) {
  try {
    return part();
  } catch (const distributed::Error& error) {
    fail(Napi::Error::New(env, error.what()), error.code);
  }
}

std::vector<std::string> librariesOf(const Napi::Value& list) {
  std::vector<std::string> names;
  const Napi::Array array = list.As<Napi::Array>();
  for (uint32_t i = 0; i < array.Length(); ++i) names.push_back(array.Get(i).As<Napi::String>());
  return names;
}

int intOf(const Napi::Value& value) { return value.As<Napi::Number>().Int32Value(); }

// openMpi(libraries, bytes of a piece, ranks of a ring, done): a connection.
Napi::Value openMpi(const Napi::CallbackInfo& info) {
  const distributed::MpiTuning tuning{size_t(std::min(std::max(intOf(info[1]), 1), 1 << 30)), intOf(info[2])};
  const auto engine = withEngine(info.Env(), [&] { return distributed::newMpi(librariesOf(info[0]), tuning); });
  return Connection::open(info.Env(), engine, info[3]);
}

// openNccl(libraries, id, rank, size, gpu, done): a connection.
Napi::Value openNccl(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  distributed::NcclId id;
  const Napi::Uint8Array bytes = info[1].As<Napi::Uint8Array>();
  if (bytes.ByteLength() != sizeof id.bytes) fail(Napi::RangeError::New(env, "expected an id of 128 bytes"), "ERR_OPT_LENGTH");
  std::memcpy(id.bytes, bytes.Data(), sizeof id.bytes);
  const int rank = intOf(info[2]), size = intOf(info[3]);
  if (rank < 0 || rank >= size) fail(Napi::RangeError::New(env, "expected a rank below the size"), "ERR_OPT_CONFIG_RANGE");
  return Connection::open(env, distributed::newNccl(librariesOf(info[0]), id, rank, size, intOf(info[4])), info[5]);
}

// newNcclId(libraries): { id, version }.
Napi::Value newNcclId(const Napi::CallbackInfo& info) {
  std::string version;
  const distributed::NcclId id = withEngine(info.Env(), [&] { return distributed::newNcclId(librariesOf(info[0]), version); });
  Napi::Uint8Array bytes = Napi::Uint8Array::New(info.Env(), sizeof id.bytes);
  std::memcpy(bytes.Data(), id.bytes, sizeof id.bytes);
  Napi::Object object = Napi::Object::New(info.Env());
  object.Set("id", bytes);
  object.Set("version", version);
  return object;
}

}  // namespace

Napi::Object distributedFace(Napi::Env env) {
  Napi::Object face = Napi::Object::New(env);
  Napi::Array kinds = Napi::Array::New(env);
  for (int i = 0; i < distributed::kKinds; ++i) kinds.Set(uint32_t(i), distributed::kKindNames[i]);
  face.Set("collectives", kinds);
  Connection::define(env);
  face.Set("openMpi", Napi::Function::New(env, openMpi));
  face.Set("openNccl", Napi::Function::New(env, openNccl));
  face.Set("newNcclId", Napi::Function::New(env, newNcclId));
  return face;
}
