// Started by bench/peer.ts for every driver in Node.
import { serve } from './host.ts';

await serve();
process.exit(0); // threads of WebAssembly would keep it
