// Through a port of rank 0's machine, MASTER_ADDR and MASTER_PORT, as torchrun and Slurm scripts set them. Whoever reaches that port can
// ask: it is for networks that are trusted.
import { connect as connectTo, createServer, type Server, type Socket } from 'node:net';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';

import { CommunicatorError } from './errors.ts';
import { lateError, parsed, type Answer, type Asker, type Store } from './store.ts';

const kPause = 50; // ms between two attempts
const kMost = 4096; // bytes of a line
const kProtocol = 'keras-optimizers 1';

interface Question {
  readonly protocol: string;
  readonly rank: number;
  readonly size: number;
}

export const tcpStore =
  (host: string, port: number): Store =>
  (asker, answer) =>
    answer === undefined ? ask(asker, host, port) : tell(asker, port, answer);

async function ask(asker: Asker, host: string, port: number): Promise<Answer> {
  const { rank, size, timeout } = asker;
  const end = performance.now() + timeout;
  let why = '';
  while (performance.now() < end) {
    const socket = connectTo({ host, port });
    const question: Question = { protocol: kProtocol, rank, size };
    socket.setTimeout(Math.max(1, end - performance.now()), () => socket.destroy(new Error('no answer')));
    socket.on('connect', () => socket.write(`${JSON.stringify(question)}\n`));
    try {
      const answer = parsed(await lineOf(socket)) as Answer | undefined;
      if (typeof answer === 'object') return answer;
      why = 'the answer is not that of a rank 0';
    } catch (error) {
      why = (error as Error).message;
    } finally {
      socket.destroy();
    }
    await sleep(Math.min(kPause, Math.max(0, end - performance.now())));
  }
  throw lateError(asker, `no answer of rank 0 at ${host}:${port}, ${why}`, [0]);
}

async function tell(asker: Asker, port: number, answer: Answer): Promise<Answer> {
  const { rank, size, timeout } = asker;
  if (size === 1) return answer;
  const askers = new Map<number, Socket>();
  const sockets = new Set<Socket>();
  const server = createServer();
  let timer: NodeJS.Timeout | undefined;
  try {
    await new Promise<void>((resolve, reject) => {
      const missing = () => Array.from({ length: size - 1 }, (_, i) => i + 1).filter((one) => !askers.has(one));
      const late = () =>
        reject(lateError(asker, `ranks ${missing().join(', ')} have not asked at port ${port}`, missing()));
      timer = setTimeout(late, timeout);
      server.on('error', (error) => reject(unavailable(rank, port, error)));
      server.on('connection', (socket) => {
        sockets.add(socket);
        socket.on('error', () => socket.destroy());
        socket.on('close', () => {
          sockets.delete(socket);
          for (const [of, one] of askers) if (one === socket) askers.delete(of); // it will ask again
        });
        lineOf(socket).then(
          (line) => {
            const asked = parsed(line) as Partial<Question> | undefined;
            if (asked?.protocol !== kProtocol) return socket.destroy();
            const wrong = wrongOf(asked, size, askers);
            if (wrong !== undefined) return reject(wrong);
            askers.set(asked.rank as number, socket);
            if (askers.size === size - 1) resolve();
          },
          () => socket.destroy(),
        );
      });
      server.listen(port);
    });
    await send(sockets, answer);
    return answer;
  } catch (error) {
    await send(sockets, { error: (error as Error).message });
    throw error;
  } finally {
    clearTimeout(timer);
    await closed(server, sockets);
  }
}

function wrongOf({ rank, size: said }: Partial<Question>, size: number, askers: ReadonlyMap<number, Socket>) {
  const isRank = Number.isInteger(rank) && (rank as number) > 0 && (rank as number) < size;
  if (said === size && isRank && !askers.has(rank as number)) return undefined;
  const message = `rank 0 expects one of each rank from 1 to ${size - 1} of ${size}, got rank ${rank} of ${said}`;
  const more = isRank && said === size ? ' twice' : '';
  return new CommunicatorError('ERR_COMM_WORLD_SIZE', message + more, {
    rank: 0,
    suspects: isRank ? [rank as number] : [],
  });
}

const unavailable = (rank: number, port: number, cause: Error) =>
  new CommunicatorError('ERR_COMM_UNAVAILABLE', `rank 0 cannot listen at port ${port}: ${cause.message}`, {
    rank,
    cause,
  });

/** The first line that comes. */
async function lineOf(socket: Socket): Promise<string> {
  let text = '';
  for await (const chunk of socket.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    text += chunk.toString('latin1');
    const end = text.indexOf('\n');
    if (end >= 0) return text.slice(0, end);
    if (text.length > kMost) throw new Error('too long a line');
  }
  throw new Error('the connection has been closed');
}

async function send(sockets: ReadonlySet<Socket>, answer: Answer): Promise<void> {
  const line = `${JSON.stringify(answer)}\n`;
  await Promise.all([...sockets].map((socket) => new Promise<void>((resolve) => socket.end(line, () => resolve()))));
}

async function closed(server: Server, sockets: ReadonlySet<Socket>): Promise<void> {
  const wait = server.listening ? once(server, 'close') : Promise.resolve();
  if (server.listening) server.close();
  const timer = setTimeout(() => {
    for (const socket of sockets) socket.destroy();
  }, 1000); // for those who keep theirs open
  await wait;
  clearTimeout(timer);
}
