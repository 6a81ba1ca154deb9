// The model of sums over ranks finds what is planted, and counts messages and bytes as the library sends them.
import { assert } from 'chai';

import { pieceOf } from '../lib/distributed/collectives.ts';
import { fit, networks, predict, project, trafficOf } from '../bench/distributed/model.ts';

const sizes = [64, 1024, 8192, 16_384, 65_536, 262_144, 1 << 20, 1 << 22, 1 << 24];
const planted = [
  { most: 8192, alpha: 5, beta: 0.002 },
  { most: 262_144, alpha: 20, beta: 0.001 },
  { most: Infinity, alpha: 0, beta: 0.0005 },
];

describe('the model of sums over ranks', () => {
  it('finds latencies and bandwidths', () => {
    const sums = sizes.map((bytes) => ({ ranks: 2, bytes, us: predict(planted, { ranks: 2, bytes }) }));
    for (const [i, { most, alpha, beta }] of fit(sums).entries()) {
      assert.equal(most, planted[i]?.most);
      assert.approximately(alpha, planted[i]?.alpha ?? NaN, 1e-6);
      assert.approximately(beta, planted[i]?.beta ?? NaN, 1e-9);
    }
  });

  it('has no latency and no bandwidth below 0', () => {
    const falling = sizes.map((bytes, i) => ({ ranks: 2, bytes, us: 100 - i }));
    for (const { alpha, beta } of fit(falling)) assert(alpha >= 0 && beta >= 0);
  });

  it('has latency take a fifth of the time at most in buckets of the default size', () => {
    const own = { update: 0, rest: 0 };
    for (const network of networks)
      for (const ranks of [2, 8, 16, 17, 64, 1024]) {
        const bucket = pieceOf(ranks);
        const { latency, transfer } = project(network, own, { ranks, parameters: bucket / 4, bucket, sharded: false });
        assert.isAtMost(latency / transfer, 0.2, `${ranks} ranks, ${network.name}`);
      }
    assert.deepEqual([2, 16, 64].map(pieceOf), [4 << 20, 4 << 20, 16 << 20]);
  });

  it('counts messages and bytes', () => {
    assert.deepEqual(trafficOf(4, 1000), { messages: 3, sent: 3000 });
    assert.deepEqual(trafficOf(4, 1 << 20), { messages: 9, sent: 1.5 * 2 ** 20 });
  });

  it('projects the bytes of a ring, a share of the update, and fewer messages in larger buckets', () => {
    const own = { update: 0.001, rest: 0.001 };
    const at = (bucket: number, sharded: boolean) =>
      project(networks[1] as (typeof networks)[number], own, { ranks: 8, parameters: 25e6, bucket, sharded });
    assert.approximately(at(4 << 20, false).transfer, 62.5, 1e-9); // 2 7/8 100 MB at 2.8 GB/s
    assert.approximately(at(4 << 20, true).own, 25 + 25 / 8, 1e-9);
    assert.isBelow(at(64 << 20, false).latency, at(4 << 20, false).latency / 10);
  });
});
