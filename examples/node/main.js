// A gRPC echo server and its client, in one program. Both take their connection settings from the environment
// variables that grpcbalance injects, and work the same without any of them.
//
//    node main.js server
//    node main.js client
import { Env } from './env.js';

const programs = { server: './server.js', client: './client.js' };
const [program, ...more] = process.argv.slice(2);
if (!Object.hasOwn(programs, program) || more.length > 0) {
  console.error('usage: main.js server | main.js client   (settings come from environment variables)');
  process.exit(2);
}

// Before the libraries are loaded: a SIGTERM to the first process of a container is lost if nothing handles it.
const stop = new AbortController();
for (const name of ['SIGTERM', 'SIGINT']) {
  process.once(name, () => stop.abort()); // a second signal ends the process at once
}

try {
  const { run } = await import(programs[program]);
  await run(new Env(process.env), stop.signal);
} catch (error) {
  console.error(error.message);
  process.exit(1);
}
