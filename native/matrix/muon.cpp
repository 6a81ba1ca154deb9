// Muon's step: an orthogonal direction (native/rules/muon.h).
#include "../update.h"
#include "blas.h"
#include "lengths.h"
#include "newton_schulz.h"
#include "whole.h"

namespace {

template <class T>
void steer(const Directed& d) {
  const auto k = scalarsOf<Muon, T>(d.control);
  const size_t rows = d.shape.rows, columns = d.shape.columns;
  T* const direction = static_cast<T*>(const_cast<void*>(d.tensor.g));
  const Means means = {d.kernels.addTile[sizeof(T) == sizeof(float) ? kFloat32 : kFloat64], d.blas, &d.cancelled};
  const NewtonSchulz<T> with = {k.muon_a, k.muon_b, k.muon_c, size_t(double(k.ns_steps))};
  newtonSchulz(direction, rows, columns, d.directionSquares, with, means, static_cast<T*>(d.workspace));
  d.set(orthogonalLength(k, d.shape));
}

}  // namespace

const Steer kOrthogonalSteer[] = {steer<Float32>, steer<double>};

size_t orthogonalBytes(const Shape& shape, Dtype dtype) {
  return dtype == kFloat32 ? newtonSchulzLength<Float32>(shape.rows, shape.columns) * sizeof(Float32)
                           : newtonSchulzLength<double>(shape.rows, shape.columns) * sizeof(double);
}
