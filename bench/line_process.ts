// A process that answers: a request is a line of JSON on its stdin, the reply one on its descriptor 3.
import { spawn, type ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';

const kPatience = 300; // seconds for an answer: Keras traces a step of 1000 variables for half a minute

/** One question and one answer at a time. */
export class LineProcess<Request, Reply extends { readonly error?: string }> {
  readonly #child: ChildProcess;
  #errors = ''; // the end of what it wrote there
  #ended: string | undefined; // why it cannot answer
  #settle: ((reply: Reply | { readonly error: string }) => void) | undefined;

  constructor([program = '', ...args]: readonly string[], env: NodeJS.ProcessEnv) {
    this.#child = spawn(program, args, { stdio: ['pipe', 'ignore', 'pipe', 'pipe'], env });
    this.#child.stdin?.on('error', () => undefined); // its end is reported by `exit`
    this.#child.stderr?.on('data', (text: Buffer) => (this.#errors = (this.#errors + text.toString()).slice(-4000)));
    this.#child.on('error', ({ message }) => this.#end(message));
    this.#child.on('close', (code, signal) => this.#end(`ended with ${signal ?? code}: ${this.#lastError}`));
    const replies = createInterface({ input: this.#child.stdio[3] as Readable });
    replies.on('line', (line) => this.#settle?.(JSON.parse(line) as Reply));
  }

  get #lastError(): string {
    return this.#errors.trim().split('\n').at(-1) ?? '';
  }

  #end(reason: string): void {
    this.#ended ??= reason;
    this.#settle?.({ error: this.#ended });
  }

  /** Rejects with the reason if it cannot answer. */
  async ask(request: Request): Promise<Omit<Reply, 'error'>> {
    if (this.#ended !== undefined) throw new Error(this.#ended);
    let timer: NodeJS.Timeout | undefined;
    const { error, ...reply } = await new Promise<Reply | { readonly error: string }>((resolve) => {
      this.#settle = resolve;
      timer = setTimeout(() => (this.#end(`no answer for ${kPatience} s`), this.close()), 1000 * kPatience);
      this.#child.stdin?.write(`${JSON.stringify(request)}\n`);
    });
    clearTimeout(timer);
    if (error !== undefined) throw new Error(error.split('\n')[0]?.slice(0, 160));
    return reply as Omit<Reply, 'error'>;
  }

  close(): void {
    this.#child.kill('SIGKILL');
  }
}
