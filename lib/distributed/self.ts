// One rank alone: nobody is there to move anything to, and a communicator does not try to.
import type { Transport } from './transport.ts';

const nobody = (): never => {
  throw new Error('a rank alone has nobody to move bytes to');
};

export class SelfTransport implements Transport {
  readonly rank = 0;
  readonly size = 1;
  readonly kind = 'self';
  readonly endsJob = false;
  readonly exchange = nobody;
  readonly allToAll = nobody;
  readonly allGather = nobody;
  readonly broadcast = nobody;

  abort(): void {}

  close(): Promise<void> {
    return Promise.resolve();
  }
}
