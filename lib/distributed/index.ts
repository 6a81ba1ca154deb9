// Every public name of keras-optimizers/distributed, one list.
export { latestCheckpoint, saveCheckpoint } from './checkpoints.ts';
export { Communicator } from './communicator.ts';
export { connect } from './connect.ts';
export { CommunicatorError } from './errors.ts';
export { joinGroup, LocalGroup } from './local.ts';
export { onTermination } from './termination.ts';

export type { CheckpointOptions } from './checkpoints.ts';
export type { CollectiveOptions, CommunicatorOptions, SumOptions } from './communicator.ts';
export type { ConnectOptions, DirectoryStore } from './connect.ts';
export type { Data, TypedArray } from './data.ts';
export type { CommunicatorErrorCode, Failure } from './errors.ts';
export type { LocalHandle } from './local.ts';
export type { DistributeOptions } from './distribute.ts';
export type { Kind } from './transport.ts';
export type { Termination } from './termination.ts';
