// The one list of rules; a rule's place in it is its id. Every table of kernels and every name JavaScript sees follows.
#pragma once
#include "rules/adadelta.h"
#include "rules/adagrad.h"
#include "rules/adam.h"
#include "rules/adamax.h"
#include "rules/ftrl.h"
#include "rules/lion.h"
#include "rules/nadam.h"
#include "rules/rmsprop.h"
#include "rules/schedule_free_adamw.h"
#include "rules/sgd.h"
#include "rules/state.h"

template <class... Rule>
struct RuleList {
  static constexpr int size = sizeof...(Rule);
};

using Rules =
    RuleList<Sgd, SgdMomentum, SgdNesterov, Rmsprop, RmspropMomentum, RmspropCentered, RmspropCenteredMomentum, Adagrad,
             Adadelta, Adam, AdamAmsgrad, Adamax, Nadam, Ftrl, FtrlPower, Lion, ScheduleFreeAdamW, Accumulate, Average, Copy,
             Zero, Prepare>;
