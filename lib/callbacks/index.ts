// Every public name of keras-optimizers/callbacks, one list.
export { Callback } from './callback.ts';
export { LearningRateScheduler } from './learning_rate_scheduler.ts';
export { ProgbarLogger } from './progbar_logger.ts';
export { ReduceLROnPlateau } from './reduce_lr_on_plateau.ts';
export { SwapEMAWeights } from './swap_ema_weights.ts';
export { TensorBoard } from './tensor_board.ts';

export type { Logs, Model, OfAll, OfBatch, OfEpoch, Params } from './callback.ts';
export type { EpochSchedule } from './learning_rate_scheduler.ts';
export type { Mode } from './monitor.ts';
export type { UpdateFrequency } from './tensor_board.ts';
