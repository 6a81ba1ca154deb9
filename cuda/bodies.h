// Fills the table of kernels with what a compiler makes of each body.
#pragma once
#include "kernels.h"
#include "matrix.h"

namespace cuda {

// Rules that are a part of others' steps on a device, or have a class in TypeScript step.
template <class Rule>
constexpr bool isPart = __is_same(Rule, Accumulate) || __is_same(Rule, Average) || __is_same(Rule, Copy) || __is_same(Rule, Zero) ||
                        __is_same(Rule, Prepare);

// `of` has a member `of<Body>()` that gives a kernel's address.
template <class Of, class Rule, class T, Slots kSlots>
const void* stepOf() {
  if constexpr (isPart<Rule> || (kSlots != kPlainSlots && (sizeof(T) == sizeof(double) || decltype(Rule::slots)::size == 0))) return nullptr;
  else return Of::template of<Step<Rule, T, kSlots>>();
}

template <class Of, class... Rule>
Kernels kernelsBy(RuleList<Rule...>) {
  return {{{{stepOf<Of, Rule, float, kPlainSlots>(), stepOf<Of, Rule, float, kNearestSlots>()},
            {stepOf<Of, Rule, double, kPlainSlots>(), nullptr}}...},
          Of::template of<SumOfSquares>(),
          Of::template of<Clip>(),
          Of::template of<Steer>(),
          Of::template of<Finite>(),
          Of::template of<PutRows>(),
          {Of::template of<SumOfDirections<float>>(), Of::template of<SumOfDirections<double>>()},
          {Of::template of<RowMeans<float>>(), Of::template of<RowMeans<double>>()},
          {Of::template of<BandSums<float>>(), Of::template of<BandSums<double>>()},
          {Of::template of<ColumnMeans<float>>(), Of::template of<ColumnMeans<double>>()},
          {Of::template of<DivideByFactors<float>>(), Of::template of<DivideByFactors<double>>()},
          {Of::template of<Normalize<float>>(), Of::template of<Normalize<double>>()},
          {Of::template of<Product<float>>(), Of::template of<Product<double>>()}};
}

}  // namespace cuda
