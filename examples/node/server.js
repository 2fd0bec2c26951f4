import { once } from 'node:events';
import { hostname, networkInterfaces } from 'node:os';
import { promisify } from 'node:util';

import grpc from '@grpc/grpc-js';
import { HealthImplementation } from 'grpc-health-check';

import { service, serviceName } from './echo.js';
import { onlySet } from './env.js';
import { Served } from './record.js';

// snippet: begin

// serverOptions are the settings that grpcbalance injects, for new grpc.Server(…). What is unset must not be there:
// grpc-js takes a maximum age of 0 literally.
export function serverOptions(env) {
  // These two are only checked: grpc-js has nothing to set, and answers every ping however often a client sends it.
  env.millis('GRPC_SERVER_MIN_PING_INTERVAL_MS');
  env.flag('GRPC_SERVER_PERMIT_KEEPALIVE_WITHOUT_CALLS');
  const options = onlySet({
    'grpc.max_connection_age_ms': env.millis('GRPC_SERVER_MAX_CONNECTION_AGE_MS'),
    'grpc.max_connection_age_grace_ms': env.millis('GRPC_SERVER_MAX_CONNECTION_AGE_GRACE_MS'),
    'grpc.max_connection_idle_ms': env.millis('GRPC_SERVER_MAX_CONNECTION_IDLE_MS'),
    'grpc.keepalive_time_ms': env.millis('GRPC_SERVER_KEEPALIVE_TIME_MS'), // unset: never, not the 2 h of others
    'grpc.keepalive_timeout_ms': env.millis('GRPC_SERVER_KEEPALIVE_TIMEOUT_MS'),
  });
  env.check(); // throws, and says what is malformed
  return options;
}

// snippet: end

// run serves until signal is aborted. It throws if it cannot start.
export async function run(env, signal) {
  const pod = env.text('POD_NAME', hostname());
  const podIP = env.text('POD_IP');
  const listen = env.text('LISTEN', ':5000');
  const grace = env.millis('SHUTDOWN_GRACE_MS', 20_000);
  const server = new grpc.Server(serverOptions(env));

  const served = new Served(pod);
  server.addService(service, echo(pod, podIP, served));
  const health = new HealthImplementation({ '': 'SERVING', [serviceName]: 'SERVING' });
  health.addToServer(server);
  const address = listen.startsWith(':') ? anyHost() + listen : listen;
  const port = await promisify(server.bindAsync).call(server, address, grpc.ServerCredentials.createInsecure());
  const bound = address.replace(/\d+$/, port);
  console.error(`serving address=${bound} pod=${pod} settings=${JSON.stringify(env.set)}`);

  if (!signal.aborted) {
    await once(signal, 'abort');
  }
  await shutDown(server, health, grace);
  served.end();
}

// echo answers with the name and the address of its pod; podIP may be undefined.
function echo(pod, podIP, served) {
  const header = new grpc.Metadata();
  header.set('pod', pod);
  if (podIP !== undefined) {
    header.set('pod-ip', podIP);
  }
  return {
    say(call, callback) {
      served.count(call.metadata);
      call.sendMetadata(header);
      callback(null, { text: call.request.text, pod });
    },
  };
}

// shutDown stops server so that no RPC is lost: first the health service says NOT_SERVING; then no new connection is
// taken, each client is told to go elsewhere (GOAWAY), and RPCs in flight have the time grace to finish. Only what is
// left after that is cut off.
async function shutDown(server, health, grace) {
  health.setStatus('', 'NOT_SERVING');
  health.setStatus(serviceName, 'NOT_SERVING');
  const cut = setTimeout(() => server.forceShutdown(), grace);
  await promisify(server.tryShutdown).call(server);
  clearTimeout(cut);
}

// anyHost is the address of all interfaces. [::] takes IPv4 too, but fails in a kernel without IPv6.
function anyHost() {
  const interfaces = Object.values(networkInterfaces()).flat();
  return interfaces.some(({ family }) => family === 'IPv6') ? '[::]' : '0.0.0.0';
}
